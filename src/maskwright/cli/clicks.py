"""The verb that counts how many clicks a good mask takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Seed, Strict, finish, names_in


def clicks(
    *,
    prompters: Annotated[
        list[str], typer.Argument(help="classical, sam2, sam2:FOLDER, run:RUN; one or more.", metavar="PROMPTER")
    ],
    dataset: Annotated[Path, typer.Argument(help="Data set folder with labels.")],
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the result; clicks/SPLIT-N, or RUN/clicks/SPLIT for one run."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", help="Objects of these, as in cat,dog; all but the background.")
    ] = None,
    objects: Annotated[int, typer.Option("--objects", min=1, help="At most so many, evenly over images.")] = 50,
    min_area: Annotated[int, typer.Option("--min-area", min=1, help="Pixels that an object has at least.")] = 400,
    max_clicks: Annotated[int, typer.Option("--max-clicks", min=1, help="Clicks on an object at most.")] = 20,
    jitter: Annotated[int, typer.Option("--jitter", min=0, help="Times that clicks are near the centre as well.")] = 1,
    tell_class: Annotated[
        bool, typer.Option("--tell-class", help="Tell the object's class to prompters that know classes.")
    ] = False,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """How many clicks to a good mask: a simulated person clicks the same objects with every prompter."""
    result = maskwright.clicks(
        prompters,
        dataset,
        split=split,
        out=out,
        classes=names_in(classes, "--classes") or None,
        objects=objects,
        min_area=min_area,
        max_clicks=max_clicks,
        jitter=jitter,
        tell_class=tell_class,
        seed=seed,
        strict=strict,
    )
    page = maskwright.clicks_page(result.path)
    lines = [*result.lines(), "", f"Wrote {page} (open it in a browser), clicks.json and clicks.csv beside it."]
    if result.run is not None:
        lines.append(f"Wrote {maskwright.report(result.run)}")
    finish(as_json, {**result.facts, "folder": str(result.path), "page": str(page)}, result.skipped, lines)
