from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
    multiclass_specificity,
)
from torchmetrics.functional.segmentation import dice_score
from torchmetrics.functional.segmentation import mean_iou as segmentation_mean_iou

from maskwright.metrics.counts import confusion
from maskwright.metrics.tally import CLASS_RATIOS, MEANS, Tally, binary, tally_of
from maskwright.types import Mask

IGNORE = 255


def plain(seed: int, count: int, hw: tuple[int, int] = (23, 31)) -> tuple[Mask, Mask]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, count, hw).astype(np.uint8)
    guess = np.where(rng.random(hw) < 0.6, target, rng.integers(0, count, hw)).astype(np.uint8)
    target[rng.random(hw) < 0.1] = IGNORE
    return target, guess


def full(value: int) -> Mask:
    return np.full((4, 5), value, np.uint8)


def adversarial() -> dict[str, tuple[Mask, Mask, int]]:
    """Label, prediction, number of classes."""
    only_some, guess = plain(1, 3)
    cases: dict[str, tuple[Mask, Mask, int]] = {
        **{f"random {count}": (*plain(count, count), count) for count in (1, 2, 5, 12, 81)},
        "absent classes": (only_some, guess, 81),
        "all ignored": (full(IGNORE), plain(0, 3, (4, 5))[1], 3),
        "one class, all right": (full(0), full(0), 1),
        "two classes, one there": (full(1), full(1), 2),
        "all wrong": (full(0), full(1), 2),
        "predicted but never labelled": (np.minimum(plain(2, 3)[0], 1), plain(3, 3)[1], 3),
        "labelled but never predicted": (plain(4, 3)[0], np.minimum(plain(5, 3)[1], 1), 4),
        "one pixel": (np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8), 2),
    }
    cases["predicted but never labelled"][0][0] = IGNORE
    return cases


CASES = adversarial()
# The peers want at least a pixel and two classes.
WITH_PEERS = {name: case for name, case in CASES.items() if (case[0] != IGNORE).any() and case[2] > 1}
each_case = pytest.mark.parametrize(("target", "guess", "count"), CASES.values(), ids=CASES)
each_case_of_peers = pytest.mark.parametrize(("target", "guess", "count"), WITH_PEERS.values(), ids=WITH_PEERS)


def tally(target: Mask, guess: Mask, count: int) -> Tally:
    return tally_of(confusion(target, guess, count))


def slow_ratios(target: Mask, guess: Mask, count: int) -> dict[str, list[float]]:
    """Every ratio by its definition, pixel by pixel."""
    pairs = [(t, p) for t, p in zip(target.ravel().tolist(), guess.ravel().tolist(), strict=True) if t != IGNORE]
    found: dict[str, list[float]] = {name: [] for name in CLASS_RATIOS}
    for k in range(count):
        tp, fp, fn, tn = 0, 0, 0, 0
        for t, p in pairs:
            tp += t == k and p == k
            fp += t != k and p == k
            fn += t == k and p != k
            tn += t != k and p != k
        absent = tp + fp + fn == 0
        parts = {
            "iou": (tp, tp + fp + fn),
            "dice": (2 * tp, 2 * tp + fp + fn),
            "precision": (tp, tp + fp or 1),
            "recall": (tp, tp + fn or 1),
            "specificity": (tn, tn + fp),
        }
        for name, (part, whole) in parts.items():
            found[name].append(math.nan if absent or not whole else part / whole)
    return found


def slow_mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


@each_case
def test_class_ratios_agree_with_a_slow_loop(target: Mask, guess: Mask, count: int) -> None:
    slow = slow_ratios(target, guess, count)
    for name, ratio in CLASS_RATIOS.items():
        assert ratio(tally(target, guess, count)) == pytest.approx(np.array(slow[name]), nan_ok=True), name


