"""The verb that writes the page about a run, or about several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, finish


def report(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders; several come side by side.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="HTML file; RUN/report.html, or maskwright-report.html here for several."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One self-contained HTML page about a run, or about several side by side."""
    page = maskwright.report(*runs, out=out)
    finish(as_json, {"report": str(page), "runs": len(runs)}, [], [f"Wrote {page}; open it in a browser."])
