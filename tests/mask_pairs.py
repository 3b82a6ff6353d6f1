"""Pairs of label and prediction on which measures of place and shape may go wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maskwright.types import Mask

Pair = tuple[Mask, Mask, int]


def blobs(seed: int, classes: int = 5, hw: tuple[int, int] = (45, 60), *, ignored: bool = True) -> Mask:
    """Smooth regions of every class, with specks and a patch and a strip of ignore."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.normal(size=(*hw, classes)).astype(np.float32), (0, 0), 3).reshape(*hw, classes)
    mask: NDArray[np.uint8] = field.argmax(-1).astype(np.uint8)
    specks = rng.random(hw) < 0.01
    mask[specks] = rng.integers(0, classes, int(specks.sum()))
    if ignored:
        mask[rng.integers(0, 30) :, rng.integers(0, 50) :][:10, :8] = 255
        mask[:, 20:22] = 255
    return mask


def noise(seed: int, ids: list[int], hw: tuple[int, int] = (24, 31), dtype: type = np.uint8) -> Mask:
    """Every pixel on its own."""
    return np.random.default_rng(seed).choice(ids, hw).astype(dtype)


def disc(hw: tuple[int, int], centre: tuple[int, int], radius: int, value: int = 1) -> Mask:
    """A disc on class 0; `centre` is x, y."""
    mask = np.zeros(hw, np.uint8)
    cv2.circle(mask, centre, radius, value, -1)
    return mask


def lines(shift: int) -> Mask:
    """Thin lines, straight, slanted and crossing."""
    mask = np.zeros((40, 50), np.uint8)
    for k, (one, other) in enumerate(
        [((0, 3), (49, 30)), ((10, 0), (10, 39)), ((0, 20), (49, 20)), ((49, 0), (5, 39))]
    ):
        cv2.line(mask, (one[0], one[1] + shift), (other[0], other[1] + shift), k % 3 + 1, 1)
    return mask


def beside_ignore() -> Pair:
    """A box whose right side lies against ignored pixels, on which the prediction goes on."""
    truth = np.zeros((30, 40), np.uint8)
    truth[10:20, 10:20] = 1
    truth[:, 20:] = 255
    guess = np.zeros_like(truth)
    guess[9:20, 11:33] = 1
    return truth, guess, 2


def _one_pixel() -> Pair:
    truth, guess = np.zeros((2, 12, 15), np.uint8)
    truth[5, 7] = guess[6, 9] = 1
    return truth, guess, 2


PAIRS: dict[str, Pair] = {
    "blobs": (blobs(0), blobs(1), 5),
    "shifted": (blobs(2), np.roll(blobs(2, ignored=False), (1, 2), (0, 1)), 5),
    "the same": (blobs(3), blobs(3), 5),
    "noise": (noise(0, [0, 1, 2, 3, 255]), noise(1, [0, 1, 2, 3]), 4),
    "checks": (np.indices((9, 12)).sum(0).astype(np.uint8) % 2, np.indices((9, 12))[0].astype(np.uint8) % 2, 2),
    "one class, all of it": (np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8), 1),
    "one class beside ignore": (noise(2, [0, 255]), noise(3, [0, 0, 255]), 1),
    "full against half": (np.ones((20, 30), np.uint8), np.tri(20, 30, dtype=np.uint8), 2),
    "full against empty": (np.ones((20, 30), np.uint8), np.zeros((20, 30), np.uint8), 2),
    "all ignored": (np.full((20, 30), 255, np.uint8), blobs(4, hw=(20, 30), ignored=False), 5),
    "nothing predicted": (blobs(5), np.full((45, 60), 255, np.uint8), 5),
    "one pixel": _one_pixel(),
    "at the edge of the image": (disc((30, 40), (0, 5), 9), disc((30, 40), (2, 3), 10), 2),
    "beside ignore": beside_ignore(),
    "lines": (lines(0), lines(1), 4),
    "81 classes": (noise(4, list(range(81)), (40, 50)), noise(5, list(range(81)), (40, 50)), 81),
    "255 classes": (noise(6, [0, 253, 254, 255]), noise(7, [0, 253, 254, 255]), 255),
    "16 bit": (
        noise(8, [0, 1, 255, 256, 299, 65535], dtype=np.uint16),
        noise(9, [0, 1, 255, 256, 299], dtype=np.uint16),
        300,
    ),
    "two types": (noise(10, [0, 1, 2, 65535], dtype=np.uint16), noise(11, [0, 1, 2]), 3),
    "one row": (noise(12, [0, 1, 255], (1, 40)), noise(13, [0, 1], (1, 40)), 2),
    "one column": (noise(14, [0, 1], (40, 1)), noise(15, [0, 1], (40, 1)), 2),
    "a single pixel": (np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8), 2),
    "no pixel": (np.zeros((0, 7), np.uint8), np.zeros((0, 7), np.uint8), 3),
}

every_pair = pytest.mark.parametrize(("truth", "guess", "classes"), PAIRS.values(), ids=PAIRS.keys())


def known_ids(truth: Mask, guess: Mask, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as int64, -1 where either has no class."""
    known = (truth < classes) & (guess < classes)
    return np.where(known, truth.astype(np.int64), -1), np.where(known, guess.astype(np.int64), -1)


def without_ignored(pair: Pair) -> Pair:
    """The pair with ignored pixels given to class 0."""
    truth, guess, classes = pair
    return np.where(truth < classes, truth, 0), np.where(guess < classes, guess, 0), classes
