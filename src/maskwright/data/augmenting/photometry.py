"""Random light and colour of a sample: one table, one colour matrix, then the effects of a camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.config import AugmentRecipe
from maskwright.types import Image

Effect = Callable[[Image, AugmentRecipe, np.random.Generator], Image]

# Luma and two chroma axes (YIQ of NTSC): hue turns and saturation stretches the chroma plane, grey stays grey.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
# Middles of 256 equally likely parts of the normal distribution: a random byte picks one.
_QUANTILES = np.array([NormalDist().inv_cdf((part + 0.5) / 256) for part in range(256)])
_SHADOW_GRID = 64


def recolour(image_HW3: Image, recipe: AugmentRecipe, rng: np.random.Generator) -> Image:
    """One random version of the light and colour of an RGB image; what the recipe leaves out is skipped."""
    table = draw_table(recipe, rng)
    if table is not None:
        image_HW3 = np.asarray(cv2.LUT(image_HW3, table), np.uint8)
    if recipe.saturation or recipe.hue:
        image_HW3 = np.asarray(cv2.transform(image_HW3, draw_colour_matrix(recipe, rng)), np.uint8)
    for key, effect in EFFECTS.items():
        if getattr(recipe, key):
            image_HW3 = effect(image_HW3, recipe, rng)
    return image_HW3


def draw_table(recipe: AugmentRecipe, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """A lookup table of shape (1, 256, 3), or None where the recipe changes no tone."""
    if not (recipe.brightness or recipe.contrast or recipe.gamma or recipe.cast):
        return None
    level = np.arange(256) / 255
    gamma = math.exp(rng.uniform(-1, 1) * recipe.gamma)
    contrast = 1 + rng.uniform(-1, 1) * recipe.contrast
    brightness = rng.uniform(-1, 1) * recipe.brightness
    curve = (level**gamma - 0.5) * contrast + 0.5 + brightness
    gains = 1 + rng.uniform(-1, 1, 3) * recipe.cast
    table = np.clip(curve[:, None] * gains * 255, 0, 255)
    return np.round(table).astype(np.uint8)[None]


def draw_colour_matrix(recipe: AugmentRecipe, rng: np.random.Generator) -> NDArray[np.float64]:
    """A 3x3 matrix on RGB that turns the hue and changes the saturation."""
    turn = 2 * math.pi * recipe.hue * rng.uniform(-1, 1)
    gain = 1 + recipe.saturation * rng.uniform(-1, 1)
    cos, sin = gain * math.cos(turn), gain * math.sin(turn)
    chroma = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(np.linalg.solve(_TO_YIQ, chroma @ _TO_YIQ), np.float64)


def shadow(image_HW3: Image, recipe: AugmentRecipe, rng: np.random.Generator) -> Image:
    """A convex patch with soft edges, 30 to 70 % darker; drawn on a small grid, as it holds no detail."""
    if rng.random() >= recipe.shadow:
        return image_HW3
    rows, columns = image_HW3.shape[:2]
    corners = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 7)), 2)) * _SHADOW_GRID
    lit = np.full((_SHADOW_GRID, _SHADOW_GRID), 255, np.uint8)
    darkness = 255 * (1 - rng.uniform(0.3, 0.7))
    cv2.fillConvexPoly(lit, cv2.convexHull(np.round(corners).astype(np.int32)), darkness)
    lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.5, 3)), np.uint8)
    lit_HW = cv2.resize(lit, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(image_HW3, cv2.merge([lit_HW] * 3), scale=1 / 255), np.uint8)


def blur(image_HW3: Image, recipe: AugmentRecipe, rng: np.random.Generator) -> Image:
    """A Gaussian blur. Kernels of 3 to 5 pixels elsewhere are a `blur_sigma` of 0.8 to 1.1."""
    if rng.random() >= recipe.blur:
        return image_HW3
    return np.asarray(cv2.GaussianBlur(image_HW3, (0, 0), rng.uniform(*recipe.blur_sigma)), np.uint8)


def noise(image_HW3: Image, recipe: AugmentRecipe, rng: np.random.Generator) -> Image:
    """Gaussian noise, independent for each pixel and channel, cut off at 2.9 standard deviations."""
    deviation = 255 * rng.uniform(0, recipe.noise)
    # A byte and a table are ten times as fast as a normal number, and finer than what 8 bits can hold.
    table = np.round(_QUANTILES * deviation).astype(np.int16)
    draws = np.frombuffer(rng.bytes(image_HW3.size), np.uint8).reshape(image_HW3.shape)
    return np.asarray(cv2.add(image_HW3, cv2.LUT(draws, table), dtype=cv2.CV_8U), np.uint8)


def jpeg(image_HW3: Image, recipe: AugmentRecipe, rng: np.random.Generator) -> Image:
    """What JPEG leaves of an image at a random quality."""
    if rng.random() >= recipe.jpeg:
        return image_HW3
    quality = int(rng.integers(recipe.jpeg_quality[0], recipe.jpeg_quality[1] + 1))
    # OpenCV takes the first channel for blue, and so would keep the wrong one sharp.
    done, packed = cv2.imencode(".jpg", cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB), np.uint8)


# By recipe key, in the order of a camera: the scene, the lens, the sensor, the file.
EFFECTS: dict[str, Effect] = {"shadow": shadow, "blur": blur, "noise": noise, "jpeg": jpeg}
