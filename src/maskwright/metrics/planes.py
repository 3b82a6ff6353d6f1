"""Label and prediction on the pixels that both know, and the contours in them.

A plane holds class id + 1, and 0 where the label or the prediction has no class (ignored). Measures that look at
places and shapes start here, so that nothing that is predicted on ignored pixels can change them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Mask

Plane = NDArray[Any]
Flags = NDArray[np.bool_]

_SQUARE = np.ones((3, 3), np.uint8)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def known_planes(truth_HW: Mask, guess_HW: Mask, classes: int) -> tuple[Plane, Plane]:
    """Both masks as planes of the same type: uint8 up to 255 classes, uint16 beyond.

    Raises ValueError where the masks differ in size.
    """
    if truth_HW.shape != guess_HW.shape:
        raise ValueError(f"label {truth_HW.shape} and prediction {guess_HW.shape} differ in size")
    known_HW = (truth_HW < classes) & (guess_HW < classes)
    one = np.ones((), np.uint8 if classes <= 255 else np.uint16)
    # What does not fit the type is unknown anyway.
    truth, guess = ((mask_HW.astype(one.dtype) + one) * known_HW for mask_HW in (truth_HW, guess_HW))
    return truth, guess


def contour(plane_HW: Plane) -> Plane:
    """The plane on contour pixels, else 0: pixels with another class above, below, left or right of them.

    Ignored pixels and what lies outside the image are no other class.
    """
    return plane_HW * _meets_others(plane_HW, _CROSS, 1)


def band(plane_HW: Plane, width_px: int) -> Plane:
    """The plane on pixels with another class no more than `width_px` rows and columns away, else 0.

    Ignored pixels are no other class; what lies outside the image is one.
    """
    near = _meets_others(plane_HW, _SQUARE, width_px)
    set_rim(near, width_px)
    return plane_HW * near


def set_rim(flags_HW: Flags, width_px: int) -> None:
    """Set the outermost pixels of an image, in place."""
    flags_HW[:width_px] = flags_HW[:, :width_px] = True
    flags_HW[max(0, len(flags_HW) - width_px) :] = True
    flags_HW[:, max(0, flags_HW.shape[1] - width_px) :] = True


def _meets_others(plane_HW: Plane, neighbours: NDArray[np.uint8], times: int) -> Flags:
    # The highest and the lowest id around a pixel differ: two filters, however many classes there are. One down, the 0
    # of unknown pixels becomes the largest number, so that they decide neither; OpenCV leaves out what is not there.
    highest = cv2.dilate(plane_HW, neighbours, iterations=times)
    lowest = cv2.erode(plane_HW - plane_HW.dtype.type(1), neighbours, iterations=times)
    return np.asarray(highest - plane_HW.dtype.type(1) != lowest, bool)
