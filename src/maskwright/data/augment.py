"""Random changes to a training sample: one warp, one table, seeded by (seed, epoch, index).

All geometry of a draw (flip, rotation, zoom, shift and the crop) is composed into one affine matrix and
applied by one `warpAffine`: one interpolation, and new borders of the mask are ignore. All photometry
(brightness, contrast, gamma, colour cast) is composed into one lookup table of 256 entries a channel.
What a draw leaves out is skipped.
"""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.config import AugmentRecipe
from maskwright.types import Image, Mask

Matrix = NDArray[np.float64]


def draw_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random stream of one sample in one epoch: the same for any number of workers."""
    return np.random.default_rng((seed, epoch, index))


def augment(
    image_HW3: Image,
    mask_HW: Mask,
    recipe: AugmentRecipe,
    rng: np.random.Generator,
    *,
    out_hw: tuple[int, int],
    ignore: int,
    zoom: float = 1.0,
) -> tuple[Image, Mask]:
    """One random version of a sample, zoomed by `zoom`, at `out_hw` (a crop where that is smaller).

    Returns image (h, w, 3) uint8 and mask (h, w) whose ids are a subset of the ids before, plus ignore.
    """
    matrix = draw_geometry(recipe, rng, (image_HW3.shape[0], image_HW3.shape[1]), out_hw, zoom)
    image_HW3, mask_HW = warp(image_HW3, mask_HW, matrix, out_hw, ignore)
    table = draw_table(recipe, rng)
    if table is not None:
        image_HW3 = np.asarray(cv2.LUT(image_HW3, table), np.uint8)
    if recipe.blur > 0 and rng.random() < recipe.blur:
        image_HW3 = np.asarray(cv2.GaussianBlur(image_HW3, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    return image_HW3, mask_HW


def draw_geometry(
    recipe: AugmentRecipe,
    rng: np.random.Generator,
    in_hw: tuple[int, int],
    out_hw: tuple[int, int],
    zoom: float = 1.0,
) -> Matrix:
    """A 3x3 matrix from source pixels (x, y, 1) to output pixels; the zoom drawn is multiplied by `zoom`."""
    zoom *= math.exp(rng.uniform(math.log(recipe.scale[0]), math.log(recipe.scale[1])))
    angle = math.radians(rng.uniform(-recipe.rotate, recipe.rotate)) if recipe.rotate else 0.0
    shift = rng.uniform(-recipe.shift, recipe.shift, 2) * out_hw[::-1] if recipe.shift else np.zeros(2)
    flip_x = -1.0 if recipe.flip and rng.random() < recipe.flip else 1.0
    flip_y = -1.0 if recipe.flip_vertical and rng.random() < recipe.flip_vertical else 1.0
    # Where the zoomed sample is larger than the output, the crop may lie anywhere in it.
    room = np.maximum(0.0, np.array(in_hw[::-1]) * zoom - np.array(out_hw[::-1])) / 2
    place = rng.uniform(-1, 1, 2) * room if room.any() else np.zeros(2)
    cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
    linear = np.array([[cos * flip_x, -sin * flip_y], [sin * flip_x, cos * flip_y]])
    centre_in = (np.array(in_hw[::-1], float) - 1) / 2
    centre_out = (np.array(out_hw[::-1], float) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre_out + place + shift - linear @ centre_in
    if zoom == 1 and angle == 0:
        # Whole pixels need no interpolation.
        matrix[:2, 2] = np.round(matrix[:2, 2])
    return matrix


def warp(image_HW3: Image, mask_HW: Mask, matrix: Matrix, out_hw: tuple[int, int], ignore: int) -> tuple[Image, Mask]:
    """Apply one matrix to image (linear, mirrored border) and mask (nearest, ignore border)."""
    if mask_HW.shape == out_hw:
        if np.array_equal(matrix, np.eye(3)):
            return image_HW3, mask_HW
        mirrored = np.array([[-1.0, 0, out_hw[1] - 1], [0, 1, 0], [0, 0, 1]])
        if np.array_equal(matrix, mirrored):
            return cast(Image, cv2.flip(image_HW3, 1)), cast(Mask, cv2.flip(mask_HW, 1))
    size = (out_hw[1], out_hw[0])
    image = cv2.warpAffine(image_HW3, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    mask = cv2.warpAffine(
        mask_HW, matrix[:2], size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=ignore
    )
    return cast(Image, image), cast(Mask, mask)


def draw_table(recipe: AugmentRecipe, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """A lookup table of shape (1, 256, 3), or None where the recipe changes no colour."""
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
