"""The verbs that bring data in and out: init, import, convert."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli.options import AsJson, Group, Seed, Strict, Test, Val, count_line, dataset_facts, finish, quote
from maskwright.console import say
from maskwright.types import parse_colour


def init(
    *,
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    classes: Annotated[str, typer.Option("--classes", help="Names, separated by commas; put background first.")],
    val: Val = 0.15,
    test: Test = 0.15,
    group: Group = None,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Photos without masks become an unlabelled data set."""
    table = maskwright.Classes.from_names(classes.split(","))
    shares = maskwright.Shares(val=val, test=test, seed=seed, group=group)
    result = maskwright.init_dataset(photos, dest, table, shares=shares, strict=strict)
    lines = [
        f"Wrote {dest}: {len(result.dataset.samples)} photos without masks.",
        f"Next: save class-id PNGs (0 = {table.names[0]}, 255 = ignore) as {dest}/masks/NAME.png with any tool, then",
        f"  maskwright train {quote(dest)}",
    ]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


def import_(
    *,
    format: Annotated[str, typer.Argument(help="folders, index, binary, colour or camvid.")],
    src: Annotated[Path, typer.Argument(help="Folder that holds images and masks.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    classes: Annotated[str | None, typer.Option("--classes", help="Names by id, separated by commas.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="Colours: lines of name,r,g,b, or YAML.")] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder of images, if not found by itself.")] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="Folder of masks, if not found by itself.")] = None,
    mask_suffix: Annotated[str, typer.Option("--mask-suffix", help="What mask names have more, such as _mask.")] = "",
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="An id or colour that does not count.")] = None,
    unknown: Annotated[
        str | None, typer.Option("--unknown", help="Colours outside the table: error, ignore or nearest.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept a colour table found by scanning.")] = False,
    val: Val = 0.15,
    test: Test = 0.15,
    group: Group = None,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Images and masks in any known layout become a data set."""
    ids, colours = parse_ignored(ignore or [])
    options = maskwright.Options(
        names=tuple(classes.split(",")) if classes else None,
        table=table,
        images=images,
        masks=masks,
        mask_suffix=mask_suffix,
        ignore_ids=ids,
        ignore_colours=colours,
        unknown=unknown,
    )
    shares = maskwright.Shares(val=val, test=test, seed=seed, group=group)
    result = maskwright.import_dataset(
        format, src, dest, options=options, shares=shares, confirm=asker(yes), strict=strict
    )
    lines = [f"Wrote {dest}: {count_line(result.dataset)}", "Next:", f"  maskwright train {quote(dest)}"]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


def convert(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    format: Annotated[str, typer.Argument(help="folders, index, binary, colour or camvid.")],
    dest: Annotated[Path, typer.Argument(help="New folder.")],
    as_json: AsJson = False,
) -> None:
    """A data set becomes images and masks in another layout."""
    maskwright.convert_dataset(dataset, format, dest)
    finish(as_json, {"out": str(dest), "format": format}, [], [f"Wrote {dest} in the {format} layout."])


def asker(yes: bool) -> Any:
    """A function that shows a found colour table and asks whether it may be used."""

    def confirm(text: str) -> bool:
        say(f"Colours found in the masks:\n{text}")
        if yes:
            return True
        if not sys.stdin.isatty():
            return False
        return typer.confirm("Use these as classes? (name them with --table instead)", err=True)

    return confirm


def parse_ignored(values: list[str]) -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    """Ids and colours that do not count."""
    ids = tuple(int(value) for value in values if value.isdigit())
    return ids, tuple(parse_colour(value) for value in values if not value.isdigit())
