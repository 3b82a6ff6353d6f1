"""The verb that compares variants of a recipe, and how a series of runs is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli.options import AsJson, Strict, finish, quote
from maskwright.console import Skipped


def ablate(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    vary: Annotated[
        list[str], typer.Option("--vary", metavar="KEY=A,B,C", help="A recipe key and its values; may be repeated.")
    ],
    recipe: Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a YAML file.")] = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder, or one to go on in; ablations/DATASET-RECIPE.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="A recipe key for all, as train.epochs=20.")] = None,
    budget: Annotated[float | None, typer.Option("--budget", help="Minutes a run, in place of epochs.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of every variant, with the same seeds.")] = 3,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="The first of them.")] = None,
    product: Annotated[bool, typer.Option("--product", help="All combinations, not one key at a time.")] = False,
    split: Annotated[str, typer.Option("--split", help="val; test only for a last look.")] = "val",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Compare variants of a recipe at equal budget, with the spread between seeds."""
    dials = {"train.budget": budget, "train.seed": seed}
    changes = [*(sets or []), *(f"{key}={value}" for key, value in dials.items() if value is not None)]
    base = maskwright.Recipe.load(recipe, changes)
    folder = out or Path("ablations") / f"{dataset.resolve().name}-{base.name}"
    result = maskwright.ablate(
        dataset, base, vary=vary, out=folder, seeds=seeds, product=product, split=split, strict=strict
    )
    finish_series(result, as_json)


def finish_series(series: maskwright.Series, as_json: bool) -> None:
    """Print the leaderboard, what failed and what to do next."""
    folder = quote(series.folder)
    lines = ["", *table(series.rows), f"Scores: {series.score}.", f"Wrote {folder}/leaderboard.csv and .json"]
    if series.interrupted:
        lines.append(f"Interrupted: the same command with --out {folder} goes on where it stopped.")
    elif series.rows and series.rows[0]["runs"]:
        lines += ["Next:", f"  maskwright evaluate {folder}/{series.rows[0]['best_run']} --split test"]
    failed = [Skipped(f"{run.variant}, seed {run.seed}", run.reason) for run in series.failed]
    facts = {"series": str(series.folder), "interrupted": series.interrupted, "rows": series.rows}
    finish(as_json, facts, [*series.skipped, *failed], lines, code=130 if series.interrupted else 0)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of text, a row a variant, the best mean first."""
    if not rows:
        return ["No run has ended yet."]
    wide = max(8, *(len(row["variant"]) for row in rows))
    lines = [f"{'variant':{wide}}   mean    +/-  runs  seconds  images seen  against the baseline"]
    for row in rows:
        mean = "     -" if row["mean"] is None else f"{row['mean']:.4f}"
        spread = "     -" if row["deviation"] is None else f"{row['deviation']:.4f}"
        cost = f"{row['seconds'] or 0:7.0f}  {row['images_seen'] or 0:11,}"
        lines.append(f"{row['variant']:{wide}} {mean} {spread}  {row['runs']:4}  {cost}  {row['against']}".rstrip())
    if all(row["deviation"] is None for row in rows):
        lines.append("One run a row: nothing is known of the spread between seeds; take --seeds 3 or more.")
    return lines
