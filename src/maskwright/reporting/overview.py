"""What a page says of several runs: who is ahead on which images, by class, over time, and what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from maskwright.reporting.overview_plots import scores_by, strokes
from maskwright.reporting.settings import leaves
from maskwright.reporting.stress_section import cell
from maskwright.reporting.training_section import training_seconds
from maskwright.reporting.words import duration, parameters_text, score_text, value_text
from maskwright.run import Run

Told = Sequence[Mapping[str, Any]]


def overview(runs: Sequence[Run], told: Told) -> dict[str, Any]:
    """Everything that the overview prints; `told` is what the pages of the single runs print."""
    rows = [run.metrics() for run in runs]
    lines = [
        {"name": found["name"], "place": place, "colour": colour, "dash": dash}
        for place, (found, (colour, dash)) in enumerate(zip(told, strokes(len(told)), strict=True), 1)
    ]
    return {
        "boards": boards(runs, told),
        "stress": stress_boards(told),
        "unscored": [line for line, found in zip(lines, told, strict=True) if not found["evaluations"]],
        "lines": lines,
        "curves": [Markup(scores_by(rows, key, label)) for key, label in CURVES.items()] if any(rows) else [],
        "names": [found["name"] for found in told],
        "differing": differing(runs, told),
    }


CURVES = {"epoch": "epoch", "seconds": "minutes of training"}


def boards(runs: Sequence[Run], told: Told) -> list[dict[str, Any]]:
    """A leaderboard for each set of images that was scored in the same way, the one with most runs first."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for place, (run, page) in enumerate(zip(runs, told, strict=True), 1):
        for scores in page["evaluations"]:
            same = (
                scores["dataset"]["fingerprint"],
                scores["split"],
                scores["images"],
                tuple(run.classes.names),
                run.recipe.background_scored,
                run.recipe.background_ignored,
            )
            found.setdefault(same, []).append(entry(run, place, page, scores))
    result = []
    for number, entries in enumerate(sorted(found.values(), key=lambda entries: -len(entries)), 1):
        ranked = sorted(entries, key=lambda row: (-(row["main"] if row["main"] is not None else -1), row["place"]))
        first = ranked[0]
        result.append(
            {
                "number": number,
                "title": f"{first['split']} images of {first['dataset_name']}",
                "on": first["on"],
                "over": first["over"],
                "units": first["units_text"],
                "intervals": any(row["interval"] for row in ranked),
                "rows": ranked,
                "heat": heat(ranked),
                "folders": " ".join(row["folder"] for row in ranked),
                "classes": first["classes_of_run"],
            }
        )
    return result


def entry(run: Run, place: int, page: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row on a leaderboard."""
    keys = ("main", "interval", "split", "dataset_name", "on", "over", "units_text", "pixel_accuracy", "classes")
    about = page["about"]
    seconds = training_seconds(about, run.metrics())
    return {key: scores[key] for key in keys} | {
        "name": page["name"],
        "folder": page["folder"],
        "place": place,
        "anchor": f"r{place}-evaluation-{scores['place']}",
        "boundary": scores.get("mean_boundary_iou"),
        "latency": (page["cost"] or {}).get("latency_ms"),
        "ece": (scores.get("calibration") or {}).get("ece"),
        "parameters": parameters_text(about.get("parameters")),
        "seconds": duration(seconds) if seconds else "",
        "classes_of_run": run.classes,
    }


def heat(ranked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of IoU by class, with the best run of every class marked where there are several."""
    columns = list(zip(*[[row["iou"] for row in entry["classes"]] for entry in ranked], strict=True))
    best = [max((value for value in column if value is not None), default=None) for column in columns]
    result = []
    for row in ranked:
        values = [item["iou"] for item in row["classes"]]
        cells = [
            {
                "text": score_text(value, 2),
                "shade": 0 if value is None else round(value**1.5, 3),
                "best": len(ranked) > 1 and value is not None and value == top,
            }
            for value, top in zip(values, best, strict=True)
        ]
        result.append({"name": row["name"], "place": row["place"], "main": row["main"], "cells": cells})
    return result


def stress_boards(told: Told) -> list[dict[str, Any]]:
    """A robustness map for each stress test that several runs went through in the same way: runs by kinds."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for place, page in enumerate(told, 1):
        for suite in page["stress"]:
            kinds = tuple(kind["title"] for kind in suite["kinds"])
            same = (
                suite["suite"],
                suite["dataset"]["fingerprint"],
                suite["split"],
                suite["images"],
                suite["seed"],
                kinds,
            )
            cells = [
                cell({"retention": kind["retention"], "level": 0, "label": "", "mean_iou": None})
                for kind in suite["kinds"]
            ]
            row = {"name": page["name"], "place": place, "anchor": f"r{place}-stress-{suite['place']}", "cells": cells}
            found.setdefault(same, []).append(suite | row)
    ranked = [sorted(rows, key=lambda row: -(row["retention"] or 0)) for rows in found.values()]
    return [
        {
            "number": number,
            "title": rows[0]["title"],
            "kinds": [kind["title"] for kind in rows[0]["kinds"]],
            "rows": rows,
        }
        for number, rows in enumerate(ranked, 1)
    ]


def differing(runs: Sequence[Run], told: Told) -> list[dict[str, Any]]:
    """What is not the same in all runs: settings with their values in the runs' order, then data and environment."""
    table = [{row["key"]: row["value"] for row in leaves(run.recipe)} for run in runs]
    rows = [(key, [settings[key] for settings in table]) for key in table[0]]
    for title, section, key in OTHERS:
        rows.append((title, [(page[section] or {}).get(key) for page in told]))
    packages = dict.fromkeys(name for page in told for name in page["environment"])
    rows += [(name, [page["environment"].get(name) for page in told]) for name in packages]
    return [
        {"key": key, "values": [value_text(value) for value in values]}
        for key, values in rows
        if any(value != values[0] for value in values)
    ]


OTHERS = (
    ("parameters", "about", "parameters"),
    ("data fingerprint", "data", "fingerprint"),
    ("split hash", "data", "split_hash"),
    ("training images", "data", "train_images"),
)
