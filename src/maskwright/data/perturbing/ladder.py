"""The ladder: eight perturbations at ten levels each, of which the first is the picture as it is.

The suite of a robustness exercise on pets. Results are rounded to the nearest integer (halves to even) and clipped to
0..255. Noise, the place of the square and the grains of salt and pepper are the same at all levels of a picture.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.perturbing.perturbation import Perturbation, as_dict
from maskwright.types import Image

_PARTS = 1 << 16


@cache
def normal_quantiles() -> NDArray[np.float32]:
    """Middles of 65,536 equally likely parts of the normal distribution, up to 4.3 standard deviations.

    A random uint16 picks one: faster than drawing normal numbers, and the same numbers with any version of OpenCV.
    """
    normal = NormalDist()
    return np.array([normal.inv_cdf((part + 0.5) / _PARTS) for part in range(_PARTS)], np.float32)


def draw_uint16(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Evenly distributed uint16."""
    return rng.integers(0, _PARTS, shape, dtype=np.uint16)


def noise(image_HW3: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Gaussian noise, independent for each pixel and channel, rounded, added and clipped."""
    table = np.rint(normal_quantiles() * np.float32(sigma)).astype(np.int16)
    return np.asarray(cv2.add(image_HW3, np.take(table, draw_uint16(image_HW3.shape, rng)), dtype=cv2.CV_8U), np.uint8)


def blur(image_HW3: Image, times: float, rng: np.random.Generator) -> Image:
    """The 3x3 kernel [1 2 1] x [1 2 1] / 16, so many times, each time rounded; borders are mirrored."""
    for _ in range(int(times)):
        # With a sigma of 0 and three taps OpenCV takes exactly [1 2 1] / 4.
        image_HW3 = np.asarray(cv2.GaussianBlur(image_HW3, (3, 3), 0), np.uint8)
    return image_HW3


def contrast(image_HW3: Image, factor: float, rng: np.random.Generator) -> Image:
    """Grey values times a factor."""
    return tabled(image_HW3, np.arange(256) * factor)


def brightness(image_HW3: Image, shift: float, rng: np.random.Generator) -> Image:
    """Grey values plus a number."""
    return tabled(image_HW3, np.arange(256) + shift)


def occlusion(image_HW3: Image, side_px: float, rng: np.random.Generator) -> Image:
    """A black square at a random place inside the picture; each square lies inside the next larger one."""
    rows, columns = image_HW3.shape[:2]
    height, width = min(rows, int(side_px)), min(columns, int(side_px))
    down, right = rng.random(2)
    top, left = int(down * (rows - height + 1)), int(right * (columns - width + 1))
    covered = image_HW3.copy()
    covered[top : top + height, left : left + width] = 0
    return covered


def salt_and_pepper(image_HW3: Image, amount: float, rng: np.random.Generator) -> Image:
    """So large a share of the values (of each channel by itself) becomes 0 or 255, half of them each."""
    draws = draw_uint16(image_HW3.shape, rng)
    half = round(amount / 2 * _PARTS)
    # Comparisons give 0 and 1; their negatives as bytes are the masks 0 and 255.
    kept = np.negative((draws >= half).view(np.uint8))
    salt = np.negative((draws >= _PARTS - half).view(np.uint8))
    return (image_HW3 & kept) | salt


def tabled(image: NDArray[np.uint8], curve: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Grey value v becomes `curve[v]`, rounded and clipped; a curve has shape (256,), or (256, 3) by channel."""
    table = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None] if table.ndim > 1 else table), np.uint8)


_SHIFTS = tuple(float(shift) for shift in range(0, 50, 5))

LADDER = as_dict(
    Perturbation(
        name="noise",
        title="Gaussian noise",
        unit="standard deviation, grey values",
        values=tuple(float(sigma) for sigma in range(0, 20, 2)),
        apply=noise,
    ),
    Perturbation(
        name="blur",
        title="Gaussian blur",
        unit="times 3 x 3",
        values=tuple(float(times) for times in range(10)),
        apply=blur,
    ),
    Perturbation(
        name="contrast_up",
        title="Contrast up",
        unit="factor",
        values=(1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.1, 1.15, 1.2, 1.25),
        apply=contrast,
    ),
    Perturbation(
        name="contrast_down",
        title="Contrast down",
        unit="factor",
        values=(1.0, 0.95, 0.9, 0.85, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1),
        apply=contrast,
    ),
    Perturbation(
        name="brightness_up",
        title="Brightness up",
        unit="grey values added",
        values=_SHIFTS,
        apply=brightness,
    ),
    Perturbation(
        name="brightness_down",
        title="Brightness down",
        unit="grey values taken away",
        values=_SHIFTS,
        apply=lambda image_HW3, shift, rng: brightness(image_HW3, -shift, rng),
    ),
    Perturbation(
        name="occlusion",
        title="Black square",
        unit="side, px",
        values=_SHIFTS,
        apply=occlusion,
    ),
    Perturbation(
        name="salt_and_pepper",
        title="Salt and pepper",
        unit="share of values",
        values=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18),
        apply=salt_and_pepper,
    ),
)
