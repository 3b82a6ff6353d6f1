"""What all pictures of a scored image share: how it is seen, and the size that fits a page."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image, Mask

SIDE = 480

# Id -> photo, label, prediction, and the probabilities behind it where there are any.
See = Callable[[str], tuple[Image, Mask, Mask, NDArray[np.float32] | None]]


def shrink(image_HW3: Image) -> Image:
    """At most 480 pixels a side, for pages."""
    scale = SIDE / max(image_HW3.shape[:2])
    if scale >= 1:
        return image_HW3
    size = (max(1, round(image_HW3.shape[1] * scale)), max(1, round(image_HW3.shape[0] * scale)))
    return np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)
