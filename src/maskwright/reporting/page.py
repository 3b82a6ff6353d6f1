"""One HTML file about a run, to keep beside it or to send: numbers, curves, pictures, and how to get them again."""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from markupsafe import Markup

from maskwright.files import read_bytes, read_json
from maskwright.reporting import plots
from maskwright.reporting.render import write_page
from maskwright.reporting.settings import settings
from maskwright.reporting.words import (
    cell_text,
    count_text,
    duration,
    parameters_text,
    score_text,
    short_command,
)
from maskwright.run import Run, read_csv
from maskwright.types import Classes

LARGEST_MATRIX = 25
KINDS = ("worst", "median", "best")
PANELS = ("photo", "label", "prediction", "errors")


def report(run: Run | str | Path, *, out: Path | None = None) -> Path:
    """Write RUN/report.html (or `out`): one file that needs no other and no network; returns its path.

    Says what is missing where a run was interrupted or not evaluated yet. The same run gives the same bytes.
    Raises InputError if `run` is no run folder or the page cannot be written.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    return write_page(out or run.path / "report.html", "report.html", contents(run))


def contents(run: Run) -> dict[str, Any]:
    """Everything that the template prints, in the page's order."""
    about, rows = run.about, run.metrics()
    data = about.get("data") or {}
    newest_first = sorted(run.evaluations().items(), key=lambda item: str(item[1]["time"]), reverse=True)
    evaluations = [evaluation(run, place, *item, data) for place, item in enumerate(newest_first, 1)]
    best = best_epoch(about, rows)
    return {
        "name": run.path.resolve().name,
        "folder": shlex.quote(str(run.path)),
        "about": about,
        "data": data,
        "skipped": about.get("skipped") or [],
        "environment": about.get("environment") or {},
        "dataset": PurePath(data.get("path", "")).name,
        "classes": run.classes,
        "headline": headline(evaluations, rows, best),
        "facts": facts(run, about, rows, best),
        "ended": "ended" in about and about.get("status") != "interrupted",
        "shares": shares(run.classes, data.get("train_pixels") or []),
        "settings": settings(run.recipe, about.get("derived") or {}),
        "curves": curves(run.classes, rows, best),
        "evaluations": evaluations,
        "samples": samples(run),
        "redrawn": redrawn(run, about),
        "first": first_batch(run),
        "command": short_command(str(about.get("command", ""))),
        "recipe_path": shlex.quote(str(run.path / "recipe.yaml")),
        "seed": run.recipe.train.seed,
        "next": next_commands(shlex.quote(str(run.path)), bool(evaluations)),
    }


def next_commands(folder: str, evaluated: bool) -> list[tuple[str, str]]:
    """(command, what it is good for)."""
    score = (f"maskwright evaluate {folder} --split test", "Score the run on images that it has never seen")
    elsewhere = (f"maskwright evaluate {folder} OTHER_DATASET --split test", "See whether it holds on other photos")
    return [
        elsewhere if evaluated else score,
        (f"maskwright predict {folder} PHOTOS -o predictions", "Segment new photos"),
        ("maskwright train DATASET --size base --budget 120", "Train a larger network for longer, here for two hours"),
    ]


# ---------------------------------------------------------------- the training


def best_epoch(about: Mapping[str, Any], rows: plots.Rows) -> int | None:
    """The epoch (from 0) whose weights were kept as best; None before the first validation."""
    kept = (about.get("best") or {}).get("epoch", -1)
    if kept >= 0:
        return int(kept)
    scored = [row for row in rows if "val_score" in row]
    return int(max(scored, key=lambda row: row["val_score"])["epoch"]) if scored else None


def headline(evaluations: Sequence[dict[str, Any]], rows: plots.Rows, best: int | None) -> dict[str, str]:
    """The main number and exactly what it is; a test on the run's own data set comes before other evaluations."""
    if evaluations:
        main = next((e for e in evaluations if e["split"] == "test" and e["own_data"]), evaluations[0])
        return {"what": "Mean IoU", "number": score_text(main["main"], 2), "of": f"over {main['over']} on {main['on']}"}
    scored = [row for row in rows if row["epoch"] == best and "val_score" in row]
    if not scored:
        return {"what": "No score yet,", "number": "", "of": "because the training did not reach its first validation"}
    return {
        "what": "Mean IoU",
        "number": score_text(scored[0]["val_score"], 2),
        "of": f"on the validation images, which also chose the best epoch ({scored[0]['epoch'] + 1}); "
        "not yet scored on images held back for testing",
    }


def facts(run: Run, about: Mapping[str, Any], rows: plots.Rows, best: int | None) -> dict[str, str]:
    """Label -> value of the row under the headline; what is not known is left out."""
    data, recipe = about.get("data") or {}, run.recipe
    images = {split: data.get(f"{split}_images") for split in ("train", "val", "test")}
    seconds = about.get("seconds") or (rows[-1]["seconds"] if rows else 0)
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


def shares(classes: Classes, pixels: Sequence[int]) -> list[dict[str, Any]]:
    """Class, training pixels and share of the labelled ones."""
    whole = sum(pixels)
    return [
        {"item": item, "pixels": n, "share": n / whole} for item, n in zip(classes.items, pixels, strict=False) if whole
    ]


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


# ---------------------------------------------------------------- an evaluation


def evaluation(run: Run, place: int, name: str, scores: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of one evaluation, the `place`-th on it."""
    classes = run.classes
    own = scores["dataset"]["fingerprint"] == data.get("fingerprint")
    leave_out = None if run.recipe.background_scored else classes.background
    images = read_csv(run.evaluation_folder(name) / "images.csv")
    by_id = {row["id"]: row["mean_iou"] for row in images}
    values = [float(value) for value in by_id.values() if value]
    return {
        **scores,
        "place": place,
        "name": name,
        "own_data": own,
        "dataset_name": PurePath(scores["dataset"]["path"]).name,
        "main": scores["mean_iou" if leave_out is None else "mean_iou_no_background"],
        "over": over(scores["classes"], leave_out, classes),
        "on": on(scores, own),
        "absent": any(row["iou"] is None for row in scores["classes"]),
        "confusion": confusion(scores["confusion"], classes),
        "confused": most_confused(scores["confusion"], 20 if len(classes) > LARGEST_MATRIX else 5),
        "histogram": Markup(plots.histogram(values, f"histogram{place}")) if values else "",
        "gallery": gallery(run.evaluation_folder(name) / "gallery", by_id),
    }


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


def gallery(folder: Path, mean_iou: Mapping[str, str]) -> list[dict[str, Any]]:
    """Pictures by kind; an evaluation that was stopped before its pictures were drawn has none."""
    if not (folder / "gallery.json").is_file():
        return []
    chosen = read_json(folder / "gallery.json")
    result = []
    for kind in KINDS:
        pictures = []
        for place, image in enumerate(chosen.get(kind, [])):
            paths = {panel: folder / f"{kind}-{place}-{panel}.jpg" for panel in PANELS}
            panels = [{"name": panel, "uri": embedded(path)} for panel, path in paths.items() if path.is_file()]
            score = float(mean_iou[image]) if mean_iou.get(image) else None
            pictures.append({"id": image, "mean_iou": score, "panels": panels})
        result.append({"kind": kind, "pictures": pictures})
    return [group for group in result if group["pictures"]]


def embedded(path: Path) -> str:
    """A JPEG or PNG as a data URI."""
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{b64encode(read_bytes(path)).decode()}"
