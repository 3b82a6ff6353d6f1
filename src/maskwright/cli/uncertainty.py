"""The verb that asks a run where it is unsure, and whether it is right to be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli.options import AsJson, Device, Precision, Seed, Strict, Weights, finish, names_in, quote


def uncertainty(
    *,
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or a series; two runs or more are an ensemble.")],
    dataset: Annotated[Path | None, typer.Option("--dataset", help="Data set folder, if not the run's own.")] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    measures: Annotated[
        str | None,
        typer.Option("--measures", help="Of entropy,margin,confidence,tta,dropout,ensemble; all that the runs allow."),
    ] = None,
    passes: Annotated[int, typer.Option("--passes", min=2, help="Predictions with dropout at work, an image.")] = 8,
    maps: Annotated[int, typer.Option("--maps", min=0, help="Images to draw, from most errors to fewest.")] = 4,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results; RUN/uncertainty/SPLIT if left out.")
    ] = None,
    seed: Seed = 0,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Which measure of doubt points at a run's errors, and what leaving out doubtful pixels gains."""
    result = maskwright.uncertainty(
        runs,
        dataset,
        split=split,
        measures=names_in(measures, "--measures") or None,
        out=out,
        passes=passes,
        maps=maps,
        seed=seed,
        weights=weights,
        device=device,
        precision=precision,
        strict=strict,
    )
    lines = [*table(result.scores), f"Wrote {result.path}"]
    if out is None:
        home = result.path.parents[1]
        lines += [f"Wrote {maskwright.report(home)}"]
        if result.scores["calibration"]["after"] is None:
            lines += ["Next:", f"  maskwright calibrate {quote(home)}"]
    finish(as_json, {"out": str(result.path), **result.scores}, result.skipped, lines)


def table(scores: dict[str, Any]) -> list[str]:
    """Lines of text: a row a measure, the best first, then the ensemble and the calibration."""
    head = f"{'measure':12} {'AURC':>7} {'quality':>8} {'wrong at 90 %':>14} {'at 80 %':>8}   what it is"
    lines = [
        f"{scores['run']} on {scores['images']} images of the split {scores['split']}: "
        f"{scores['risk']:.1%} of the pixels are wrong, mean IoU {scores['mean_iou']:.4f}",
        head,
    ]
    for row in scores["measures"]:
        quality = "-" if row["quality"] is None else f"{row['quality']:.3f}"
        at = row["risk_at"]
        lines.append(
            f"{row['name']:12} {row['aurc']:7.4f} {quality:>8} {at['0.9']:14.2%} {at['0.8']:8.2%}   {row['title']}"
        )
    if scores["ensemble"] is not None:
        runs = ", ".join(f"{run['mean_iou']:.4f}" for run in scores["ensemble"]["runs"])
        lines.append(f"ensemble: mean IoU {scores['ensemble']['mean_iou']:.4f}; its runs alone: {runs}")
    calibration = scores["calibration"]
    lines.append(f"calibration error {calibration['before']['ece']:.4f}")
    if calibration["after"] is not None:
        lines[-1] += f", {calibration['after']['ece']:.4f} with the temperature {calibration['temperature']:.3f}"
    lines += [f"without {name}: {why}" for name, why in scores["left_out"].items()]
    return lines
