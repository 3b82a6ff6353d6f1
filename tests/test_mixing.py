from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawing import photo, shapes
from hypothesis import given
from hypothesis import strategies as st

from maskwright.data.augmenting.augment import draw_generator
from maskwright.data.augmenting.mixing import MIXES, paste
from maskwright.data.pairs import Pair

HW = (48, 64)
CROSS = np.ones((3, 3), np.uint8)
sides = st.integers(1, 40)


def solid(mask_value: int, image_value: int, hw: tuple[int, int] = HW) -> Pair:
    return np.full((*hw, 3), image_value, np.uint8), np.full(hw, mask_value, np.uint8)


def wide(pair: Pair) -> Pair:
    return pair[0], np.where(pair[1] == 255, 65535, pair[1].astype(np.uint16) * 300).astype(np.uint16)


@pytest.mark.parametrize("key", MIXES)
@pytest.mark.parametrize("big", [False, True])
@given(hw=st.tuples(sides, sides), draw=st.integers(0, 9999))
def test_every_mix_keeps_to_the_contract(key: str, big: bool, hw: tuple[int, int], draw: int) -> None:
    base, other = shapes(draw, (max(hw[0], 3), max(hw[1], 5))), shapes(draw + 1, (max(hw[0], 3), max(hw[1], 5)))
    base, other = ((image[: hw[0], : hw[1]], mask[: hw[0], : hw[1]]) for image, mask in (base, other))
    if big:
        base, other = wide(base), wide(other)
    before = [part.tobytes() for pair in (base, other) for part in pair]
    mixed = MIXES[key](base, other, draw_generator(0, 0, draw), 65535 if big else 255)
    again = MIXES[key](base, other, draw_generator(0, 0, draw), 65535 if big else 255)
    for part, same, source in zip(mixed, again, base, strict=True):
        assert np.array_equal(part, same)
        assert (part.shape, part.dtype) == (source.shape, source.dtype)
    assert [part.tobytes() for pair in (base, other) for part in pair] == before
    for rows in (mixed[1] != base[1], (mixed[0] != base[0]).any(axis=2)):
        assert np.array_equal(mixed[1][rows], other[1][rows]), "what is new comes from the other, in its place"
        assert np.array_equal(mixed[0][rows], other[0][rows])


def test_cutmix_boxes_take_half_of_the_area_on_average_and_reach_everywhere() -> None:
    total, reached, alone = 0.0, np.zeros(HW, int), []
    for draw in range(300):
        image, mask = MIXES["cutmix"](solid(0, 10), solid(1, 200), draw_generator(0, 0, draw), 255)
        assert np.array_equal(mask == 1, image[..., 0] == 200)
        rows, columns = np.nonzero(mask)
        if len(rows):
            box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (box == 1).all(), "one box"
        total, reached = total + mask.mean() / 300, reached + mask
        alone.append(mask.mean())
    assert 0.25 < total < 0.5, "half, less what the edge of the image cuts off"
    assert reached.min() > 5
    assert min(alone) < 0.05
    assert max(alone) > 0.7


def test_classmix_takes_half_of_the_classes_whole() -> None:
    other_mask = np.repeat(np.arange(5, dtype=np.uint8), 12)[None].repeat(20, axis=0)
    other_mask[:3] = 255
    other = np.full((*other_mask.shape, 3), 200, np.uint8), other_mask
    taken = set()
    for draw in range(40):
        image, mask = MIXES["classmix"](solid(9, 10, other_mask.shape), other, draw_generator(0, 0, draw), 255)
        new = set(np.unique(mask).tolist()) - {9}
        assert len(new) == 3, "half of five, rounded up"
        for k in new:
            assert np.array_equal(mask == k, other_mask == k)
        assert np.array_equal(image[..., 0] == 200, mask != 9)
        assert (mask[:3] == 9).all(), "ignored pixels of the other are no class"
        taken |= new
    assert taken == set(range(5))


def test_classmix_of_a_single_class_and_of_none() -> None:
    image, mask = MIXES["classmix"](solid(0, 10), solid(4, 200), draw_generator(0, 0, 0), 255)
    assert (mask == 4).all()
    assert (image == 200).all()
    image, mask = MIXES["classmix"](solid(0, 10), solid(255, 200), draw_generator(0, 0, 0), 255)
    assert (mask == 0).all()
    assert (image == 10).all()


def with_objects() -> Pair:
    """Two squares of class 3, bright, on dark class 0."""
    image, mask = solid(0, 20)
    for top, left in ((5, 5), (30, 40)):
        image[top : top + 10, left : left + 10] = 220
        mask[top : top + 10, left : left + 10] = 3
    return image, mask


