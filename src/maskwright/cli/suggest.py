"""The verb that says which images to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Device, Precision, Seed, Strict, Weights, finish, quote
from maskwright.types import InputError


def suggest(
    *,
    run: Annotated[str, typer.Argument(help="Run folder, or none before there is one.")],
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    count: Annotated[int, typer.Option("--count", "-n", help="How many images.")] = 10,
    method: Annotated[str, typer.Option("--method", help="mixed, uncertainty, diversity or random.")] = "mixed",
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Text file of ids to choose from; all unlabelled ones if left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for suggestions.json and .csv; the page's queue if not.")
    ] = None,
    seed: Seed = 0,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Which images to label next: uncertain, with rare classes, and unlike what is labelled."""
    if pool is not None and not pool.is_file():
        raise InputError(f"{pool} is no file; --pool takes a text file with one id a line.")
    result = maskwright.suggest(
        run,
        dataset,
        count=count,
        method=method,
        pool=None if pool is None else maskwright.read_ids(pool),
        out=out,
        seed=seed,
        weights=weights,
        device=device,
        precision=precision,
        strict=strict,
    )
    wide = max(len(id) for id in result.ids)
    lines = [
        f"{len(result.ids)} of {result.facts['pool']} images to label next; {result.facts['labelled']} are labelled:",
        *(f"{row['rank']:4}  {row['id']:{wide}}  {row['reason']}" for row in result.rows),
        f"Wrote {result.path} and {result.path.with_suffix('.csv').name}",
        "Next:",
        f"  maskwright label {quote(dataset)}",
    ]
    finish(as_json, {"out": str(result.path), **result.facts}, result.skipped, lines)
