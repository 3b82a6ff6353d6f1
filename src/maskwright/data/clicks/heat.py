"""Prompts as planes that a network sees: points as Gaussians, boxes filled, strokes as soft lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Prompt, Stroke

Plane = NDArray[np.float32]
Size = tuple[int, int]


def draw_planes(prompt: Prompt, names: Sequence[str], size_hw: Size, sigma_px: float) -> Plane:
    """The planes (P, H, W) of a prompt, float32 from 0 to 1, by their names in PLANES."""
    return np.stack([PLANES[name](prompt, size_hw, sigma_px) for name in names])


def points_heat(points_xy: Iterable[tuple[float, float]], size_hw: Size, sigma_px: float) -> Plane:
    """The highest of a Gaussian around each point, 1 at its middle; zeros without points.

    Pixel (row, column) has its middle at x = column + 0.5, y = row + 0.5.
    """
    heat = np.zeros(size_hw, np.float32)
    y, x = (np.arange(side, dtype=np.float32) + np.float32(0.5) for side in size_hw)
    for px, py in points_xy:
        down, across = np.exp(-((y - py) ** 2) / (2 * sigma_px**2)), np.exp(-((x - px) ** 2) / (2 * sigma_px**2))
        np.maximum(heat, down[:, None] * across, out=heat)
    return heat


def boxes_plane(boxes_xyxy: Iterable[tuple[float, float, float, float]], size_hw: Size) -> Plane:
    """1 in every pixel whose middle is in a box; a box thinner than a pixel keeps one."""
    plane = np.zeros(size_hw, np.float32)
    rows, columns = size_hw
    for x0, y0, x1, y1 in boxes_xyxy:
        left, top = min(columns - 1, max(0, round(x0))), min(rows - 1, max(0, round(y0)))
        plane[top : max(top + 1, round(y1)), left : max(left + 1, round(x1))] = 1
    return plane


def strokes_heat(strokes: Sequence[Stroke], size_hw: Size, sigma_px: float) -> Plane:
    """A Gaussian of the distance to the nearest stroke, 1 all over its width; zeros without strokes."""
    drawn = strokes_mask(strokes, size_hw)
    if not drawn.any():
        return np.zeros(size_hw, np.float32)
    away = cv2.distanceTransform((~drawn).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.exp(-(away**2) / (2 * sigma_px**2)), np.float32)


def strokes_mask(strokes: Sequence[Stroke], size_hw: Size) -> NDArray[np.bool_]:
    """The pixels that strokes cover, at least one pixel wide."""
    drawn = np.zeros(size_hw, np.uint8)
    for stroke in strokes:
        # OpenCV's pixel 0 has its middle at 0, ours at 0.5.
        places = np.array([[int(x), int(y)] for x, y in stroke.points_xy], np.int32).reshape(-1, 1, 2)
        places = np.minimum(places, np.array(size_hw[::-1], np.int32) - 1)
        if len(places):
            cv2.polylines(drawn, [places], False, 1, thickness=max(1, round(2 * stroke.radius_px)))
            drawn[places[:, 0, 1], places[:, 0, 0]] = 1
    return drawn > 0


def _marks(prompt: Prompt, positive: bool, size_hw: Size, sigma_px: float) -> Plane:
    points = [point for point, wanted in zip(prompt.points_xy, prompt.positive, strict=True) if wanted == positive]
    strokes = [stroke for stroke in prompt.strokes if stroke.positive == positive]
    heat = points_heat(points, size_hw, sigma_px)
    return np.maximum(heat, strokes_heat(strokes, size_hw, sigma_px)) if strokes else heat


def _previous(prompt: Prompt, size_hw: Size, sigma_px: float) -> Plane:
    if prompt.previous_HW is None:
        return np.zeros(size_hw, np.float32)
    assert prompt.previous_HW.shape == size_hw
    return prompt.previous_HW.astype(np.float32)


PLANES: dict[str, Callable[[Prompt, Size, float], Plane]] = {
    "positive": lambda prompt, size_hw, sigma_px: _marks(prompt, True, size_hw, sigma_px),
    "negative": lambda prompt, size_hw, sigma_px: _marks(prompt, False, size_hw, sigma_px),
    "box": lambda prompt, size_hw, _: boxes_plane(prompt.boxes_xyxy, size_hw),
    "previous": _previous,
    "wanted": lambda prompt, size_hw, sigma_px: reduce(
        np.maximum, (PLANES[name](prompt, size_hw, sigma_px) for name in ("positive", "box"))
    ),
}
