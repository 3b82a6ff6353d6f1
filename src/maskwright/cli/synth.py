"""The verbs that draw labelled training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Group, Seed, Strict, Test, Val, count_line, dataset_facts, finish, quote
from maskwright.types import InputError


def raindrops(
    *,
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    per_photo: Annotated[int, typer.Option("--per-photo", min=1, help="Pictures drawn of every photo.")] = 8,
    side: Annotated[int | None, typer.Option("--side", min=32, help="Square crops of this side, pixels.")] = None,
    style: Annotated[
        str, typer.Option("--style", help="close (on the lens itself) or windshield (out of focus).")
    ] = "close",
    density: Annotated[
        str | None, typer.Option("--density", metavar="LOW,HIGH", help="Share of the glass under drops, 0 to 0.8.")
    ] = None,
    drop_size: Annotated[
        str | None, typer.Option("--drop-size", metavar="LOW,HIGH", help="Diameters, as shares of the shorter side.")
    ] = None,
    focus: Annotated[
        str | None,
        typer.Option("--focus", metavar="LOW,HIGH", help="Blur of the glass, a share of the shorter side; 0 is sharp."),
    ] = None,
    streaks: Annotated[float | None, typer.Option("--streaks", help="Share of drops that run or are smeared.")] = None,
    val: Val = 0.15,
    test: Test = 0.15,
    group: Group = None,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Processes; all cores if left out.")] = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Raindrops on the glass over your photos, with exact masks; split by photo."""
    drops = maskwright.drop_style(
        style,
        density=span("--density", density),
        size=span("--drop-size", drop_size),
        focus=span("--focus", focus),
        streaks=streaks,
    )
    result = maskwright.synth_raindrops(
        photos,
        dest,
        per_photo=per_photo,
        size=None if side is None else (side, side),
        seed=seed,
        shares=maskwright.Shares(val=val, test=test, seed=seed, group=group),
        style=drops,
        workers=workers,
        strict=strict,
    )
    lines = [
        f"Wrote {dest}: {count_line(result.dataset)}",
        "Next:",
        f"  maskwright train {quote(dest)} --recipe raindrops --budget 8",
    ]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


def span(option: str, text: str | None) -> tuple[float, float] | None:
    """'0.1,0.3' or '0.2' (from 0.2 to 0.2) as two numbers."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise InputError(f"{option} is '{text}'; give two numbers, as in {option} 0.05,0.2.")
    return numbers[0], numbers[-1]
