"""What of an image may explain a score: light, sharpness, and how much and how large each class is in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.pixels.parts import labelled_parts
from maskwright.types import Classes, Image, Mask

SIDE = 480  # pixels of the longer side that light and sharpness are measured at

# Name -> (words for the lowest third of the images, for the highest third, what is measured).
OF_THE_IMAGE = {
    "brightness": ("darkest third", "brightest third", "mean grey"),
    "contrast": ("third with the least contrast", "third with the most contrast", "standard deviation of grey"),
    "sharpness": ("most blurred third", "sharpest third", "variance of the Laplacian"),
    "saturation": ("palest third", "most colourful third", "mean spread of the colour channels"),
    "image size": ("smallest images", "largest images", "megapixels"),
}
OF_THE_CLASS = {
    "share": ("third with the least of it", "third with the most of it", "share of the labelled pixels"),
    "object size": ("third with its smallest parts", "third with its largest parts", "median pixels of a part"),
}


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """`image` has a number for every key of OF_THE_IMAGE; NaN in `share_K`, `part_px_K`: not labelled."""

    image: dict[str, float]
    share_K: NDArray[np.float64]
    part_px_K: NDArray[np.float64]


def attributes_of(image_HW3: Image, truth_HW: Mask, classes: Classes) -> Attributes:
    """Measure one image; grey and saturation from 0 to 255, sizes in the image's own pixels."""
    scale = min(1.0, SIDE / max(image_HW3.shape[:2]))
    small = image_HW3 if scale == 1 else cv2.resize(image_HW3, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    channels = cv2.split(small)  # a maximum over the last axis takes numpy thirty times as long
    pixels = np.bincount(truth_HW.ravel(), minlength=len(classes))[: len(classes)].astype(np.float64)
    there = pixels > 0
    return Attributes(
        image={
            "brightness": float(grey.mean()),
            "contrast": float(grey.std()),
            "sharpness": float(cv2.Laplacian(grey, cv2.CV_32F).var()),
            "saturation": float((reduce(cv2.max, channels) - reduce(cv2.min, channels)).mean()),
            "image size": truth_HW.size / 1e6,
        },
        share_K=np.where(there, pixels / max(1.0, pixels.sum()), np.nan),
        part_px_K=_median_parts(truth_HW, len(classes)),
    )


def _median_parts(truth_HW: Mask, classes: int) -> NDArray[np.float64]:
    labels_HW, sizes_P = labelled_parts(truth_HW)
    ids_P = np.empty(len(sizes_P), truth_HW.dtype)
    ids_P[labels_HW] = truth_HW
    return np.array([np.median(own) if (own := sizes_P[ids_P == k]).size else np.nan for k in range(classes)])