@given(draw=st.integers(0, 9999), hw=st.tuples(sides, sides), source_hw=st.tuples(sides, sides), big=st.booleans())
def test_paste_keeps_to_the_contract(draw: int, hw: tuple[int, int], source_hw: tuple[int, int], big: bool) -> None:
    base: Pair = photo(hw), np.zeros(hw, np.uint8)
    source: Pair = photo(source_hw, 1), (np.random.default_rng(draw).random(source_hw) < 0.4).astype(np.uint8)
    if big:
        base, source = wide(base), wide(source)
    before = [part.tobytes() for pair in (base, source) for part in pair]
    class_id = 300 if big else 1
    image, mask = paste(base, source, class_id, draw_generator(0, 0, draw))
    assert image.shape == (*hw, 3)
    assert image.dtype == np.uint8
    assert mask.shape == hw
    assert mask.dtype == base[1].dtype
    assert set(np.unique(mask).tolist()) <= {0, class_id}
    assert [part.tobytes() for pair in (base, source) for part in pair] == before
    again = paste(base, source, class_id, draw_generator(0, 0, draw))
    assert np.array_equal(image, again[0])
    assert np.array_equal(mask, again[1])


def test_pasted_objects_lie_where_the_mask_says() -> None:
    places, areas = [], []
    for draw in range(60):
        image, mask = paste(solid(0, 20), with_objects(), 3, draw_generator(0, 0, draw))
        inside = (mask == 3).astype(np.uint8)
        assert (image[cv2.dilate(inside, CROSS, iterations=3) == 0] == 20).all(), "the edge is blended, no more"
        places.append(np.argwhere(mask == 3).mean(axis=0))
        areas.append(int((mask == 3).sum()))
    assert np.std(places, axis=0).min() > 6, "anywhere"
    assert min(areas) < 100 < 180 < max(areas), "one or both, smaller and larger"


def test_a_pasted_object_and_its_mask_have_one_centre() -> None:
    image, mask = with_objects()
    mask[30:] = 0
    for draw in range(60):
        after, after_mask = paste(solid(0, 20), (image, mask), 3, draw_generator(0, 0, draw))
        core = cv2.erode((after_mask == 3).astype(np.uint8), CROSS, iterations=2, borderValue=0)
        assert (after[core > 0] > 200).all(), "only the edge is blended"
        inside = np.argwhere(after_mask == 3)
        if inside.min() > 3 and (inside.max(axis=0) < np.array(HW) - 4).all():
            light = after[..., 0] - 20.0
            centre = [(places_px * light).sum() / light.sum() for places_px in np.indices(HW)]
            assert np.abs(centre - inside.mean(axis=0)).max() < 0.3


def test_the_edge_of_a_pasted_object_is_blended_and_its_mask_is_sharp() -> None:
    image, mask = paste(solid(0, 20), with_objects(), 3, draw_generator(0, 0, 5))
    assert set(np.unique(mask).tolist()) == {0, 3}
    assert ((image > 30) & (image < 200)).any()


def test_paste_without_flips_keeps_the_side() -> None:
    image, mask = solid(0, 20)
    mask[10:30, 10:30] = 3
    image[10:30, 10:20], image[10:30, 20:30] = 100, 240
    for flip, expected in ((0.0, {True}), (0.5, {True, False})):
        sides_seen = set()
        for draw in range(30):
            after, after_mask = paste(solid(0, 20), (image, mask), 3, draw_generator(0, 0, draw), flip=flip)
            columns = np.nonzero(after_mask == 3)[1]
            if np.ptp(columns) > 12 and columns.min() > 0 and columns.max() < HW[1] - 1:
                left, right = (after[..., 0][(after_mask == 3) & side].mean() for side in halves(columns))
                sides_seen.add(bool(left < right))
        assert sides_seen == expected


def halves(
    columns: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> list[np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    middle = (columns.min() + columns.max()) / 2
    x = np.arange(HW[1])[None].repeat(HW[0], axis=0)
    return [x < middle - 1, x > middle + 1]


def test_specks_are_not_pasted_where_there_are_objects() -> None:
    image, mask = with_objects()
    mask[0::4, 20:36:4] = 3
    for draw in range(30):
        _, after = paste(solid(0, 20), (image, mask), 3, draw_generator(0, 0, draw))
        assert (after == 3).sum() > 20
    _, speck = paste(solid(0, 20), (image, np.where(mask == 3, 0, mask)), 3, draw_generator(0, 0, 0))
    assert (speck == 0).all(), "a class that is not there changes nothing"
