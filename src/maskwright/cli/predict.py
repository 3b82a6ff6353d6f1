"""The verb that segments: photos, folders, archives, videos, a camera, standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Backend, Device, Engine, Precision, Weights, finish, names_in
from maskwright.types import InputError

STANDARD = "-"


def predict(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder, or a bundle.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Photos, folders, patterns in quotes, zip archives, videos; - is one on standard input."),
    ] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the results; - is standard output.")],
    write: Annotated[
        str | None,
        typer.Option(
            "--write",
            help="Of ids, colour, overlay, probabilities, labelme, geojson, coco, areas, npz and csv, with commas "
            "between; ids,colour,overlay if left out, and overlay of a video.",
        ),
    ] = None,
    camera: Annotated[int | None, typer.Option("--camera", min=0, help="A camera; the first is 0.")] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Predict every N-th frame of a video.")] = 1,
    frames: Annotated[
        int | None,
        typer.Option("--frames", min=0, help="End a video after N; a camera's: 1 if left out, 0 until Ctrl-C."),
    ] = None,
    tiles: Annotated[
        str,
        typer.Option("--tiles", help="auto (what is much larger than the training photos), off, ROWSxCOLUMNS."),
    ] = "auto",
    overlap: Annotated[float, typer.Option("--overlap", help="Share of a tile that its neighbours see, too.")] = 0.25,
    flips: Annotated[bool, typer.Option("--flips", help="Also see it in a mirror; twice the time.")] = False,
    scales: Annotated[str | None, typer.Option("--scales", help="Also see it at these sizes, as in 0.75,1.25.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images at a time; more on a GPU.")] = None,
    simplify: Annotated[
        float, typer.Option("--simplify", min=0, help="Pixels that polygons may be off, to have fewer points.")
    ] = 0.0,
    engine: Engine = "processes",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Each with a model of its own; this process if left out.")
    ] = None,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
    strict: Annotated[
        bool, typer.Option("--strict/--keep-going", help="Stop at the first file that cannot be used, or leave it out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Segment photos and videos of any size; results have the original's name and size."""
    outputs = names_in(write, "--write") if write is not None else None
    how = maskwright.How(
        tiles=maskwright.parse_tiles(tiles), overlap=overlap, flips=flips, scales=tuple(_numbers(scales))
    )
    sources: list[str | int] = [*(images or []), *([camera] if camera is not None else [])]
    if not sources:
        raise InputError("Name photos, a folder, an archive or a video, or a camera with --camera 0.")
    load = {"weights": weights, "device": device, "precision": precision, "backend": backend}
    if out == STANDARD:
        if as_json:
            raise InputError("--json and the result cannot both go to standard output; name a folder with -o.")
        _pipe(run, sources, outputs, how, load)
        return
    result = maskwright.predict(
        run,
        sources,
        out,
        write=outputs,
        how=how,
        batch=batch,
        every=every,
        frames=frames,
        simplify_px=simplify,
        workers=maskwright.engine_of(engine, workers),
        strict=strict,
        **load,
    )
    facts = {key: value for key, value in vars(result).items() if key != "skipped"}
    finish(as_json, facts, result.skipped, _lines(result))


def _numbers(text: str | None) -> list[float]:
    try:
        return [float(name) for name in names_in(text, "--scales")]
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"--scales {text} are no numbers; write them as in 0.75,1.25.") from error


def _pipe(
    run: Path, sources: list[str | int], outputs: list[str] | None, how: maskwright.How, load: dict[str, str]
) -> None:
    """One image to standard output."""
    kinds = outputs or ["ids"]
    if len(sources) > 1 or len(kinds) > 1:
        raise InputError("Standard output takes one result of one image; name a folder with -o for more.")
    if sys.stdout.isatty():
        raise InputError("A picture makes no sense on a terminal; add '> mask.png', or name a folder with -o.")
    data = maskwright.predict_image(run, sources[0], write=kinds[0], how=how, **load)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _lines(result: maskwright.Predicted) -> list[str]:
    wrote = [f"{len(result.images):,} predictions", *result.films, *result.gathered]
    return [*([result.reason] if result.reason else []), f"Wrote {', '.join(wrote)} to {result.out}"]
