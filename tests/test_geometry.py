from __future__ import annotations

import numpy as np
import pytest
from drawing import photo
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskwright.geometry import Fit, Letterbox, resize_nearest
from maskwright.types import Mask

sides = st.integers(1, 300)
sizes = st.tuples(sides, sides)
fits: st.SearchStrategy[Fit] = st.sampled_from(("pad", "stretch"))


def half_plane(hw: tuple[int, int], angle: float) -> NDArray[np.uint8]:
    y, x = np.mgrid[0 : hw[0], 0 : hw[1]]
    side = (x - (hw[1] - 1) / 2) * np.cos(angle) + (y - (hw[0] - 1) / 2) * np.sin(angle)
    return np.asarray(side > 0, np.uint8)


@given(sizes, sizes, fits, st.booleans())
def test_forward_and_back_restore_the_size_and_invent_no_id(
    source: tuple[int, int], canvas: tuple[int, int], fit: Fit, wide: bool
) -> None:
    ignore = 65535 if wide else 255
    ids = (np.arange(source[0] * source[1]) % 7).reshape(source)
    mask: Mask = ids.astype(np.uint16) if wide else ids.astype(np.uint8)
    box = Letterbox.fit(source, canvas, fit)
    forward = box.forward_mask(mask, ignore)
    back = box.back_mask(forward)
    assert forward.shape == canvas
    assert back.shape == source
    assert forward.dtype == back.dtype == mask.dtype
    assert set(np.unique(forward)) <= set(np.unique(mask)) | {ignore}
    assert set(np.unique(back)) <= set(np.unique(mask))
    assert box.forward_image(np.zeros((*source, 3), np.uint8)).shape == (*canvas, 3)
    assert box.back_scores(np.zeros((2, *canvas), np.float32)).shape == (2, *source)


@given(sizes, sizes)
def test_padding_keeps_the_aspect_and_lies_on_both_sides(source: tuple[int, int], canvas: tuple[int, int]) -> None:
    box = Letterbox.fit(source, canvas, "pad")
    assert box.inner_hw[0] == canvas[0] or box.inner_hw[1] == canvas[1]
    scale = min(canvas[0] / source[0], canvas[1] / source[1])
    assert abs(box.inner_hw[0] - source[0] * scale) <= 1
    assert abs(box.inner_hw[1] - source[1] * scale) <= 1
    top, left = box.offset_yx
    assert abs(canvas[0] - box.inner_hw[0] - 2 * top) <= 1
    assert abs(canvas[1] - box.inner_hw[1] - 2 * left) <= 1


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("canvas", [(64, 64), (200, 90), (333, 335), (48, 256)])
@pytest.mark.parametrize("angle", [0.0, 0.5, 1.57, 2.5])
def test_an_edge_comes_back_within_one_pixel_of_the_coarser_grid(
    canvas: tuple[int, int], angle: float, fit: Fit
) -> None:
    source = (120, 150)
    mask = half_plane(source, angle)
    box = Letterbox.fit(source, canvas, fit)
    back = box.back_mask(box.forward_mask(mask, 255))
    coarse = max(1.0, source[0] / box.inner_hw[0], source[1] / box.inner_hw[1])
    y, x = np.nonzero(back != mask)
    distance = np.abs((x - (source[1] - 1) / 2) * np.cos(angle) + (y - (source[0] - 1) / 2) * np.sin(angle))
    assert distance.size == 0 or distance.max() <= coarse
    # A shift would move the edge to one side; without one, as many pixels are won as lost.
    balance = abs(int(back.sum()) - int(mask.sum())) / max(source)
    assert balance <= 0.5 * coarse


@pytest.mark.parametrize("canvas", [(64, 80), (96, 128), (300, 300)])
@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_smooth_scores_survive_the_way_there_and_back(canvas: tuple[int, int], fit: Fit) -> None:
    image = photo((120, 150))
    box = Letterbox.fit((120, 150), canvas, fit)
    scores = np.ascontiguousarray(box.forward_image(image).transpose(2, 0, 1)).astype(np.float32)
    back = box.back_scores(scores)
    assert back.dtype == np.float32
    assert np.abs(back - image.transpose(2, 0, 1)).max() < 6


def test_the_same_size_copies_nothing() -> None:
    image, mask = photo((20, 30)), half_plane((20, 30), 0.3)
    box = Letterbox.fit((20, 30), (20, 30), "pad")
    assert box.forward_image(image) is image
    assert box.forward_mask(mask, 255) is mask


def test_padding_is_black_in_the_image_and_ignored_in_the_mask() -> None:
    box = Letterbox.fit((10, 20), (20, 20), "pad")
    image = box.forward_image(np.full((10, 20, 3), 200, np.uint8))
    mask = box.forward_mask(np.ones((10, 20), np.uint8), 255)
    assert (mask[:5] == 255).all()
    assert (mask[15:] == 255).all()
    assert (mask[5:15] == 1).all()
    assert (image[mask == 255] == 0).all()
    assert (image[mask == 1] == 200).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5))
def test_enlarging_by_a_whole_factor_repeats_pixels(rows: int, columns: int, factor: int) -> None:
    mask = np.random.default_rng(rows * 41 + columns).integers(0, 9, (rows, columns)).astype(np.uint8)
    expected = mask.repeat(factor, 0).repeat(factor, 1)
    assert np.array_equal(resize_nearest(mask, expected.shape), expected)
