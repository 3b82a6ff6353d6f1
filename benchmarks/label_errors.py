"""Planted label errors: how many does the suspicion of `evaluate` find, against simpler scores?

python benchmarks/label_errors.py DATASET RUN --split val

A share of the masks of a labelled split is spoiled: shifted by 1.5 to 6 % of the longer side, exchanged for another
image's, or with half of its classes eroded by 0.75 % of the diagonal. Every image is predicted once; then images and
kinds are drawn many times. An error that the data set has of its own counts as a false alarm.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.console import track
from maskwright.data.dataset import Dataset
from maskwright.geometry import resize_nearest
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.scoring.doubting.suspicion import contradicted
from maskwright.scoring.doubting.weak import SUSPECT, look, suspicions
from maskwright.types import Classes, Image, Mask

KINDS = ("shifted", "swapped", "eroded")
Rng = np.random.Generator


@dataclass(frozen=True)
class Found:
    """Scores of one label of one image, higher for a worse label; `changed` is the share of its pixels that differ."""

    doubt: float
    iou: float
    loss: float
    softmin: float
    changed: float


def shifted(mask_HW: Mask, rng: Rng, ignore: int) -> Mask:
    """Moved in any direction; what is uncovered is ignored."""
    rows, columns = mask_HW.shape
    distance, angle = rng.uniform(0.015, 0.06) * max(rows, columns), rng.uniform(0, 2 * np.pi)
    dy, dx = round(distance * np.sin(angle)), round(distance * np.cos(angle))
    moved = np.full_like(mask_HW, ignore)
    source = mask_HW[max(0, -dy) : rows - max(0, dy), max(0, -dx) : columns - max(0, dx)]
    moved[max(0, dy) : rows + min(0, dy), max(0, dx) : columns + min(0, dx)] = source
    return moved


def eroded(mask_HW: Mask, rng: Rng, classes: Classes) -> Mask:
    """Half of the classes (never the background) drawn too small; what they lose goes to the nearest other label."""
    radius = max(1, round(0.0075 * float(np.hypot(*mask_HW.shape))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    ids = [i for i in np.unique(mask_HW) if i not in (classes.ignore, classes.background)]
    result = mask_HW.copy()
    for class_id in rng.choice(ids, (len(ids) + 1) // 2, replace=False) if ids else ():
        own = (mask_HW == class_id).astype(np.uint8)
        lost = (own == 1) & (cv2.erode(own, kernel, borderValue=1) == 0)
        far = ((own == 1) | (mask_HW == classes.ignore)).astype(np.uint8)
        if far.all():
            continue
        _, nearest = cv2.distanceTransformWithLabels(far, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        table = np.zeros(nearest.max() + 1, mask_HW.dtype)
        table[nearest[far == 0]] = mask_HW[far == 0]
        result[lost] = table[nearest[lost]]
    return result


def measure(data: Dataset, predictor: Predictor, split: str, seed: int) -> tuple[list[Found], list[dict[str, Found]]]:
    """Scores of every label as it is, and spoiled in each way."""
    samples, classes = data.labelled(split), data.classes
    clean: list[Found] = []
    spoiled: list[dict[str, Found]] = []
    for number, sample in enumerate(track(samples, f"predicting {len(samples)} images")):
        image, mask = data.image(sample), data.mask(sample)
        scores = predictor.probabilities(image)
        guess = first_maximum(scores, classes)
        rng = np.random.default_rng((seed, number))
        other = samples[(number + int(rng.integers(1, len(samples)))) % len(samples)]
        labels = {
            "shifted": shifted(mask, rng, classes.ignore),
            "swapped": resize_nearest(data.mask(other), mask.shape),
            "eroded": eroded(mask, rng, classes),
        }
        seen = (image, mask, guess, scores)
        clean.append(scored(mask, seen, classes))
        spoiled.append({kind: scored(label, seen, classes) for kind, label in labels.items()})
    return clean, spoiled


def scored(label: Mask, seen: tuple[Image, Mask, Mask, NDArray[np.float32]], classes: Classes) -> Found:
    """All scores of one label, given photo, true label, prediction and probabilities."""
    image, mask, guess, scores = seen
    known = label < len(classes)
    both = known & (mask < len(classes))
    own = np.take_along_axis(scores, np.where(known, label, 0)[None].astype(np.intp), 0)[0][known]
    found = look(image, label, guess, scores, classes)
    return Found(
        doubt=found.doubt or 0.0,
        iou=1 - float(np.nan_to_num(mean_iou(confusion(label, guess, len(classes))))),
        loss=found.loss or 0.0,
        softmin=contradicted(1 - own),
        changed=float((label != mask)[both].mean()) if both.any() else 0.0,
    )


def drawn(clean: list[Found], spoiled: list[dict[str, Found]], rng: Rng, share: float) -> tuple[list[Found], list[str]]:
    """One split with planted errors: the scores of its labels, and which kind each is ('' as it is)."""
    count = max(1, round(share * len(clean)))
    kinds = [""] * len(clean)
    for place in rng.choice(len(clean), count, replace=False):
        kinds[place] = KINDS[rng.integers(len(KINDS))]
    return [bad[kind] if kind else good for good, bad, kind in zip(clean, spoiled, kinds, strict=True)], kinds


def ranking(score_N: NDArray[np.float64], bad_N: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision among as many as were planted, and average precision."""
    order = bad_N[np.argsort(-score_N, kind="stable")]
    precision = np.cumsum(order) / np.arange(1, len(order) + 1)
    return float(precision[bad_N.sum() - 1]), float(precision[order].mean())


