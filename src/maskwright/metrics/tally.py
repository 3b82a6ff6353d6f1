"""Ratios and means from tallies: what a confusion matrix comes down to, for one image or for ten thousand resamples.

A tally is int64 (..., 3, K): `hit` (label and prediction are this class), `labelled` and `predicted` pixels a class.
Tallies add up over images, and every function takes any leading dimensions, so that a bootstrap is one call. A class
that is neither labelled nor predicted has no ratio (NaN) and enters no mean; one that is only predicted, or only
labelled, scores 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tally = NDArray[np.int64]
Floats = NDArray[np.float64]


def tally_of(confusion_KK: NDArray[np.int64]) -> Tally:
    """Hit, labelled and predicted pixels a class: (..., 3, K) of confusion matrices (..., K, K), labels in rows."""
    hit = np.diagonal(confusion_KK, axis1=-2, axis2=-1)
    return np.stack([hit, confusion_KK.sum(-1), confusion_KK.sum(-2)], axis=-2)


def binary(confusion_KK: NDArray[np.int64], background: int) -> Tally:
    """The tally (..., 3, 2) of two classes: 0 the background, 1 everything else, whichever class it was taken for."""
    total = confusion_KK.sum((-2, -1))
    label, guess = confusion_KK[..., background, :].sum(-1), confusion_KK[..., background].sum(-1)
    both = confusion_KK[..., background, background]
    rows = [(both, total - label - guess + both), (label, total - label), (guess, total - guess)]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def iou(tally: Tally) -> Floats:
    """TP / (TP + FP + FN) (Jaccard 1912)."""
    hit, labelled, predicted = _rows(tally)
    return _ratio(hit, labelled + predicted - hit)


def dice(tally: Tally) -> Floats:
    """2 TP / (2 TP + FP + FN), also called F1 (Dice 1945)."""
    hit, labelled, predicted = _rows(tally)
    return _ratio(2 * hit, labelled + predicted)


def precision(tally: Tally) -> Floats:
    """TP / (TP + FP); 0 for a class that is labelled and never predicted."""
    hit, labelled, predicted = _rows(tally)
    return _ratio(hit, np.where((predicted == 0) & (labelled > 0), 1, predicted))


def recall(tally: Tally) -> Floats:
    """TP / (TP + FN); 0 for a class that is predicted and never labelled."""
    hit, labelled, predicted = _rows(tally)
    return _ratio(hit, np.where((labelled == 0) & (predicted > 0), 1, labelled))


def specificity(tally: Tally) -> Floats:
    """TN / (TN + FP); NaN for an absent class, and where every labelled pixel is of this class."""
    hit, labelled, predicted = _rows(tally)
    elsewhere = labelled.sum(-1, keepdims=True) - labelled
    return np.where(labelled + predicted > 0, _ratio(elsewhere - (predicted - hit), elsewhere), np.nan)


def pixel_accuracy(tally: Tally) -> Floats:
    """Share of labelled pixels whose class is right, (...)."""
    hit, labelled, _ = _rows(tally)
    return _ratio(hit.sum(-1), labelled.sum(-1))


def frequency_weighted_iou(tally: Tally) -> Floats:
    """IoU weighted by the labelled pixels of its class, (...) (Long et al. 2015)."""
    _, labelled, _ = _rows(tally)
    return _ratio((labelled * np.nan_to_num(iou(tally))).sum(-1), labelled.sum(-1))


def mean_of(ratio: Callable[[Tally], Floats], *, background: bool = True) -> Callable[[Tally, int | None], Floats]:
    """The mean of a ratio over the classes that have one, (...); without the background's class where that is False."""

    def mean(tally: Tally, background_id: int | None = None) -> Floats:
        values = ratio(tally)
        if not background and background_id is not None:
            values = np.delete(values, background_id, axis=-1)
        known = ~np.isnan(values)
        return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1))

    return mean


CLASS_RATIOS: dict[str, Callable[[Tally], Floats]] = {
    "iou": iou,
    "dice": dice,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
}

# Of a tally and the background's class id; a table without a background has nothing to leave out.
MEANS: dict[str, Callable[[Tally, int | None], Floats]] = {
    "mean_iou": mean_of(iou),
    "mean_iou_no_background": mean_of(iou, background=False),
    "mean_dice": mean_of(dice),
    "mean_dice_no_background": mean_of(dice, background=False),
    "mean_precision": mean_of(precision),
    "mean_recall": mean_of(recall),
    "pixel_accuracy": lambda tally, background: pixel_accuracy(tally),
    "frequency_weighted_iou": lambda tally, background: frequency_weighted_iou(tally),
}


def _rows(tally: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return tally[..., 0, :], tally[..., 1, :], tally[..., 2, :]


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return ratio
