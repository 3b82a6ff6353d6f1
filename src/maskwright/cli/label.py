"""The verb that opens the annotator in the browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, finish, quote
from maskwright.console import say, say_skipped


def label(
    *,
    folder: Annotated[Path, typer.Argument(help="Data set folder, or a plain folder of photos.")],
    classes: Annotated[
        str | None, typer.Option("--classes", help="Names for a new data set; background,object if left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where a new data set goes; PHOTOS-labels if left out.")
    ] = None,
    prompter: Annotated[
        list[str] | None,
        typer.Option("--prompter", help="classical, sam2, sam2:FOLDER or run:RUN; several times for several."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch weights that are missing.")] = False,
    suggest: Annotated[Path | None, typer.Option("--suggest", metavar="RUN", help="A run that proposes masks.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Offer training in the page.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 is any; 8765 or the next free one if left out.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Label photos in the browser: clicks, brush, suggestions; every change is saved at once."""
    from maskwright.web.serve import open_browser, serve  # not for every other verb: it takes half a second

    begun = maskwright.begin_labelling(folder, classes=classes.split(",") if classes else (), out=out)
    if begun.made:
        say(f"Made the data set {begun.path} of the photos in {folder}; they stay as they are.")
        say_skipped(begun.skipped)

    def ready(address: str, token: str) -> None:
        if as_json:
            typer.echo(json.dumps({"address": address, "token": token, "dataset": str(begun.path)}))
        greet(begun.path, address)
        if not no_browser:
            open_browser(address)

    run = None if suggest is None else str(suggest)
    with maskwright.Project.open(begun.path) as project:
        serve(project, prompter or ["classical"], ready, port=port, run=run, offer_training=train, download=download)
        lines = ending(project)
    finish(False, {}, [], lines)


def greet(dataset: Path, address: str) -> None:
    """Say where the page is, also for somebody who sits elsewhere."""
    number = address.split(":")[2].split("/")[0]
    say(f"Labelling {dataset} at {address}")
    say(f"From another machine: ssh -L {number}:127.0.0.1:{number} THIS_MACHINE, then open the same address there.")
    say("Every change is saved at once; Ctrl-C ends the server.")


def ending(project: maskwright.Project) -> list[str]:
    """What was labelled, and the next commands."""
    counts, path = project.counts(), quote(project.path)
    done = f"{counts['labelled']} of {sum(counts.values())} images in {project.path}"
    rest = f"{counts['started']} begun, {counts['skipped']} skipped; {project.budget()['clicks']} clicks"
    lines = [f"\nLabelled {done} ({rest}).", "Next:", f"  maskwright label {path}"]
    return [*lines, f"  maskwright train {path}"] if counts["labelled"] > 1 else lines
