"""The verb that writes a run as one file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, Weights, finish, quote


def export(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    to: Annotated[str, typer.Option("--to", help="onnx, openvino or torch (torch.export).")] = "onnx",
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16, bf16 or int8.")] = "fp32",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the files; RUN/exports/TO-PRECISION if left out.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Return class probabilities beside the class ids.")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of photos to prove and calibrate on, if not the run's own data set."),
    ] = None,
    compare: Annotated[int, typer.Option("--compare", min=20, help="Photos to hold the export against the run.")] = 50,
    calibrate: Annotated[int, typer.Option("--calibrate", min=1, help="Photos that int8 is calibrated on.")] = 100,
    max_loss: Annotated[
        float | None, typer.Option("--max-loss", min=0, max=1, help="Mean IoU that may be lost, instead of the usual.")
    ] = None,
    weights: Weights = "best",
    as_json: AsJson = False,
) -> None:
    """One file: pixels of any size in, class ids of that size out; proven equal on real photos, or refused."""
    result = maskwright.export(
        run,
        to,
        precision=precision,
        out=out,
        probabilities=probabilities,
        images=images,
        compare=compare,
        calibrate=calibrate,
        max_loss=max_loss,
        weights=weights,
    )
    facts = {"run": str(run), "folder": str(result.folder), "file": str(result.file), **result.record}
    finish(as_json, facts, [], lines_of(result))


def lines_of(result: maskwright.Exported) -> list[str]:
    """What was found, for a person."""
    parity, record = result.parity, result.record
    worst, share = parity.worst
    lines = [
        f"The same class as by the run on {parity.agreement:.3%} of the pixels of {record['photos']} photos from "
        f"{record['photos_from']};",
        f"least at {worst}: {share:.3%}.",
    ]
    if parity.lost is not None:
        lines.append(
            f"Mean IoU {parity.mean_iou:.4f}, by the run {parity.mean_iou_run:.4f}, on {parity.labelled} labelled "
            f"photos ({-100 * parity.lost:+z.2f} points)."
        )
    if result.file.suffix == ".xml":
        lines.append("OpenVINO takes bf16 by itself where a CPU has it; set INFERENCE_PRECISION_HINT (docs/export.md).")
    lines.append(f"Wrote {quote(result.file)} ({record['bytes'] / 1e6:.1f} MB) and export.json.")
    if (runner := result.folder / "segment.py").is_file():
        lines += ["Next:", f"  python {quote(runner)} PHOTO.jpg"]
    return lines
