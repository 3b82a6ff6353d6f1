from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawing import photo, shapes
from hypothesis import given
from hypothesis import strategies as st

from maskwright.config import AugmentRecipe
from maskwright.data.augmenting.augment import draw_generator
from maskwright.data.augmenting.warp import draw_elastic, draw_geometry, view, warp

HW = (60, 84)


@given(
    st.integers(0, 9999),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.floats(0, 180),
    st.floats(0, 45),
    st.sampled_from([0, 0.05]),
)
def test_safe_rotation_shows_no_new_border(
    draw: int, in_hw: tuple[int, int], out_hw: tuple[int, int], rotate: float, shear: float, elastic: float
) -> None:
    recipe = AugmentRecipe(
        rotate=rotate, rotate_safe=True, scale=(0.5, 2), shift=0.4, shear=shear, elastic=elastic, flip_vertical=0.5
    )
    pair = photo(in_hw), np.zeros(in_hw, np.uint8)
    _, mask = view(pair, recipe, draw_generator(0, 0, draw), out_hw=out_hw, ignore=255)
    assert mask.shape == out_hw
    assert (mask == 0).all()


@pytest.mark.parametrize("angle", [10, 45, 90, 137])
def test_safe_rotation_zooms_no_more_than_it_must(angle: float) -> None:
    recipe = AugmentRecipe(flip=0, rotate=angle, rotate_safe=True)
    for draw in range(20):
        plain = draw_geometry(AugmentRecipe(flip=0, rotate=angle), draw_generator(0, 0, draw), HW, HW)
        matrix = draw_geometry(recipe, draw_generator(0, 0, draw), HW, HW)
        zoom = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
        assert np.allclose(matrix[:2, :2] / zoom, plain[:2, :2]), "the same rotation"
        corners = np.array([[-0.5, -0.5], [83.5, -0.5], [-0.5, 59.5], [83.5, 59.5]]) - matrix[:2, 2]
        back = np.linalg.solve(matrix[:2, :2], corners.T)
        assert back.min() > -0.51
        touches = np.isclose(back, -0.5, atol=1e-6).any() or np.isclose(back[0], 83.5).any()
        assert touches or np.isclose(back[1], 59.5).any(), "the largest view that fits"


def test_safe_rotation_leaves_what_needs_no_zoom() -> None:
    """A small crop in the middle of a large image can turn freely."""
    recipe = AugmentRecipe(flip=0, rotate=180)
    for draw in range(10):
        args = ((200, 200), (20, 20), 1.0, (99.5, 99.5))
        free = draw_geometry(recipe, draw_generator(0, 0, draw), *args)
        safe = draw_geometry(recipe.model_copy(update={"rotate_safe": True}), draw_generator(0, 0, draw), *args)
        assert np.allclose(free, safe)


def test_shear_leans_and_keeps_rows() -> None:
    recipe = AugmentRecipe(flip=0, shear=30)
    leans = [draw_geometry(recipe, draw_generator(0, 0, draw), HW, HW)[0, 1] for draw in range(200)]
    assert max(map(abs, leans)) <= np.tan(np.radians(30))
    assert min(leans) < -0.4 < 0.4 < max(leans)
    matrix = draw_geometry(recipe, draw_generator(0, 0, 0), HW, HW)
    assert np.allclose(matrix[1], [0, 1, 0])


@pytest.mark.parametrize("hw", [(60, 84), (1, 9), (9, 1), (1, 1), (200, 7)])
def test_elastic_is_smooth_and_within_its_reach(hw: tuple[int, int]) -> None:
    assert draw_elastic(AugmentRecipe(), draw_generator(0, 0, 0), hw) is None
    largest = []
    for draw in range(50):
        field = draw_elastic(AugmentRecipe(elastic=0.1), draw_generator(0, 0, draw), hw)
        assert field is not None
        assert field.shape == (*hw, 2)
        largest.append(np.abs(field).max() / min(hw))
    assert max(largest) <= 0.1001
    assert max(largest) > 0.08
    if hw == (60, 84):
        assert field is not None
        assert np.abs(np.diff(field, axis=1)).max() < 1, "no fold"


def test_a_displacement_of_nothing_is_the_plain_warp() -> None:
    image, mask = shapes(1, HW)
    none = np.zeros((*HW, 2), np.float32)
    after_image, after_mask = warp(image, mask, np.eye(3), HW, 255, none)
    assert np.array_equal(after_image, image)
    assert np.array_equal(after_mask, mask)
    matrix = draw_geometry(AugmentRecipe(rotate=30, shift=0.2), draw_generator(0, 0, 3), HW, HW)
    plain, bent = warp(image, mask, matrix, HW, 255), warp(image, mask, matrix, HW, 255, none)
    assert np.abs(plain[0].astype(int) - bent[0]).mean() < 1
    assert (plain[1] != bent[1]).mean() < 0.02


def test_a_displacement_moves_what_it_says() -> None:
    image, mask = shapes(1, HW, ignored=False)
    right = np.zeros((*HW, 2), np.float32)
    right[..., 0] = 7
    after_image, after_mask = warp(image, mask, np.eye(3), HW, 255, right)
    assert np.array_equal(after_mask[:, :-7], mask[:, 7:])
    assert np.array_equal(after_image[:, :-7], image[:, 7:])
    assert (after_mask[:, -7:] == 255).all()


def test_an_elastic_mask_moves_with_its_image() -> None:
    """A mask seen as an image and the mask itself bend alike."""
    _, mask = shapes(2, HW, ignored=False)
    mask = np.asarray(cv2.resize(mask, (84, 60), interpolation=cv2.INTER_NEAREST), np.uint8)
    as_image = np.repeat((mask * 100)[..., None], 3, axis=2).astype(np.uint8)
    recipe = AugmentRecipe(rotate=40, shear=10, elastic=0.1)
    for draw in range(20):
        image, after = view((as_image, mask), recipe, draw_generator(0, 0, draw), out_hw=HW, ignore=255)
        known = after != 255
        edges = (
            cv2.dilate(
                cv2.morphologyEx(after, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.ones((3, 3), np.uint8)
            )
            > 0
        )
        assert (np.abs(image[..., 0].astype(int) - after.astype(int) * 100)[known & ~edges] < 20).all()


def test_a_focus_is_the_centre_where_the_image_allows() -> None:
    for draw in range(20):
        matrix = draw_geometry(AugmentRecipe(rotate=30), draw_generator(0, 0, draw), (90, 120), (21, 21), 1, (60, 45))
        assert np.allclose(matrix[:2] @ [60, 45, 1], [10, 10], atol=0.51)
        corner = draw_geometry(AugmentRecipe(), draw_generator(0, 0, draw), (90, 120), (21, 21), 1, (119, 0))
        seen = np.linalg.inv(corner) @ [[0, 20], [0, 20], [1, 1]]
        assert sorted(seen[0].tolist()) == [99, 119]
        assert seen[1].tolist() == [0, 20]


def test_a_crop_as_large_as_the_image_ignores_the_focus() -> None:
    matrix = draw_geometry(AugmentRecipe(flip=0), draw_generator(0, 0, 0), HW, HW, 1, (3, 3))
    assert np.array_equal(matrix, np.eye(3))
