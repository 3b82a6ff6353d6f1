"""Distances between contours agree with scipy and torchmetrics, and say what they cannot know."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mask_pairs import PAIRS, beside_ignore, blobs, disc, every_pair, known_ids, without_ignored
from scipy import ndimage
from torchmetrics.segmentation import HausdorffDistance

from maskwright.metrics.surface import surface_dice, surface_distances
from maskwright.types import Mask

CROSS = ndimage.generate_binary_structure(2, 1)


def slow_surface(ids: np.ndarray, k: int) -> np.ndarray:
    """Pixels of class k that one erosion takes away; unknown pixels stand firm, the outside does not."""
    firm = (ids == k) | (ids == -1)
    return np.asarray((ids == k) & ~ndimage.binary_erosion(firm, CROSS, border_value=0))


@every_pair
@pytest.mark.parametrize("tolerance", [0.0, 1.0, np.sqrt(5), 6.5])
def test_distances_agree_with_scipy(truth: Mask, guess: Mask, classes: int, tolerance: float) -> None:
    found = surface_distances(truth, guess, classes, tolerance)
    label, predicted = known_ids(truth, guess, classes)
    for k in range(classes):
        one, other = slow_surface(label, k), slow_surface(predicted, k)
        if not one.any() or not other.any():
            alone = one.any() or other.any()
            assert found.hd95_px[k] == np.inf if alone else np.isnan(found.hd95_px[k])
            assert found.dice_4K[:, k].tolist() == [one.sum(), 0, other.sum(), 0]
            continue
        there, back = ndimage.distance_transform_edt(~other)[one], ndimage.distance_transform_edt(~one)[other]
        assert found.hd95_px[k] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-4)
        near = [(far <= tolerance + 1e-9).sum() for far in (there, back)]
        assert found.dice_4K[:, k].tolist() == [len(there), near[0], len(back), near[1]]


@pytest.mark.parametrize("name", ["blobs", "shifted", "lines", "at the edge of the image", "noise", "one pixel"])
def test_the_whole_distance_is_that_of_torchmetrics(name: str) -> None:
    truth, guess, classes = without_ignored(PAIRS[name])
    side = min(truth.shape)  # torchmetrics 1.9 is wrong where an image is not square (its issue 3300)
    truth, guess = truth[:side, :side], guess[:side, :side]
    found = surface_distances(truth, guess, classes, 1.0, percentile=100).hd95_px
    for k in range(classes):
        planes = [torch.from_numpy((mask == k).astype(np.int64))[None, None] for mask in (guess, truth)]
        theirs = HausdorffDistance(num_classes=1, include_background=True, input_format="one-hot")
        assert found[k] == pytest.approx(float(theirs(*planes)), abs=1e-4)


def test_a_shift_is_as_far_as_it_is() -> None:
    truth, guess = disc((100, 120), (50, 50), 20), disc((100, 120), (55, 50), 20)
    found = surface_distances(truth, guess, 2, 5.0)
    assert 4 < found.hd95_px[1] <= 5
    assert surface_dice(found.dice_4K)[1] == 1
    assert surface_dice(surface_distances(truth, guess, 2, 2.0).dice_4K)[1] < 0.7
    same = surface_distances(truth, truth, 2, 0.0)
    assert same.hd95_px.tolist() == [0, 0]
    assert surface_dice(same.dice_4K).tolist() == [1, 1]


def test_a_class_on_one_side_only_is_infinitely_far() -> None:
    truth, guess = disc((60, 80), (40, 30), 12), np.zeros((60, 80), np.uint8)
    for one, other in ((truth, guess), (guess, truth)):
        found = surface_distances(one, other, 3, 2.0)
        assert found.hd95_px[1] == np.inf
        assert np.isnan(found.hd95_px[2])
        assert surface_dice(found.dice_4K)[1] == 0
        assert np.isnan(surface_dice(found.dice_4K)[2])


def test_edges_against_ignored_pixels_are_no_surface() -> None:
    truth, guess, classes = beside_ignore()
    found = surface_distances(truth, guess, classes, 1.0)
    assert found.hd95_px[1] == 1  # and not 13, as it would be with the right side of the prediction
    assert found.dice_4K[:, 1].tolist() == [28, 28, 27, 27]


@given(seed=st.integers(0, 10_000))
def test_symmetric_and_blind_to_predictions_on_ignored_pixels(seed: int) -> None:
    truth, guess = blobs(seed), blobs(seed + 1, ignored=False)
    found = surface_distances(truth, guess, 5, 2.0)
    other = surface_distances(truth, np.where(truth < 5, guess, blobs(seed + 2, ignored=False)), 5, 2.0)
    back = surface_distances(guess, truth, 5, 2.0)
    for same in (other, back):
        assert np.array_equal(same.hd95_px, found.hd95_px, equal_nan=True)
    assert np.array_equal(other.dice_4K, found.dice_4K)
    assert np.array_equal(back.dice_4K, found.dice_4K[[2, 3, 0, 1]])


def test_surface_dice_takes_leading_dimensions() -> None:
    counts = np.stack([surface_distances(blobs(s), blobs(s + 1), 6, 1.0).dice_4K for s in range(4)])
    assert surface_dice(counts.reshape(2, 2, 4, 6)).shape == (2, 2, 6)
    total = counts.sum(0)
    assert surface_dice(total)[0] == (total[1, 0] + total[3, 0]) / (total[0, 0] + total[2, 0])


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        surface_distances(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2, 1.0)
