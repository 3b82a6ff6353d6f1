"""From the working size to the photo's: the edge is found again, finer, in a crop around what changed.

Near the outline, colours just inside and just outside are compared window by window (the local classifiers of Video
SnapCut: Bai et al., SIGGRAPH 2009), and the result is smoothed along but not across edges (Grady's random walker, on
pixels). Away from the outline nothing is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled
from maskwright.prompt.classical.pieces import STEP_PX, Floats, lab_of, rgb_of
from maskwright.types import Image

Flags = NDArray[np.bool_]
Soft = NDArray[np.uint8]

LONGEST = 448  # of the crop in which the edge is looked for
MEDIUM = 1792
SURE = 6.0  # the logit of what is not in question
_MARGIN = 1.5  # of a piece's width
_BAND = 1.0
_WINDOW = 3.0
_NOISE = 400.0  # variance of a colour that counts as flat
_COLOUR = 0.4
_MOST = 12.0
_SMOOTH = 2.0
_EDGE = 6.0  # a step in colour across which smoothing falls to a third
_SWEEPS = 10
_CERTAIN = 4.6  # a probability of 0.99


@dataclass(frozen=True, kw_only=True)
class Crop:
    """Rows and columns of the working size, of the photo, and the size at which its edge is looked for."""

    small: tuple[slice, slice]
    full: tuple[slice, slice]
    fine_hw: tuple[int, int]


def refined(image: Image, medium: Image, logit_hw: Floats, moved_hw: Flags, before_HW: Flags | None) -> Soft:
    """The probability in 255ths at the photo's size: `before_HW` where nothing is in question, a fine edge elsewhere.

    `medium` is the photo made smaller, which large crops are taken from. `logit_hw` and `moved_hw` (what the mask
    gained or lost) are at the working size. What is neither certain nor near the new edge is enlarged as it is.
    """
    soft_HW = _coarse(logit_hw, before_HW, image.shape[:2])
    crop = _crop_around(moved_hw, image.shape[:2])
    if crop is None:
        return soft_HW
    step = STEP_PX * crop.fine_hw[1] / max(1, crop.small[1].stop - crop.small[1].start)
    fine = _seen(image, medium, crop)
    lab = np.ascontiguousarray(lab_of(rgb_of(fine.reshape(*crop.fine_hw, -1))))
    logit = _resized(logit_hw[crop.small], crop.fine_hw)
    free = np.ones(crop.fine_hw, np.bool_)
    if before_HW is not None:
        before = _resized(before_HW[crop.full].astype(np.float32), crop.fine_hw)
        logit = np.where(np.abs(logit) < SURE, logit, (2 * before - 1) * SURE)
        reach = 2 * max(1, round(step / 2)) + 1
        moved = _resized(moved_hw[crop.small].astype(np.float32), crop.fine_hw) > 0.25
        free = cv2.dilate(moved.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    _write(soft_HW, _edge_found(lab, logit.astype(np.float32), step, free), free, crop)
    return soft_HW


def medium_of(image: Image) -> Image:
    """The photo at most `MEDIUM` pixels long, averaged."""
    scale = MEDIUM / max(image.shape[:2])
    if scale >= 1:
        return image
    size_hw = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    return cast(Image, _resized(image, size_hw).reshape(*size_hw, -1))


def _seen(image: Image, medium: Image, crop: Crop) -> Image:
    """A crop of the photo at its fine size, from the smallest version that has enough pixels."""
    rows, columns = (
        slice(part.start * small // large, -(-part.stop * small // large))
        for part, small, large in zip(crop.full, medium.shape, image.shape, strict=False)
    )
    enough = max(rows.stop - rows.start, columns.stop - columns.start) >= LONGEST
    return cast(Image, _resized(medium[rows, columns] if enough else image[crop.full], crop.fine_hw))


def _coarse(logit_hw: Floats, before_HW: Flags | None, size_hw: tuple[int, ...]) -> Soft:
    """Enlarged without a look at the photo; the mask before where that is certain."""
    rows, columns = size_hw
    if before_HW is None:
        return np.asarray(cv2.resize(_probability(logit_hw), (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)
    soft_HW = before_HW.astype(np.uint8) * np.uint8(255)
    open_hw = np.abs(logit_hw) < SURE
    crop = _crop_around(open_hw, size_hw, margin=0)
    if crop is not None:
        full_hw = soft_HW[crop.full].shape
        where = _resized(open_hw[crop.small].astype(np.uint8), full_hw) > 0
        soft_HW[crop.full][where] = _resized(_probability(logit_hw[crop.small]), full_hw)[where]
    return soft_HW


def _probability(logit: Floats) -> Soft:
    """In 255ths; exactly 0 and 255 beyond 0.01 and 0.99."""
    soft = (255 / (1 + np.exp(-np.clip(logit, -8, 8))) + 0.5).astype(np.uint8)
    soft[logit < -_CERTAIN] = 0
    soft[logit > _CERTAIN] = 255
    return soft


def _crop_around(flags_hw: Flags, size_hw: tuple[int, ...], margin: int = int(_MARGIN * STEP_PX)) -> Crop | None:
    """A box around flags at the working size, with a margin in pixels of that size; None where there are none."""
    rows, columns = np.flatnonzero(flags_hw.any(axis=1)), np.flatnonzero(flags_hw.any(axis=0))
    if not len(rows):
        return None
    small, full = [], []
    for places, count, size in zip((rows, columns), flags_hw.shape, size_hw, strict=True):
        start, stop = max(0, int(places[0]) - margin), min(count, int(places[-1]) + 1 + margin)
        small.append(slice(start, stop))
        full.append(slice(start * size // count, -(-stop * size // count)))
    height, width = (part.stop - part.start for part in full)
    scale = min(1.0, LONGEST / max(height, width))
    fine_hw = max(1, round(height * scale)), max(1, round(width * scale))
    return Crop(small=(small[0], small[1]), full=(full[0], full[1]), fine_hw=fine_hw)


def _resized(plane: NDArray[Any], size_hw: tuple[int, int]) -> NDArray[Any]:
    """Averaged where it shrinks, interpolated where it grows."""
    rows, columns = size_hw
    if plane.shape[:2] == size_hw:
        return plane
    way = cv2.INTER_AREA if rows * columns < plane.shape[0] * plane.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=way))


def _edge_found(lab: Floats, logit: Floats, step: float, free: Flags) -> Floats:
    """Logits after a look at the colours near the outline; only there, and only where `free`, do they differ."""
    inside = (logit > 0).astype(np.uint8)
    reach = 2 * max(1, round(_BAND * step)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    band = (cv2.dilate(inside, kernel) > cv2.erode(inside, kernel)) & free
    if not band.any():
        return logit
    soft = cv2.GaussianBlur(np.clip(logit, -3, 3), (0, 0), max(0.5, step / 4))
    data = logit.copy()
    data[band] = soft[band] + _COLOUR * _nearer_inside(lab, inside, band, step)
    weights = np.float32(_SMOOTH), np.float32(1 / _EDGE**2)
    return np.asarray(_smooth(data, lab, np.flatnonzero(band), *weights, _SWEEPS))


def _nearer_inside(lab: Floats, inside: NDArray[np.uint8], band: Flags, step: float) -> Floats:
    """Log ratio of a colour under those inside and outside in the window around it, clipped, for the band's pixels."""
    window = 2 * max(1, round(_WINDOW * step)) + 1
    square = lab[..., 0] ** 2 + lab[..., 1] ** 2 + lab[..., 2] ** 2
    total = cv2.merge([*cv2.split(lab), square, np.ones_like(square)])
    whole = cv2.blur(total, (window, window), borderType=cv2.BORDER_REFLECT)[band]
    part = cv2.blur(total * inside[..., None], (window, window), borderType=cv2.BORDER_REFLECT)[band]
    colour, cost = lab[band], []
    for sums in (part, whole - part):
        weight = np.maximum(sums[:, 4], 1e-4)
        mean = sums[:, :3] / weight[:, None]
        variance = np.maximum(sums[:, 3] / weight - (mean * mean).sum(axis=1), 0) / 3 + _NOISE
        cost.append(((colour - mean) ** 2).sum(axis=1) / variance + 3 * np.log(variance))
    return np.asarray(np.clip((cost[1] - cost[0]) / 2, -_MOST, _MOST), np.float32)


