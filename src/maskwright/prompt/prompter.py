"""What every prompter does: an image once, then prompts, each answered by candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image, Prompt

# What a prompter knows of an image before the first prompt: arrays by name, so that it can be kept on disk.
Encoding = dict[str, NDArray[Any]]
HALF = 128
_LOOSE, _STRICT = 69, 186  # 255 * sigmoid(-1) and 255 * sigmoid(1)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Possible masks for one prompt, smallest extent first.

    `soft_NHW` is the probability of the object in 255ths, uint8: a mask is where it is at least the threshold.
    `scores_N` estimates each mask's IoU with what is meant, 0 to 1. `chosen` is the index of the best guess.
    """

    soft_NHW: NDArray[np.uint8]
    scores_N: NDArray[np.float32]
    chosen: int

    def masks(self, threshold: float = 0.5) -> NDArray[np.bool_]:
        """The masks (N, H, W) at a threshold from 0.01 to 0.99."""
        return self.soft_NHW >= max(1, round(threshold * 255 + 0.5))

    @property
    def mask_HW(self) -> NDArray[np.bool_]:
        """The chosen mask at threshold 0.5."""
        return np.asarray(self.soft_NHW[self.chosen] >= HALF)

    @property
    def stability_N(self) -> NDArray[np.float32]:
        """IoU of each mask at logit -1 with itself at logit +1: 1 where the threshold hardly matters.

        Kirillov et al. (ICCV 2023), section 5; 0 for an empty mask.
        """
        loose = np.count_nonzero(self.soft_NHW >= _LOOSE, axis=(1, 2))
        strict = np.count_nonzero(self.soft_NHW >= _STRICT, axis=(1, 2))
        return np.asarray(strict / np.maximum(loose, 1), np.float32)


class Prompter(Protocol):
    """Points, boxes and strokes in, candidate masks out."""

    name: str

    def encode(self, image_HW3: Image) -> Encoding:
        """The slow part, once an image; may run in another thread than `predict`."""
        ...

    def set_image(self, image_HW3: Image) -> None:
        """Take an image: `set_encoding(encode(image_HW3))`."""
        ...

    def set_encoding(self, encoding: Encoding) -> None:
        """Take an image that was encoded before."""
        ...

    def predict(self, prompt: Prompt) -> Candidates:
        """Candidates for a prompt on the image that was set; raises InputError for a prompt that cannot be answered."""
        ...
