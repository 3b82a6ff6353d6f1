"""Where a person would click next: in the middle of the largest error.

The protocol by which interactive segmentation is measured, as the evaluations of f-BRS (Sofiiuk et al., CVPR 2020) and
RITM (Sofiiuk et al., ICIP 2022; class `Clicker` of their code) fix it: false negatives and false positives each get
their Euclidean distance transform, the image's border counting as border; the click is where the larger of the two
maxima is, so that "largest" means the widest inscribed circle, not the most pixels. Equal maxima make a negative click,
among equal pixels the first in raster order is taken, and no pixel is clicked twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


class Click(NamedTuple):
    """A click at a pixel's centre, x = column + 0.5 and y = row + 0.5; `positive` says 'this belongs to it'."""

    x: float
    y: float
    positive: bool


def next_click(
    truth_HW: Flags,
    guess_HW: Flags,
    *,
    ignore_HW: Flags | None = None,
    clicked: Iterable[tuple[float, float]] = (),
    jitter: np.random.Generator | None = None,
) -> Click | None:
    """The next click of a simulated person who wants `truth_HW` and sees `guess_HW`; None where nothing is wrong.

    Pixels in `ignore_HW` are no errors, and those under `clicked` (x, y of earlier clicks) are not clicked again.
    With `jitter` the person has a less steady hand: the click is drawn from the pixels of the connected error region
    (8 neighbours) around that centre, with a probability proportional to the square of their distance to its border.

    Raises ValueError where the planes differ in size.
    """
    if truth_HW.shape != guess_HW.shape or (ignore_HW is not None and ignore_HW.shape != truth_HW.shape):
        raise ValueError(f"planes of different sizes: {truth_HW.shape}, {guess_HW.shape}")
    wrong_HW = truth_HW != guess_HW
    if ignore_HW is not None:
        wrong_HW &= ~ignore_HW
    # Nothing outside the box around all errors matters: there everything is right.
    left, top, width, height = cv2.boundingRect(wrong_HW.view(np.uint8))
    if not width:
        return None
    box = np.s_[top : top + height, left : left + width]
    free_HW = np.ones((height, width), np.bool_)
    for x, y in clicked:
        if 0 <= int(y) - top < height and 0 <= int(x) - left < width:
            free_HW[int(y) - top, int(x) - left] = False
    missed_HW, extra_HW = (depth_of(wrong_HW[box] & side_HW[box]) * free_HW for side_HW in (truth_HW, guess_HW))
    positive = bool(missed_HW.max() > extra_HW.max())
    depth_HW = missed_HW if positive else extra_HW
    place = int(depth_HW.argmax())
    if not depth_HW.flat[place]:
        return None  # every wrong pixel was clicked
    if jitter is not None:
        weight = (depth_HW * _region(wrong_HW[box] & (truth_HW[box] == positive), place)).ravel().astype(
            np.float64
        ) ** 2
        total = np.cumsum(weight)
        place = int(np.searchsorted(total, jitter.random() * total[-1], side="right"))
    row, column = divmod(place, width)
    return Click(left + column + 0.5, top + row + 0.5, positive)


def depth_of(region_HW: Flags) -> NDArray[np.float32]:
    """Distance of every pixel of a region to the nearest pixel outside it, which may lie outside the image; 0 outside.

    Exact Euclidean distances between pixel centres (Felzenszwalb and Huttenlocher 2012, as OpenCV has it).
    """
    padded = np.pad(region_HW.astype(np.uint8), 1)
    depth: NDArray[np.float32] = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]  # type: ignore[assignment]
    return depth


def _region(flags_HW: Flags, place: int) -> Flags:
    """The connected region (8 neighbours) around one pixel."""
    row, column = divmod(place, flags_HW.shape[1])
    found = np.zeros((flags_HW.shape[0] + 2, flags_HW.shape[1] + 2), np.uint8)
    cv2.floodFill(flags_HW.astype(np.uint8), found, (column, row), 0, flags=8 | cv2.FLOODFILL_MASK_ONLY | (1 << 8))
    return found[1:-1, 1:-1] > 0
