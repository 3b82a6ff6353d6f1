"""One image and its prediction, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.types import Classes, Image, Mask


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A photo and its class ids, with probabilities (K, H, W) where they are asked for.

    `name` is that of its results, `file` the same with the original's suffix; `origin` is the photo itself where it
    lies in a file, and `target` the folder of all results.
    """

    name: str
    file: str
    target: Path
    image_HW3: Image
    mask_HW: Mask
    classes: Classes
    scores_KHW: NDArray[np.float32] | None = None
    origin: Path | None = None
    simplify_px: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of a predicted image without looking at it again: size, pixels by class id, files written."""

    name: str
    file: str
    height: int
    width: int
    pixels: list[int]
    wrote: list[str]


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """What one file for all images is made of: their rows, and the class ids (H, W) of a row when asked."""

    rows: Sequence[Row]
    ids_of: Callable[[Row], Mask]
    classes: Classes
    simplify_px: float = 0.0


def count_pixels(mask_HW: Mask, classes: Classes) -> list[int]:
    """Pixels of each class."""
    counts: list[int] = np.bincount(mask_HW.ravel(), minlength=len(classes))[: len(classes)].tolist()
    return counts
