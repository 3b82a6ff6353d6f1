"""Which measure of doubt finds a run's errors, and what leaving out the doubtful pixels gains.

RUN/uncertainty/SPLIT/   uncertainty.json (last: it marks the folder complete), maps/N-NAME.jpg
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.files import write_json
from maskwright.infer.predictor import first_maximum
from maskwright.infer.uncertain import entropy, shares
from maskwright.metrics.calibration import Calibration
from maskwright.metrics.counts import Confusion, confusion, mean_iou
from maskwright.metrics.selective import RiskCoverage
from maskwright.run import Run, now
from maskwright.scoring.doubting.doubt import MEASURES, Answer, Team, ask, assemble, expand
from maskwright.scoring.doubting.uncertainty_maps import Seen, choose, draw_maps
from maskwright.scoring.evaluating.labelled import Labelled, open_labelled
from maskwright.scoring.evaluating.score import writable
from maskwright.types import Classes, InputError, Mask

POINTS = 100

DEFINITIONS = {
    "risk": "share of wrong pixels among those kept; ignored pixels count nowhere",
    "coverage": "share of the pixels kept, the surest first",
    "aurc": "mean risk over all coverages, the area under the curve (Geifman and El-Yaniv 2017); lower is better",
    "quality": "0 where pixels are left out at random, 1 where all errors are left out first "
    "(the excess over the best order of Geifman, Uziel and El-Yaniv 2019, as a share of that of a random one)",
    "ece": "expected calibration error: mean gap between confidence and accuracy over 15 bins (Guo et al. 2017)",
}


@dataclass(frozen=True, kw_only=True)
class Uncertain:
    """The folder written, what `uncertainty.json` holds, and files that were left out."""

    path: Path
    scores: dict[str, Any]
    skipped: list[Skipped]


@dataclass(kw_only=True)
class Totals:
    """What adds up over images; `whole` is the curve of the ensemble's own doubt and errors."""

    curves: dict[str, RiskCoverage]
    confusions: list[Confusion]
    before: Calibration = field(default_factory=Calibration)
    after: Calibration = field(default_factory=Calibration)
    whole: RiskCoverage = field(default_factory=RiskCoverage)
    wrong: list[tuple[str, float]] = field(default_factory=list)


def uncertainty(
    runs: Sequence[Run | str | Path],
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "test",
    measures: Sequence[str] | None = None,
    out: str | Path | None = None,
    passes: int = 8,
    maps: int = 4,
    seed: int = 0,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    strict: bool = False,
) -> Uncertain:
    """Measure the doubt of the first run at every labelled pixel of `split`, and how well it points at its errors.

    A folder of a series (`train --seeds`) stands for its runs; two or more are an ensemble. Without `measures` all
    are taken that the runs allow. Writes RUN/uncertainty/SPLIT of the first run, or `out`, with pictures of `maps`
    images. Raises InputError where a measure asked for is impossible, and as `evaluate` does.
    """
    opened = expand(runs)
    images = open_labelled(opened[0], dataset, split, strict=strict)
    team, against = assemble(opened, measures, passes, seed, weights=weights, device=device, precision=precision)
    folder = writable(Path(out) if out is not None else opened[0].path / "uncertainty" / split)
    totals = count_all(team, images)
    if not totals.before.count.any():
        raise InputError(f"{images.data.path} has no labelled pixels in split '{split}'; choose another split.")
    result = {
        "split": split,
        "time": now(),
        "dataset": {"path": str(images.data.path.resolve()), "fingerprint": images.data.fingerprint},
        "images": len(totals.wrong),
        "weights": weights,
        "precision": team.predictors[0].precision,
        "seed": seed,
        "passes": passes if "dropout" in team.measures else None,
        **tabulate(team, totals, images.data.classes),
        "left_out": against,
        "definitions": DEFINITIONS,
    }
    result["pictures"] = draw_maps(
        folder / "maps", choose(totals.wrong, maps), lambda key: see(team, images, key), images.data.classes
    )
    write_json(folder / "uncertainty.json", result)
    return Uncertain(path=folder, scores=result, skipped=images.skipped)