SCORES: dict[str, Callable[[Found], float]] = {
    "suspicion (ours)": lambda found: found.doubt,
    "1 - mean IoU": lambda found: found.iou,
    "mean loss": lambda found: found.loss,
    "softmin alone": lambda found: found.softmin,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("run")
    parser.add_argument("--split", default="val")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, predictor = Dataset.open(options.dataset), Predictor.load(options.run)
    clean, spoiled = measure(data, predictor, options.split, options.seed)
    rng = np.random.default_rng(options.seed)
    ranks: dict[str, list[tuple[float, float]]] = {name: [] for name in SCORES}
    caught, planted, alarms = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0), 0
    for _ in range(options.rounds):
        found, kinds = drawn(clean, spoiled, rng, options.share)
        bad = np.array([bool(kind) for kind in kinds])
        for name, score in SCORES.items():
            ranks[name].append(ranking(np.array([score(one) for one in found]), bad))
        suspect = suspicions(np.array([one.doubt for one in found])) > SUSPECT
        alarms += int((suspect & ~bad).sum())
        for kind in KINDS:
            own = np.array([one == kind for one in kinds])
            planted[kind] += int(own.sum())
            caught[kind] += int((own & suspect).sum())
    print(
        f"{len(clean)} images of the split {options.split}, {max(1, round(options.share * len(clean)))} of them "
        f"planted, {options.rounds} draws; median share of pixels changed: "
        + ", ".join(f"{kind} {np.median([one[kind].changed for one in spoiled]):.1%}" for kind in KINDS)
    )
    right, whole = sum(caught.values()), sum(planted.values())
    print(
        f"at the verdict (above {SUSPECT:g}): precision {right / max(1, right + alarms):.2f}, "
        f"recall {right / whole:.2f}; "
        + ", ".join(f"{kind} {caught[kind] / max(1, planted[kind]):.2f}" for kind in KINDS)
    )
    print(f"{'score':18} {'precision at k':>15} {'average precision':>18}")
    for name, pairs in ranks.items():
        at, average = np.mean(pairs, axis=0)
        print(f"{name:18} {at:15.3f} {average:18.3f}")


if __name__ == "__main__":
    main()
