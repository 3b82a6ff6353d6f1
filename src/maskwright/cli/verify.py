"""The verb that looks through a bundle before anybody relies on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, finish


def verify(
    *,
    bundle: Annotated[Path, typer.Argument(help="Bundle, or a folder that 'pack --folder' wrote.")],
    as_json: AsJson = False,
) -> None:
    """Is a bundle whole, nothing but data, and do its weights fit and hold numbers? Says what is wrong."""
    found = maskwright.verify(bundle)
    lines = [
        f"{bundle} is whole: {len(found.members)} files, {found.bytes / 1e6:.1f} MB, every hash as packed.",
        f"{found.name}: {found.model}, {found.parameters:,} parameters, all finite, for {len(found.classes)} classes.",
        f"Packed by maskwright {found.version}; trained on data with fingerprint {found.fingerprint or 'unknown'}.",
    ]
    if found.sha256:
        lines.append(f"SHA-256 {found.sha256}")
    facts = {**vars(found), "path": str(bundle)}
    finish(as_json, facts, [], lines)
