"""The verb that makes one file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, finish, quote


def pack(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write; NAME.maskwright here if left out.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Write a new folder, fit for a model hub; no file without -o.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The last weights, too, beside the best.")] = False,
    photos: Annotated[bool, typer.Option("--photos", help="Pictures of evaluations and training, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """A run as one file: weights, recipe, classes, scores, report and model card, with the hash of each."""
    packed = maskwright.pack(run, out, folder=folder, last=last, photos=photos)
    made = [path for path in (packed.path, packed.folder) if path is not None]
    wrote = " and ".join(map(str, made))
    lines = [f"Wrote {wrote}: {len(packed.members)} files, {packed.bytes / 1e6:.1f} MB"]
    if packed.path is not None:
        lines.append(f"SHA-256 {packed.sha256}")
    lines += ["Next:", f"  maskwright verify {quote(made[0])}"]
    if packed.path is not None:
        lines.append(f"  maskwright predict {quote(packed.path)} PHOTOS -o predictions")
    if packed.folder is not None:
        lines.append(f"  hf upload USER/MODEL {quote(packed.folder)}")
    facts = {
        "bundle": None if packed.path is None else str(packed.path),
        "folder": None if packed.folder is None else str(packed.folder),
        "sha256": packed.sha256,
        "bytes": packed.bytes,
        "members": packed.members,
    }
    finish(as_json, facts, [], lines)
