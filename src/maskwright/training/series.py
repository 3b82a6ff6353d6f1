"""Several runs that are compared: the same recipe with other seeds, or variants of it; mean, spread, leaderboard.

OUT/series.json            what is compared, so that the same call goes on where it stopped
OUT/[VARIANT/]seed-N/      the runs
OUT/leaderboard.{csv,json} written anew after every run
"""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maskwright.config import Recipe
from maskwright.console import Skipped, say
from maskwright.data.dataset import Dataset
from maskwright.files import explained, read_json, require_free, write_json
from maskwright.run import Run, write_csv
from maskwright.scoring.evaluating.score import evaluate
from maskwright.training import processes
from maskwright.training.begin import opened, resolve_all
from maskwright.training.fit import resume, train
from maskwright.types import InputError, TargetError

JOB, LEADERBOARD = "series.json", "leaderboard"
LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A recipe under a name, kept in the folder `place` of a series ('' for the series' own folder)."""

    name: str
    recipe: Recipe
    place: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of a series reached; without a score it failed, and `reason` says why."""

    variant: str
    seed: int
    score: float | None = None
    seconds: float = 0.0
    images_seen: int = 0
    parameters: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A finished or interrupted series: rows of the leaderboard, best mean first, and what was left out."""

    folder: Path
    score: str
    rows: list[dict[str, Any]]
    interrupted: bool = False
    failed: list[Outcome] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def train_seeds(
    dataset: Dataset | str | Path,
    recipe: Recipe | str = "default",
    *,
    out: str | Path,
    seeds: int,
    sets: Sequence[str] = (),
    split: str = "val",
    strict: bool = False,
) -> Series:
    """Train a recipe `seeds` times, with its own seed and those that follow; write mean and sample deviation.

    The same call goes on at the first unfinished run. Scores are the best validation score of each run, or with
    `split` 'test' those of its best weights on the test images. Raises InputError as `train` does.
    """
    wanted = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, sets)
    variant = Variant(name=wanted.name, recipe=wanted)
    return run_series(dataset, [variant], out=Path(out), seeds=seeds, split=split, strict=strict)


def run_series(
    dataset: Dataset | str | Path, variants: Sequence[Variant], *, out: Path, seeds: int, split: str, strict: bool
) -> Series:
    """Train every variant with every seed, all variants with the first seed first; the first variant is the baseline.

    A variant that fails while it trains is listed, and the others go on; a series of one raises.
    """
    if processes.count() > 1:
        raise InputError("A series starts its own processes: leave out torchrun and set train.devices.")
    if seeds < 1 or split not in ("val", "test"):
        raise InputError(f"{seeds} seeds, scored on '{split}': take at least one seed, and val or test.")
    data, skipped = opened(dataset, strict)
    if split == "test":
        data.labelled("test")  # raises where there is none
    for variant in variants:
        resolve_all(variant.recipe, data)
    claim(out, data, variants, seeds, split)
    found: list[Outcome] = []
    series = Series(folder=out, score=score_name(split), rows=[], skipped=skipped)
    for number in range(seeds):
        for variant in variants:
            seed = variant.recipe.train.seed + number
            place = out / variant.place / f"seed-{seed}"
            say(f"\n{variant.name}, seed {seed} ({len(found) + 1} of {seeds * len(variants)})")
            try:
                outcome = one_run(place, data, variant, seed, split)
            except TargetError:
                raise
            except InputError as error:
                if len(variants) == 1:
                    raise
                outcome = Outcome(variant=variant.name, seed=seed, reason=str(error))
                say(f"failed: {error}")
            if outcome is None:
                return replace(series, interrupted=True)
            found.append(outcome)
            series = write_leaderboard(out, variants, found, split, skipped)
    return series


def claim(out: Path, data: Dataset, variants: Sequence[Variant], seeds: int, split: str) -> None:
    """Make the folder, or take up one that the same series began; more seeds than before are a longer same series.

    Raises TargetError where it holds anything else.
    """
    job = {
        "dataset": str(data.path.resolve()),
        "fingerprint": data.fingerprint,
        "split": split,
        "variants": {variant.name: variant.recipe.to_dict() for variant in variants},
    }
    if (out / JOB).is_file():
        begun = read_json(out / JOB)
        if {key: begun.get(key) for key in job} != job:
            raise TargetError(
                f"{out} holds another series (data, recipe, variants or scored split differ); choose another folder."
            )
    else:
        require_free(out)
        with explained(out):
            out.mkdir(parents=True, exist_ok=True)
    write_json(out / JOB, {**job, "seeds": seeds})


