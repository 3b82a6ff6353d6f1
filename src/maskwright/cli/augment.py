"""The verb that writes down augmented versions, or shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Engine, Seed, Strict, Workers, count_line, dataset_facts, finish, quote
from maskwright.types import InputError


def augment(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    dest: Annotated[Path | None, typer.Argument(help="New data set folder; not needed with --preview.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="Whose 'augment' section is drawn.")] = "pets",
    sets: Annotated[list[str] | None, typer.Option("--set", help="A recipe key, as in augment.cutmix=0.5.")] = None,
    times: Annotated[
        list[str] | None,
        typer.Option("--times", help="Versions of each image in all, as in 4; of those with a class, as in cat=8."),
    ] = None,
    preview: Annotated[Path | None, typer.Option("--preview", help="Write a sheet of pictures here instead.")] = None,
    seed: Seed = 0,
    workers: Workers = None,
    engine: Engine = "processes",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Several versions of every training image, more of rare classes; or a sheet that shows what is drawn."""
    loaded = maskwright.Recipe.load(recipe, sets or [])
    if preview is not None:
        maskwright.preview(dataset, loaded, preview, seed=seed)
        finish(as_json, {"preview": str(preview)}, [], [f"Wrote {preview}; open it and look."])
    if dest is None:
        raise InputError("Name a new data set folder, or --preview SHEET.png to look first.")
    result = maskwright.augment_dataset(
        dataset,
        dest,
        loaded,
        versions=parse_times(times or []),
        seed=seed,
        strict=strict,
        workers=maskwright.engine_of(engine, workers),
    )
    drawn = sum(bool(sample.extra.get("version")) for sample in result.dataset.samples)
    lines = [
        f"Wrote {dest}: {count_line(result.dataset)}",
        f"{drawn} of them are drawn versions.",
        "Next:",
        f"  maskwright train {quote(dest)}",
    ]
    finish(as_json, {**dataset_facts(result.dataset), "versions": drawn}, result.skipped, lines)


def parse_times(values: list[str]) -> maskwright.Versions:
    """'4' and 'cat=8' as numbers."""
    each, by_class = 4, {}
    for value in values:
        name, equals, number = value.rpartition("=")
        if not number.strip().isdigit() or (equals and not name.strip()):
            raise InputError(f"--times {value} is not of the form 4 or cat=8.")
        if equals:
            by_class[name.strip()] = int(number)
        else:
            each = int(number)
    return maskwright.Versions(each=each, by_class=by_class)
