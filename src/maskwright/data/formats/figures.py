"""Boxes, circles and ellipses of labelling tools as polygons [x0, y0, x1, y1, ...] in pixels; small masks as runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAG_PX = 0.05  # how far a chord may lie inside its arc


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """An upright box by two opposite corners, in any order."""
    return [left, top, right, top, right, bottom, left, bottom]


def ellipse(x: float, y: float, radius_x: float, radius_y: float, *, degrees: float = 0.0) -> list[float]:
    """An ellipse by centre and radii, turned clockwise; raises ValueError where a radius is not positive."""
    longest = max(radius_x, radius_y)
    if not (min(radius_x, radius_y) > 0 and math.isfinite(longest)):
        raise ValueError("its radius is not positive")
    corners = min(4096, max(16, math.ceil(math.pi * math.sqrt(longest / (2 * SAG_PX)))))
    angles = np.arange(corners) * (2 * math.pi / corners)
    points = np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)
    return turned(points.ravel().tolist(), x, y, degrees)


def turned(polygon: list[float], x: float, y: float, degrees: float) -> list[float]:
    """A polygon turned about (x, y): clockwise as one sees it, for rows grow downwards."""
    if not degrees:
        return polygon
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    points = np.asarray(polygon, float).reshape(-1, 2) - (x, y)
    moved = points @ np.array([[cosine, sine], [-sine, cosine]]) + np.array([x, y])
    return [float(value) for value in moved.ravel()]


def flat(points: Iterable[Any]) -> list[float]:
    """[[x, y], ...] -> [x, y, ...]; raises ValueError where there are fewer than three points, or no points at all."""
    try:
        pairs = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError) as error:
        raise ValueError("its points are not pairs of numbers") from error
    if len(pairs) < 3:
        raise ValueError("a polygon needs at least three points")
    return [value for pair in pairs for value in pair]


def placed_runs(window_HW: NDArray[Any], left: int, top: int, size_hw: tuple[int, int]) -> list[int]:
    """A small mask at its place in an image of `size_hw`, cut at the border, as COCO's run lengths.

    Takes time for the small mask only. A run that goes on in the next column is followed by one of length 0.
    """
    rows, columns = size_hw
    inside = window_HW[max(0, -top) : max(0, rows - top), max(0, -left) : max(0, columns - left)] != 0
    framed_WH = np.zeros((inside.shape[1], inside.shape[0] + 2), np.bool_)
    framed_WH[:, 1:-1] = inside.T
    # In every column a run begins and ends once, so starts and stops take turns.
    column, row = (framed_WH[:, 1:] != framed_WH[:, :-1]).nonzero()
    edges = np.empty(len(row) + 2, np.int64)
    edges[0], edges[-1] = 0, rows * columns
    edges[1:-1] = (column + max(0, left)) * rows + row + max(0, top)
    counts: list[int] = (edges[1:] - edges[:-1]).tolist()
    return counts
