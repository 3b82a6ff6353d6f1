"""The verb that looks for what is wrong in a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.cli.options import AsJson, Workers, finish, quote
from maskwright.types import InputError

GATED = 1
LEVELS = ("error", "warning")


def audit(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the findings; DATASET/audit if left out.")
    ] = None,
    fix: Annotated[
        Path | None, typer.Option("--fix", metavar="NEW_FOLDER", help="Write a data set with the safe repairs here.")
    ] = None,
    specks: Annotated[int, typer.Option("--specks", min=0, help="With --fix: parts below so many pixels go.")] = 0,
    turn: Annotated[bool, typer.Option("--turn", help="With --fix: also turn masks that fit better turned.")] = False,
    gate: Annotated[
        str | None, typer.Option("--gate", help="End with exit code 1 if there is an error, or a warning or worse.")
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong or odd in a data set: each finding with the files, the reason and the fix."""
    if gate is not None and gate not in LEVELS:
        raise InputError(f"--gate {gate} is none of: {', '.join(LEVELS)}.")
    if fix is None and (specks or turn):
        raise InputError("--specks and --turn say how to repair; name a new folder with --fix NEW_FOLDER.")
    result = maskwright.audit_dataset(dataset, out=out, workers=workers)
    assert result.path is not None
    page = maskwright.audit_page(result.path)
    counts = result.counts()
    facts: dict[str, Any] = {
        "dataset": str(dataset),
        "counts": counts,
        "findings": result.to_rows(),
        "audit": str(result.path),
        "page": str(page),
    }
    lines = [*result.lines(), "", f"Wrote {page} (open it in a browser), audit.json and audit.txt beside it."]
    if fix is not None:
        repaired = maskwright.fix_dataset(result, fix, specks=specks, turn=turn, workers=workers)
        facts |= {"fixed": str(fix), "repairs": repaired.repairs}
        done = ", ".join(f"{repair} {count}" for repair, count in repaired.repairs.items()) or "specks only"
        lines += [
            f"Wrote {fix}: {len(repaired.dataset.samples)} images; repairs by sample: {done} (all are in repairs.csv).",
            "Next:",
            f"  maskwright audit {quote(fix)}",
        ]
    elif any(finding.repairs for finding in result.findings):
        beside = dataset.resolve().with_name(f"{dataset.resolve().name}-fixed")
        lines += ["Next:", f"  maskwright audit {quote(dataset)} --fix {quote(beside)}"]
    else:
        lines += ["Next:", f"  maskwright train {quote(dataset)}"]
    failed = gate is not None and any(counts[level] for level in LEVELS[: LEVELS.index(gate) + 1])
    finish(as_json, facts, [], lines, code=GATED if failed else 0)
