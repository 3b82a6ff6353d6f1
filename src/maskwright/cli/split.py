"""The verb that shares a data set out to train, val and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Group, Seed, Strict, Test, Val, finish, quote
from maskwright.types import InputError

SHOWN = 12
COLUMN = 15


Column = Annotated[str | None, typer.Option("--column", help="Column of samples.csv that names the group.")]
HoldOut = Annotated[
    str | None, typer.Option("--hold-out", help="Validation: so many labelled images, or a file of ids.")
]
HoldOutTest = Annotated[
    str | None, typer.Option("--hold-out-test", help="Test: so many labelled images, or a file of ids.")
]
KeepTest = Annotated[bool, typer.Option("--keep-test", help="Leave the test images that there are.")]
Folds = Annotated[int | None, typer.Option("--folds", help="Cut all but the test into so many folds.")]
Again = Annotated[bool, typer.Option("--again", help="Assign all images anew, not only new ones.")]
Stratify = Annotated[bool, typer.Option(help="Balance class pixels; without, only numbers of images.")]
NearCopies = Annotated[bool, typer.Option(help="Keep images that show the same on one side.")]
Tolerance = Annotated[float, typer.Option("--tolerance", min=0, help="How far off its wanted share a side may be.")]
Workers = Annotated[int | None, typer.Option("--workers", min=0, help="Processes that look at images.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, write nothing.")]
Undo = Annotated[bool, typer.Option("--undo", help="Bring back what was before the last split.")]


def split(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    val: Val = 0.15,
    test: Test = 0.15,
    seed: Seed = 0,
    group: Group = None,
    column: Column = None,
    hold_out: HoldOut = None,
    hold_out_test: HoldOutTest = None,
    keep_test: KeepTest = False,
    folds: Folds = None,
    again: Again = False,
    stratify: Stratify = True,
    near_copies: NearCopies = True,
    tolerance: Tolerance = 0.25,
    workers: Workers = None,
    dry_run: DryRun = False,
    undo: Undo = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Share images out to train, val and test: whole groups, every class on every side, no copies across."""
    if undo:
        before = maskwright.undo_split(dataset)
        finish(as_json, {"dataset": str(before.path)}, [], [f"{dataset} is split as it was before."])
    rule = maskwright.SplitRule(
        val=val,
        test=test,
        seed=seed,
        group=group,
        column=column,
        hold_out=number_or_ids(hold_out),
        hold_out_test=number_or_ids(hold_out_test),
        keep_test=keep_test,
        folds=folds,
    )
    result = maskwright.split_dataset(
        dataset,
        rule,
        again=again,
        dry_run=dry_run,
        stratify=stratify,
        near_copies=near_copies,
        tolerance=tolerance,
        workers=workers,
        strict=strict,
    )
    lines = [*story(result), *table(result), f"Split hash {result.hash}", *ending(result, dataset, dry_run, folds)]
    finish(as_json, result.to_dict(), result.skipped, lines)


def number_or_ids(text: str | None) -> int | tuple[str, ...] | None:
    """'10' is a number of images, anything else the path of a file of ids."""
    if text is None or text.removeprefix("-").isdecimal():
        return None if text is None else int(text)
    if not Path(text).is_file():
        raise InputError(f"'{text}' is neither a number of images nor a file of ids, one a line; check the path.")
    return maskwright.read_ids(Path(text))


def story(result: maskwright.SplitResult) -> list[str]:
    """What was joined and moved, by name."""
    lines = []
    if result.linked:
        lines.append("Joined by near-copies, so that they stay on one side:")
        lines += shortened([f"  {' + '.join(shortened(list(names), 6))}" for names in result.linked])
    if result.moves:
        lines.append(f"Moved {len(result.moves)} of {result.units} off the side of their hash:")
        lines += shortened(
            [
                f"  {move.unit} ({move.images} image{'' if move.images == 1 else 's'}): {move.source} -> {move.target} "
                + ("for the number of images" if move.reason == "images" else f"for '{move.reason}'")
                for move in result.moves
            ]
        )
    return lines


def table(result: maskwright.SplitResult) -> list[str]:
    """Images and groups by side, then each class's share of the side's pixels and the images that show it."""
    sides = result.sides
    names = result.dataset.classes.names
    width = min(24, max(12, *(len(name) for name in names)))

    def row(label: str, cells: list[str]) -> str:
        return f"{label[:width]:{width}} " + " ".join(f"{cell:>{COLUMN}}" for cell in cells)

    lines = [
        row("", [side.name or "(none)" for side in sides]),
        row("images", [str(side.images) for side in sides]),
        row("groups", [str(side.groups) for side in sides]),
    ]
    if any(side.unlabelled for side in sides):
        lines.insert(2, row("unlabelled", [str(side.unlabelled) for side in sides]))
    if any(sum(side.pixels) for side in sides):
        for k, name in enumerate(names):
            lines.append(row(name, [f"{side.shares[k]:.2%} {side.images_with[k]:>5}" for side in sides]))
        lines.append("Class rows: share of the side's labelled pixels, and images that show the class.")
    return lines


def ending(result: maskwright.SplitResult, dataset: Path, dry_run: bool, folds: int | None) -> list[str]:
    """Notes, what was written, and what to do next."""
    lines = [f"Note: {note}" for note in result.notes]
    if dry_run:
        return [*lines, "Nothing was written (--dry-run)."]
    if not result.written:
        return [*lines, f"{dataset} is as it was."]
    train = f"  maskwright train {quote(dataset)}" + (" --set data.fold=0" if folds else "")
    undo = f"  maskwright split {quote(dataset)} --undo"
    return [*lines, f"Wrote {dataset}/samples.csv and dataset.yaml.", "Next:", train, undo]


def shortened(lines: list[str], most: int = SHOWN) -> list[str]:
    """The first lines, and how many more there are."""
    return lines if len(lines) <= most else [*lines[:most], f"  ... and {len(lines) - most} more (--json lists all)"]
