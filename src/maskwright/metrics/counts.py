"""Scores from counts: a confusion matrix first, ratios after.

`confusion_KK[t, p]` counts pixels whose label is t and whose prediction is p, summed over all images
before any division (dataset level). Ignored pixels are in no cell. A class with neither label nor
prediction has no score (NaN) and enters no mean; a class that is predicted but never labelled scores 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Classes, Mask

Confusion = NDArray[np.int64]

# Ids 0..14 in one half of a byte; all others, ignore among them, are 15.
_LOW_HALF = np.minimum(np.arange(256), 15).astype(np.uint8)
_HIGH_HALF = _LOW_HALF << 4

DEFINITIONS = {
    "iou": "TP / (TP + FP + FN), pixels summed over all images first",
    "dice": "2 TP / (2 TP + FP + FN), also called F1",
    "precision": "TP / (TP + FP): how much of what is predicted is right",
    "recall": "TP / (TP + FN): how much of what is there is found",
    "mean_iou": "mean of IoU over classes, each class counting the same",
    "mean_iou_no_background": "mean of IoU over all classes but the background",
    "pixel_accuracy": "share of labelled pixels whose class is right",
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
    total = np.zeros((classes, classes), np.int64)
    # The histogram counts in float32, which is exact below 2^24 pixels a call.
    step = max(1, (1 << 23) // max(1, target_HW.shape[1]))
    count = _count_packed if classes <= 15 else _count_pairs
    for top in range(0, target_HW.shape[0], step):
        rows = slice(top, top + step)
        truth, guess = (np.ascontiguousarray(plane[rows], np.uint8) for plane in (target_HW, predicted_HW))
        total += count(truth, guess, classes)
    return total


def _count_packed(target_HW: Mask, predicted_HW: Mask, classes: int) -> Confusion:
    # Two ids below 16 in one byte: a histogram over one plane is several times as fast as over two.
    packed = cv2.bitwise_or(cv2.LUT(target_HW, _HIGH_HALF), cv2.LUT(predicted_HW, _LOW_HALF))
    counts = cv2.calcHist([packed], [0], None, [256], [0, 256])
    return counts.reshape(16, 16)[:classes, :classes].astype(np.int64)


def _count_pairs(target_HW: Mask, predicted_HW: Mask, classes: int) -> Confusion:
    bounds = [0, classes, 0, classes]
    return cv2.calcHist([target_HW, predicted_HW], [0, 1], None, [classes, classes], bounds).astype(np.int64)


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
    hit = np.diag(confusion_KK).astype(np.float64)
    labelled, guessed = confusion_KK.sum(1), confusion_KK.sum(0)
    union = labelled + guessed - hit
    return Scores(
        iou=_ratio(hit, union),
        dice=_ratio(2 * hit, labelled + guessed),
        precision=np.where(union > 0, _ratio(hit, guessed, empty=0.0), np.nan),
        recall=np.where(union > 0, _ratio(hit, labelled, empty=0.0), np.nan),
        pixel_accuracy=float(hit.sum() / confusion_KK.sum()) if confusion_KK.any() else float("nan"),
    )


def mean_iou(confusion_KK: Confusion, *, leave_out: int | None = None) -> float:
    """Mean IoU over classes that have a score, without class `leave_out`; NaN where none is left."""
    values = scores(confusion_KK).iou
    if leave_out is not None:
        values = np.delete(values, leave_out)
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


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
        "mean_dice": _mean(ratios.dice),
        "pixel_accuracy": ratios.pixel_accuracy,
        "pixels": int(confusion_KK.sum()),
    }
    if classes.background is not None:
        whole["mean_iou_no_background"] = mean_iou(confusion_KK, leave_out=classes.background)
    return {**whole, "classes": rows}


def _ratio(part: NDArray[Any], whole: NDArray[Any], empty: float = float("nan")) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(len(part), empty), where=whole > 0)
    return ratio


def _mean(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
