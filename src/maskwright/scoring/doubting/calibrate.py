"""Fit the temperature of a run on its validation images and store it in the run (Guo et al., ICML 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.infer.predictor import Predictor
from maskwright.infer.temper import LARGEST, tempered, weights_hash
from maskwright.metrics.calibration import SMALLEST, Calibration
from maskwright.run import Run, now
from maskwright.scoring.evaluating.labelled import Labelled, open_labelled
from maskwright.types import InputError

MOST_PX = 200_000
MOST_VALUES = 1 << 24  # pixels x classes held: 64 MB
RANGE = (0.05, 20.0)  # temperatures tried
STEPS = 60

Scores = NDArray[np.float32]
Labels = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What `run.yaml` now holds under `calibration`, and files that were left out."""

    run: Run
    found: dict[str, Any]
    skipped: list[Skipped]


def calibrate(
    run: Run | str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "val",
    seed: int = 0,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    strict: bool = False,
) -> Calibrated:
    """Find the temperature with the least loss on a sample of labelled pixels of `split`, and write it into the run.

    From then on the run's probabilities have it; its predictions stay as they are. An earlier temperature does not
    matter. Raises InputError as `evaluate` does.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    images = open_labelled(run, dataset, split, strict=strict)
    predictor = Predictor.load(run, weights=weights, device=device, precision=precision)
    scores_KN, labels_N, count = sample_pixels(images, predictor, seed)
    temperature = fit_temperature(scores_KN, labels_N, each_class=predictor.each_class)
    after_KN = tempered(scores_KN, temperature, each_class=predictor.each_class)
    before, after = (_measured(scores, labels_N, predictor.each_class) for scores in (scores_KN, after_KN))
    found = {
        "temperature": round(temperature, 4),
        "split": split,
        "fingerprint": images.data.fingerprint,
        "weights": weights,
        "weights_hash": weights_hash(run, weights),
        "images": count,
        "pixels": int(labels_N.size),
        "seed": seed,
        "nll": [before[0], after[0]],
        "ece": [before[1], after[1]],
        "time": now(),
    }
    run.write_about({"calibration": found})
    return Calibrated(run=run, found=found, skipped=images.skipped)


def sample_pixels(images: Labelled, predictor: Predictor, seed: int) -> tuple[Scores, Labels, int]:
    """Scores (K, N) before any temperature and labels (N,) of pixels drawn from every image, and of how many images.

    As many of each image, up to 200,000 in all, so that memory does not grow with the split.
    """
    count = len(predictor.classes)
    each = max(1, min(MOST_PX, MOST_VALUES // count) // len(images.samples))
    scores: list[Scores] = []
    labels: list[Labels] = []
    for number, (_, image_HW3, truth_HW) in enumerate(images.pairs(f"looking at {len(images.samples)} images")):
        known = np.flatnonzero(truth_HW < count)
        chosen = np.random.default_rng((seed, number)).choice(known, min(each, known.size), replace=False)
        if chosen.size:
            scores_KHW = next(predictor.scores_of([image_HW3]))
            scores.append(scores_KHW.reshape(count, -1)[:, chosen])
            labels.append(truth_HW.ravel()[chosen].astype(np.intp))
    if not scores:
        raise InputError(f"{images.data.path} has no labelled pixels in these images; calibrate on another split.")
    return np.concatenate(scores, axis=1), np.concatenate(labels), len(scores)


def fit_temperature(scores_KN: Scores, labels_N: Labels, *, each_class: bool = False) -> float:
    """The temperature from 0.05 to 20 with the least mean negative log-likelihood; never worse than 1.

    The loss is convex in 1 / T, so halving the range in which its slope changes sign finds the least one.
    """
    slope = (_slope_each if each_class else _slope)(scores_KN, labels_N)
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    found = round(float((low * high) ** -0.5), 4)
    losses = [nll(tempered(scores_KN, t, each_class=each_class), labels_N, each_class=each_class) for t in (1.0, found)]
    return found if losses[1] < losses[0] else 1.0


def _slope(scores_KN: Scores, labels_N: Labels) -> Callable[[float], float]:
    """The slope of the mean loss in beta = 1 / T: the mean of log p under p^beta, minus that of the label."""
    logs_KN = np.log(np.maximum(scores_KN, SMALLEST))
    logs_KN -= logs_KN.max(0)
    own = float(np.take_along_axis(logs_KN, labels_N[None], 0).mean(dtype=np.float64))

    def slope(beta: float) -> float:
        weight_KN = np.exp(np.float32(beta) * logs_KN)
        expected_N = (weight_KN * logs_KN).sum(0) / weight_KN.sum(0)
        return float(expected_N.mean(dtype=np.float64)) - own

    return slope


def _slope_each(scores_KN: Scores, labels_N: Labels) -> Callable[[float], float]:
    """The same for a sigmoid a class: the mean of (sigmoid(beta z) - y) z."""
    held_KN = np.clip(scores_KN, SMALLEST, 1 - SMALLEST)
    logits_KN = np.log(held_KN) - np.log1p(-held_KN)
    own = float(np.take_along_axis(logits_KN, labels_N[None], 0).mean(dtype=np.float64))

    def slope(beta: float) -> float:
        sum_N = (logits_KN / (1 + np.exp(np.minimum(LARGEST, -np.float32(beta) * logits_KN)))).sum(0)
        return float(sum_N.mean(dtype=np.float64)) - own

    return slope


def nll(scores_KN: Scores, labels_N: Labels, *, each_class: bool = False) -> float:
    """Mean -log p of the label; with `each_class` the mean over pixels of the sum of all classes' binary losses."""
    own_N = np.take_along_axis(scores_KN, labels_N[None], 0)[0]
    loss = -float(np.log(np.maximum(own_N, SMALLEST)).mean(dtype=np.float64))
    if not each_class:
        return loss
    others_KN = np.log(np.maximum(1 - scores_KN, SMALLEST))
    own_other = np.take_along_axis(others_KN, labels_N[None], 0)[0]
    return loss - float((others_KN.sum(0) - own_other).mean(dtype=np.float64))


def _measured(scores_KN: Scores, labels_N: Labels, each_class: bool) -> tuple[float, float]:
    """Loss and expected calibration error."""
    counted = Calibration()
    guess_N = scores_KN.argmax(0)
    counted.add(np.take_along_axis(scores_KN, guess_N[None], 0)[0], guess_N == labels_N)
    return nll(scores_KN, labels_N, each_class=each_class), counted.ece()