def see(team: Team, images: Labelled, key: str) -> Seen:
    """Photo, label, prediction and the planes of one image, once more, for its pictures."""
    number = next(number for number, sample in enumerate(images.samples) if sample.id == key)
    _, image_HW3, truth_HW = images.pair(images.samples[number])
    answer = ask(team, image_HW3, number)
    return image_HW3, truth_HW, answer.guess_HW, answer.planes


def count_all(team: Team, images: Labelled) -> Totals:
    """Ask the team of every image and count."""
    classes = images.data.classes
    runs = len(team.predictors)
    empty = np.zeros((len(classes), len(classes)), np.int64)
    totals = Totals(
        curves={name: RiskCoverage() for name in team.measures},
        confusions=[empty.copy() for _ in range(runs + 1 if runs > 1 else 1)],
    )
    numbers = {sample.id: number for number, sample in enumerate(images.samples)}
    for sample, image_HW3, truth_HW in images.pairs(f"measuring doubt on {len(images.samples)} images"):
        answer = ask(team, image_HW3, numbers[sample.id])
        count(answer, truth_HW, classes, totals)
        known_HW = truth_HW < len(classes)
        wrong = (known_HW & (answer.guess_HW != truth_HW)).sum() / max(1, known_HW.sum())
        totals.wrong.append((sample.id, float(wrong)))
    return totals


def count(answer: Answer, truth_HW: Mask, classes: Classes, totals: Totals) -> None:
    """Add one image: the doubt and the errors of the first run, its calibration, and the scores of all."""
    known_HW, right_HW = truth_HW < len(classes), answer.guess_HW == truth_HW
    for name, plane in answer.planes.items():
        totals.curves[name].add(plane, right_HW, known_HW=known_HW)
    totals.before.add_probabilities(shares(answer.scores_KHW), truth_HW)
    totals.after.add_probabilities(answer.shares_KHW, truth_HW)
    guesses = [answer.guess_HW, *answer.others]
    if answer.mean_KHW is not None:
        guesses.append(first_maximum(answer.mean_KHW, classes))
        totals.whole.add(entropy(answer.mean_KHW), guesses[-1] == truth_HW, known_HW=known_HW)
    for place, guess_HW in enumerate(guesses):
        totals.confusions[place] += confusion(truth_HW, guess_HW, len(classes))


def tabulate(team: Team, totals: Totals, classes: Classes) -> dict[str, Any]:
    """Measures, the best at finding errors first, calibration without and with the temperature, and the ensemble."""
    rows = [{"name": name, "title": MEASURES[name], **curve_row(totals.curves[name])} for name in team.measures]
    rows.sort(key=lambda row: row["aurc"])
    temperature = team.predictors[0].temperature
    scores = [mean_iou(counts) for counts in totals.confusions]
    ensemble = None
    if len(team.predictors) > 1:
        ensemble = {
            "mean_iou": scores[-1],
            **curve_row(totals.whole),
            "runs": [{"name": name, "mean_iou": score} for name, score in zip(team.names, scores, strict=False)],
        }
    return {
        "run": team.names[0],
        "mean_iou": scores[0],
        "pixels": int(totals.before.count.sum()),
        "risk": rows[0]["risk"],
        "measures": rows,
        "calibration": {
            "temperature": temperature,
            "before": calibration_row(totals.before),
            "after": calibration_row(totals.after) if temperature != 1 else None,
        },
        "ensemble": ensemble,
    }


def curve_row(curve: RiskCoverage) -> dict[str, Any]:
    """The risk-coverage curve in numbers."""
    coverage, risk = curve.curve(POINTS)
    excess, whole = curve.excess(), curve.risk()
    # Left out at random, the risk is the same at every coverage.
    random = whole - (curve.aurc() - excess)
    return {
        "risk": whole,
        "aurc": curve.aurc(),
        "excess": excess,
        "quality": 1 - excess / random if random > 0 else None,
        "risk_at": {text: float(np.interp(float(text), coverage, risk)) for text in ("0.95", "0.9", "0.8")},
        "curve": {"coverage": coverage.round(4).tolist(), "risk": risk.round(6).tolist()},
    }


def calibration_row(counted: Calibration) -> dict[str, Any]:
    """Errors of calibration and the reliability curve."""
    return {
        "ece": counted.ece(),
        "mce": counted.mce(),
        "nll": counted.nll(),
        "brier": counted.brier(),
        "curve": counted.curve(),
    }
