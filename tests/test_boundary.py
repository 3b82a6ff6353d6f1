"""Boundary IoU and boundary F agree with slow loops, with the published code, and with what a reader expects."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_pairs import PAIRS, beside_ignore, blobs, disc, every_pair, known_ids, without_ignored
from scipy import ndimage

from maskwright.imageio import read_plane
from maskwright.metrics.boundary import (
    BAND_HIT,
    BAND_LABELLED,
    BAND_PREDICTED,
    GUESS_EDGE,
    GUESS_EDGE_HIT,
    LABEL_EDGE,
    LABEL_EDGE_HIT,
    boundary_counts,
    boundary_f,
    boundary_iou,
)
from maskwright.types import Mask


def slow_band(ids: np.ndarray, k: int, width: int) -> np.ndarray:
    """Pixels of class k that `width` plain erosions take away; unknown pixels stand firm, the outside does not."""
    rows, columns = ids.shape
    firm = np.pad((ids == k) | (ids == -1), 1)
    for _ in range(width):
        eroded = firm.copy()
        for dy in (0, 1, 2):
            for dx in (0, 1, 2):
                eroded[1:-1, 1:-1] &= firm[dy : dy + rows, dx : dx + columns]
        firm = eroded
    return np.asarray((ids == k) & ~firm[1:-1, 1:-1])


def slow_edge(ids: np.ndarray, k: int) -> np.ndarray:
    edge = np.zeros(ids.shape, bool)
    rows, columns = ids.shape
    for y, x in np.argwhere(ids == k):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= v < rows and 0 <= u < columns
            edge[y, x] |= inside and ids[v, u] not in (k, -1)
    return edge


def slow_counts(truth: Mask, guess: Mask, classes: int, width: int, tolerance: float) -> np.ndarray:
    counts = np.zeros((7, classes), np.int64)
    label, found = known_ids(truth, guess, classes)
    for k in np.unique([*label.ravel(), *found.ravel()]):
        if k < 0:
            continue
        bands = [slow_band(ids, k, width) for ids in (label, found)]
        counts[:3, k] = [(bands[0] & bands[1]).sum(), bands[0].sum(), bands[1].sum()]
        edges = [slow_edge(ids, k) for ids in (label, found)]
        for row, own, other in ((LABEL_EDGE, edges[0], edges[1]), (GUESS_EDGE, edges[1], edges[0])):
            far = ndimage.distance_transform_edt(~other) if other.any() else np.full(own.shape, np.inf)
            counts[row : row + 2, k] = own.sum(), (own & (far <= tolerance + 1e-9)).sum()
    return counts


@every_pair
@pytest.mark.parametrize(("ratio", "tolerance"), [(0.02, None), (0.1, 0.0), (0.05, 2.5), (0.2, 7.0), (3.0, 200.0)])
def test_counts_agree_with_slow_loops(
    truth: Mask, guess: Mask, classes: int, ratio: float, tolerance: float | None
) -> None:
    diagonal = math.hypot(*truth.shape)
    expected = slow_counts(
        truth,
        guess,
        classes,
        max(1, min(round(ratio * diagonal), 60)),
        math.ceil(0.0075 * diagonal) if tolerance is None else tolerance,
    )
    before = truth.copy(), guess.copy()
    found = boundary_counts(truth, guess, classes, ratio=ratio, tolerance_px=tolerance)
    assert found.dtype == np.int64
    assert np.array_equal(found, expected)
    assert np.array_equal(truth, before[0])
    assert np.array_equal(guess, before[1])


def published_boundary(mask: Mask, dilation_ratio: float = 0.02) -> Mask:
    """mask_to_boundary of Cheng et al. (github.com/bowenc0221/boundary-iou-api)."""
    h, w = mask.shape
    dilation = round(dilation_ratio * math.hypot(h, w))
    dilation = max(dilation, 1)
    new_mask = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(new_mask, np.ones((3, 3), np.uint8), iterations=dilation)
    return np.asarray(mask - eroded[1 : h + 1, 1 : w + 1], np.uint8)


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in ("no pixel", "16 bit", "two types")])
@pytest.mark.parametrize("ratio", [0.02, 0.1])
def test_the_bands_are_those_of_the_published_code(name: str, ratio: float) -> None:
    truth, guess, classes = without_ignored(PAIRS[name])
    found = boundary_iou(boundary_counts(truth, guess, classes, ratio=ratio))
    for k in range(classes):
        label, guessed = (published_boundary((mask == k).astype(np.uint8), ratio) > 0 for mask in (truth, guess))
        union = (label | guessed).sum()
        expected = (label & guessed).sum() / union if union else np.nan
        assert found[k] == pytest.approx(expected, nan_ok=True)


def test_a_shift_costs_an_edge_score_more_than_an_area_score() -> None:
    truth, guess = disc((200, 300), (150, 100), 60), disc((200, 300), (154, 100), 60)
    counts = boundary_counts(truth, guess, 2)
    area = (truth & guess).sum() / (truth | guess).sum()
    assert area > 0.91
    # A diagonal of 361 px: a band of 7 px, a tolerance of 3 px; the top and the bottom of the disc are off by less.
    assert boundary_iou(counts)[1] < 0.6
    assert 0.3 < boundary_f(counts)[1] < 0.75
    assert boundary_f(boundary_counts(truth, guess, 2, tolerance_px=4))[1] == 1


def test_the_edge_of_the_image_is_contour_of_the_band_and_none_of_boundary_f() -> None:
    full = np.ones((50, 100), np.uint8)
    counts = boundary_counts(full, full, 2)
    assert counts[BAND_LABELLED].tolist() == [0, 2 * 100 * 2 + 2 * 2 * 46]  # 2 px of a diagonal of 112
    assert boundary_iou(counts)[1] == 1
    assert counts[LABEL_EDGE:].sum() == 0
    assert np.isnan(boundary_f(counts)).all()


def test_an_edge_against_ignored_pixels_is_no_edge() -> None:
    truth, guess, classes = beside_ignore()
    counts = boundary_counts(truth, guess, classes, tolerance_px=1)
    # The box has 10 x 10 pixels: its left, top and bottom side are contour, its right one against ignore is not.
    assert counts[LABEL_EDGE, 1] == 10 + 9 + 9
    assert counts[GUESS_EDGE, 1] == 11 + 8 + 8
    assert boundary_f(counts)[1] == 1
    # Across a narrow strip of ignored pixels, as in Pascal VOC, the band still sees the other class.
    strip = np.zeros((60, 80), np.uint8)
    strip[:, 40:] = 1
    strip[:, 38:42] = 255
    inner = boundary_counts(strip, strip, 2, ratio=0.05)[BAND_LABELLED]
    assert inner.tolist() == [38 * 60 - 32 * 50, 38 * 60 - 32 * 50]


@given(seed=st.integers(0, 10_000))
def test_what_is_predicted_on_ignored_pixels_changes_nothing(seed: int) -> None:
    truth, guess = blobs(seed), blobs(seed + 1, ignored=False)
    other = np.where(truth < 5, guess, blobs(seed + 2, ignored=False))
    assert np.array_equal(boundary_counts(truth, guess, 5), boundary_counts(truth, other, 5))


@given(seed=st.integers(0, 10_000))
def test_label_and_prediction_may_change_places_and_classes_their_numbers(seed: int) -> None:
    truth, guess = blobs(seed), blobs(seed + 1)
    counts = boundary_counts(truth, guess, 5)
    swapped = boundary_counts(guess, truth, 5)
    order = [BAND_HIT, BAND_PREDICTED, BAND_LABELLED, GUESS_EDGE, GUESS_EDGE_HIT, LABEL_EDGE, LABEL_EDGE_HIT]
    assert np.array_equal(swapped, counts[order])
    names = np.append(np.random.default_rng(seed).permutation(5), np.zeros(251)).astype(np.uint8)
    names[255] = 255
    assert np.array_equal(boundary_counts(names[truth], names[guess], 5)[:, names[:5]], counts)
    assert np.array_equal(boundary_counts(truth.T, guess.T, 5), counts)
    assert np.array_equal(boundary_counts(truth[::-1, ::-1], guess[::-1, ::-1], 5), counts)


def test_ratios_are_of_summed_counts_and_take_leading_dimensions() -> None:
    pairs = [(blobs(seed), blobs(seed + 1)) for seed in range(4)]
    counts = np.stack([boundary_counts(truth, guess, 6) for truth, guess in pairs])
    assert boundary_iou(counts).shape == boundary_f(counts.reshape(2, 2, 7, 6)).reshape(4, 6).shape == (4, 6)
    assert np.isnan(boundary_iou(counts)[:, 5]).all()  # nobody has class 5
    assert np.isnan(boundary_f(counts)[:, 5]).all()
    total = counts.sum(0)
    assert boundary_iou(total)[0] == total[BAND_HIT, 0] / (
        total[BAND_LABELLED, 0] + total[BAND_PREDICTED, 0] - total[BAND_HIT, 0]
    )
    some = total[:, :5]
    precision, recall = some[GUESS_EDGE_HIT] / some[GUESS_EDGE], some[LABEL_EDGE_HIT] / some[LABEL_EDGE]
    assert boundary_f(total)[:5] == pytest.approx(2 * precision * recall / (precision + recall))


def test_a_class_on_one_side_only_scores_nothing_and_one_on_neither_has_no_score() -> None:
    truth, guess = disc((60, 80), (40, 30), 12), np.zeros((60, 80), np.uint8)
    counts = boundary_counts(truth, guess, 3)
    assert boundary_iou(counts)[1] == boundary_f(counts)[1] == 0
    assert np.isnan([boundary_iou(counts)[2], boundary_f(counts)[2]]).all()
    assert boundary_f(counts)[0] == 0  # the prediction has no contour of the background


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        boundary_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@pytest.mark.data
def test_street_scenes_agree_with_slow_loops(shared_data: Path) -> None:
    truth = read_plane(sorted((shared_data / "camvid" / "testannot").glob("*.png"))[100])[150:300, 200:400]
    guess = np.roll(truth, (3, 5), (0, 1))
    assert np.array_equal(boundary_counts(truth, guess, 11), slow_counts(truth, guess, 11, 5, 2))
