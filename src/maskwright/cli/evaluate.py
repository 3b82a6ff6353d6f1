"""The verb that scores a run, or masks that anybody predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import (
    AsJson,
    Device,
    Engine,
    Flips,
    Overlap,
    Precision,
    Scales,
    Seed,
    Strict,
    Tiles,
    Weights,
    finish,
    how_of,
    quote,
)
from maskwright.types import InputError


def evaluate(
    *,
    source: Annotated[Path, typer.Argument(help="Run folder, or a folder of prediction masks.")],
    dataset: Annotated[
        Path | None, typer.Argument(help="Data set folder; may be left out for a run scored on its own.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the evaluation; SOURCE/evaluation/SPLIT if left out.")
    ] = None,
    units: Annotated[
        str,
        typer.Option("--units", help="What intervals are over: images, groups, or auto (groups where there are 10)."),
    ] = "auto",
    draws: Annotated[int, typer.Option("--draws", min=100, help="Resamples behind an interval.")] = 10_000,
    surface: Annotated[
        bool, typer.Option("--surface", help="Also distances between contours: HD95 and surface Dice.")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", min=0, help="Pixels that surface Dice forgives; 2 if left out.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images at a time; changes no score.")] = 1,
    tiles: Tiles = "auto",
    overlap: Overlap = 0.25,
    flips: Flips = False,
    scales: Scales = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that predict; this one if left out.")
    ] = None,
    engine: Engine = "processes",
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Score a run, or prediction masks, on labelled images at their original size, with intervals."""
    if tolerance is not None and not surface:
        raise InputError("--tolerance is for surface Dice; give --surface with it.")
    how = how_of(tiles, overlap, flips, scales)
    result = maskwright.evaluate(
        source,
        dataset,
        split=split,
        out=out,
        batch=batch,
        weights=weights,
        device=device,
        precision=precision,
        units=units,
        draws=draws,
        seed=seed,
        surface_px=(2.0 if tolerance is None else tolerance) if surface else None,
        how=None if how == maskwright.How() else how,
        workers=maskwright.engine_of(engine, workers),
        strict=strict,
    )
    lines = [*result.table, f"Wrote {result.folder}"]
    facts = {**result.scores, "evaluation": str(result.folder)}
    if out is None and result.scores["source"]["kind"] == "run":
        facts["report"] = str(maskwright.report(source))
        lines[-1] += f" and {facts['report']}"
    lines += ["Next:", f"  maskwright compare {quote(source)} OTHER --out comparison"]
    finish(as_json, facts, result.skipped, lines)
