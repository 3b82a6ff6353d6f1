from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from drawing import photo, shapes, shapes_classes
from hypothesis import given
from hypothesis import strategies as st

from maskwright.config import AugmentRecipe, Recipe
from maskwright.data.augmenting.augment import augment, draw_generator, draw_sample
from maskwright.data.augmenting.sampling import balance, count_classes
from maskwright.data.augmenting.warp import draw_geometry, warp
from maskwright.data.pairs import Pair
from maskwright.types import Image, Mask

STILL = AugmentRecipe(flip=0)
share = st.floats(0, 1)
recipes = st.builds(
    lambda low, high, **rest: AugmentRecipe(scale=(min(low, high), max(low, high)), **rest),
    low=st.floats(0.05, 8),
    high=st.floats(0.05, 8),
    flip=share,
    flip_vertical=share,
    rotate=st.floats(0, 180),
    shift=share,
    brightness=share,
    contrast=share,
    gamma=share,
    cast=share,
    blur=share,
    rotate_safe=st.booleans(),
    shear=st.floats(0, 60),
    elastic=st.floats(0, 0.2),
    saturation=share,
    hue=st.floats(0, 0.5),
    shadow=share,
    noise=share,
    jpeg=share,
)
STRONG = AugmentRecipe(
    flip=0.5, flip_vertical=0.5, rotate=180, scale=(0.5, 2), shift=0.3, brightness=0.5, contrast=0.5, blur=0.5, cast=0.3
)


def apply(
    image: Image, mask: Mask, recipe: AugmentRecipe, draw: int = 0, out_hw: tuple[int, int] | None = None
) -> tuple[Image, Mask]:
    hw = (mask.shape[0], mask.shape[1])
    ignore = int(np.iinfo(mask.dtype).max)
    return augment(image, mask, recipe, draw_generator(3, 1, draw), out_hw=out_hw or hw, ignore=ignore)


def disc(hw: tuple[int, int]) -> tuple[Image, Mask]:
    """A bright disc off the centre, the same in image and mask."""
    mask = np.zeros(hw, np.uint8)
    cv2.circle(mask, (hw[1] * 2 // 5, hw[0] * 3 // 5), min(hw) // 5, 1, -1)
    return np.repeat((mask * 240)[..., None], 3, axis=2).astype(np.uint8), mask


@given(recipes, st.integers(0, 999), st.tuples(st.integers(1, 70), st.integers(1, 70)), st.booleans())
def test_ids_after_are_a_subset_of_ids_before_plus_ignore(
    recipe: AugmentRecipe, draw: int, out_hw: tuple[int, int], wide: bool
) -> None:
    image, mask = shapes(draw, (30, 44), ignored=False)
    mask_HW: Mask = mask.astype(np.uint16) * 300 if wide else mask
    ignore = 65535 if wide else 255
    after_image, after = apply(image, mask_HW, recipe, draw, out_hw)
    assert after.shape == out_hw
    assert after_image.shape == (*out_hw, 3)
    assert after.dtype == mask_HW.dtype
    assert after_image.dtype == np.uint8
    assert set(np.unique(after)) <= set(np.unique(mask_HW)) | {ignore}


@given(recipes, st.integers(0, 999))
def test_the_same_draw_gives_the_same_result(recipe: AugmentRecipe, draw: int) -> None:
    image, mask = shapes(draw, (30, 44))
    first, second = apply(image, mask, recipe, draw), apply(image, mask, recipe, draw)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_other_draws_give_other_results() -> None:
    image, mask = shapes(0)
    results = {apply(image, mask, STRONG, draw)[0].tobytes() for draw in range(20)}
    assert len(results) == 20


def test_draws_differ_by_seed_epoch_and_index() -> None:
    draws = [
        draw_generator(*key).random() for key in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 2), (0, 2, 0), (2, 0, 0)]
    ]
    assert len(set(draws)) == 6


