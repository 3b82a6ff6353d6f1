"""How a run holds up where photos are spoiled: every kind and level of a suite, on every image of a split.

RUN/stress/SUITE-SPLIT/   stress.json (last: it marks the folder complete), stress.txt, stress.csv, counts.npz, cases/
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.config import Recipe
from maskwright.console import Skipped, say
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import Workers
from maskwright.data.perturbing import SUITES, Perturbation
from maskwright.data.perturbing.sheet import draw_sheet
from maskwright.data.perturbing.training import kinds_of
from maskwright.files import (
    JOURNAL,
    content_hash,
    explained,
    read_bytes,
    read_json,
    resumable_folder,
    write_json,
    write_text,
)
from maskwright.imageio import write_image
from maskwright.infer.device import choose_device, choose_precision
from maskwright.metrics.units import choose_units
from maskwright.run import Run, environment, now, write_csv
from maskwright.scoring.evaluating.score import as_trained, open_dataset, open_matching
from maskwright.scoring.stressing.cases import choose, draw_cases
from maskwright.scoring.stressing.gates import Gate, Verdict, judge, metric_names, read_gate
from maskwright.scoring.stressing.retention import csv_rows, robustness, table
from maskwright.scoring.stressing.stress_images import Job, Measured, measure, one_thread
from maskwright.types import InputError, unknown_name

# Keys of `augment` whose draws are like a kind of a suite.
LIKE = {
    "noise": ["noise"],
    "blur": ["blur"],
    "contrast": ["contrast_up", "contrast_down"],
    "brightness": ["brightness_up", "brightness_down"],
    "jpeg": ["jpeg"],
    "cast": ["colour_cast"],
    "gamma": ["gamma"],
    "rotate": ["rotation"],
}


@dataclass(frozen=True, kw_only=True)
class Stressed:
    """The result of one suite: its folder, what `stress.json` holds, what was left out, the verdicts on the gates."""

    path: Path
    scores: dict[str, Any]
    skipped: list[Skipped]
    verdicts: list[Verdict]

    def lines(self, classes: Sequence[str] = ()) -> list[str]:
        """The table as text, that of each class named after that of the means."""
        return table(self.scores, classes)


def stress(
    run: Run | str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    suite: str = "ladder",
    split: str = "test",
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    max_images: int | None = None,
    gates: Sequence[str] = (),
    workers: Workers = None,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    strict: bool = False,
) -> list[Stressed]:
    """Predict every labelled image of `split` under every kind and level of a suite ('both': of one after the other).

    Photos are spoiled at their own size, predicted as `evaluate` does and scored at their own size; level 1 is the
    photo as it is. What is random depends on seed, image and kind alone, so that models are compared on the same
    pictures. Writes RUN/stress/SUITE-SPLIT; a result of the same job that lies there is returned as it is, and an
    interrupted job goes on where it was. `kinds` and `max_images` (spread over the split) make a shorter job.
    `workers` is the number of processes on a CPU (on another device there is one), or a `Ray` cluster.

    Raises InputError for an unknown suite, kind or gate before any work, and as `evaluate` does for run and data set.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    plans = _plans(suite, kinds)
    asked = _gates(gates, plans)
    data, bad = open_matching(run, dataset).refresh(strict=strict)
    samples = _spread(as_trained(run, data).labelled(split), max_images)
    how: dict[str, Any] = {"split": split, "seed": seed, "images": _hash(sample.id for sample in samples)}
    how |= {"fingerprint": data.fingerprint, **_predicting(run, weights, device, precision)}
    found = []
    for name, chosen in plans.items():
        names = tuple(kind.name for kind in chosen)
        job = Job(suite=name, kinds=names, levels=_hash(kind.values for kind in chosen), **how)
        scores = _result(run, data, samples, job, workers=workers, strict=strict)
        left_out = [*bad, *(Skipped(**row) for row in scores["skipped"])]
        verdicts = judge(asked[name], scores)
        found.append(Stressed(path=_folder(run, job), scores=scores, skipped=left_out, verdicts=verdicts))
    return found


def stress_sheet(
    run: Run | str | Path,
    dataset: Dataset | str | Path | None,
    path: Path,
    *,
    suite: str = "ladder",
    split: str = "test",
    seed: int = 0,
) -> list[Path]:
    """Draw every kind and level of a suite on the first photo of `split`, as PNG or JPEG; returns the paths.

    For 'both' there are two files, each with its suite's name behind that of `path`.
    """
    plans = _plans(suite, None)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{path} is no name for a picture; let it end in .png or .jpg.")
    data = open_dataset(run if isinstance(run, Run) else Run.open(run), dataset)
    photo = data.image(data.labelled(split)[0])
    paths = [path if len(plans) == 1 else path.with_stem(f"{path.stem}-{name}") for name in plans]
    for name, target in zip(plans, paths, strict=True):
        write_image(target, draw_sheet(name, photo, seed=seed))
    return paths


def trained_on(recipe: Recipe) -> set[str]:
    """Kinds of which training saw the like: they tell less of what is new."""
    augment = recipe.augment
    found = {kind for key, kinds in LIKE.items() if getattr(augment, key) for kind in kinds}
    found |= {kind.name for kind in kinds_of(augment)}
    return found | ({"scale"} if augment.scale != (1.0, 1.0) else set())


