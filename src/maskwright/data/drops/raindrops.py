"""Raindrops on the glass in front of a camera, drawn over a real photograph: which drops there are, and the picture.

What one drop looks like is in `drop.py`. A camera that is focused on the road sees its windshield out of focus: each
pixel gathers light through a disc of the glass as wide as the open lens, so that drops become soft, low in contrast,
and those smaller than the disc nearly invisible (Roser & Geiger, "Video-based Raindrop Detection for Improved Image
Registration", ICCV Workshops 2009). Points are complex numbers, x + iy, y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.drops.drop import Drop, defocus, render
from maskwright.types import Image, InputError, unknown_name

MANY = 2000  # drops a picture, at most
MOST = 0.8  # share of the glass under drops, at most

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class DropStyle:
    """How drops look. Radii, views and defocus are shares of the shorter side of the photo; other shares are 0..1.

    Raises InputError where a range is not rising or a share is outside 0..1.
    """

    count: tuple[int, int] = (8, 32)
    cover: Range | None = None  # share of the glass under drops; decides the number in place of `count`
    radius: Range = (0.014, 0.12)
    smallness: float = 1.8  # 1 spreads radii evenly on a log scale; more makes small drops more common
    view: Range = (0.35, 0.6)  # radius of the scene that one drop shows
    blur: float = 0.6  # of the picture inside a drop in focus, in octaves
    rim: float = 0.6  # how dark the rim is
    highlight: float = 0.85
    soft: float = 0.3  # share of drops out of focus
    soft_blur: Range = (0.1, 0.25)  # of those, in radii of the drop
    defocus: Range = (0.0, 0.0)  # radius of the disc of glass that one pixel sees, the same for a whole picture
    flat: float = 0.0  # 0: all drops turn the scene around; 1: many are mere films of water
    lean: float = 0.0  # how far wind makes the water lean, 1 is to lie flat; the same for a whole picture
    merged: float = 0.25  # share of drops that ran together from several
    runny: float = 0.2  # share of drops with a tail
    smeared: float = 0.0  # share of drops that a wiper or the wind drew out into long thin traces

    def __post_init__(self) -> None:
        for name in ("count", "cover", "radius", "view", "soft_blur", "defocus"):
            low, high = getattr(self, name) or (0, 0)
            if not 0 <= low <= high < math.inf:
                raise InputError(f"Drop style {name} is ({low}, {high}); give two rising numbers from 0.")
        for name in ("rim", "highlight", "soft", "flat", "lean", "merged", "runny", "smeared"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Drop style {name} is {getattr(self, name)}; give a share from 0 to 1.")
        if self.radius[0] <= 0 or self.merged + self.runny > 1:
            raise InputError(
                "Drop style needs radii above 0, and shares of merged and runny drops that sum to 1 at most."
            )
        if max(self.cover or (0, 0)) > MOST or max(*self.radius, *self.defocus) > 0.5:
            raise InputError(
                f"Drop style covers {MOST:.0%} of the glass at most, with radii and defocus up to 0.5 "
                "of the shorter side; give smaller numbers."
            )


STYLES = {
    # A camera close to its own wet lens or window: few drops, each a small sharp picture with a rim and a highlight.
    "close": DropStyle(),
    # A camera behind a windshield, focused on the road.
    "windshield": DropStyle(
        cover=(0.05, 0.4),
        radius=(0.008, 0.14),
        smallness=1.5,
        view=(0.15, 0.5),
        rim=0.7,
        highlight=0.35,
        soft=0,
        defocus=(0.006, 0.045),
        flat=1,
        lean=0.6,
        merged=0.3,
        runny=0.25,
        smeared=0.03,
    ),
}


def drop_style(
    name: str = "close",
    *,
    density: Range | None = None,
    size: Range | None = None,
    focus: Range | None = None,
    streaks: float | None = None,
) -> DropStyle:
    """One of STYLES, changed by what a person wants to say about drops.

    `density` is the share of the glass under drops, `size` the diameter and `focus` the blur of the glass (0 is in
    focus), each from..to, the last two as shares of the photo's shorter side; `streaks` the share of drops that run
    or are smeared. Raises InputError for an unknown name, and as DropStyle does.

    >>> drop_style("windshield", density=(0.1, 0.1)).cover
    (0.1, 0.1)
    """
    if name not in STYLES:
        raise unknown_name("drop style", name, STYLES)
    style = STYLES[name]
    if density is not None:
        style = replace(style, cover=density)
    if size is not None:
        style = replace(style, radius=(size[0] / 2, size[1] / 2))
    if focus is not None:
        style = replace(style, soft=0, defocus=focus)
    if streaks is not None:
        if not 0 <= streaks <= 1:
            raise InputError(f"Streaks are {streaks}; give a share of the drops, from 0 to 1.")
        # A smear takes the place of a drop of any other kind; half of the streaks are smeared, half run down.
        smeared = streaks / 2
        runny = smeared / (1 - smeared)
        merged = style.merged / (1 - style.runny) * (1 - runny)
        style = replace(style, smeared=smeared, runny=runny, merged=merged)
    return style


def raindrops(
    image_HW3: Image, rng: np.random.Generator, *, count: int | None = None, style: DropStyle | None = None
) -> tuple[Image, NDArray[np.uint8]]:
    """Draw `count` raindrops (by default as many as the style says) over a photo.

    Returns the picture (H, W, 3) uint8 and a mask (H, W) uint8: 1 exactly where drops cover at least half of the
    light of a pixel, else 0. So the outline of a soft drop runs through the middle of its soft edge, and a drop
    smaller than the disc it is blurred by is in the picture, faintly, but not in the mask. The photo is left as it
    is; pixels that no drop touches are equal to the photo's.

    >>> picture_HW3, mask_HW = raindrops(np.zeros((64, 96, 3), np.uint8), np.random.default_rng(0))
    """
    style, rows, columns = style or DropStyle(), *image_HW3.shape[:2]
    drops = draw_drops((rows, columns), count, style, rng)
    return look_through(image_HW3, drops, rng.uniform(*style.defocus) * min(rows, columns))


def look_through(image_HW3: Image, drops: Sequence[Drop], blur_px: float) -> tuple[Image, NDArray[np.uint8]]:
    """The photo through these drops, each over those before, on glass that is out of focus by a disc of this radius.

    Returns picture and mask as `raindrops` does.
    """
    rows, columns = image_HW3.shape[:2]
    pyramid = _pyramid(image_HW3)
    shine_3 = (np.percentile(pyramid[-1].reshape(-1, 3), 95, axis=0) * 0.3 + 255 * 0.7).astype(np.float32)
    photo_HW3 = image_HW3.astype(np.float32)
    # Drops in focus are put on the photo one by one; glass out of focus is a layer of its own, blurred as a whole.
    picture_HW3 = photo_HW3 if blur_px < 0.5 else np.zeros_like(photo_HW3)
    cover_HW = np.zeros((rows, columns), np.float32)
    for drop in drops:
        colour_hw3, cover_hw, top, left = render(drop, pyramid, shine_3)
        height, width = cover_hw.shape
        inside = np.s_[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        shown = np.s_[max(0, -top) : max(0, rows - top), max(0, -left) : max(0, columns - left)]
        clear_hw = 1 - cover_hw[shown]
        picture_HW3[inside] = picture_HW3[inside] * clear_hw[..., None] + colour_hw3[shown]
        cover_HW[inside] = 1 - (1 - cover_HW[inside]) * clear_hw
    if blur_px >= 0.5:
        colour_HW3, cover_HW = defocus(picture_HW3, cover_HW, blur_px)
        picture_HW3 = photo_HW3 * (1 - cover_HW)[..., None] + colour_HW3
    picture = np.clip(np.rint(picture_HW3), 0, 255).astype(np.uint8)
    return picture, (cover_HW >= 0.5).astype(np.uint8)


def _pyramid(image_HW3: Image) -> list[Image]:
    """The photo at half the size of the one before, down to a few pixels: level l holds pixel 2**l * i at i."""
    levels = [image_HW3]
    while min(levels[-1].shape[:2]) > 6:
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.uint8))
    return levels


def draw_drops(size_hw: tuple[int, int], count: int | None, style: DropStyle, rng: np.random.Generator) -> list[Drop]:
    """Drops of one picture, large ones first, each put where it has the most room out of a few places."""
    radii = _draw_radii(size_hw, count, style, rng)
    shorter = min(size_hw)
    light = complex(np.exp(1j * math.radians(rng.uniform(-130, -50))))
    drops: list[Drop] = []
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
            Drop(
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
                blur=style.blur,
                rim=style.rim,
                highlight=style.highlight,
            )
        )
    return _weathered(drops, size_hw, style, rng)


def _draw_radii(
    size_hw: tuple[int, int], count: int | None, style: DropStyle, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Radii in pixels, falling: as many as asked for, or as cover the share of the glass that the style says."""
    low, high = (max(1.5, share * min(size_hw)) for share in style.radius)
    if count is None and style.cover is not None:
        # Drops that lie anywhere leave exp(-sum of areas) of the glass dry.
        wanted = -math.log1p(-rng.uniform(*style.cover)) * size_hw[0] * size_hw[1]
        radii = low * (high / low) ** (rng.random(MANY) ** style.smallness)
        area = np.cumsum(np.pi * radii**2)
        if wanted > area[-1]:
            raise InputError(f"So much glass takes more than {MANY} drops of this size; ask for larger ones or less.")
        radii = radii[: int(np.searchsorted(area, wanted))]
    else:
        number = int(rng.integers(style.count[0], style.count[1] + 1)) if count is None else count
        radii = low * (high / low) ** (rng.random(number) ** style.smallness)
    return np.sort(radii)[::-1]


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


