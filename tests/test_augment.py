from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawing import photo, shapes
from hypothesis import given
from hypothesis import strategies as st

from maskwright.config import AugmentRecipe
from maskwright.data.augment import augment, draw_generator, draw_geometry, warp
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