@pytest.mark.parametrize("draw", range(5))
def test_a_recipe_that_changes_nothing_returns_the_sample(draw: int) -> None:
    image, mask = shapes(draw)
    after_image, after_mask = apply(image, mask, STILL, draw)
    assert np.array_equal(after_image, image)
    assert np.array_equal(after_mask, mask)


@pytest.mark.parametrize("hw", [(30, 44), (31, 45), (1, 1), (1, 7)])
def test_flips_are_exactly_numpys(hw: tuple[int, int]) -> None:
    image, mask = photo(hw), (np.arange(hw[0] * hw[1]) % 5).reshape(hw).astype(np.uint8)
    for recipe, flip in [
        (AugmentRecipe(flip=1), np.fliplr),
        (AugmentRecipe(flip=0, flip_vertical=1), np.flipud),
        (AugmentRecipe(flip=1, flip_vertical=1), lambda a: np.flipud(np.fliplr(a))),
    ]:
        after_image, after_mask = apply(image, mask, recipe)
        assert np.array_equal(after_image, flip(image))
        assert np.array_equal(after_mask, flip(mask))


def test_flips_come_as_often_as_asked() -> None:
    image, mask = shapes(0)
    recipe = AugmentRecipe(flip=0.3)
    flipped = sum(not np.array_equal(apply(image, mask, recipe, draw)[1], mask) for draw in range(400))
    assert 0.22 < flipped / 400 < 0.38


@pytest.mark.parametrize("draw", range(12))
@pytest.mark.parametrize(
    "recipe",
    [
        AugmentRecipe(flip=0, rotate=45),
        AugmentRecipe(flip=0, scale=(0.6, 1.7)),
        AugmentRecipe(flip=0, shift=0.2),
        AugmentRecipe(flip=0.5, flip_vertical=0.5, rotate=180, scale=(0.6, 1.7), shift=0.2),
        AugmentRecipe(flip=0, shear=30),
        AugmentRecipe(flip=0, elastic=0.08),
        AugmentRecipe(flip=0.5, rotate=180, rotate_safe=True, scale=(0.6, 1.7), shear=15, elastic=0.04),
    ],
)
def test_image_and_mask_stay_aligned(recipe: AugmentRecipe, draw: int) -> None:
    image, mask = disc((120, 160))
    after_image, after_mask = apply(image, mask, recipe, draw)
    seen, inside = after_image[..., 0] > 120, after_mask == 1
    known = after_mask != 255
    union = int((known & (seen | inside)).sum())
    assert union == 0 or (known & (seen ^ inside)).sum() / union < 0.06
    if inside.sum() > 100 and known.all():
        for axis in (0, 1):
            assert abs(np.nonzero(seen)[axis].mean() - np.nonzero(inside)[axis].mean()) < 0.3


def test_new_borders_are_ignored_and_only_they() -> None:
    image, mask = np.full((40, 60, 3), 90, np.uint8), np.ones((40, 60), np.uint8)
    matrix = np.eye(3)
    matrix[:2, 2] = (10, -5)
    after_image, after = warp(image, mask, matrix, (40, 60), 255)
    expected = np.ones((40, 60), np.uint8)
    expected[:, :10] = 255
    expected[35:] = 255
    assert np.array_equal(after, expected)
    assert (after_image == 90).all()


@pytest.mark.parametrize("draw", range(20))
def test_a_crop_without_zoom_is_a_window_of_the_sample(draw: int) -> None:
    hw, out = (50, 70), (21, 32)
    mask = np.arange(hw[0] * hw[1]).reshape(hw).astype(np.uint16)
    image = photo(hw)
    after_image, after = apply(image, mask, STILL, draw, out)
    top, left = divmod(int(after[0, 0]), hw[1])
    window = (slice(top, top + out[0]), slice(left, left + out[1]))
    assert np.array_equal(after, mask[window])
    assert np.array_equal(after_image, image[window])


