"""Scale, pad, and the way back: how an image of any size fits a working size and returns to its own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image

Fit = Literal["pad", "stretch"]
IntT = TypeVar("IntT", bound=np.unsignedinteger[Any])


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """How a source of `source_hw` lies in a canvas of `canvas_hw` (rows, columns).

    The scaled source fills `inner_hw`, centred; the rest is padding. `Letterbox.fit` makes one,
    `forward_*` goes to the canvas and `back_*` returns to exactly `source_hw`.
    """

    source_hw: tuple[int, int]
    canvas_hw: tuple[int, int]
    inner_hw: tuple[int, int]

    @classmethod
    def fit(cls, source_hw: tuple[int, int], canvas_hw: tuple[int, int], how: Fit = "pad") -> Letterbox:
        """Keep the aspect and pad ('pad'), or fill the canvas ('stretch')."""
        if how == "stretch":
            return cls(source_hw=source_hw, canvas_hw=canvas_hw, inner_hw=canvas_hw)
        scale = min(canvas_hw[0] / source_hw[0], canvas_hw[1] / source_hw[1])
        rows = min(canvas_hw[0], max(1, round(source_hw[0] * scale)))
        columns = min(canvas_hw[1], max(1, round(source_hw[1] * scale)))
        return cls(source_hw=source_hw, canvas_hw=canvas_hw, inner_hw=(rows, columns))

    @property
    def offset_yx(self) -> tuple[int, int]:
        """Row and column where the scaled source begins in the canvas."""
        return ((self.canvas_hw[0] - self.inner_hw[0]) // 2, (self.canvas_hw[1] - self.inner_hw[1]) // 2)

    @property
    def _window(self) -> tuple[slice, slice]:
        top, left = self.offset_yx
        return slice(top, top + self.inner_hw[0]), slice(left, left + self.inner_hw[1])

    def forward_image(self, image_HW3: Image) -> Image:
        """Area averaging down, cubic up; padding is black."""
        assert image_HW3.shape[:2] == self.source_hw
        if self.canvas_hw == self.source_hw == self.inner_hw:
            return image_HW3
        rows, columns = self.inner_hw
        shrinks = rows * columns < self.source_hw[0] * self.source_hw[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        inner = cv2.resize(image_HW3, (columns, rows), interpolation=how)
        if self.inner_hw == self.canvas_hw:
            return inner.astype(np.uint8, copy=False)
        canvas = np.zeros((*self.canvas_hw, 3), np.uint8)
        canvas[self._window] = inner
        return canvas

    def forward_mask(self, mask_HW: NDArray[IntT], ignore: int) -> NDArray[IntT]:
        """Nearest neighbour; padding is the ignore id."""
        assert mask_HW.shape == self.source_hw
        if self.canvas_hw == self.source_hw == self.inner_hw:
            return mask_HW
        inner = resize_nearest(mask_HW, self.inner_hw)
        if self.inner_hw == self.canvas_hw:
            return inner
        canvas = np.full(self.canvas_hw, ignore, mask_HW.dtype)
        canvas[self._window] = inner
        return canvas

    def back_mask(self, mask_HW: NDArray[IntT]) -> NDArray[IntT]:
        """Class ids on the canvas -> class ids at the source's size (nearest neighbour)."""
        assert mask_HW.shape == self.canvas_hw
        return resize_nearest(np.ascontiguousarray(mask_HW[self._window]), self.source_hw)

    def back_scores(self, scores_KHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class scores on the canvas -> class scores at the source's size (linear)."""
        assert scores_KHW.shape[1:] == self.canvas_hw
        inner = scores_KHW[:, self._window[0], self._window[1]]
        if self.inner_hw == self.source_hw:
            return np.ascontiguousarray(inner)
        rows, columns = self.source_hw
        back_KHW = np.empty((len(inner), rows, columns), np.float32)
        for plane_HW, back_HW in zip(inner, back_KHW, strict=True):
            cv2.resize(plane_HW, (columns, rows), dst=back_HW)  # in place: half the time of stacking copies
        return back_KHW


def resize_nearest(mask_HW: NDArray[IntT], size_hw: tuple[int, int]) -> NDArray[IntT]:
    """Resize class ids without inventing any; pixel centres are aligned."""
    if mask_HW.shape == size_hw:
        return mask_HW
    # INTER_NEAREST picks the top left corner of each cell and so shifts masks; INTER_NEAREST_EXACT does not.
    resized = cv2.resize(mask_HW, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(mask_HW.dtype, copy=False)
