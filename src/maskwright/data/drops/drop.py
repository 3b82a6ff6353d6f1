"""How one raindrop looks: the optics.

A drop on glass is a short lens: it shows a contracted, upside-down and mirrored wide-angle picture of the scene
around it (You et al., "Adherent Raindrop Modeling, Detection and Removal in Video", TPAMI 2016). Here a drop is a
smooth union of lobes. Inside it, `u` is the place in a unit disc (0 in the middle, length 1 at the edge), and a steep
drop shows the photo at `view centre - view radius * u`. A flat drop is a weak lens and shows what is right behind it:
between the two the place that is seen moves on a straight line, as it does in a thin lens of growing power.
Points are complex numbers, x + iy, y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image

NECK = np.float32(9)  # how sharply lobes join, per radius of a drop: less makes necks thicker
FAINT = 0.004  # less cover than that changes no pixel value

Floats = NDArray[np.float32]
Points = NDArray[np.complex64]


@dataclass(frozen=True, kw_only=True)
class Drop:
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
    steep: float = 1.0  # 1 is a full lens, 0 a film of water
    blur: float = 0.0  # of the picture inside, in octaves
    rim: float = 0.0  # how dark the rim is
    highlight: float = 0.0


def render(drop: Drop, pyramid: Sequence[Image], shine_3: Floats) -> tuple[Floats, Floats, int, int]:
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
    colour_hw3 = _refract(drop, u_hw, z_hw, pyramid)
    colour_hw3 = _shade(drop, colour_hw3, u_hw, edge_hw, shine_3) * cover_hw[..., None]
    if drop.soft_px > 0:
        colour_hw3 = np.asarray(cv2.GaussianBlur(colour_hw3, (0, 0), drop.soft_px), np.float32)
        cover_hw = np.asarray(cv2.GaussianBlur(cover_hw, (0, 0), drop.soft_px), np.float32)
        faint_hw = cover_hw < FAINT
        colour_hw3[faint_hw], cover_hw[faint_hw] = 0, 0
    return colour_hw3, cover_hw, top, left


def defocus(colour_HW3: Floats, cover_HW: Floats, radius_px: float) -> tuple[Floats, Floats]:
    """Glass out of focus: every pixel gathers its light through a disc of the glass, as wide as the open lens.

    `colour_HW3` is colour times cover. The radius is the same for all drops, because all are on the same glass.
    """
    reach = math.ceil(radius_px)
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    disc = np.clip(radius_px + 0.5 - away, 0, 1).astype(np.float32)
    disc /= disc.sum()
    colour_HW3, cover_HW = (
        np.asarray(cv2.filter2D(layer, -1, disc, borderType=cv2.BORDER_REPLICATE), np.float32)
        for layer in (colour_HW3, cover_HW)
    )
    faint_HW = cover_HW < FAINT
    colour_HW3[faint_HW], cover_HW[faint_HW] = 0, 0
    return colour_HW3, np.minimum(cover_HW, 1)


def _dome(drop: Drop, z_hw: Points) -> tuple[Points, Floats, Floats]:
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


def _refract(drop: Drop, u_hw: Points, z_hw: Points, pyramid: Sequence[Image]) -> Floats:
    """The scene around the drop, turned by 180 degrees, wide-angle towards the edge; shape (h, w, 3)."""
    rows, columns = pyramid[0].shape[:2]
    middle = (columns - 1) / 2 + 1j * (rows - 1) / 2
    centre = drop.centre + 0.35 * (middle - drop.centre)
    bend_hw = np.minimum(np.abs(u_hw), 1.1) ** 2
    source_hw = centre - drop.view_px * u_hw * (0.65 + 0.35 * bend_hw)
    contraction = 0.7 * drop.view_px / drop.radius_px
    if drop.steep < 1:
        behind_hw = drop.centre + drop.radius_px * z_hw
        source_hw = (drop.steep * source_hw + (1 - drop.steep) * behind_hw).astype(np.complex64)
        contraction = max(1.0, drop.steep * contraction)
    octaves = math.log2(contraction) + drop.blur + (1.0 if drop.soft_px else 0.0)
    level = min(max(0, round(octaves)), len(pyramid) - 1)
    source_hw = source_hw / 2**level
    seen = cv2.remap(
        pyramid[level],
        source_hw.real.astype(np.float32),
        source_hw.imag.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return seen.astype(np.float32)


def _shade(drop: Drop, colour_hw3: Floats, u_hw: Points, edge_hw: Floats, shine_3: Floats) -> Floats:
    """Darken the rim (more towards the light, which leaves on the far side), add the glow there and the highlight."""
    toward_hw = (u_hw * np.complex64(drop.light.conjugate())).real
    across_hw = (u_hw * np.complex64(drop.light.conjugate())).imag
    steep_hw = np.clip((edge_hw - 0.62) / 0.38, 0, 1)
    dark_hw = drop.rim * steep_hw**2 * (0.75 + 0.25 * np.clip(toward_hw, -1, 1))
    glow_hw = 0.35 * drop.highlight * np.clip(-toward_hw - 0.3, 0, 0.6) * (1 - steep_hw)
    far_hw = ((toward_hw - 0.55) / 0.07) ** 2 + (across_hw / 0.16) ** 2
    spot_hw = drop.highlight * (0.85 * np.exp(-far_hw) + 0.25 * np.exp(-far_hw / 6))
    lit_hw3 = colour_hw3 * (1 + glow_hw - dark_hw)[..., None]
    return np.asarray(lit_hw3 + (shine_3 - lit_hw3) * spot_hw[..., None], np.float32)
