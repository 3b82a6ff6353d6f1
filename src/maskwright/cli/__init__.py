"""The command line: each verb is one short function over one public function of the package.

Exit codes: 0 done; 2 the input cannot be used (one sentence says why and what to do); 3 done, but files were
left out and listed; 4 done, but a gate of `stress` does not hold; 130 interrupted. Progress and messages go to standard
error; `--json` prints one JSON object on standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli import (
    ablate,
    audit,
    augment,
    calibrate,
    clicks,
    compare,
    doors,
    evaluate,
    export,
    label,
    models,
    pack,
    patches,
    predict,
    report,
    runs,
    serve,
    split,
    stress,
    suggest,
    synth,
    uncertainty,
    verify,
)
from maskwright.console import say
from maskwright.types import InputError

VERBS: dict[str, Callable[..., None]] = {
    "demo": runs.demo,
    "init": doors.init,
    "import": doors.import_,
    "convert": doors.convert,
    "formats": doors.formats,
    "audit": audit.audit,
    "split": split.split,
    "patches": patches.patches,
    "augment": augment.augment,
    "suggest": suggest.suggest,
    "label": label.label,
    "train": runs.train,
    "ablate": ablate.ablate,
    "evaluate": evaluate.evaluate,
    "compare": compare.compare,
    "stress": stress.stress,
    "calibrate": calibrate.calibrate,
    "clicks": clicks.clicks,
    "uncertainty": uncertainty.uncertainty,
    "predict": predict.predict,
    "serve": serve.serve,
    "export": export.export,
    "report": report.report,
    "pack": pack.pack,
    "verify": verify.verify,
    "recipes": runs.recipes,
    "models": models.models,
}
SYNTH: dict[str, Callable[..., None]] = {"raindrops": synth.raindrops}

app = typer.Typer(
    name="maskwright",
    help="From a folder of photos to a semantic-segmentation model that you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
drawing = typer.Typer(help="Draw labelled training data.", no_args_is_help=True, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def root(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False
) -> None:
    """From a folder of photos to a semantic-segmentation model that you can trust."""
    if version:
        typer.echo(maskwright.__version__)
        raise typer.Exit


def interruptible(function: Callable[..., None]) -> Callable[..., None]:
    """The verb; Ctrl-C ends it with exit code 130 and says what is kept, which typer would do without a word."""

    @wraps(function)
    def verb(**options: Any) -> None:
        try:
            function(**options)
        except KeyboardInterrupt as interrupt:
            say("Interrupted; nothing half-written is left.")
            for note in getattr(interrupt, "__notes__", []):
                say(note)
            raise typer.Exit(130) from interrupt

    return verb


for name, function in VERBS.items():
    app.command(name)(interruptible(function))
for name, function in SYNTH.items():
    drawing.command(name)(interruptible(function))
app.add_typer(drawing, name="synth")


def main() -> None:
    """Run the command line; mistakes in the input become one sentence and exit code 2."""
    try:
        app()
    except InputError as error:
        say(f"Error: {error}")
        for note in getattr(error, "__notes__", []):
            say(note)
        if "--json" in sys.argv:
            typer.echo(json.dumps({"error": str(error)}))
        sys.exit(2)
