"""Annotated objects to masks by declared priority, against a slow painter over pycocotools."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from annotations import box
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskwright.data.formats.shapes import Shape, paint_shapes
from maskwright.types import Classes, ClassInfo

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

HW = (14, 18)
IGNORE = 255
CLASSES = Classes(
    items=tuple(
        ClassInfo(id=i, name=str(i), colour=(i, i, i), priority=priority)
        for i, priority in enumerate([0.0, 1.0, 2.0, 2.0, 1.0])
    ),
    background=0,
)
COORDINATES = st.floats(-6, 24).map(lambda number: round(number, 1))
POLYGONS = st.lists(COORDINATES, min_size=6, max_size=14).map(lambda numbers: numbers[: len(numbers) // 2 * 2])
RUNS = st.lists(st.booleans(), min_size=HW[0] * HW[1], max_size=HW[0] * HW[1])
VALUES = st.sampled_from([1, 2, 3, 4, IGNORE])


def counts_of(pixels: list[bool]) -> list[int]:
    counts, last = [0], False
    for pixel in pixels:
        if pixel != last:
            counts.append(0)
            last = pixel
        counts[-1] += 1
    return counts


SHAPES = st.lists(
    st.one_of(
        st.builds(
            Shape,
            name=st.just(""),
            value=VALUES,
            layer=st.integers(0, 1),
            polygons=st.lists(POLYGONS, min_size=1, max_size=2),
        ),
        st.builds(Shape, name=st.just(""), value=VALUES, layer=st.integers(0, 1), counts=RUNS.map(counts_of)),
    ),
    max_size=6,
)


def pixels_of(shape: Shape) -> NDArray[np.bool_]:
    if shape.counts is not None:
        runs = coco_mask.frPyObjects({"size": list(HW), "counts": list(shape.counts)}, *HW)
        return np.asarray(coco_mask.decode(runs), bool)
    parts = [list(map(float, part)) for part in shape.polygons]
    return np.asarray(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, *HW))), bool)


def outline_area(shape: Shape) -> float:
    if shape.counts is not None:
        return float(pixels_of(shape).sum())
    total = 0.0
    for part in shape.polygons:
        xs, ys = np.array(part[0::2]), np.array(part[1::2])
        total += abs(float(np.sum(xs * np.roll(ys, -1) - np.roll(xs, -1) * ys))) / 2
    return total


def wins(one: int, other: int, shapes: list[Shape], ties: str) -> bool:
    """Does shape `one` lie over shape `other`? Written down rule by rule."""
    a, b = shapes[one], shapes[other]
    if (a.value == IGNORE) != (b.value == IGNORE):
        return b.value == IGNORE
    if a.value != IGNORE and CLASSES.priorities[a.value] != CLASSES.priorities[b.value]:
        return CLASSES.priorities[a.value] > CLASSES.priorities[b.value]
    if a.layer != b.layer:
        return a.layer > b.layer
    if ties == "smaller" and not np.isclose(outline_area(a), outline_area(b), rtol=1e-12, atol=1e-12):
        return outline_area(a) < outline_area(b)
    return one < other if ties == "first" else one > other


def slowly(shapes: list[Shape], ties: str) -> tuple[NDArray[Any], Counter[tuple[int, int]]]:
    """Pixel by pixel: who claims it, from the weakest to the strongest."""
    planes = [pixels_of(shape) for shape in shapes]
    every = range(len(shapes))
    beaten = [sum(wins(one, other, shapes, ties) for other in every if other != one) for one in every]
    assert sorted(beaten) == list(every), "the rules put any shapes in one order"
    mask = np.zeros(HW, np.uint8)
    contested: Counter[tuple[int, int]] = Counter()
    for place in np.ndindex(HW):
        claims = sorted((i for i in every if planes[i][place]), key=beaten.__getitem__)
        for weaker, stronger in pairwise(claims):
            if shapes[weaker].value != shapes[stronger].value:
                contested[shapes[weaker].value, shapes[stronger].value] += 1
        if claims:
            mask[place] = shapes[claims[-1]].value
    return mask, contested


@pytest.mark.parametrize("ties", ["later", "first", "smaller"])
@given(shapes=SHAPES)
def test_the_declared_order_decides_every_pixel(ties: str, shapes: list[Shape]) -> None:
    painted = paint_shapes(shapes, CLASSES, HW, ties=ties, blank=0)
    mask, contested = slowly(shapes, ties)
    assert np.array_equal(painted.mask_HW, mask)
    assert painted.contested == dict(contested)
    assert len(painted.left_out) == sum(not pixels_of(shape).any() for shape in shapes)


def shape(name: str, value: int, *edges: float, **more: Any) -> Shape:
    return Shape(name=name, value=value, polygons=box(*edges), **more)


def test_each_rule_by_hand() -> None:
    large, small = shape("large", 2, 0, 0, 10, 10), shape("small", 3, 0, 0, 4, 4)
    low, ignored = shape("low", 1, 0, 0, 12, 12), shape("ignored", IGNORE, 0, 0, 14, 14)

    def at_corner(shapes: list[Shape], ties: str) -> int:
        return int(paint_shapes(shapes, CLASSES, HW, ties=ties, blank=0).mask_HW[0, 0])

    assert at_corner([large, small], "later") == 3
    assert at_corner([large, small], "first") == 2
    assert at_corner([small, large], "smaller") == 3
    assert at_corner([large, low], "later") == 2, "priority before order"
    assert at_corner([low, ignored], "later") == 1, "ignored regions give way"
    assert at_corner([shape("front", 2, 0, 0, 9, 9, layer=1), small], "later") == 2, "layers before order"
    painted = paint_shapes([large, small, low, ignored], CLASSES, HW, blank=0)
    assert painted.contested == {(255, 1): 144, (1, 2): 100, (2, 3): 16}


def test_blank_is_what_nobody_painted() -> None:
    painted = paint_shapes([shape("a", 1, 0, 0, 4, 4)], CLASSES, HW, blank=IGNORE)
    assert np.count_nonzero(painted.mask_HW == IGNORE) == HW[0] * HW[1] - 16


ODD: list[Any] = [None, True, "7", 1e308, -1e308, float("nan"), float("inf"), 10**400, [], {}, 2, 0.5]


@given(numbers=st.lists(st.sampled_from(ODD), max_size=9), ties=st.sampled_from(["later", "first", "smaller"]))
def test_one_odd_shape_harms_no_other(numbers: list[Any], ties: str) -> None:
    sound = [shape("a", 2, 0, 0, 8, 8), shape("b", 3, 2, 2, 6, 6), shape("c", 1, 4, 4, 12, 12)]
    alone = paint_shapes(sound, CLASSES, HW, ties=ties, blank=0)
    odd = [
        Shape(name="odd polygon", value=4, polygons=[[-50.0, -50.0, -49.0, -50.0, -49.0, -49.0], numbers]),
        Shape(name="odd runs", value=4, counts=[*numbers, 10**30]),
    ]
    painted = paint_shapes([odd[0], sound[0], sound[1], odd[1], sound[2]], CLASSES, HW, ties=ties, blank=0)
    names = [row.file for row in painted.left_out]
    assert "odd runs" in names
    assert names == sorted(names, key=["odd polygon", "odd runs"].index), "in the order of the source"
    if "odd polygon" in names:
        assert np.array_equal(painted.mask_HW, alone.mask_HW)
        assert painted.contested == alone.contested