def one_run(place: Path, data: Dataset, variant: Variant, seed: int, split: str) -> Outcome | None:
    """Train, go on with, or look up one run; None where it was interrupted."""
    if not is_finished(place):
        if (place / "checkpoint.ckpt").is_file() or (place / "weights" / "encoder.safetensors").is_file():
            ended = resume(place, data).ended
        else:
            shutil.rmtree(place, ignore_errors=True)
            ended = train(data, variant.recipe.with_values(train__seed=seed), out=place).ended
        if ended == "interrupted":
            return None
    run = Run.open(place)
    about = run.about
    score = float(about["best"]["val_score"])
    if split == "test":
        scores = run.evaluations().get("test") or evaluate(run, data, split="test").scores
        without = run.classes.background is not None and not run.recipe.background_scored
        score = float(scores["mean_iou_no_background" if without else "mean_iou"])
    return Outcome(
        variant=variant.name,
        seed=seed,
        score=score,
        seconds=float(about["seconds"]),
        images_seen=int(about["images_seen"]),
        parameters=int(about["parameters"]),
        reason=str(about["status"]),
    )


def is_finished(place: Path) -> bool:
    """Whether a run is there that came to its own end."""
    if not (place / "run.yaml").is_file():
        return False
    about = Run.open(place).about
    return "ended" in about and about["status"] not in ("running", "interrupted") and "stopped" not in about["status"]


def write_leaderboard(
    out: Path, variants: Sequence[Variant], found: Sequence[Outcome], split: str, skipped: list[Skipped]
) -> Series:
    """Write `leaderboard.csv` and `.json` over the runs so far."""
    places = {variant.name: f"{variant.place}/" if variant.place else "" for variant in variants}
    rows = leaderboard(list(places), found)
    for row in rows:
        best = max(row["scores"], key=lambda seed: row["scores"][seed], default=None)
        row["best_run"] = "" if best is None else f"{places[row['variant']]}seed-{best}"
    flat = [{key: "" if value is None else value for key, value in row.items() if key != "scores"} for row in rows]
    write_csv(out / f"{LEADERBOARD}.csv", flat)
    whole = {"score": score_name(split), "split": split, "rows": rows, "runs": [vars(outcome) for outcome in found]}
    write_json(out / f"{LEADERBOARD}.json", whole)
    failed = [outcome for outcome in found if outcome.score is None]
    return Series(folder=out, score=score_name(split), rows=rows, failed=failed, skipped=skipped)


def leaderboard(names: Sequence[str], found: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row a variant, the best mean first: mean and sample standard deviation over seeds, and what it cost.

    `against` compares it in words with the first name, the baseline; see `compared`.
    """
    rows = [summary(name, [o for o in found if o.variant == name and o.score is not None]) for name in names]
    baseline = rows[0]
    for row in rows:
        row["difference"] = None
        if row is not baseline and row["runs"] and baseline["runs"]:
            row["difference"] = row["mean"] - baseline["mean"]
        row["against"] = "" if row["difference"] is None else compared(row, baseline)
    return sorted(rows, key=lambda row: -1.0 if row["mean"] is None else row["mean"], reverse=True)


def summary(name: str, runs: Sequence[Outcome]) -> dict[str, Any]:
    """Mean, spread, extremes and cost of the runs of one variant."""
    scores = [run.score for run in runs if run.score is not None]
    return {
        "variant": name,
        "runs": len(runs),
        "mean": statistics.fmean(scores) if scores else None,
        "deviation": statistics.stdev(scores) if len(scores) > 1 else None,
        "lowest": min(scores, default=None),
        "highest": max(scores, default=None),
        "seconds": statistics.fmean(run.seconds for run in runs) if runs else None,
        "images_seen": round(statistics.fmean(run.images_seen for run in runs)) if runs else None,
        "parameters": runs[0].parameters if runs else None,
        "scores": {run.seed: run.score for run in runs},
    }


def compared(row: dict[str, Any], baseline: dict[str, Any]) -> str:
    """Whether two means differ by more than seeds do: the difference against the pooled standard deviation."""
    gap = abs(row["mean"] - baseline["mean"])
    if row["deviation"] is None or baseline["deviation"] is None:
        return "one seed: nothing is known of the spread, so this shows no difference"
    both = [seed for seed in row["scores"] if seed in baseline["scores"]]
    higher = sum(row["scores"][seed] > baseline["scores"][seed] for seed in both)
    wins = f"higher with {higher} of {len(both)} seeds"
    spread = ((row["deviation"] ** 2 + baseline["deviation"] ** 2) / 2) ** 0.5
    if gap <= spread:
        return f"{gap:.4f} is within the spread between seeds ({spread:.4f}): no difference shown; {wins}"
    word = "better" if row["mean"] > baseline["mean"] else "worse"
    return f"{word} by {gap:.4f}, more than the spread between seeds ({spread:.4f}); {wins}"


def score_name(split: str) -> str:
    """What the numbers of a leaderboard are."""
    if split == "test":
        return "mean IoU of the best weights on the test images, at their original size"
    return "best validation mean IoU of a run, at the working size (it also chose the weights, so it flatters)"


def folder_name(name: str) -> str:
    """A variant's name as a folder can be called."""
    return re.sub(r"[^\w.=,+-]+", "_", name)[:LONGEST_NAME].strip("._") or "variant"
