"""Blur of motion and of a lens out of focus."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image


def motion_blur(image_HW3: Image, radius_sigma: tuple[float, float], rng: np.random.Generator) -> Image:
    """A camera that moved in a direction within 45 degrees of the horizontal.

    The line of ImageMagick that ImageNet-C uses, moved along itself so that the picture stays over its mask.
    """
    return smear(image_HW3, *radius_sigma, rng.uniform(-45, 45))


def defocus_blur(image_HW3: Image, radius_sigma: tuple[float, float], rng: np.random.Generator) -> Image:
    """A disc of this radius, its edge softened by a Gaussian of this sigma."""
    radius, sigma = radius_sigma
    reach = int(radius) + 2
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.asarray(x * x + y * y <= radius * radius, np.float32)
    taps = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disc / disc.sum(), (taps, taps), sigma)
    return np.asarray(cv2.filter2D(image_HW3, -1, kernel), np.uint8)


def smear(image_HWC: NDArray[np.uint8], radius: float, sigma: float, degrees: float) -> NDArray[np.uint8]:
    """Blurred along a line of 2 * radius + 1 pixels that fades as one half of a Gaussian, its centre of mass kept.

    0 degrees is horizontal, 90 vertical; shape (H, W) or (H, W, C).
    """
    slope = math.radians(degrees)
    if abs(math.cos(slope)) < abs(math.sin(slope)) - 1e-9:
        turned = np.asarray(cv2.transpose(image_HWC), np.uint8)
        return np.asarray(cv2.transpose(smear(turned, radius, sigma, 90 - degrees)), np.uint8)
    # Columns are moved up and down by whole pixels until the line is level: one row of weights, and exactly back.
    along = np.arange(int(2 * radius * abs(math.cos(slope))) + 1) / abs(math.cos(slope))
    weights = np.exp(-(along**2) / (2 * sigma**2))
    weights /= weights.sum()
    centre = round(float(weights @ np.arange(len(weights))))
    rows, columns = image_HWC.shape[:2]
    drop_W = np.rint(np.arange(columns) * math.tan(slope)).astype(np.int16)
    drop_W -= drop_W.min()
    tall = rows + int(drop_W.max())
    level = _moved(image_HWC, drop_W - drop_W.max(), tall)
    kernel = weights[None].astype(np.float32)
    level = np.asarray(cv2.filter2D(level, -1, kernel, anchor=(centre, 0)), np.uint8)
    return _moved(level, drop_W.max() - drop_W, rows)


def _moved(image_HWC: NDArray[np.uint8], shift_W: NDArray[np.int16], rows: int) -> NDArray[np.uint8]:
    """Row y of column x comes from row y + shift[x]; beyond the borders the picture is mirrored."""
    columns = image_HWC.shape[1]
    places = np.empty((rows, columns, 2), np.int16)
    places[..., 0] = np.arange(columns, dtype=np.int16)
    places[..., 1] = np.arange(rows, dtype=np.int16)[:, None] + shift_W
    moved = cv2.remap(image_HWC, places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)  # type: ignore[call-overload]
    return np.asarray(moved, np.uint8)
