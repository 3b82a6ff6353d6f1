"""Polygons to pixels: pycocotools says which, a slow loop says who wins and what was contested."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from maskwright.data.pixels.raster import Instance, fill, paint_instances
from maskwright.data.pixels.rle import counts_from_mask

# pycocotools' own call of numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = (23, 31)
NUMBERS = st.one_of(
    st.integers(-9, 40),
    st.integers(-20, 80).map(lambda n: n / 2),
    st.integers(-100, 400).map(lambda n: n / 10),  # vertices exactly between the points of the fine grid
    st.floats(-9, 40),
    st.floats(-1e4, 1e4),
)
POLYGON = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=9).map(
    lambda points: [float(n) for p in points for n in p]
)
OBJECT = st.lists(POLYGON, min_size=1, max_size=3)


def decoded(outline: Any, size_hw: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    """What pycocotools makes of polygons or of uncompressed run lengths."""
    runs = coco.frPyObjects(outline, *size_hw)
    return np.asarray(coco.decode(coco.merge(runs) if isinstance(outline, list) else runs)).astype(np.bool_)


def pairs(parts: Sequence[Sequence[float]]) -> list[NDArray[np.float64]]:
    return [np.array(part, np.float64).reshape(-1, 2) for part in parts]


@given(OBJECT)
def test_fills_the_pixels_that_coco_defines(parts: list[list[float]]) -> None:
    np.testing.assert_array_equal(fill(pairs(parts), SIZE), decoded(parts))


@given(st.lists(st.tuples(st.floats(-0.5, 2.5), st.floats(-0.5, 2.5)), min_size=3, max_size=5), st.integers(1, 3))
def test_specks_in_images_of_a_few_pixels(points: list[tuple[float, float]], side: int) -> None:
    part = [n for point in points for n in point]
    np.testing.assert_array_equal(fill(pairs([part]), (side, 2)), decoded([part], (side, 2)))


@pytest.mark.parametrize(
    "part",
    [
        [2, 2, 2, 2, 2, 2],  # one point three times
        [1, 1, 9, 1, 9, 1, 9, 9, 9, 9, 1, 9, 1, 1],  # repeated corners, closed by hand
        [1, 1, 20, 9, 1, 1, 20, 9],  # there and back
        [1, 1, 20, 20, 20, 1, 1, 20],  # a bow tie
        [0, 0, 31, 0, 31, 23, 0, 23],  # the whole image
        [-5, -5, 99, -5, 99, 99, -5, 99],
        [5, 20, 12, 99, 19, 20],  # leaves through the bottom and comes back
        [-50, 3, -9, 9, -20, 20],  # left of the image
        [40, 3, 90, 9, 50, 20],
        [3, -40, 9, -3, 20, -20],
        [3, 40, 9, 90, 20, 50],
        [-1e5, 11.3, 1e5, 12.7, 1e5, 13.1],
        [10.3, -1e5, 11.1, 1e5, 12.9, 1e5],
    ],
)
def test_odd_shapes(part: list[float]) -> None:
    np.testing.assert_array_equal(fill(pairs([part]), SIZE), decoded([[float(n) for n in part]]))


def test_parts_are_united_not_subtracted() -> None:
    square = np.array([[2, 2], [9, 2], [9, 9], [2, 9]])
    assert fill([square, square + 1], SIZE).sum() == 7 * 7 + 13
    assert fill([square, square], SIZE).sum() == 49


@pytest.mark.parametrize("points", [[], [[3, 3]], [[3, 3], [9, 9]]])
def test_fewer_than_three_points_cover_nothing(points: list[list[float]]) -> None:
    assert not fill([np.array(points).reshape(-1, 2)], SIZE).any()
    assert not fill([], SIZE).any()


def test_the_farthest_coordinates_end_soon() -> None:
    far = 2e8
    assert fill([np.array([[-far, -far], [far, -far], [far, far], [-far, far]])], SIZE).all()
    strip = fill([np.array([[-far, 9], [far, 9], [far, 12], [-far, 12]])], SIZE)
    assert strip[9:12].all()
    assert strip.sum() == 3 * SIZE[1]
    below = fill([np.array([[-far, -far], [far, far], [-far, far]])], SIZE)
    assert abs(int(below.sum()) - sum(SIZE[0] - y for y in range(SIZE[0]))) <= SIZE[0]


@pytest.mark.parametrize(
    ("number", "reason"), [(np.nan, "finite"), (-np.inf, "finite"), (3e8, "million"), (1e300, "million")]
)
def test_coordinates_beyond_reason_are_refused(number: float, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fill([np.array([[1, 1], [5, 1], [5, number]])], SIZE)


@pytest.mark.parametrize("size_hw", [(0, 5), (5, -1), (2**16, 2**15)])
def test_sizes_that_are_no_image_are_refused(size_hw: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no image"):
        fill([], size_hw)


def slowly(
    instances: Sequence[Instance], background: int, dtype: type[np.unsignedinteger[Any]]
) -> tuple[NDArray[Any], dict[tuple[int, int], int]]:
    """One full mask an instance, and a loop over the pixels."""
    mask_HW, claimed_HW = np.full(SIZE, background, dtype), np.zeros(SIZE, np.bool_)
    contested: Counter[tuple[int, int]] = Counter()
    for instance in instances:
        counts = instance.counts
        inside = decoded(list(instance.polygons) if counts is None else {"counts": list(counts), "size": list(SIZE)})
        contested.update((int(old), instance.value) for old in mask_HW[inside & claimed_HW] if old != instance.value)
        mask_HW[inside] = instance.value
        claimed_HW |= inside
    return mask_HW, dict(contested)


@st.composite
def objects(draw: st.DrawFn, ids: Sequence[int]) -> list[Instance]:
    found = []
    for _ in range(draw(st.integers(0, 6))):
        value = draw(st.sampled_from(ids))
        if draw(st.booleans()):
            found.append(Instance(value=value, polygons=draw(OBJECT)))
        else:
            seed, density = draw(st.integers(0, 999)), draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
            plane = np.random.default_rng(seed).random(SIZE) < density
            found.append(Instance(value=value, counts=counts_from_mask(plane).tolist()))
    return found


@given(objects([0, 1, 2, 255]), st.sampled_from([0, 2, 7, 255]))
def test_later_instances_win_and_every_contest_is_counted(instances: list[Instance], background: int) -> None:
    painting = paint_instances(instances, SIZE, np.uint8, background)
    mask_HW, contested = slowly(instances, background, np.uint8)
    np.testing.assert_array_equal(painting.mask_HW, mask_HW)
    assert painting.contested == contested
    traceless = {i for i, instance in enumerate(instances) if (slowly([instance], 9, np.uint8)[0] == 9).all()}
    assert painting.problems == dict.fromkeys(traceless, "covers no pixel of the image")


@given(objects([0, 300, 65535]))
def test_sixteen_bits(instances: list[Instance]) -> None:
    painting = paint_instances(instances, SIZE, np.uint16, 0)
    mask_HW, contested = slowly(instances, 0, np.uint16)
    assert painting.mask_HW.dtype == np.uint16
    np.testing.assert_array_equal(painting.mask_HW, mask_HW)
    assert painting.contested == contested


def test_painting_background_is_a_claim_and_bare_ground_is_none() -> None:
    square = [2.0, 2, 9, 2, 9, 9, 2, 9]
    bare = paint_instances([Instance(value=1, polygons=[square])], SIZE)
    assert bare.contested == {}
    claimed = paint_instances([Instance(value=0, polygons=[square]), Instance(value=1, polygons=[square])], SIZE)
    assert claimed.contested == {(0, 1): 49}
    assert claimed.mask_HW.sum() == 49


def test_arrays_are_as_good_as_lists() -> None:
    square = [2.0, 2, 9, 2, 9, 9, 2, 9]
    counts = counts_from_mask(fill(pairs([square]), SIZE))
    same = [
        Instance(value=1, polygons=[square]),
        Instance(value=1, polygons=[array("d", square)]),
        Instance(value=1, counts=counts),
        Instance(value=1, counts=counts.tolist()),
    ]
    assert {paint_instances([instance], SIZE).mask_HW.tobytes() for instance in same} == {
        fill(pairs([square]), SIZE).tobytes()
    }


def test_parts_of_one_object_contest_a_pixel_once() -> None:
    square = [2.0, 2, 9, 2, 9, 9, 2, 9]
    twice = paint_instances([Instance(value=5, polygons=[square]), Instance(value=1, polygons=[square, square])], SIZE)
    assert twice.contested == {(5, 1): 49}


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        ({"polygons": [[1, 1, 5, 1, 5]]}, "odd number"),
        ({"polygons": [[1, 1, 5, 1, 5, float("nan")]]}, "finite"),
        ({"polygons": [[1, 1, 5, 1, 5, 1e9]]}, "million"),
        ({"polygons": [[1, 1, 5, 1, 5, 10**400]]}, "lists of numbers"),
        ({"polygons": [[1, 1, 5, 1, "5", 5]]}, "lists of numbers"),
        ({"polygons": [[1, 1, 5, 1, None, 5]]}, "lists of numbers"),
        ({"polygons": [1, 1, 5, 1, 5, 5]}, "lists of numbers"),
        ({"polygons": [[[1, 1], [5, 1], [5, 5]]]}, "lists of numbers"),
        ({"polygons": ["abcdef"]}, "lists of numbers"),
        ({"polygons": 7}, "lists of numbers"),
        ({"counts": np.array(["a"])}, "lists of numbers"),
        ({"polygons": []}, "no pixel"),
        ({"polygons": [[]]}, "no pixel"),
        ({"polygons": [[90, 90, 99, 90, 99, 99]]}, "no pixel"),
        ({"counts": [1, 2, 3]}, "add up"),
        ({"counts": []}, "add up"),
        ({"counts": [-1, SIZE[0] * SIZE[1] + 1]}, "negative"),
        ({"counts": [0.5, SIZE[0] * SIZE[1] - 0.5]}, "whole"),
        ({"counts": [10**30]}, "add up"),
        ({"counts": "abc"}, "lists of numbers"),
    ],
)
def test_what_cannot_be_painted_is_left_out_alone_with_its_reason(outline: dict[str, Any], reason: str) -> None:
    square = Instance(value=1, polygons=[[2, 2, 9, 2, 9, 9, 2, 9]])
    good_part = {"polygons": [square.polygons[0], *outline["polygons"]]} if reason == "odd number" else outline
    painting = paint_instances([square, Instance(value=2, **good_part), square], SIZE)
    assert set(painting.problems) == {1}
    assert reason in painting.problems[1]
    np.testing.assert_array_equal(painting.mask_HW, fill(pairs(square.polygons), SIZE))
    assert painting.contested == {}


def test_values_and_types_that_do_not_fit_are_refused() -> None:
    for value in (-1, 256):
        with pytest.raises(ValueError, match="does not fit"):
            paint_instances([Instance(value=value)], SIZE)
        with pytest.raises(ValueError, match="does not fit"):
            paint_instances([], SIZE, np.uint8, value)
    with pytest.raises(ValueError, match="uint8 or uint16"):
        paint_instances([], SIZE, np.int32)
    with pytest.raises(ValueError, match="256 different ids"):
        paint_instances([Instance(value=value) for value in range(256)], SIZE)


@pytest.mark.data
@pytest.mark.parametrize("split", ["train", "val"])
def test_every_real_instance_equals_pycocotools(shared_data: Path, split: str) -> None:
    content = json.loads((shared_data / "coco" / "annotations" / f"instances_{split}2017.json").read_text("utf-8"))
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    crowds = 0
    for annotation in content["annotations"]:
        size_hw, outline = sizes[annotation["image_id"]], annotation["segmentation"]
        expected = decoded(outline, size_hw)
        if isinstance(outline, list):
            assert np.array_equal(fill(pairs(outline), size_hw), expected), annotation["id"]
            instance = Instance(value=1, polygons=outline)
        else:
            crowds += 1
            instance = Instance(value=1, counts=outline["counts"])
        painting = paint_instances([instance], size_hw)
        assert np.array_equal(painting.mask_HW, expected), annotation["id"]
        assert bool(painting.problems) == (not expected.any())
    assert len(content["annotations"]) > 500
    assert crowds > 0
