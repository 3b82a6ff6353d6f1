"""The verb that makes a run's probabilities honest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Device, Precision, Seed, Strict, Weights, finish, quote


def calibrate(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    dataset: Annotated[Path | None, typer.Argument(help="Data set folder, if not the run's own.")] = None,
    split: Annotated[str, typer.Option("--split", help="val; never the split that is scored in the end.")] = "val",
    seed: Seed = 0,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Fit a temperature on validation images, so that a probability of 0.9 is right nine times in ten."""
    result = maskwright.calibrate(
        run, dataset, split=split, seed=seed, weights=weights, device=device, precision=precision, strict=strict
    )
    found = result.found
    (loss, loss_after), (error, error_after) = found["nll"], found["ece"]
    direction = {True: "too sure before", False: "too careful before"}[found["temperature"] > 1]
    lines = [
        f"Temperature {found['temperature']:.3f} ({direction if found['temperature'] != 1 else 'nothing to gain'}), "
        f"from {found['pixels']:,} pixels of {found['images']} images of the split {split}.",
        f"Negative log-likelihood {loss:.4f} before, {loss_after:.4f} after.",
        f"Expected calibration error {error:.4f} before, {error_after:.4f} after.",
        f"Wrote it to {quote(run)}/run.yaml; probabilities have it from now on, predictions stay as they are.",
        "Next:",
        f"  maskwright uncertainty {quote(run)} --split test",
    ]
    finish(as_json, {"run": str(run), **found}, result.skipped, lines)