def _plans(suite: str, kinds: Sequence[str] | None) -> dict[str, list[Perturbation]]:
    """The kinds to run of each suite asked for; suites with none of the kinds named are left out."""
    if suite != "both" and suite not in SUITES:
        raise unknown_name("suite", suite, [*SUITES, "both"])
    suites = SUITES if suite == "both" else {suite: SUITES[suite]}
    known = [name for chosen in suites.values() for name in chosen]
    for kind in kinds or ():
        if kind not in known:
            raise unknown_name(f"kind of suite {suite}", kind, known)
    wanted = {
        name: [kind for kind in chosen.values() if not kinds or kind.name in kinds] for name, chosen in suites.items()
    }
    return {name: chosen for name, chosen in wanted.items() if chosen}


def _gates(texts: Sequence[str], plans: Mapping[str, list[Perturbation]]) -> dict[str, list[Gate]]:
    """The gates that each suite is asked for; raises InputError for one that speaks of none of them."""
    known = {name: metric_names([kind.name for kind in chosen], chosen[0].levels) for name, chosen in plans.items()}
    gates = [read_gate(text, [name for names in known.values() for name in names]) for text in texts]
    return {name: [gate for gate in gates if gate.metric in names] for name, names in known.items()}


def _predicting(run: Run, weights: str, device: str, precision: str) -> dict[str, Any]:
    """What of a job is about the predictor."""
    where = choose_device(device)[0]
    return {
        "weights": weights,
        "weights_hash": content_hash(read_bytes(run.weights(weights))),
        "device": where.type,
        "precision": choose_precision(precision, where)[0],
    }


def _hash(items: Iterable[object]) -> str:
    return content_hash(repr([environment()["maskwright"], *items]).encode())


def _spread(samples: list[Sample], most: int | None) -> list[Sample]:
    """At most so many, evenly over the list: neighbours, as in a video, look alike."""
    if most is not None and most < 1:
        raise InputError(f"{most} images are too few; let max_images be at least 1.")
    if most is None or most >= len(samples):
        return samples
    return [samples[place * len(samples) // most] for place in range(most)]


def _folder(run: Run, job: Job) -> Path:
    return run.path / "stress" / f"{job.suite}-{job.split}"


def _result(
    run: Run, data: Dataset, samples: list[Sample], job: Job, *, workers: Workers, strict: bool
) -> dict[str, Any]:
    """What the folder holds of this very job, or else what is measured now."""
    folder = _folder(run, job)
    fresh = folder.with_name(f".{folder.name}.new")
    if (fresh / "stress.json").is_file():  # an earlier call ended before it could move it
        _replace(folder, fresh)
    if (folder / "stress.json").is_file():
        scores = read_json(folder / "stress.json")
        if isinstance(scores, dict) and scores.get("job") == job.to_dict():
            say(f"{folder} holds this result already; remove the folder to measure again.")
            return scores
    with resumable_folder(fresh, job.to_dict()) as stage:
        measured = measure(run, data, samples, job, journal=stage / JOURNAL, workers=workers, strict=strict)
        _write(stage, run, data, job, measured)
    _replace(folder, fresh)
    return dict(read_json(folder / "stress.json"))


def _replace(folder: Path, fresh: Path) -> None:
    with explained(folder):
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)


def _write(stage: Path, run: Run, data: Dataset, job: Job, measured: Measured) -> None:
    """Tables and pictures, then `stress.json`."""
    known = trained_on(run.recipe)
    kinds = job.perturbations()
    units = choose_units([sample.group for sample in measured.samples])
    background = run.recipe.background_scored
    scores = robustness(
        measured.tally_PLN3K,
        [_head(kind, known) for kind in kinds],
        data.classes,
        background=background,
        units=units,
    )
    scores = {
        "suite": job.suite,
        "split": job.split,
        "time": now(),
        "dataset": {"path": str(data.path.resolve()), "fingerprint": data.fingerprint},
        "images": len(measured.samples),
        "seed": job.seed,
        "levels": kinds[0].levels,
        "weights": job.weights,
        "precision": job.precision,
        "mean_over": "all classes" if background or data.classes.background is None else "classes but the background",
        **scores,
        "cost": measured.seconds,
        "cases": _cases(stage, run, data, job, measured, scores["kinds"]),
        "skipped": [{"file": item.file, "reason": item.reason} for item in measured.skipped],
        "job": job.to_dict(),
    }
    ids, groups = (np.array([getattr(sample, key) for sample in measured.samples]) for key in ("id", "group"))
    names = np.array(job.kinds)
    with explained(stage):
        np.savez_compressed(stage / "counts.npz", ids=ids, groups=groups, kinds=names, tally_PLN3K=measured.tally_PLN3K)
    write_csv(stage / "stress.csv", csv_rows(scores))
    write_text(stage / "stress.txt", "\n".join(table(scores)) + "\n")
    write_json(stage / "stress.json", scores)


def _head(kind: Perturbation, known: set[str]) -> dict[str, Any]:
    levels = range(1, kind.levels + 1)
    return {
        "name": kind.name,
        "title": kind.title,
        "unit": kind.unit,
        "trained_on": kind.name in known,
        "values": [{"value": kind.values[level - 1], "label": kind.label(level)} for level in levels],
    }


def _cases(
    stage: Path, run: Run, data: Dataset, job: Job, measured: Measured, kinds: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    by_id = {sample.id: sample for sample in measured.samples}
    chosen = {size: (by_id[row["id"]], row) for size, row in choose(measured.candidates, kinds).items()}
    worst = [(kind, row["worst"]["level"] or kind.levels) for kind, row in zip(job.perturbations(), kinds, strict=True)]
    if not chosen:
        return []
    with one_thread(job.device):
        return draw_cases(stage, job.load(run), data, chosen, worst, seed=job.seed)
