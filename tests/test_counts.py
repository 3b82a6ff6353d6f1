from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from maskwright.metrics.counts import DEFINITIONS, confusion, mean_iou, scores, summary
from maskwright.types import Classes, Mask

IGNORE = 255


def masks(seed: int, count: int = 5, hw: tuple[int, int] = (20, 31), ignored: float = 0.1) -> tuple[Mask, Mask]:
    """Label with some ignore, and a prediction that is right half of the time."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, count, hw).astype(np.uint8)
    predicted = np.where(rng.random(hw) < 0.5, target, rng.integers(0, count, hw)).astype(np.uint8)
    target[rng.random(hw) < ignored] = IGNORE
    return target, predicted


@pytest.mark.parametrize("count", [2, 5, 21, 255])
def test_agrees_with_scikit_learn(count: int) -> None:
    target, predicted = masks(1, count)
    known = target != IGNORE
    t, p = target[known], predicted[known]
    counted = confusion(target, predicted, count)
    labels = list(range(count))
    assert np.array_equal(counted, sklearn_metrics.confusion_matrix(t, p, labels=labels))
    ratios = scores(counted)
    present = ~np.isnan(ratios.iou)
    options = {"labels": labels, "average": None, "zero_division": 0}
    for ours, theirs in [
        (ratios.iou, sklearn_metrics.jaccard_score(t, p, **options)),
        (ratios.dice, sklearn_metrics.f1_score(t, p, **options)),
        (ratios.precision, sklearn_metrics.precision_score(t, p, **options)),
        (ratios.recall, sklearn_metrics.recall_score(t, p, **options)),
    ]:
        assert np.allclose(ours[present], theirs[present])
    assert ratios.pixel_accuracy == pytest.approx(sklearn_metrics.accuracy_score(t, p))


@pytest.mark.parametrize("count", [2, 5, 21])
def test_agrees_with_torchmetrics(count: int) -> None:
    total = np.zeros((count, count), np.int64)
    matrix = MulticlassConfusionMatrix(count, ignore_index=IGNORE)
    jaccard = MulticlassJaccardIndex(count, average="macro", ignore_index=IGNORE)
    for seed in range(4):
        target, predicted = masks(seed, count, (20 + seed, 31))
        total += confusion(target, predicted, count)
        pair = torch.from_numpy(predicted).long(), torch.from_numpy(target).long()
        matrix.update(*pair)
        jaccard.update(*pair)
    assert np.array_equal(total, matrix.compute().numpy())
    assert mean_iou(total) == pytest.approx(float(jaccard.compute()), abs=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_counts_of_any_partition_add_up(seed: int, parts: int) -> None:
    target, predicted = masks(seed, hw=(12, 12))
    owner = np.random.default_rng(seed + 1).integers(0, parts, target.shape)
    total = np.zeros((5, 5), np.int64)
    for part in range(parts):
        total += confusion(np.where(owner == part, target, IGNORE).astype(np.uint8), predicted, 5)
    assert np.array_equal(total, confusion(target, predicted, 5))


@given(st.integers(0, 10**6))
def test_iou_is_symmetric(seed: int) -> None:
    target, predicted = masks(seed, ignored=0)
    one, other = (scores(confusion(*pair, 5)) for pair in ((target, predicted), (predicted, target)))
    assert np.array_equal(one.iou, other.iou, equal_nan=True)
    assert np.array_equal(one.precision, other.recall, equal_nan=True)


@given(st.integers(0, 10**6), st.permutations(range(5)))
def test_renaming_classes_renames_scores(seed: int, order: list[int]) -> None:
    target, predicted = masks(seed)
    table = np.arange(256).astype(np.uint8)
    table[:5] = order
    before = scores(confusion(target, predicted, 5))
    after = scores(confusion(table[target], table[predicted], 5))
    assert np.array_equal(after.iou[order], before.iou, equal_nan=True)
    assert np.array_equal(after.recall[order], before.recall, equal_nan=True)
    assert after.pixel_accuracy == before.pixel_accuracy


def test_rows_are_labels_and_columns_predictions() -> None:
    counted = confusion(np.array([[0, 0, 1]], np.uint8), np.array([[0, 1, 1]], np.uint8), 2)
    assert counted.tolist() == [[1, 1], [0, 1]]
    assert counted.dtype == np.int64


def test_ignored_pixels_are_in_no_cell_on_either_side() -> None:
    target = np.array([[0, 255, 1, 7]], np.uint8)
    predicted = np.array([[0, 0, 255, 1]], np.uint8)
    assert confusion(target, predicted, 2).tolist() == [[1, 0], [0, 0]]


def test_a_class_with_neither_label_nor_prediction_has_no_score() -> None:
    ratios = scores(np.array([[8, 2, 0], [0, 10, 0], [0, 0, 0]]))
    assert math.isnan(ratios.iou[2])
    assert math.isnan(ratios.precision[2])
    assert math.isnan(ratios.recall[2])
    assert math.isnan(ratios.dice[2])
    assert mean_iou(np.array([[8, 2, 0], [0, 10, 0], [0, 0, 0]])) == pytest.approx((8 / 10 + 10 / 12) / 2)


def test_a_class_that_is_predicted_but_never_labelled_scores_zero() -> None:
    counted = np.array([[8, 2], [0, 0]])
    ratios = scores(counted)
    assert (ratios.iou[1], ratios.dice[1], ratios.precision[1], ratios.recall[1]) == (0, 0, 0, 0)
    assert mean_iou(counted) == pytest.approx(0.4)


def test_a_class_that_is_labelled_but_never_predicted_scores_zero() -> None:
    ratios = scores(np.array([[8, 0], [2, 0]]))
    assert (ratios.iou[1], ratios.precision[1], ratios.recall[1]) == (0, 0, 0)


def test_nothing_counted_has_no_score() -> None:
    empty = np.zeros((3, 3), np.int64)
    assert math.isnan(mean_iou(empty))
    assert math.isnan(scores(empty).pixel_accuracy)
    assert math.isnan(summary(empty, Classes.from_names(["a", "b", "c"]))["mean_dice"])


def test_counts_beyond_2_to_the_24_are_exact() -> None:
    hw = (4201, 4201)  # an odd number of pixels, which float32 does not hold
    target = np.broadcast_to(np.uint8(1), hw)
    counted = confusion(target, target, 2)
    assert counted.tolist() == [[0, 0], [0, hw[0] * hw[1]]]
    assert hw[0] * hw[1] > 2**24


@pytest.mark.parametrize("count", [5, 300])
def test_wide_masks_are_counted_like_narrow_ones(count: int) -> None:
    target, predicted = masks(3)
    scale = count // 5
    wide = np.where(target == IGNORE, 65535, target.astype(np.uint16) * scale).astype(np.uint16)
    counted = confusion(wide, predicted.astype(np.uint16) * np.uint16(scale), count)
    assert counted.shape == (count, count)
    assert np.array_equal(counted[::scale, ::scale], confusion(target, predicted, 5))
    assert counted.sum() == (target != IGNORE).sum()


def test_narrow_and_wide_may_be_mixed() -> None:
    target, predicted = masks(4)
    assert np.array_equal(confusion(target, predicted.astype(np.uint16), 5), confusion(target, predicted, 5))


@given(st.integers(0, 10**6), st.integers(0, 70), st.integers(1, 40), st.sampled_from([1, 3, 12, 255, 256, 300]))
def test_runs_of_any_length_and_place_are_counted(seed: int, pixels: int, run: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    lanes = rng.choice(np.array([0, 1, 2, 11, 12, 127, 128, 254, 255], np.uint8), (2, pixels + 8))
    target, predicted = (np.repeat(lane, rng.integers(1, run + 1, len(lane)))[: pixels + 8] for lane in lanes)
    target, predicted = target[None, seed % 8 :], predicted[None, seed % 5 :][:, : pixels + 8 - seed % 8]
    target = target[:, : predicted.shape[1]]
    expected = np.zeros((count, count), np.int64)
    for t, p in zip(target[0].tolist(), predicted[0].tolist(), strict=True):
        if t < count and p < count:
            expected[t, p] += 1
    assert np.array_equal(confusion(target, predicted, count), expected)


def test_masks_that_may_not_be_written_are_counted() -> None:
    target, predicted = masks(6)
    expected = confusion(target, predicted, 5)
    target.flags.writeable = False
    assert np.array_equal(confusion(target, predicted, 5), expected)


def test_views_and_slices_are_counted_right() -> None:
    target, predicted = masks(5, hw=(40, 40))
    part = (slice(None, None, 3), slice(35, 2, -2))
    expected = confusion(target[part].copy(), predicted[part].copy(), 5)
    assert np.array_equal(confusion(target[part], predicted[part], 5), expected)
    assert np.array_equal(confusion(target.T, predicted.T, 5), confusion(target, predicted, 5))


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


def test_the_summary_names_everything() -> None:
    counted = np.array([[50, 5, 0], [10, 30, 0], [0, 5, 0]])
    found = summary(counted, Classes.from_names(["background", "disc", "box"]))
    ious = [50 / 65, 30 / 50, 0]
    assert [row["iou"] for row in found["classes"]] == pytest.approx(ious)
    assert [row["pixels"] for row in found["classes"]] == [55, 40, 5]
    assert [row["name"] for row in found["classes"]] == ["background", "disc", "box"]
    assert found["mean_iou"] == pytest.approx(sum(ious) / 3)
    assert found["mean_iou_no_background"] == pytest.approx(sum(ious[1:]) / 2)
    assert found["pixel_accuracy"] == pytest.approx(0.8)
    assert found["pixels"] == 100
    assert "mean_iou_no_background" not in summary(counted, Classes.from_names(["a", "b", "c"]))
    assert {"iou", "dice", "precision", "recall", "mean_iou", "absent", "ignored"} <= DEFINITIONS.keys()
