"""Annotated objects of one image to one mask: declared priority decides where they overlap, and it is counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskwright.console import Skipped
from maskwright.data.formats.listing import Painted
from maskwright.data.pixels.raster import Instance, paint_instances
from maskwright.types import Classes


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape(Instance):
    """One annotated object: its class id (or the ignore id) as `value`, where it is, and what messages call it.

    `layer` is what tools call z-order.
    """

    name: str
    layer: int = 0

    def area_px(self) -> float:
        """Pixels inside the outline, overlaps of parts counted twice; 0 for what is not made of finite numbers."""
        try:
            if self.counts is not None:
                return float(sum(self.counts[1::2]))
            area = sum(_polygon_area(part) for part in self.polygons)
        except (TypeError, OverflowError):
            return 0.0
        return area if math.isfinite(area) else 0.0  # what is no number would upset the order of the others


def paint_shapes(
    shapes: Sequence[Shape], classes: Classes, size_hw: tuple[int, int], *, ties: str = "later", blank: int
) -> Painted:
    """Paint shapes into one mask (H, W) whose other pixels are `blank`.

    Ignored regions give way to every class. Among classes the higher priority wins, then the higher layer; what is
    still equal is decided by `ties`: the 'later' shape in the source, the 'first', or the 'smaller' by area. Shapes
    that cover no pixel or are malformed are left out and named.
    """
    areas = [shape.area_px() for shape in shapes] if ties == "smaller" else None
    order = painting_order(
        [shape.value for shape in shapes], classes, ties, layers=[shape.layer for shape in shapes], areas=areas
    )
    painting = paint_instances([shapes[i] for i in order], size_hw, classes.dtype, blank)
    problems = sorted((order[i], reason) for i, reason in painting.problems.items())
    left_out = tuple(Skipped(shapes[i].name, reason) for i, reason in problems)
    return Painted(mask_HW=painting.mask_HW, contested=painting.contested, left_out=left_out)


def painting_order(
    values: Sequence[int],
    classes: Classes,
    ties: str,
    *,
    layers: Sequence[int] | None = None,
    areas: Sequence[float] | None = None,
) -> list[int]:
    """Indices of shapes in the order of painting: what comes last wins."""
    priority = classes.priorities
    sign = -1 if ties == "first" else 1

    def rank(i: int) -> tuple[bool, float, int, float, int]:
        value = values[i]
        layer, area = layers[i] if layers else 0, -areas[i] if areas else 0.0
        return value != classes.ignore, priority.get(value, 0.0), layer, area, sign * i

    return sorted(range(len(values)), key=rank)


def _polygon_area(part: Sequence[float]) -> float:
    if len(part) < 6:
        return 0.0
    xs, ys = part[0::2], part[1::2]
    pairs = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=False)
    return abs(sum(x * v - u * y for x, y, u, v in pairs)) / 2
