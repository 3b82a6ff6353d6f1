"""The verbs that draw labelled training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Seed, Strict, Test, Val, count_line, dataset_facts, finish, quote


def raindrops(
    *,
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    per_photo: Annotated[int, typer.Option("--per-photo", min=1, help="Pictures drawn of every photo.")] = 8,
    side: Annotated[int | None, typer.Option("--side", min=32, help="Square crops of this side, pixels.")] = None,
    val: Val = 0.15,
    test: Test = 0.15,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Raindrops on the lens over your photos, with exact masks; split by photo."""
    shares = maskwright.Shares(val=val, test=test, seed=seed)
    result = maskwright.synth_raindrops(
        photos,
        dest,
        per_photo=per_photo,
        size=None if side is None else (side, side),
        seed=seed,
        shares=shares,
        strict=strict,
    )
    lines = [f"Wrote {dest}: {count_line(result.dataset)}", "Next:", f"  maskwright train {quote(dest)}"]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)