def test_crops_reach_every_corner() -> None:
    corners = set()
    for draw in range(600):
        matrix = draw_geometry(STILL, draw_generator(0, 0, draw), (6, 7), (4, 4))
        corners.add((-int(matrix[1, 2]), -int(matrix[0, 2])))
    assert corners == {(top, left) for top in range(3) for left in range(4)}


@pytest.mark.parametrize(
    "recipe",
    [
        AugmentRecipe(flip=0, brightness=0.3),
        AugmentRecipe(flip=0, contrast=0.5),
        AugmentRecipe(flip=0, gamma=0.5),
        AugmentRecipe(flip=0, cast=0.3),
        AugmentRecipe(flip=0, blur=1),
        AugmentRecipe(flip=0, saturation=0.5),
        AugmentRecipe(flip=0, hue=0.2),
        AugmentRecipe(flip=0, shadow=1),
        AugmentRecipe(flip=0, noise=0.2),
        AugmentRecipe(flip=0, jpeg=1),
    ],
)
def test_colour_changes_leave_the_mask_alone(recipe: AugmentRecipe) -> None:
    image, mask = shapes(2)
    after_image, after_mask = apply(image, mask, recipe)
    assert np.array_equal(after_mask, mask)
    assert not np.array_equal(after_image, image)
    assert image.tobytes() == shapes(2)[0].tobytes(), "the source is not written to"


def test_brightness_stays_within_its_share() -> None:
    image, mask = np.full((8, 8, 3), 128, np.uint8), np.zeros((8, 8), np.uint8)
    changes = [int(apply(image, mask, AugmentRecipe(flip=0, brightness=0.2), d)[0][0, 0, 0]) - 128 for d in range(200)]
    assert -52 <= min(changes) < -40
    assert 40 < max(changes) <= 52


class Drawn:
    """Samples in memory, and how often each was asked for."""

    def __init__(self, found: Sequence[Pair]) -> None:
        self.found, self.asked = found, list[int]()

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> Pair:
        self.asked.append(index)
        return self.found[index]

    def mask(self, index: int) -> Mask:
        return self.found[index][1]


EVERYTHING = Recipe.from_dict(
    {
        "data": {"size": [30, 44], "crop": [21, 32], "crop_focus": 0.5, "sampling": "balanced"},
        "augment": {
            "flip": 0.5, "flip_vertical": 0.5, "rotate": 30, "rotate_safe": True, "scale": [0.7, 1.6], "shift": 0.1,
            "shear": 10, "elastic": 0.05, "brightness": 0.2, "contrast": 0.2, "gamma": 0.2, "cast": 0.1,
            "saturation": 0.3, "hue": 0.1, "shadow": 0.5, "blur": 0.5, "noise": 0.1, "jpeg": 0.5,
            "cutmix": 0.5, "classmix": 0.5, "paste": 0.7, "paste_classes": ["disc", "box"],
        },
    }
)  # fmt: skip


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("hw", [(30, 44), (1, 17), (19, 1), (1, 1)])
def test_everything_at_once_keeps_the_contract(hw: tuple[int, int], wide: bool) -> None:
    masks: list[Mask] = [shapes(n, (30, 44))[1][: hw[0], : hw[1]] for n in range(4)]
    masks += [np.full(hw, 2, np.uint8), np.full(hw, 255, np.uint8)]
    ignore = 65535 if wide else 255
    if wide:
        masks = [np.where(mask == 255, np.uint16(65535), mask).astype(np.uint16) for mask in masks]
    pairs = Drawn([(photo(hw, n), mask) for n, mask in enumerate(masks)])
    found = balance(count_classes(pairs, 3), EVERYTHING, shapes_classes())
    before = [(image.tobytes(), mask.tobytes()) for image, mask in pairs.found]
    for draw in range(40):
        index = draw % len(pairs)
        image, mask = draw_sample(
            pairs, index, EVERYTHING, draw_generator(0, draw, index), ignore=ignore, balance=found
        )
        again = draw_sample(pairs, index, EVERYTHING, draw_generator(0, draw, index), ignore=ignore, balance=found)
        assert np.array_equal(image, again[0])
        assert np.array_equal(mask, again[1])
        assert image.shape == (21, 32, 3)
        assert image.dtype == np.uint8
        assert mask.shape == (21, 32)
        assert mask.dtype == masks[0].dtype
        assert set(np.unique(mask).tolist()) <= {0, 1, 2, ignore}
    assert [(image.tobytes(), mask.tobytes()) for image, mask in pairs.found] == before, "sources are not written to"