@each_case
@pytest.mark.parametrize("background", [None, 0])
def test_means_agree_with_a_slow_loop(target: Mask, guess: Mask, count: int, background: int | None) -> None:
    slow = slow_ratios(target, guess, count)
    kept = [k for k in range(count) if k != background]
    labels = [int(t) for t in target.ravel() if t != IGNORE]
    right = sum(t == p for t, p in zip(target.ravel(), guess.ravel(), strict=True) if t != IGNORE)
    weighted = sum(labels.count(k) * slow["iou"][k] for k in range(count) if k in labels)
    expected = {
        "mean_iou": slow_mean(slow["iou"]),
        "mean_iou_no_background": slow_mean([slow["iou"][k] for k in kept]),
        "mean_dice": slow_mean(slow["dice"]),
        "mean_dice_no_background": slow_mean([slow["dice"][k] for k in kept]),
        "mean_precision": slow_mean(slow["precision"]),
        "mean_recall": slow_mean(slow["recall"]),
        "pixel_accuracy": right / len(labels) if labels else math.nan,
        "frequency_weighted_iou": weighted / len(labels) if labels else math.nan,
    }
    assert expected.keys() == MEANS.keys()
    for name, mean in MEANS.items():
        assert float(mean(tally(target, guess, count), background)) == pytest.approx(expected[name], nan_ok=True), name


@each_case_of_peers
def test_agrees_with_scikit_learn(target: Mask, guess: Mask, count: int) -> None:
    known = target != IGNORE
    t, p, counted = target[known], guess[known], tally(target, guess, count)
    options: dict[str, Any] = {"labels": list(range(count)), "zero_division": 0}
    present = ~np.isnan(CLASS_RATIOS["iou"](counted))
    scorers = {
        "iou": sklearn_metrics.jaccard_score,
        "dice": sklearn_metrics.f1_score,
        "precision": sklearn_metrics.precision_score,
        "recall": sklearn_metrics.recall_score,
    }
    for name, scorer in scorers.items():
        assert np.allclose(CLASS_RATIOS[name](counted)[present], scorer(t, p, average=None, **options)[present]), name
    weighted = sklearn_metrics.jaccard_score(t, p, average="weighted", **options)
    assert float(MEANS["frequency_weighted_iou"](counted, None)) == pytest.approx(weighted)
    assert float(MEANS["pixel_accuracy"](counted, None)) == pytest.approx(sklearn_metrics.accuracy_score(t, p))
    with warnings.catch_warnings():  # it warns of predicted classes without labels
        warnings.simplefilter("ignore", UserWarning)
        balanced = sklearn_metrics.balanced_accuracy_score(t, p)
    recall = CLASS_RATIOS["recall"](counted)[counted[1] > 0]
    assert recall.mean() == pytest.approx(balanced)  # of labelled classes only


@each_case_of_peers
def test_agrees_with_torchmetrics(target: Mask, guess: Mask, count: int) -> None:
    p, t = torch.from_numpy(guess).long(), torch.from_numpy(target).long()
    counted = tally(target, guess, count)
    options: dict[str, Any] = {"num_classes": count, "ignore_index": IGNORE}
    present = ~np.isnan(CLASS_RATIOS["iou"](counted))
    scorers: dict[str, Callable[..., torch.Tensor]] = {
        "iou": multiclass_jaccard_index,
        "dice": multiclass_f1_score,
        "precision": multiclass_precision,
        "recall": multiclass_recall,
        "specificity": multiclass_specificity,
    }
    for name, scorer in scorers.items():
        ours, theirs = CLASS_RATIOS[name](counted)[present], scorer(p, t, average="none", **options).numpy()[present]
        defined = ~np.isnan(ours)  # specificity where nothing else is labelled
        assert np.allclose(ours[defined], theirs[defined], atol=1e-6), name
    for name, scorer in (("mean_iou", multiclass_jaccard_index), ("mean_recall", multiclass_accuracy)):
        mean = float(MEANS[name](counted, None))
        assert mean == pytest.approx(float(scorer(p, t, average="macro", **options)), abs=1e-6), name


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("count", [2, 5, 21])
def test_agrees_with_the_segmentation_scores_of_torchmetrics(count: int, background: bool) -> None:
    target, guess = plain(count, count)
    target[target == IGNORE] = 0  # they know no ignore
    counted = tally(target, guess, count)
    p, t = (torch.from_numpy(mask).long()[None] for mask in (guess, target))
    options: dict[str, Any] = {"num_classes": count, "include_background": background, "input_format": "index"}
    names = ("mean_iou", "mean_dice") if background else ("mean_iou_no_background", "mean_dice_no_background")
    theirs = segmentation_mean_iou(p, t, **options), dice_score(p, t, average="macro", **options)
    for name, value in zip(names, theirs, strict=True):
        assert float(MEANS[name](counted, 0)) == pytest.approx(float(value), abs=1e-6), name


