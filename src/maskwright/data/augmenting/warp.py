"""Random geometry of a sample: one matrix, a smooth displacement where asked for, one interpolation of both."""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.config import AugmentRecipe
from maskwright.types import Image, Mask

Matrix = NDArray[np.float64]
Displacement = NDArray[np.float32]
ELASTIC_KNOTS = 5


def view(
    pair: tuple[Image, Mask],
    recipe: AugmentRecipe,
    rng: np.random.Generator,
    *,
    out_hw: tuple[int, int],
    ignore: int,
    zoom: float = 1.0,
    focus_xy: tuple[float, float] | None = None,
) -> tuple[Image, Mask]:
    """One random view of image (H, W, 3) and mask (H, W) at `out_hw`: flip, turn, zoom, shift, shear, bend, crop.

    A crop lies anywhere, or around the pixel `focus_xy` (x, y) as nearly as the image allows. The ids of the mask
    after are a subset of those before, plus ignore. The arrays returned may be those that came in.
    """
    image_HW3, mask_HW = pair
    matrix = draw_geometry(recipe, rng, (mask_HW.shape[0], mask_HW.shape[1]), out_hw, zoom, focus_xy)
    return warp(image_HW3, mask_HW, matrix, out_hw, ignore, draw_elastic(recipe, rng, out_hw))


def draw_geometry(
    recipe: AugmentRecipe,
    rng: np.random.Generator,
    in_hw: tuple[int, int],
    out_hw: tuple[int, int],
    zoom: float = 1.0,
    focus_xy: tuple[float, float] | None = None,
) -> Matrix:
    """A 3x3 matrix from source pixels (x, y, 1) to output pixels; the zoom drawn is multiplied by `zoom`."""
    in_wh, out_wh = np.array(in_hw[::-1], float), np.array(out_hw[::-1], float)
    centre_in, centre_out = (in_wh - 1) / 2, (out_wh - 1) / 2
    zoom *= math.exp(rng.uniform(math.log(recipe.scale[0]), math.log(recipe.scale[1])))
    angle = math.radians(rng.uniform(-recipe.rotate, recipe.rotate)) if recipe.rotate else 0.0
    shift = rng.uniform(-recipe.shift, recipe.shift, 2) * out_wh if recipe.shift else np.zeros(2)
    flip_x = -1.0 if recipe.flip and rng.random() < recipe.flip else 1.0
    flip_y = -1.0 if recipe.flip_vertical and rng.random() < recipe.flip_vertical else 1.0
    # Where the zoomed sample is larger than the output, the crop may lie anywhere in it.
    room = np.maximum(0.0, in_wh * zoom - out_wh) / 2
    place = rng.uniform(-1, 1, 2) * room if room.any() else np.zeros(2)
    cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
    linear = np.array([[cos * flip_x, -sin * flip_y], [sin * flip_x, cos * flip_y]])
    if recipe.shear:
        lean = math.tan(math.radians(rng.uniform(-recipe.shear, recipe.shear)))
        linear = linear @ np.array([[1.0, lean], [0.0, 1.0]])
    if focus_xy is not None:
        place = np.clip(linear @ (centre_in - focus_xy), -room, room)
    if recipe.rotate_safe:
        margin = recipe.elastic * min(out_hw)
        linear, move = _without_borders(linear, place + shift, in_wh, out_wh + 2 * margin)
    else:
        move = place + shift
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre_out + move - linear @ centre_in
    if np.array_equal(np.abs(linear), np.eye(2)):
        # Whole pixels need no interpolation.
        matrix[:2, 2] = np.round(matrix[:2, 2])
    return matrix


def _without_borders(
    linear: Matrix, move: NDArray[np.float64], in_wh: NDArray[np.float64], view_wh: NDArray[np.float64]
) -> tuple[Matrix, NDArray[np.float64]]:
    """The least zoom more, and the nearest move, with which the view lies inside the source."""
    # The box around the view, taken back to source pixels.
    box_wh = np.abs(np.linalg.inv(linear)) @ view_wh
    more = max(1.0, float((box_wh / in_wh).max()))
    linear, box_wh = linear * more, box_wh / more
    slack = np.maximum(0.0, in_wh - box_wh) / 2
    return linear, linear @ np.clip(np.linalg.solve(linear, move), -slack, slack)


def draw_elastic(recipe: AugmentRecipe, rng: np.random.Generator, out_hw: tuple[int, int]) -> Displacement | None:
    """A smooth displacement of output pixels (x, y), shape (H, W, 2), or None where the recipe has none.

    Random vectors on a coarse grid, bicubic between them (Ronneberger et al. 2015, U-Net), scaled so that the
    longest component is drawn between 0 and `recipe.elastic` of the shorter side.
    """
    if not recipe.elastic:
        return None
    reach = rng.uniform(0, recipe.elastic) * min(out_hw)
    knots = rng.uniform(-1, 1, (ELASTIC_KNOTS, ELASTIC_KNOTS, 2)).astype(np.float32)
    bent = cv2.resize(knots, (out_hw[1], out_hw[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(bent * np.float32(reach / cv2.norm(bent, cv2.NORM_INF)), np.float32)


def warp(
    image_HW3: Image,
    mask_HW: Mask,
    matrix: Matrix,
    out_hw: tuple[int, int],
    ignore: int,
    displacement_HW2: Displacement | None = None,
) -> tuple[Image, Mask]:
    """Apply one matrix, and what is displaced, to image (linear, mirrored border) and mask (nearest, ignore border)."""
    if displacement_HW2 is not None:
        return _remap(image_HW3, mask_HW, matrix, ignore, displacement_HW2)
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


def _remap(
    image_HW3: Image, mask_HW: Mask, matrix: Matrix, ignore: int, displacement_HW2: Displacement
) -> tuple[Image, Mask]:
    rows, columns = displacement_HW2.shape[:2]
    points_HW2 = displacement_HW2.copy()
    points_HW2[..., 0] += np.arange(columns, dtype=np.float32)
    points_HW2[..., 1] += np.arange(rows, dtype=np.float32)[:, None]
    source_HW2 = cv2.transform(points_HW2, np.linalg.inv(matrix)[:2])
    image = cv2.remap(image_HW3, source_HW2, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)  # type: ignore[call-overload]
    mask = cv2.remap(  # type: ignore[call-overload]
        mask_HW, source_HW2, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=ignore
    )
    return cast(Image, image), cast(Mask, mask)
