"""Raindrops on the lens, drawn over real photographs: labelled training data without labelling.

A drop on glass is a short lens: it shows a contracted, upside-down and mirrored wide-angle picture of the
scene around it (You et al., "Adherent Raindrop Modeling, Detection and Removal in Video", TPAMI 2016).
Here a drop is a smooth union of lobes. Inside it, `u` is the place in a unit disc (0 in the middle, length 1
at the edge), and the drop shows the photo at `view centre - view radius * u`. Points are complex numbers,
x + iy, y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image, InputError

NECK = np.float32(9)  # how sharply lobes join, per radius of a drop: less makes necks thicker

Floats = NDArray[np.float32]
Points = NDArray[np.complex64]


@dataclass(frozen=True, kw_only=True)
class DropStyle:
    """How drops look. Radii and views are shares of the shorter side of the photo; other shares are 0..1.

    Raises InputError where a range is not rising or a share is outside 0..1.
    """

    count: tuple[int, int] = (8, 32)
    radius: tuple[float, float] = (0.014, 0.12)
    smallness: float = 1.8  # 1 spreads radii evenly on a log scale; more makes small drops more common
    view: tuple[float, float] = (0.35, 0.6)  # radius of the scene that one drop shows
    blur: float = 0.6  # of the picture inside a drop in focus, in octaves
    rim: float = 0.6  # how dark the rim is
    highlight: float = 0.85
    soft: float = 0.3  # share of drops out of focus
    soft_blur: tuple[float, float] = (0.1, 0.25)  # of those, in radii of the drop
    merged: float = 0.25  # share of drops that ran together from several
    runny: float = 0.2  # share of drops with a tail

    def __post_init__(self) -> None:
        for name in ("count", "radius", "view", "soft_blur"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise InputError(f"Drop style {name} is ({low}, {high}); give two rising numbers from 0.")
        for name in ("rim", "highlight", "soft", "merged", "runny"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Drop style {name} is {getattr(self, name)}; give a share from 0 to 1.")
        if self.radius[0] <= 0 or self.merged + self.runny > 1:
            raise InputError(
                "Drop style needs radii above 0, and shares of merged and runny drops that sum to 1 at most."
            )


@dataclass(frozen=True, kw_only=True)
class _Drop:
    """One drop: lobes are rows of L; offsets and radii are in radii of the drop, the rest in pixels."""

    centre: complex
    radius_px: float
    offset_L: Points
    radius_L: Floats
    stretch_L: Points  # modulus: square root of long / short axis; angle: direction of the long axis
    wobble_L3: Points  # second to fourth harmonic of the outline
    taper: float  # share of the width lost from the lower to the upper end of the long axis
    bend: float  # how far the middle of the long axis leaves its line, in radii of the lobe
    view_px: float
    soft_px: float
    light: complex  # direction towards the light, length 1


def raindrops(
    image_HW3: Image, rng: np.random.Generator, *, count: int | None = None, style: DropStyle | None = None
) -> tuple[Image, NDArray[np.uint8]]:
    """Draw `count` raindrops (by default a number from the style's range) over a photo.

    Returns the picture (H, W, 3) uint8 and a mask (H, W) uint8: 1 exactly where drops cover at least half of the
    light of a pixel, else 0. The photo is left as it is; pixels that no drop touches are equal to the photo's.

    >>> picture_HW3, mask_HW = raindrops(np.zeros((64, 96, 3), np.uint8), np.random.default_rng(0))
    """
    style = style or DropStyle()
    rows, columns = image_HW3.shape[:2]
    pyramid = _pyramid(image_HW3)
    shine_3 = (np.percentile(pyramid[-1].reshape(-1, 3), 95, axis=0) * 0.3 + 255 * 0.7).astype(np.float32)
    picture_HW3 = image_HW3.astype(np.float32)
    cover_HW = np.zeros((rows, columns), np.float32)
    for drop in _draw_drops((rows, columns), count, style, rng):
        colour_hw3, cover_hw, top, left = _render(drop, pyramid, shine_3, style)
        height, width = cover_hw.shape
        inside = np.s_[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        shown = np.s_[max(0, -top) : max(0, rows - top), max(0, -left) : max(0, columns - left)]
        clear_hw = 1 - cover_hw[shown]
        picture_HW3[inside] = picture_HW3[inside] * clear_hw[..., None] + colour_hw3[shown]
        cover_HW[inside] = 1 - (1 - cover_HW[inside]) * clear_hw
    picture = np.clip(np.rint(picture_HW3), 0, 255).astype(np.uint8)
    return picture, (cover_HW >= 0.5).astype(np.uint8)


def _pyramid(image_HW3: Image) -> list[Image]:
    """The photo at half the size of the one before, down to a few pixels: level l holds pixel 2**l * i at i."""
    levels = [image_HW3]
    while min(levels[-1].shape[:2]) > 6:
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.uint8))
    return levels


# ---------------------------------------------------------------- what drops there are


def _draw_drops(size_hw: tuple[int, int], count: int | None, style: DropStyle, rng: np.random.Generator) -> list[_Drop]:
    """Drops of one picture, large ones first, each put where it has the most room out of a few places."""
    number = int(rng.integers(style.count[0], style.count[1] + 1)) if count is None else count
    shorter = min(size_hw)
    low, high = (max(1.5, share * shorter) for share in style.radius)
    radii = np.sort(low * (high / low) ** (rng.random(number) ** style.smallness))[::-1]
    light = complex(np.exp(1j * math.radians(rng.uniform(-130, -50))))
    drops: list[_Drop] = []
    placed = np.zeros(0, np.complex128)
    for index, radius_px in enumerate(radii):
        places = rng.random(8) * (size_hw[1] - 1) + 1j * rng.random(8) * (size_hw[0] - 1)
        gaps = np.abs(places[:, None] - placed) - radii[:index] - radius_px
        centre = complex(places[int(np.argmax(gaps.min(axis=1, initial=4 * radius_px)))])
        placed = np.append(placed, centre)
        soft_px = radius_px * rng.uniform(*style.soft_blur) if rng.random() < style.soft else 0.0
        offset_L, radius_L, stretch_L, taper = _draw_lobes(style, rng)
        harmonics = rng.normal(size=(len(offset_L), 3, 2)) @ np.array([1, 1j]) * (0.05, 0.03, 0.015)
        drops.append(
            _Drop(
                centre=centre,
                radius_px=float(radius_px),
                offset_L=offset_L.astype(np.complex64),
                radius_L=radius_L.astype(np.float32),
                stretch_L=stretch_L.astype(np.complex64),
                wobble_L3=harmonics.astype(np.complex64),
                taper=taper,
                bend=float(rng.uniform(-0.35, 0.35)) if taper else 0.0,
                view_px=max(rng.uniform(*style.view) * shorter, 2.2 * float(radius_px)),
                soft_px=float(soft_px),
                light=light,
            )
        )
    return drops


def _draw_lobes(
    style: DropStyle, rng: np.random.Generator
) -> tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.complex128], float]:
    """Offsets, radii and stretches of the lobes, and the taper: one lobe, several that ran together, or a tail."""
    kind = rng.random()
    if kind < style.runny:
        # Water runs down and leaves a thinner trace above; length 1.4 is a teardrop, 4 a rivulet.
        length, tilt = rng.uniform(1.4, 4.0), rng.normal(math.pi / 2, 0.12)
        stretch = np.array([math.sqrt(length) * np.exp(1j * tilt)])
        return np.zeros(1, np.complex128), np.array([0.9]), stretch, float(rng.uniform(0.3, 0.6))
    number = int(rng.integers(2, 5)) if kind < style.runny + style.merged else 1
    radius_L = rng.uniform(0.4, 0.75, number) if number > 1 else np.array([0.95])
    turns = np.cumsum(rng.uniform(-1.2, 1.2, number)) + rng.uniform(0, 2 * math.pi)
    steps = (radius_L[1:] + radius_L[:-1]) * rng.uniform(0.55, 0.85, number - 1) * np.exp(1j * turns[1:])
    offset_L = np.concatenate([[0], np.cumsum(steps)])
    long_L = 1 + 0.6 * rng.random(number) ** 2
    tilt_L = rng.normal(math.pi / 2, 0.5, number)
    return offset_L - offset_L.mean(), radius_L, np.sqrt(long_L) * np.exp(1j * tilt_L), 0.0


# ---------------------------------------------------------------- how one drop looks


def _render(
    drop: _Drop, pyramid: Sequence[Image], shine_3: Floats, style: DropStyle
) -> tuple[Floats, Floats, int, int]:
    """Colour times cover (h, w, 3), cover (h, w) in 0..1, and the top row and left column of the patch."""
    margin = 2 + math.ceil(3 * drop.soft_px)
    # The longest half axis, with what the wobble, the bend and the soft maximum of `_dome` add.
    bulge_L = 1 + np.abs(drop.wobble_L3).sum(axis=1) + abs(drop.bend)
    reach_L = drop.radius_L * np.abs(drop.stretch_L) * bulge_L + math.log(len(drop.radius_L)) / NECK
    low = (drop.offset_L.real - reach_L).min() + 1j * (drop.offset_L.imag - reach_L).min()
    high = (drop.offset_L.real + reach_L).max() + 1j * (drop.offset_L.imag + reach_L).max()
    corner, opposite = drop.centre + drop.radius_px * low, drop.centre + drop.radius_px * high
    left, top = math.floor(corner.real) - margin, math.floor(corner.imag) - margin
    width, height = math.ceil(opposite.real) + margin + 1 - left, math.ceil(opposite.imag) + margin + 1 - top
    x_w, y_h1 = np.arange(left, left + width), np.arange(top, top + height)[:, None]
    z_hw = ((x_w - drop.centre.real + 1j * (y_h1 - drop.centre.imag)) / drop.radius_px).astype(np.complex64)
    u_hw, depth_hw, size_hw = _dome(drop, z_hw)
    # Depth over its slope is the distance to the outline in pixels: every edge is one pixel wide.
    slope_hw = np.hypot(*np.gradient(depth_hw))
    cover_hw = np.clip(0.5 + depth_hw / np.maximum(slope_hw, np.float32(1e-6)), 0, 1)
    edge_hw = np.clip(1 - depth_hw / size_hw, 0, 1)
    colour_hw3 = _refract(drop, u_hw, pyramid, style)
    colour_hw3 = _shade(drop, colour_hw3, u_hw, edge_hw, shine_3, style) * cover_hw[..., None]
    if drop.soft_px > 0:
        colour_hw3 = np.asarray(cv2.GaussianBlur(colour_hw3, (0, 0), drop.soft_px), np.float32)
        cover_hw = np.asarray(cv2.GaussianBlur(cover_hw, (0, 0), drop.soft_px), np.float32)
        faint_hw = cover_hw < 0.004
        colour_hw3[faint_hw], cover_hw[faint_hw] = 0, 0
    return colour_hw3, cover_hw, top, left


def _dome(drop: _Drop, z_hw: Points) -> tuple[Points, Floats, Floats]:
    """Place in the unit disc, depth inside the outline and radius of the lobe at hand, both in radii of the drop."""
    z_Lhw = z_hw - drop.offset_L[:, None, None]
    long_L, radius_L = np.abs(drop.stretch_L)[:, None, None], drop.radius_L[:, None, None]
    axis_L = drop.stretch_L[:, None, None] / long_L
    local_Lhw = z_Lhw * np.conj(axis_L)
    along_Lhw, across_Lhw = local_Lhw.real / (long_L * radius_L), local_Lhw.imag * (long_L / radius_L)
    width_Lhw = np.ones_like(along_Lhw)
    if drop.taper:
        up_Lhw = (1 - np.clip(along_Lhw, -1, 1)) / 2
        width_Lhw = 1 - np.float32(drop.taper) * up_Lhw * (2 - up_Lhw)
        across_Lhw = (across_Lhw - np.float32(drop.bend) * np.sin(3 * along_Lhw + 1)) / width_Lhw
    disc_Lhw = along_Lhw + 1j * across_Lhw
    s_Lhw = np.maximum(np.abs(disc_Lhw), np.float32(1e-6))
    way_Lhw = disc_Lhw / s_Lhw
    c2, c3, c4 = (drop.wobble_L3[:, k, None, None] for k in range(3))
    s_Lhw = s_Lhw / (1 + (((c4 * way_Lhw + c3) * way_Lhw + c2) * way_Lhw * way_Lhw).real)
    u_Lhw = way_Lhw * s_Lhw * axis_L
    size_Lhw = width_Lhw * radius_L / long_L
    depth_Lhw = (1 - s_Lhw) * size_Lhw
    if len(drop.radius_L) == 1:
        return u_Lhw[0], depth_Lhw[0], size_Lhw[0]
    # A soft maximum of depths: necks between lobes fill up as water does.
    weight_Lhw = np.exp(NECK * np.clip(depth_Lhw, -4, 1))
    total_hw = weight_Lhw.sum(axis=0)
    share_Lhw = weight_Lhw / total_hw
    return (share_Lhw * u_Lhw).sum(axis=0), np.log(total_hw) / NECK, (share_Lhw * size_Lhw).sum(axis=0)


def _refract(drop: _Drop, u_hw: Points, pyramid: Sequence[Image], style: DropStyle) -> Floats:
    """The scene around the drop, turned by 180 degrees, wide-angle towards the edge; shape (h, w, 3)."""
    rows, columns = pyramid[0].shape[:2]
    middle = (columns - 1) / 2 + 1j * (rows - 1) / 2
    centre = drop.centre + 0.35 * (middle - drop.centre)
    bend_hw = np.minimum(np.abs(u_hw), 1.1) ** 2
    octaves = math.log2(0.7 * drop.view_px / drop.radius_px) + style.blur + (1.0 if drop.soft_px else 0.0)
    level = min(max(0, round(octaves)), len(pyramid) - 1)
    source_hw = (centre - drop.view_px * u_hw * (0.65 + 0.35 * bend_hw)) / 2**level
    seen = cv2.remap(
        pyramid[level],
        source_hw.real.astype(np.float32),
        source_hw.imag.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return seen.astype(np.float32)


def _shade(drop: _Drop, colour_hw3: Floats, u_hw: Points, edge_hw: Floats, shine_3: Floats, style: DropStyle) -> Floats:
    """Darken the rim (more towards the light, which leaves on the far side), add the glow there and the highlight."""
    toward_hw = (u_hw * np.complex64(drop.light.conjugate())).real
    across_hw = (u_hw * np.complex64(drop.light.conjugate())).imag
    steep_hw = np.clip((edge_hw - 0.62) / 0.38, 0, 1)
    dark_hw = style.rim * steep_hw**2 * (0.75 + 0.25 * np.clip(toward_hw, -1, 1))
    glow_hw = 0.35 * style.highlight * np.clip(-toward_hw - 0.3, 0, 0.6) * (1 - steep_hw)
    far_hw = ((toward_hw - 0.55) / 0.07) ** 2 + (across_hw / 0.16) ** 2
    spot_hw = style.highlight * (0.85 * np.exp(-far_hw) + 0.25 * np.exp(-far_hw / 6))
    lit_hw3 = colour_hw3 * (1 + glow_hw - dark_hw)[..., None]
    return np.asarray(lit_hw3 + (shine_3 - lit_hw3) * spot_hw[..., None], np.float32)