def _write(soft_HW: Soft, logit: Floats, free: Flags, crop: Crop) -> None:
    """Enlarge to the photo's size and store as probabilities, where the mask may change."""
    target = soft_HW[crop.full]
    where = _resized(free.astype(np.uint8), target.shape) > 0
    if where.all():
        target[...] = _resized(_probability(logit), target.shape)
    else:
        target[where] = _resized(_probability(logit), target.shape)[where]


@compiled
def _smooth(data: Any, lab: Any, band: Any, weight: Any, edge: Any, sweeps: Any) -> Any:
    """x minimising sum w (x_i - x_j)^2 + sum (x_i - data_i)^2 over the band's pixels, the others fixed."""
    rows, columns = data.shape
    x = data.copy()
    for sweep in range(sweeps):
        for place in range(len(band)):
            index = band[place] if sweep % 2 == 0 else band[len(band) - 1 - place]
            row, column = index // columns, index % columns
            above, below = data[row, column], np.float32(1)
            for step in range(4):
                r = row + (step == 0) - (step == 1)
                c = column + (step == 2) - (step == 3)
                if 0 <= r < rows and 0 <= c < columns:
                    dl = lab[row, column, 0] - lab[r, c, 0]
                    da = lab[row, column, 1] - lab[r, c, 1]
                    db = lab[row, column, 2] - lab[r, c, 2]
                    w = weight / (np.float32(1) + (dl * dl + da * da + db * db) * edge)
                    above += w * x[r, c]
                    below += w
            x[row, column] = above / below
    return x
