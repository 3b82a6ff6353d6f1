"""What a page says of a training: facts, data, curves, pictures drawn on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting import plots
from maskwright.reporting.audit_page import in_words
from maskwright.reporting.pictures import embedded
from maskwright.reporting.words import count_text, duration, parameters_text
from maskwright.run import Run
from maskwright.types import Classes, InputError


def best_epoch(about: Mapping[str, Any], rows: plots.Rows) -> int | None:
    """The epoch (from 0) whose weights were kept as best; None before the first validation."""
    kept = (about.get("best") or {}).get("epoch", -1)
    if kept >= 0:
        return int(kept)
    scored = [row for row in rows if "val_score" in row]
    return int(max(scored, key=lambda row: row["val_score"])["epoch"]) if scored else None


def facts(run: Run, about: Mapping[str, Any], rows: plots.Rows, best: int | None) -> dict[str, str]:
    """Label -> value of the row under the headline; what is not known is left out."""
    data, recipe = about.get("data") or {}, run.recipe
    images = {split: data.get(f"{split}_images") for split in ("train", "val", "test")}
    seconds = training_seconds(about, rows)
    epochs = int(rows[-1]["epoch"]) + 1 if rows else 0
    found = {
        "Images": " · ".join(f"{count_text(n)} {split}" for split, n in images.items() if n is not None),
        "Classes": str(len(run.classes)),
        "Parameters": parameters_text(about.get("parameters")),
        "Input size": " \N{MULTIPLICATION SIGN} ".join(
            str(side) for side in recipe.data.crop or recipe.data.size or ()
        ),
        "Training time": duration(seconds) if seconds else "",
        "Best epoch": f"{best + 1} of {epochs}" if best is not None else "",
        "Status": {"running": "not ended", "started": "not ended"}.get(about["status"], str(about["status"])),
    }
    return {label: value for label, value in found.items() if value}


def training_seconds(about: Mapping[str, Any], rows: plots.Rows) -> float:
    """Seconds of the training, those of its last epoch where it has not ended; 0 before the first."""
    return float(about.get("seconds") or (rows[-1]["seconds"] if rows else 0))


def shares(classes: Classes, pixels: Sequence[int]) -> list[dict[str, Any]]:
    """Class, training pixels and share of the labelled ones."""
    whole = sum(pixels)
    return [
        {"item": item, "pixels": n, "share": n / whole} for item, n in zip(classes.items, pixels, strict=False) if whole
    ]


def audit_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the audit beside the run's data set found, and whether of these very data; None where there is none."""
    path = Path(str(data.get("path", ""))) / "audit" / "audit.json"
    try:
        record = read_json(path) if data.get("path") and path.is_file() else None
        if record is None:
            return None
        kinds = dict.fromkeys((row["severity"], row["kind"]) for row in record["findings"])
        return {
            "counts": [text for _, text, _ in in_words(record["counts"])],
            "worst": [(severity, record["kinds"][kind]["title"]) for severity, kind in kinds if severity != "note"],
            "errors": record["counts"]["error"],
            "same": record["dataset"]["fingerprint"] == data.get("fingerprint"),
        }
    except (KeyError, TypeError, InputError):
        # It belongs to the data set, not to the run: one that cannot be read must not cost the report.
        return None


def curves(classes: Classes, rows: plots.Rows, best: int | None) -> dict[str, Any] | None:
    """Two figures and their legend, by the last IoU of each class; None before the first epoch ended."""
    if not rows:
        return None
    lines = [(item, plots.points(rows, f"val_iou/{item.name}")[1]) for item in classes.items]
    legend = [{"item": item, "iou": values[-1]} for item, values in lines if values]
    return {
        "loss": Markup(plots.loss_curves(rows, best)),
        "score": Markup(plots.score_curves(rows, classes, best)) if plots.points(rows, "val_score")[0] else "",
        "legend": sorted(legend, key=lambda entry: -entry["iou"]) if len(classes) <= plots.MOST_CLASS_LINES else [],
    }


def samples(run: Run) -> list[dict[str, Any]]:
    """The first, middle and last picture drawn during the training."""
    found = sorted((run.path / "samples").glob("epoch-*.jpg"))
    chosen = sorted({0, len(found) // 2, len(found) - 1}) if found else []
    return [{"epoch": int(found[i].stem.removeprefix("epoch-")) + 1, "uri": embedded(found[i])} for i in chosen]


def first_batch(run: Run) -> dict[str, Any] | None:
    """The first batch as the network saw it, and what the examination before the first step found odd."""
    picture, record = run.path / "samples" / "first_batch.png", run.path / "doctor.json"
    if not (picture.is_file() and record.is_file()):
        return None
    checks = read_json(record)["checks"]
    odd = [row["says"] for row in checks if not row["ok"]]
    return {"uri": embedded(picture), "checks": len(checks), "odd": odd}


def redrawn(run: Run, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the encoder's first stage made of validation images; None for a training without one."""
    picture = run.path / "samples" / "redrawn.jpg"
    stage = about.get("redrawing")
    return {"uri": embedded(picture), **stage} if stage and picture.is_file() else None
