"""The verb that cuts images into patches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Seed, Strict, Workers, count_line, dataset_facts, finish, parse_size, quote
from maskwright.types import InputError


def patches(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    size: Annotated[str, typer.Option("--size", help="Side in pixels, or ROWSxCOLUMNS.")] = "256",
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="Patches wanted in all; 8 an image if left out.")
    ] = None,
    horizon: Annotated[
        str | None,
        typer.Option("--horizon", help="Parts images into above and below: a row, a share below 1, or a CSV name,row."),
    ] = None,
    quota: Annotated[
        str | None, typer.Option("--quota", help="Share of each region, as in above=0.3,below=0.7.")
    ] = None,
    balance: Annotated[bool, typer.Option("--balance", help="Draw for every class equally often.")] = False,
    grid: Annotated[bool, typer.Option("--grid", help="Tiles that cover the image instead of a draw.")] = False,
    max_overlap: Annotated[
        float, typer.Option("--max-overlap", help="Largest share of a patch that another one may cover.")
    ] = 0.25,
    cut: Annotated[
        str, typer.Option("--cut", help="Splits to cut, as in train,val; images of others stay whole.")
    ] = "train",
    seed: Seed = 0,
    workers: Workers = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Crops of each image's regions and classes; held-out images stay whole and out of reach."""
    plan = maskwright.PatchPlan(
        size=parse_size(size),
        count=count,
        horizon=parse_horizon(horizon),
        quota=parse_quota(quota),
        balance=balance,
        grid=grid,
        max_overlap=max_overlap,
        splits=tuple(cut.split(",")),
    )
    result = maskwright.cut_patches(dataset, dest, plan=plan, seed=seed, strict=strict, workers=workers)
    regions: dict[str, int] = {}
    for sample in result.dataset.samples:
        if region := sample.extra.get("region"):
            regions[region] = regions.get(region, 0) + 1
    lines = [
        "Patches: " + ", ".join(f"{name} {number}" for name, number in sorted(regions.items())),
        f"Wrote {dest}: {count_line(result.dataset)}",
        "Next:",
        f"  maskwright train {quote(dest)}",
    ]
    finish(as_json, {**dataset_facts(result.dataset), "patches": regions}, result.skipped, lines)


def parse_horizon(text: str | None) -> float | Path | None:
    """A row, a share, or a file."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return Path(text)


def parse_quota(text: str | None) -> dict[str, float]:
    """'above=0.3,below=0.7' as numbers by name."""
    found: dict[str, float] = {}
    for part in (text or "").split(",") if text else []:
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise InputError(f"'{part}' is not of the form NAME=NUMBER, as in above=0.3,below=0.7.") from error
    return found