def _weathered(drops: list[Drop], size_hw: tuple[int, int], style: DropStyle, rng: np.random.Generator) -> list[Drop]:
    """Drops under what all of a picture share: wind that leans them, a wiper that smears some; each more or less flat.

    A style without any of it draws nothing here and leaves the drops as they are.
    """
    if not (style.flat or style.lean or style.smeared):
        return drops
    lean = complex(np.exp(0.5j * math.pi * style.lean * rng.uniform(-1, 1)))
    pivot = size_hw[1] * rng.uniform(-0.2, 1.2) + 1j * size_hw[0] * rng.uniform(1.2, 2.5)
    done: list[Drop] = []
    for drop in drops:
        steep, length, kind = (1 - style.flat * rng.random()) ** 2, rng.uniform(4, 12), rng.random()
        offset_L, stretch_L, taper = drop.offset_L * np.complex64(lean), drop.stretch_L * np.complex64(lean), drop.taper
        radius_L, wobble_L3 = drop.radius_L, drop.wobble_L3
        if kind < style.smeared:
            # The blade turns about its pivot below the picture, and pulls water out along its way.
            spoke = pivot - drop.centre
            along = 1j * spoke / abs(spoke)
            offset_L, radius_L, wobble_L3 = offset_L[:1] * 0, np.ones_like(radius_L[:1]), wobble_L3[:1] * 0.3
            stretch_L, taper, steep = np.array([math.sqrt(length) * along], np.complex64), 0.0, steep / 8
        done.append(
            replace(
                drop,
                offset_L=offset_L,
                stretch_L=stretch_L,
                radius_L=radius_L,
                wobble_L3=wobble_L3,
                taper=taper,
                steep=steep,
                rim=drop.rim * math.sqrt(steep),
                highlight=drop.highlight * steep,
            )
        )
    return done
