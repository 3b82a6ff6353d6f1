"""What a page says of one evaluation: the number and exactly what it is, tables with intervals, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting import plots
from maskwright.reporting.evaluation_plots import reliability
from maskwright.reporting.pictures import embedded
from maskwright.reporting.words import cell_text, count_text
from maskwright.run import Run, read_csv
from maskwright.types import Classes

LARGEST_MATRIX = 25
KINDS = ("worst", "median", "best")
PANELS = ("photo", "label", "prediction", "errors")
# Columns of the class table by key of a class in scores.json; one that an evaluation lacks is left out.
RATIOS = {
    "iou": "IoU",
    "dice": "Dice (F1)",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "boundary_iou": "Boundary IoU",
    "boundary_f": "Boundary F",
}
MEANS = {
    "mean_iou": "Mean IoU",
    "mean_iou_no_background": "Mean IoU without background",
    "mean_dice": "Mean Dice",
    "mean_dice_no_background": "Mean Dice without background",
    "mean_precision": "Mean precision",
    "mean_recall": "Mean recall",
    "mean_boundary_iou": "Mean boundary IoU",
    "mean_boundary_f": "Mean boundary F",
    "frequency_weighted_iou": "IoU weighted by pixels",
    "pixel_accuracy": "Pixel accuracy",
}


def evaluation(
    run: Run, place: int, name: str, scores: Mapping[str, Any], data: Mapping[str, Any], *, few: bool = False
) -> dict[str, Any]:
    """What the page says of one evaluation, the `place`-th on it; with `few`, one picture of each kind."""
    classes = run.classes
    own = scores["dataset"]["fingerprint"] == data.get("fingerprint")
    leave_out = None if run.recipe.background_scored else classes.background
    main = "mean_iou" if leave_out is None else "mean_iou_no_background"
    images = read_csv(run.evaluation_folder(name) / "images.csv")
    by_id = {row["id"]: row["mean_iou"] for row in images}
    values = [float(value) for value in by_id.values() if value]
    return {
        **scores,
        "place": place,
        "name": name,
        "own_data": own,
        "dataset_name": PurePath(scores["dataset"]["path"]).name,
        "main": scores[main],
        "interval": (scores.get("intervals") or {}).get(main),
        "units_text": units_text(scores.get("units")),
        "over": over(scores["classes"], leave_out, classes),
        "on": on(scores, own),
        "absent": any(row["iou"] is None for row in scores["classes"]),
        "ratios": {key: title for key, title in RATIOS.items() if any(key in row for row in scores["classes"])},
        "means": means(scores),
        "confusion": confusion(scores["confusion"], classes),
        "confused": most_confused(scores["confusion"], 20 if len(classes) > LARGEST_MATRIX else 5),
        "histogram": Markup(plots.histogram(values, f"histogram{place}")) if values else "",
        "reliability": calibration(scores.get("calibration"), f"reliability{place}"),
        "by_region": by_region(scores.get("regions") or [], main),
        "by_object": by_object(scores.get("objects") or [], classes),
        "by_size": scores.get("object_sizes") or [],
        "by_surface": [row for row in scores.get("surface") or [] if row["images"] or row["one_sided"]],
        "gallery": gallery(run.evaluation_folder(name) / "gallery", by_id, most=1 if few else None),
    }


def units_text(units: Mapping[str, Any] | None) -> str:
    """'95 % bootstrap intervals over 3 groups (10 000 draws)'; empty where there are none."""
    if not units:
        return ""
    level, draws = units.get("level", 0.95), units.get("draws")
    drawn = f" ({count_text(draws)} draws)" if draws else ""
    return f"{100 * level:g} % bootstrap intervals over {count_text(units['count'])} {units['of']}{drawn}"


def over(rows: Sequence[Mapping[str, Any]], leave_out: int | None, classes: Classes) -> str:
    """'11 classes', and which were left out or did not occur."""
    counted = [row for row in rows if row["id"] != leave_out]
    scored = sum(row["iou"] is not None for row in counted)
    number = f"{scored} of {len(counted)}" if scored < len(counted) else f"{scored}"
    words = f"{number} class{'' if len(counted) == 1 else 'es'}"
    if leave_out is not None:
        return f"{words} (without {classes.items[leave_out].name})"
    return f"{words} ({classes.items[classes.background].name} included)" if classes.background is not None else words


def on(scores: Mapping[str, Any], own: bool) -> str:
    """Which images, and what the network knew of them: the honest half of the headline."""
    split, images = scores["split"], f"image{'' if scores['images'] == 1 else 's'}"
    count = count_text(scores["images"])
    if not own:
        return f"{count} {split} {images} of a data set that is not the one trained on"
    return {
        "train": f"{count} training {images}: seen in training, so it says little about new photos",
        "val": f"{count} validation {images}: not trained on, but used to choose the best epoch",
        "test": f"{count} test {images} never seen in training",
    }.get(split, f"{count} {images} of the split {split}")


def means(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every mean there is: over summed pixels with its interval, and over images scored one by one."""
    intervals, alone = scores.get("intervals") or {}, scores.get("image_level") or {}
    return [
        {"key": key, "title": title, "value": scores[key], "interval": intervals.get(key), "images": alone.get(key)}
        for key, title in MEANS.items()
        if key in scores
    ]


