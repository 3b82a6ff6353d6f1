"""The verbs that bring data in and out: init, import, convert."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli.options import (
    AsJson,
    Engine,
    Group,
    Seed,
    Strict,
    Test,
    Val,
    Workers,
    count_line,
    dataset_facts,
    finish,
    quote,
)
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
    scale_deep: Annotated[
        bool, typer.Option("--scale-deep", help="Scale photos of more than 8 bits a channel to 8, all by one rule.")
    ] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Photos without masks become an unlabelled data set."""
    table = maskwright.Classes.from_names(classes.split(","))
    shares = maskwright.Shares(val=val, test=test, seed=seed, group=group)
    result = maskwright.init_dataset(photos, dest, table, shares=shares, strict=strict, scale_deep=scale_deep)
    lines = [
        f"Wrote {dest}: {len(result.dataset.samples)} photos without masks.",
        "Next:",
        f"  maskwright label {quote(dest)}",
        f"  (or save class-id PNGs, 0 = {table.names[0]}, 255 = ignore, as {dest}/masks/NAME.png with any tool)",
        f"  maskwright train {quote(dest)}",
    ]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


def import_(
    *,
    format: Annotated[str, typer.Argument(help="folders, index, binary, colour, coco, ...; see 'maskwright formats'.")],
    src: Annotated[Path, typer.Argument(help="Folder that holds images and masks, or the annotation file.")],
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
    as_: Annotated[str, typer.Option("--as", help="Annotations become classes, groups or binary.")] = "classes",
    groups: Annotated[
        Path | None, typer.Option("--groups", help="YAML: group -> names and priority; coco-nine if left out.")
    ] = None,
    crowd: Annotated[str, typer.Option("--crowd", help="Crowd regions: ignore, class or background.")] = "ignore",
    border: Annotated[str, typer.Option("--border", help="Uncertain borders: ignore or background.")] = "ignore",
    ties: Annotated[
        str, typer.Option("--ties", help="Which shape wins at equal priority: later, first or smaller.")
    ] = "later",
    max_images: Annotated[int | None, typer.Option("--max-images", min=1, help="Take only the first ones.")] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="Annotations to masks alone, without photos.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Hard links to the photos instead of copies.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept a colour table found by scanning.")] = False,
    val: Val = 0.15,
    test: Test = 0.15,
    group: Group = None,
    seed: Seed = 0,
    workers: Workers = None,
    engine: Engine = "processes",
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
        kind=as_,
        groups=groups,
        crowd=crowd,
        border=border,
        ties=ties,
        max_images=max_images,
        without_images=no_images,
    )
    shares = maskwright.Shares(val=val, test=test, seed=seed, group=group)
    result = maskwright.import_dataset(
        format,
        src,
        dest,
        options=options,
        shares=shares,
        confirm=asker(yes),
        strict=strict,
        workers=maskwright.engine_of(engine, workers),
        link=link,
    )
    contested = maskwright.contested(result.dataset)
    lines = [
        *contested_lines(contested, ties),
        f"Wrote {dest}: {count_line(result.dataset)}",
        "Next:",
        f"  maskwright audit {quote(dest)}",
        f"  maskwright train {quote(dest)}",
    ]
    finish(as_json, {**dataset_facts(result.dataset), "contested": contested}, result.skipped, lines)


def contested_lines(rows: list[dict[str, Any]], ties: str, *, shown: int = 10) -> list[str]:
    """Which classes claimed the same pixels, and who won."""
    if not rows:
        return []
    total = sum(row["pixels"] for row in rows)
    pairs = "one pair" if len(rows) == 1 else f"{len(rows)} pairs"
    lines = [f"{total:,} pixels were contested, by {pairs} of classes; higher priority wins, then --ties {ties}:"]
    lines += [f"  {row['pixels']:>12,}  {row['winner']} over {row['loser']}" for row in rows[:shown]]
    if len(rows) > shown:
        lines.append(f"  ... and {len(rows) - shown} more pairs (all are in contested.csv).")
    return lines


def convert(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    format: Annotated[str, typer.Argument(help="folders, index, binary, colour, coco, ...; see 'maskwright formats'.")],
    dest: Annotated[Path, typer.Argument(help="New folder.")],
    as_json: AsJson = False,
) -> None:
    """A data set becomes images and masks in another layout."""
    maskwright.convert_dataset(dataset, format, dest)
    finish(as_json, {"out": str(dest), "format": format}, [], [f"Wrote {dest} in the {format} layout."])


def formats(*, as_json: AsJson = False) -> None:
    """List the layouts that can be read and written."""
    known = maskwright.FORMATS
    lines = [f"{name:14} {'read, write' if one.write else 'read':12} {one.about}" for name, one in known.items()]
    facts = {name: {"about": one.about, "writes": one.write is not None} for name, one in known.items()}
    finish(as_json, facts, [], lines)


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