def test_specificity_is_none_where_nothing_else_is_labelled() -> None:
    found = CLASS_RATIOS["specificity"](tally(full(1), np.array([[0, 1, 1, 1, 1]] * 4, np.uint8), 3))
    assert found[0] == pytest.approx(0.8)
    assert np.isnan(found[1:]).all()


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 7]))
def test_many_tallies_at_once_are_as_one_by_one(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    confusions = rng.integers(0, 4, (3, 2, count, count)) * (rng.random((3, 2, count, count)) < 0.5)
    tallies = tally_of(confusions)
    assert tallies.shape == (3, 2, 3, count)
    for place in np.ndindex(3, 2):
        one = tally_of(confusions[place])
        assert np.array_equal(tallies[place], one)
        for ratio in CLASS_RATIOS.values():
            assert np.array_equal(ratio(tallies)[place], ratio(one), equal_nan=True)
        for mean in MEANS.values():
            for background in (None, count - 1):
                together, alone = mean(tallies, background)[place], mean(one, background)
                assert together == pytest.approx(float(alone), nan_ok=True)


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_tallies_of_any_partition_add_up(seed: int, parts: int) -> None:
    target, guess = plain(seed, 5, (12, 12))
    owner = np.random.default_rng(seed + 1).integers(0, parts, len(target))
    each = [tally(target[owner == part], guess[owner == part], 5) for part in range(parts)]
    assert np.array_equal(np.sum(each, axis=0), tally(target, guess, 5))


@given(st.integers(0, 10**6))
def test_label_and_prediction_may_be_swapped(seed: int) -> None:
    target, guess = plain(seed, 5, (8, 9))
    target[target == IGNORE] = 2
    one, other = tally(target, guess, 5), tally(guess, target, 5)
    for name in ("mean_iou", "mean_dice", "mean_iou_no_background", "pixel_accuracy"):
        assert np.array_equal(MEANS[name](one, 0), MEANS[name](other, 0), equal_nan=True), name
    assert np.array_equal(CLASS_RATIOS["precision"](one), CLASS_RATIOS["recall"](other), equal_nan=True)


@given(st.integers(0, 10**6), st.permutations(range(6)))
def test_renaming_classes_renames_scores(seed: int, order: list[int]) -> None:
    target, guess = plain(seed, 5, (8, 9))  # class 5 is absent
    table = np.arange(256).astype(np.uint8)
    table[:6] = order
    before, after = tally(target, guess, 6), tally(table[target], table[guess], 6)
    for name, ratio in CLASS_RATIOS.items():
        assert np.array_equal(ratio(after)[order], ratio(before), equal_nan=True), name
    for name, mean in MEANS.items():
        assert float(mean(after, order[0])) == pytest.approx(float(mean(before, 0))), name


@given(st.integers(0, 10**6), st.integers(0, 4))
def test_binary_is_the_tally_of_merged_classes(seed: int, background: int) -> None:
    target, guess = plain(seed, 5, (8, 9))
    table = np.where(np.arange(256) == background, 0, 1).astype(np.uint8)
    table[IGNORE] = IGNORE
    merged = tally(table[target], table[guess], 2)
    counted: NDArray[np.int64] = confusion(target, guess, 5)
    assert np.array_equal(binary(counted, background), merged)
    assert np.array_equal(binary(np.stack([counted, 2 * counted]), background), np.stack([merged, 2 * merged]))


def test_a_table_without_background_has_nothing_to_leave_out() -> None:
    counted = tally(*plain(0, 5), 5)
    assert MEANS["mean_iou_no_background"](counted, None) == MEANS["mean_iou"](counted, None)


def test_a_lone_background_leaves_no_mean_without_it() -> None:
    assert math.isnan(MEANS["mean_iou_no_background"](tally(full(0), full(0), 1), 0))
