"""The verb that spoils photos and sees what is left of the score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli.options import AsJson, Device, Engine, Precision, Seed, Strict, Weights, finish, names_in, quote

GATE_FAILED = 4


def stress(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    dataset: Annotated[Path | None, typer.Argument(help="Data set folder, if not the run's own.")] = None,
    suite: Annotated[
        str, typer.Option("--suite", help="ladder (8 kinds, 10 levels), corruptions (12 kinds, 6 levels) or both.")
    ] = "ladder",
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    seed: Seed = 0,
    kinds: Annotated[str | None, typer.Option("--kinds", help="Only these, as in noise,blur.")] = None,
    max_images: Annotated[
        int | None, typer.Option("--max-images", min=1, help="So many images, spread over the split.")
    ] = None,
    classes: Annotated[str | None, typer.Option("--classes", help="Print a table for each of these as well.")] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option("--gate", help='End with exit code 4 if it does not hold, as in "retention>=0.8"; repeatable.'),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Only draw the levels of each kind on a photo into this file.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes on a CPU; all cores if left out.")
    ] = None,
    engine: Engine = "processes",
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """What is left of a run's score when light, weather, camera or file spoil the photos."""
    if sheet is not None:
        drawn = maskwright.stress_sheet(run, dataset, sheet, suite=suite, split=split, seed=seed)
        finish(as_json, {"sheets": [str(path) for path in drawn]}, [], [f"Wrote {path}" for path in drawn])
    named = names_in(classes, "--classes")
    for name in named:
        maskwright.Run.open(run).classes.id_of(name)
    found = maskwright.stress(
        run,
        dataset,
        suite=suite,
        split=split,
        seed=seed,
        kinds=names_in(kinds, "--kinds") or None,
        max_images=max_images,
        gates=[text for item in gate or [] for text in item.split(",")],
        workers=maskwright.engine_of(engine, workers),
        weights=weights,
        device=device,
        precision=precision,
        strict=strict,
    )
    page = maskwright.report(run)
    lines, verdicts = [], []
    for result in found:
        lines += [*result.lines(named), *_summary(result.scores), f"Wrote {result.path}", ""]
        verdicts += result.verdicts
    lines += [verdict.line() for verdict in verdicts]
    lines += [f"Wrote {page}", "Next:", f"  maskwright stress {quote(run)} --sheet levels.png"]
    facts: dict[str, Any] = {
        "results": [{"path": str(result.path), **result.scores} for result in found],
        "gates": [vars(verdict) for verdict in verdicts],
        "report": str(page),
    }
    failed = any(not verdict.held for verdict in verdicts)
    skipped = list(dict.fromkeys(row for result in found for row in result.skipped))
    finish(as_json, facts, skipped, lines, code=GATE_FAILED if failed else 0)


def _summary(scores: dict[str, Any]) -> list[str]:
    """Retention with its interval, what it is, and what the suite cost."""
    cost = scores["cost"]
    extra = cost["perturb_seconds"] + cost["score_seconds"]
    low, high = scores["interval"]
    interval = "" if low is None else f", 95 % interval {low:.3f} to {high:.3f}"
    kept = (
        "undefined: nothing was found on the photos as they are"
        if scores["retention"] is None
        else (f"{scores['retention']:.3f}{interval}, worst {scores['worst']:.3f}")
    )
    seen = [kind["title"] for kind in scores["kinds"] if kind["trained_on"]]
    return [
        "",
        f"retention {kept} ({scores['suite']}, {scores['images']} images, means over {scores['mean_over']})",
        f"Retention is {scores['definitions']['retention']}.",
        *([f"Training saw the like of: {', '.join(seen)}."] if seen else []),
        f"Perturbing and scoring took {extra:.0f} s beside {cost['predict_seconds']:.0f} s of prediction.",
    ]
