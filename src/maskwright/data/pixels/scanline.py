"""The kernels behind `raster`: from outlines to crossings, from crossings to pixels.

Which pixels a polygon covers is defined by `rleFrPoly` in pycocotools: vertices are rounded to a grid five times as
fine, every edge becomes a line of grid points, and where that line steps over the middle of a pixel column, the pixels
below it in that column change sides. A column is therefore settled by its crossings alone, and each crossing follows
from the edge directly, without walking the boundary: O(columns) an edge, wherever the vertices are. Crossings are
marks in a plane of their own, and one sweep down its rows turns them into pixels, many columns at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

# Differences of coordinates on the fine grid still fit the 32 bits in which COCO's definition calculates.
FARTHEST_PX = 2.0e8

EMPTY, _ODD, _NOT_FINITE, _FAR, _COUNTS, _SUM, NO_NUMBERS = range(1, 8)
PROBLEMS = {
    EMPTY: "covers no pixel of the image",
    _ODD: "a polygon has an odd number of coordinates",
    _NOT_FINITE: "a coordinate is not a finite number",
    _FAR: "a coordinate is more than 200 million pixels away",
    _COUNTS: "a run length is negative or not a whole number",
    _SUM: "the run lengths do not add up to the pixels of the image",
    NO_NUMBERS: "the outline is not made of lists of numbers",
}


class Layout(NamedTuple):
    """Instances as flat arrays: V different values, N instances, their parts, and all numbers of all parts."""

    numbers: NDArray[np.float64]
    part_starts: NDArray[np.int64]  # where each part begins in `numbers`, and the end
    instance_starts: NDArray[np.int64]  # where each instance begins in `part_starts`, and the end
    runs_N: NDArray[np.bool_]  # the instance is run lengths, not polygons
    codes_N: NDArray[np.int64]  # index of the instance's value in `values_V`
    values_V: NDArray[Any]  # in the type of the plane


@compiled
def paint(mask_HW: Any, layout: Any, blank: int) -> Any:
    """Paint all instances; returns contested pixels (V, V) by old and new code, and a problem code an instance."""
    rows, columns = mask_HW.shape
    count = len(layout.instance_starts) - 1
    toggles_HW = np.zeros_like(mask_HW)
    inside_W = np.zeros_like(mask_HW[0])
    code_of = np.empty(65536, np.int64)
    for code in range(len(layout.values_V)):
        code_of[layout.values_V[code]] = code
    contested_VV = np.zeros((len(layout.values_V), len(layout.values_V)), np.int64)
    problems_N = np.zeros(count, np.uint8)
    for i in range(count):
        first, last = layout.instance_starts[i], layout.instance_starts[i + 1]
        problem = 0
        for p in range(first, last):
            part = layout.numbers[layout.part_starts[p] : layout.part_starts[p + 1]]
            problem = max(problem, _wrong_runs(part, rows * columns) if layout.runs_N[i] else _wrong_points(part))
        covered = False
        for p in range(first, last if problem == 0 else first):
            part = layout.numbers[layout.part_starts[p] : layout.part_starts[p + 1]]
            box = _toggle_runs(toggles_HW, part) if layout.runs_N[i] else _toggle_polygon(toggles_HW, part)
            code = layout.codes_N[i]
            ids = (layout.values_V[code], layout.values_V.dtype.type(blank))
            covered |= _sweep(mask_HW, (toggles_HW, inside_W), box, ids, (contested_VV[:, code], code_of))
        if problem == 0 and not covered:
            problem = EMPTY
        problems_N[i] = problem
    return contested_VV, problems_N


@compiled
def _wrong_points(part: Any) -> int:
    if len(part) % 2:
        return _ODD
    wrong = 0
    for number in part:
        if not np.isfinite(number):
            return _NOT_FINITE
        if abs(number) > FARTHEST_PX:
            wrong = _FAR
    return wrong


@compiled
def _wrong_runs(counts: Any, pixels: int) -> int:
    total = 0.0
    for count in counts:
        if not (count >= 0 and count == np.floor(count)):
            return _COUNTS
        total += count
    return 0 if total == pixels else _SUM


@compiled
def _toggle_polygon(toggles_HW: Any, points: Any) -> Any:
    """Mark the pixels where a column changes sides; returns the box (top, bottom, left, right) of the marks.

    A mark that falls on the row below the image is left out: no pixel follows it. `bottom` says it was there.
    """
    rows, columns = toggles_HW.shape
    top, bottom, left, right = rows, 0, columns, 0
    corners = len(points) // 2
    for j in range(corners):
        k = (j + 1) % corners
        # int() cuts towards zero, as C does.
        xs, ys = int(5 * points[2 * j] + 0.5), int(5 * points[2 * j + 1] + 0.5)
        xe, ye = int(5 * points[2 * k] + 0.5), int(5 * points[2 * k + 1] + 0.5)
        dx, dy = abs(xe - xs), abs(ye - ys)
        steep = dx < dy
        if (ys > ye) if steep else (xs > xe):
            xs, ys, xe, ye = xe, ye, xs, ys
        # Column c lies between the fine grid's 5c + 2 and 5c + 3: the first and the last that the edge steps over.
        low, high = max(min(xs, xe), 0), max(xs, xe)
        first, last = (low + 2) // 5, min((high - 3) // 5, columns - 1)
        if first > last or dx == 0:
            continue
        left, right = min(left, first), max(right, last + 1)
        slope = (xe - xs) / dy if steep else (ye - ys) / dx
        for c in range(first, last + 1):
            if steep:
                v = ys + _step(xs, slope, 5 * c + 2, dy)
            else:
                t = 5 * c + 2 - xs
                v = min(int(ys + slope * t + 0.5), int(ys + slope * (t + 1) + 0.5))
            y = min((v + 2) // 5, rows) if v > 0 else 0
            top, bottom = min(top, y), max(bottom, y)
            if y < rows:
                toggles_HW[y, c] = ~toggles_HW[y, c]
    return top, bottom, left, right


@compiled
def _step(xs: int, slope: float, column: int, dy: int) -> int:
    """The last t (0 <= t < dy) before x = xs + slope * t, rounded, steps over from `column` or back to it."""
    t = min(max(int((column + 0.5 - xs) / slope), 0), dy - 1)
    if slope > 0:
        while t < dy - 1 and int(xs + slope * (t + 1) + 0.5) <= column:
            t += 1
        while t > 0 and int(xs + slope * t + 0.5) > column:
            t -= 1
    else:
        while t < dy - 1 and int(xs + slope * (t + 1) + 0.5) > column:
            t += 1
        while t > 0 and int(xs + slope * t + 0.5) <= column:
            t -= 1
    return t


@compiled
def _toggle_runs(toggles_HW: Any, counts: Any) -> Any:
    """The same marks from run lengths column by column; a run that goes on in the next column starts anew there."""
    rows, columns = toggles_HW.shape
    top, bottom, left, right = rows, 0, columns, 0
    start = 0
    for k in range(len(counts)):
        stop = start + int(counts[k])
        if k % 2 and stop > start:
            for c in range(start // rows, (stop - 1) // rows + 1):
                head, tail = max(start - c * rows, 0), min(stop - c * rows, rows)
                toggles_HW[head, c] = ~toggles_HW[head, c]
                if tail < rows:
                    toggles_HW[tail, c] = ~toggles_HW[tail, c]
                top, bottom = min(top, head), max(bottom, tail)
                left, right = min(left, c), max(right, c + 1)
        start = stop
    return top, bottom, left, right


@compiled
def _sweep(mask_HW: Any, scratch: Any, box: Any, ids: Any, counting: Any) -> bool:
    """Turn marks into pixels from top to bottom, all columns at once, and clear the marks; is any pixel covered?"""
    toggles_HW, inside_W = scratch
    top, bottom, left, right = box
    value, blank = ids
    contested_V, code_of = counting
    as_id = mask_HW.dtype.type  # numba widens every result; narrow again, and a vector register holds 32 pixels
    inside = inside_W[: max(right - left, 0)]
    inside[:] = 0
    covered = as_id(0)
    for y in range(top, min(bottom + 1, len(mask_HW))):
        toggles, mask = toggles_HW[y, left:right], mask_HW[y, left:right]
        clash = as_id(0)
        for x in range(len(inside)):
            now = as_id(inside[x] ^ toggles[x])
            inside[x] = now
            toggles[x] = 0
            covered = as_id(covered | now)
            clash = as_id(clash | (now if (mask[x] != value) & (mask[x] != blank) else as_id(0)))
        if clash:
            for x in range(len(inside)):
                if inside[x] and mask[x] != value and mask[x] != blank:
                    contested_V[code_of[mask[x]]] += 1
        for x in range(len(inside)):
            mask[x] = as_id(mask[x] ^ as_id(as_id(mask[x] ^ value) & inside[x]))
    return bool(covered != 0)
