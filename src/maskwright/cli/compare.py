"""The verb that says whether models are really different."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Device, Precision, Seed, Strict, Weights, finish, numbered


def compare(
    *,
    sources: Annotated[list[Path], typer.Argument(help="Two or more run folders or folders of prediction masks.")],
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Data set folder, if not the one that the runs were trained on.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder for the result; comparisons/SPLIT-N if left out.")
    ] = None,
    units: Annotated[
        str,
        typer.Option("--units", help="What is resampled: images, groups, or auto for groups where there are enough."),
    ] = "auto",
    photos: Annotated[
        bool, typer.Option("--photos/--no-photos", help="Whether the page shows photos, which not all may publish.")
    ] = True,
    seed: Seed = 0,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Are they really different? Runs or predictions on the same images: verdicts, intervals, costs, pictures."""
    result = maskwright.compare(
        sources,
        dataset,
        out=out or numbered(Path("comparisons"), split),
        split=split,
        units=units,
        weights=weights,
        device=device,
        precision=precision,
        seed=seed,
        strict=strict,
    )
    page = maskwright.compare_page(result.path, photos=photos)
    lines = [*result.lines(), "", f"Wrote {page} (open it in a browser) and comparison.json beside it."]
    finish(as_json, {**result.facts, "folder": str(result.path), "report": str(page)}, result.skipped, lines)