def confusion(counts: Sequence[Sequence[int]], classes: Classes) -> list[dict[str, Any]] | None:
    """Rows of the matrix with every cell's share of its row; None where there are too many classes to read."""
    if len(classes) > LARGEST_MATRIX:
        return None
    result = []
    for item, row in zip(classes.items, counts, strict=True):
        whole = sum(row)
        # A steeper start than linear: mistakes of a few percent stay visible.
        cells = [
            {"text": cell_text(n / whole, len(counts)), "shade": round((n / whole) ** 0.7, 3), "right": i == item.id}
            for i, n in enumerate(row if whole else [])
        ]
        result.append({"item": item, "pixels": whole, "cells": cells})
    return result


def most_confused(counts: Sequence[Sequence[int]], most: int) -> list[dict[str, Any]]:
    """The largest cells off the diagonal: label, prediction, pixels and their share of the label."""
    counts_KK = np.array(counts)
    wrong_KK = counts_KK - np.diag(np.diag(counts_KK))
    order = np.argsort(-wrong_KK, axis=None, kind="stable")[:most]
    pairs = [divmod(int(index), len(counts_KK)) for index in order if wrong_KK.flat[index] > 0]
    return [{"label": t, "guess": p, "pixels": counts[t][p], "share": counts[t][p] / sum(counts[t])} for t, p in pairs]


def calibration(found: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    """How far confidence can be believed, with its figure; None where it was not measured."""
    if not found or not found.get("curve"):
        return None
    return {**found, "figure": Markup(reliability(found["curve"], found["ece"], name))}


def by_region(regions: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Rows of the 3 x 3 grid: what part of the image is good or bad."""
    found: dict[str, list[dict[str, Any]]] = {}
    for region in regions:
        row, _, column = region["name"].partition(" ")
        value, interval = region.get(key), (region.get("intervals") or {}).get(key)
        found.setdefault(row, []).append({"column": column, "value": value, "interval": interval})
    return [{"name": row, "cells": cells} for row, cells in found.items()]


def by_object(sizes: Sequence[Mapping[str, Any]], classes: Classes) -> list[dict[str, Any]]:
    """A row a class that has objects: by size, labelled ones and the share found, predicted ones and the share true."""
    rows = []
    for item in classes.items:
        cells = [dict(size["classes"][item.id]) for size in sizes]
        for cell in cells:
            cell["recall"] = cell["found"] / cell["labelled"] if cell["labelled"] else None
            cell["precision"] = cell["true"] / cell["predicted"] if cell["predicted"] else None
        if any(cell["labelled"] or cell["predicted"] for cell in cells):
            rows.append({"item": item, "cells": cells})
    return rows


def gallery(folder: Path, mean_iou: Mapping[str, str], *, most: int | None = None) -> list[dict[str, Any]]:
    """Pictures by kind; an evaluation that was stopped before its pictures were drawn has none."""
    if not (folder / "gallery.json").is_file():
        return []
    chosen = read_json(folder / "gallery.json")
    result = []
    for kind in KINDS:
        pictures = []
        for place, image in enumerate(chosen.get(kind, [])[:most]):
            paths = {panel: folder / f"{kind}-{place}-{panel}.jpg" for panel in PANELS}
            panels = [{"name": panel, "uri": embedded(path)} for panel, path in paths.items() if path.is_file()]
            score = float(mean_iou[image]) if mean_iou.get(image) else None
            pictures.append({"id": image, "mean_iou": score, "panels": panels})
        result.append({"kind": kind, "pictures": pictures})
    return [group for group in result if group["pictures"]]
