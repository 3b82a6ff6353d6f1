"""Scores from counts: a confusion matrix first, ratios after.

`confusion_KK[t, p]` counts pixels whose label is t and whose prediction is p, summed over all images
before any division (dataset level). Ignored pixels are in no cell. The ratios are those of `metrics.tally`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled
from maskwright.metrics.tally import MEANS, dice, iou, pixel_accuracy, precision, recall, tally_of
from maskwright.types import Classes, Mask

Confusion = NDArray[np.int64]

DEFINITIONS = {
    "iou": "TP / (TP + FP + FN), pixels summed over all images first",
    "dice": "2 TP / (2 TP + FP + FN), also called F1",
    "precision": "TP / (TP + FP): how much of what is predicted is right",
    "recall": "TP / (TP + FN): how much of what is there is found",
    "specificity": "TN / (TN + FP): how much of what is something else is left alone; "
    "none where nothing else is labelled",
    "mean_iou": "mean of IoU over classes, each class counting the same",
    "mean_iou_no_background": "mean of IoU over all classes but the background",
    "mean_dice": "mean of Dice over classes, each class counting the same",
    "mean_dice_no_background": "mean of Dice over all classes but the background",
    "mean_precision": "mean of precision over classes, each class counting the same",
    "mean_recall": "mean of recall over classes, each class counting the same (also called mean accuracy)",
    "pixel_accuracy": "share of labelled pixels whose class is right",
    "frequency_weighted_iou": "mean of IoU over classes, each weighing as much as it has labelled pixels",
    "absent": "a class with neither labelled nor predicted pixels has no score and enters no mean; "
    "one that is predicted but never labelled scores 0",
    "ignored": "pixels with the ignore id are in no count",
}


def confusion(target_HW: Mask, predicted_HW: Mask, classes: int) -> Confusion:
    """Count (label, prediction) pairs of one image; ids outside 0..K-1 (ignore) are in no cell.

    Takes two masks of the same shape (H, W), returns int64 (K, K).
    """
    if target_HW.shape != predicted_HW.shape:
        raise ValueError(f"label {target_HW.shape} and prediction {predicted_HW.shape} differ in size")
    if target_HW.dtype != np.uint8 or predicted_HW.dtype != np.uint8:
        return _confusion_wide(target_HW, predicted_HW, classes)
    truth, guess = (np.ascontiguousarray(mask).reshape(-1) for mask in (target_HW, predicted_HW))
    total = np.zeros((classes + 1, classes + 1), np.int64)  # the last row and column: ids that are no class
    words = len(truth) // 8 * 8
    truth_words, guess_words = (np.require(ids[:words].view(np.int64), None, "A") for ids in (truth, guess))
    _count_words(truth_words, guess_words, total)
    np.add.at(total, tuple(np.minimum(ids[words:].astype(np.int64), classes) for ids in (truth, guess)), 1)
    return total[:classes, :classes].copy()


@compiled
def _count_words(target: NDArray[Any], predicted: NDArray[Any], total: NDArray[Any]) -> None:
    """Count pairs of bytes, eight a word: where masks have areas, most words hold one id and equal the one before."""
    beyond = len(total) - 1
    known_target, known_predicted, run = 0, 0, 0
    for place in range(len(target)):
        truth, guess = target[place], predicted[place]
        if truth == known_target and guess == known_predicted:
            run += 8
            continue
        total[min(known_target & 255, beyond), min(known_predicted & 255, beyond)] += run
        run = 0
        # A word that does not change when it is turned by a byte holds one id eight times.
        if (truth << 8) | ((truth >> 56) & 255) == truth and (guess << 8) | ((guess >> 56) & 255) == guess:
            known_target, known_predicted, run = truth, guess, 8
        else:
            for bits in range(0, 64, 8):
                total[min((truth >> bits) & 255, beyond), min((guess >> bits) & 255, beyond)] += 1
    total[min(known_target & 255, beyond), min(known_predicted & 255, beyond)] += run


def _confusion_wide(target_HW: Mask, predicted_HW: Mask, classes: int) -> Confusion:
    inside = (target_HW < classes) & (predicted_HW < classes)
    codes = target_HW[inside].astype(np.int64) * classes + predicted_HW[inside]
    return np.bincount(codes, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def without_labels(confusion_KK: Confusion, class_id: int | None) -> Confusion:
    """The counts as if pixels labelled `class_id` were ignored: what is predicted there counts nowhere."""
    if class_id is None:
        return confusion_KK
    kept = confusion_KK.copy()
    kept[class_id] = 0
    return kept


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Ratios of one confusion matrix; arrays have one entry a class, NaN where a class has no score."""

    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    pixel_accuracy: float


def scores(confusion_KK: Confusion) -> Scores:
    """Ratios from counts."""
    tally = tally_of(confusion_KK)
    return Scores(
        iou=iou(tally),
        dice=dice(tally),
        precision=precision(tally),
        recall=recall(tally),
        pixel_accuracy=float(pixel_accuracy(tally)),
    )


def mean_iou(confusion_KK: Confusion, *, leave_out: int | None = None) -> float:
    """Mean IoU over classes that have a score, without class `leave_out`; NaN where none is left."""
    return float(MEANS["mean_iou_no_background"](tally_of(confusion_KK), leave_out))


def summary(confusion_KK: Confusion, classes: Classes) -> dict[str, Any]:
    """Everything that is reported of one confusion matrix, as plain data."""
    ratios = scores(confusion_KK)
    rows = [
        {
            "id": item.id,
            "name": item.name,
            "iou": float(ratios.iou[item.id]),
            "dice": float(ratios.dice[item.id]),
            "precision": float(ratios.precision[item.id]),
            "recall": float(ratios.recall[item.id]),
            "pixels": int(confusion_KK[item.id].sum()),
        }
        for item in classes.items
    ]
    whole = {
        "mean_iou": mean_iou(confusion_KK),
        "mean_dice": float(MEANS["mean_dice"](tally_of(confusion_KK), None)),
        "pixel_accuracy": ratios.pixel_accuracy,
        "pixels": int(confusion_KK.sum()),
    }
    if classes.background is not None:
        whole["mean_iou_no_background"] = mean_iou(confusion_KK, leave_out=classes.background)
    return {**whole, "classes": rows}