def test_ids_come_from_the_sample_and_its_partners_alone() -> None:
    recipe = EVERYTHING.with_values(data__crop_focus=0, augment__paste=0)
    pairs = Drawn([(photo((30, 44), k), np.full((30, 44), k, np.uint8)) for k in range(9)])
    mixed = 0
    for draw in range(60):
        pairs.asked.clear()
        _, mask = draw_sample(pairs, draw % 9, recipe, draw_generator(0, draw, 0), ignore=255)
        assert set(np.unique(mask).tolist()) <= {*pairs.asked, 255}
        mixed += len(np.unique(mask)) > 1
    assert mixed > 10


def test_without_mixing_only_the_sample_is_read() -> None:
    recipe = Recipe.from_dict({"data": {"size": [30, 44]}})
    pairs = Drawn([shapes(n, (30, 44)) for n in range(3)])
    image, mask = draw_sample(pairs, 1, recipe, draw_generator(0, 0, 1), ignore=255)
    assert pairs.asked == [1]
    alone = augment(*shapes(1, (30, 44)), recipe.augment, draw_generator(0, 0, 1), out_hw=(30, 44), ignore=255)
    assert np.array_equal(image, alone[0])
    assert np.array_equal(mask, alone[1])


def test_paste_brings_a_rare_class_into_samples_without_it() -> None:
    rare = np.zeros((30, 44), np.uint8)
    rare[10:18, 20:30] = 1
    pairs = Drawn([(photo((30, 44)), rare)] + [(photo((30, 44), n), np.zeros((30, 44), np.uint8)) for n in range(5)])
    recipe = Recipe.from_dict({"data": {"size": [30, 44]}, "augment": {"paste": 1, "paste_classes": ["disc"]}})
    found = balance(count_classes(pairs, 3), recipe, shapes_classes())
    for index in range(1, 6):
        _, mask = draw_sample(pairs, index, recipe, draw_generator(0, 0, index), ignore=255, balance=found)
        assert 10 < (mask == 1).sum() < 200


def test_paste_without_a_rare_object_changes_nothing() -> None:
    recipe = Recipe.from_dict(
        {"data": {"size": [30, 44]}, "augment": {"flip": 0, "paste": 1, "paste_classes": ["box"]}}
    )
    image, mask = photo((30, 44)), np.zeros((30, 44), np.uint8)
    pairs = Drawn([(image, mask)])
    found = balance(count_classes(pairs, 3), recipe, shapes_classes())
    after = draw_sample(pairs, 0, recipe, draw_generator(0, 0, 0), ignore=255, balance=found)
    assert np.array_equal(after[0], image)
    assert np.array_equal(after[1], mask)


def test_focused_crops_show_the_rare_class_far_more_often() -> None:
    mask = np.zeros((90, 120), np.uint8)
    mask[70:73, 100:104] = 1
    pairs = Drawn([(photo((90, 120)), mask)])
    shown = []
    for focus in (0.0, 0.8):
        recipe = Recipe.from_dict({"data": {"size": [90, 120], "crop": [24, 24], "crop_focus": focus}})
        found = balance(count_classes(pairs, 3), recipe, shapes_classes())
        draws = [
            draw_sample(pairs, 0, recipe, draw_generator(0, epoch, 0), ignore=255, balance=found)[1]
            for epoch in range(100)
        ]
        shown.append(sum(bool((drawn == 1).any()) for drawn in draws))
        assert all((drawn != 255).all() for drawn in draws), "a focused crop stays inside"
    assert shown[0] < 25
    assert shown[1] > 60
