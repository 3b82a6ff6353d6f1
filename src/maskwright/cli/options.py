"""What the verbs share: options that mean the same everywhere, and how a verb ends."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.console import Skipped, say, say_skipped
from maskwright.types import InputError

LEFT_OUT = 3

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first file that cannot be used.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes; all cores where there are many images if left out.")
]
Engine = Annotated[
    str, typer.Option("--engine", help="Who works: processes of this machine, or ray, a cluster (see RAY_ADDRESS).")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        help="auto (the fastest that is installed and proven equal), torch, openvino, onnxruntime or openvino-int8.",
    ),
]
Tiles = Annotated[
    str,
    typer.Option("--tiles", help="auto (what is much larger than the training photos), off, or ROWSxCOLUMNS of it."),
]
Overlap = Annotated[float, typer.Option("--overlap", help="Share of a tile that its neighbours see, too.")]
Flips = Annotated[bool, typer.Option("--flips", help="Also see each image in a mirror; twice the time.")]
Scales = Annotated[
    str | None, typer.Option("--scales", help="Also see each image at these working sizes, as in 0.75,1.25.")
]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]
Weights = Annotated[str, typer.Option("--weights", help="best or last.")]
Val = Annotated[float, typer.Option("--val", help="Share of images for validation, where the source has no splits.")]
Test = Annotated[float, typer.Option("--test", help="Share of images for the test.")]
Group = Annotated[
    str | None, typer.Option("--group", help="Regular expression on the name; images of one group stay on one side.")
]


def finish(as_json: bool, facts: dict[str, Any], skipped: list[Skipped], lines: list[str], code: int = 0) -> None:
    """Say what was done, list what was left out, and end with the exit code that tells."""
    for line in lines:
        say(line)
    say_skipped(skipped)
    if as_json:
        rows = [{"file": item.file, "reason": item.reason} for item in skipped]
        typer.echo(json.dumps(facts | {"skipped": rows}, default=str))
    raise typer.Exit(code or (LEFT_OUT if skipped else 0))


def dataset_facts(dataset: maskwright.Dataset) -> dict[str, Any]:
    """What machines want to know of a data set."""
    return {
        "dataset": str(dataset.path),
        "images": len(dataset.samples),
        "classes": dataset.classes.names,
        "splits": split_counts(dataset),
        "fingerprint": dataset.fingerprint,
    }


def count_line(dataset: maskwright.Dataset) -> str:
    """'701 images (train 367, val 101, test 233), 11 classes: sky, building, ...'."""
    splits = ", ".join(f"{name} {count}" for name, count in split_counts(dataset).items())
    names = dataset.classes.names
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{len(dataset.samples)} images ({splits}), {len(names)} classes: {listed}"


def split_counts(dataset: maskwright.Dataset) -> dict[str, int]:
    """Images by split, in the usual order."""
    have = [sample.split for sample in dataset.samples]
    return {name: have.count(name) for name in ("train", "val", "test") if name in have}


def quote(path: Path) -> str:
    """A path as a shell wants it."""
    return shlex.quote(str(path))


def names_in(text: str | None, option: str) -> list[str]:
    """'a, b' as names; none where the option was left out. Raises InputError for an empty one."""
    names = [name.strip() for name in text.split(",")] if text is not None else []
    if any(not name for name in names):
        raise InputError(f"{option} '{text}' has an empty name; write names with commas between them.")
    return names


def how_of(tiles: str, overlap: float, flips: bool, scales: str | None) -> maskwright.How:
    """How images are seen, as --tiles, --overlap, --flips and --scales say it."""
    try:
        factors = tuple(float(text) for text in names_in(scales, "--scales"))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"--scales {scales} are no numbers; write them as in 0.75,1.25.") from error
    return maskwright.How(tiles=maskwright.parse_tiles(tiles), overlap=overlap, flips=flips, scales=factors)


def numbered(folder: Path, stem: str) -> Path:
    """FOLDER/STEM-N with the lowest N that is free."""
    number = 1
    while (path := folder / f"{stem}-{number}").exists():
        number += 1
    return path


def parse_size(text: str) -> tuple[int, int]:
    """'256' or '256x384' as rows and columns."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdigit() for part in parts):
        raise InputError(f"'{text}' is not a size; write 256, or ROWSxCOLUMNS as in 256x384.")
    return int(parts[0]), int(parts[-1])
