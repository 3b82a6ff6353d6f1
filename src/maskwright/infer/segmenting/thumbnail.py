"""A small picture of a large image and its mask, made while their rows pass by."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.imageio import overlay
from maskwright.types import Classes, Image, Mask


class Thumbnail:
    """Takes rows of an image and of its ids from top to bottom; keeps at most `longest` pixels a side of each."""

    def __init__(self, size_hw: tuple[int, int], classes: Classes, longest: int) -> None:
        rows, columns = size_hw
        self.classes = classes
        step = max(1.0, max(rows, columns) / longest)
        self.size_hw = max(1, round(rows / step)), max(1, round(columns / step))
        self.image_HW3 = np.zeros((*self.size_hw, 3), np.uint8)
        self.ids_HW = np.full(self.size_hw, classes.ignore, classes.dtype)
        self.edges = np.linspace(0, rows, self.size_hw[0] + 1)
        self.centres = ((self.edges[:-1] + self.edges[1:]) / 2).astype(np.intp)
        self.columns = ((np.arange(self.size_hw[1]) + 0.5) * columns / self.size_hw[1]).astype(np.intp)

    def take_image(self, top: int, image_HW3: Image) -> None:
        """Rows of the image from `top` on: each small pixel is the mean of those that it covers."""
        for row in self._rows_within(top, len(image_HW3)):
            first = max(top, int(self.edges[row])) - top
            last = max(first + 1, int(self.edges[row + 1]) - top)
            wide = (self.size_hw[1], 1)
            self.image_HW3[row] = cv2.resize(image_HW3[first:last], wide, interpolation=cv2.INTER_AREA)[0]

    def take_ids(self, top: int, ids_HW: Mask) -> None:
        """Rows of the ids from `top` on: each small pixel is the one at its centre."""
        rows = self._rows_within(top, len(ids_HW))
        self.ids_HW[rows] = ids_HW[self.centres[rows] - top][:, self.columns]

    def _rows_within(self, top: int, count: int) -> NDArray[np.intp]:
        return np.flatnonzero((self.centres >= top) & (self.centres < top + count))

    def overlay(self) -> Image:
        """The small image with the colours of its ids laid over it."""
        return overlay(self.image_HW3, self.ids_HW, self.classes)
