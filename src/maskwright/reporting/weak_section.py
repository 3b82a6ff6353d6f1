"""What a page says of weak spots: labels to look at, images the model fails on, and slices where it is weak."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskwright.files import read_json
from maskwright.reporting.pictures import embedded
from maskwright.run import Run

PANELS = ("photo", "label", "prediction", "suspicion")
LISTED = 10


def weak_sections(run: Run, *, few: bool = False) -> list[dict[str, Any]]:
    """One entry an evaluation of the run that looked for weak spots, the newest first; with `few`, without pictures."""
    newest_first = sorted(run.evaluations().items(), key=lambda item: str(item[1]["time"]), reverse=True)
    folders = [(name, run.evaluation_folder(name)) for name, _ in newest_first]
    found = [(name, folder) for name, folder in folders if (folder / "weak.json").is_file()]
    return [
        section(name, folder, read_json(folder / "weak.json"), place, few=few)
        for place, (name, folder) in enumerate(found, 1)
    ]


def section(name: str, folder: Path, weak: Mapping[str, Any], place: int, *, few: bool = False) -> dict[str, Any]:
    """What the page says of the weak spots of one evaluation, the `place`-th on it."""
    rows = [row for row in weak["images"] if row["verdict"] != "fine"]
    labels = [row for row in rows if row["verdict"] == "label"]
    models = sorted((row for row in rows if row["verdict"] == "model"), key=lambda row: -row["loss"])
    return {
        "place": place,
        "name": name,
        "images": len(weak["images"]),
        "labels": labels[:LISTED],
        "more_labels": max(0, len(labels) - LISTED),
        "models": models[:LISTED],
        "more_models": max(0, len(models) - LISTED),
        "slices": weak["slices"],
        "note": weak.get("note", ""),
        "definitions": weak.get("definitions", {}),
        "shown": [] if few else [drawn for row in labels + models if (drawn := pictures(folder, row))["panels"]],
    }


def pictures(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its pictures as data URIs; those that are gone, or were never drawn, are left out."""
    paths = {panel: folder / "weak" / f"{row.get('pictures')}-{panel}.jpg" for panel in PANELS}
    return {**row, "panels": [{"name": name, "uri": embedded(path)} for name, path in paths.items() if path.is_file()]}
