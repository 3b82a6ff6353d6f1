"""What a page says of a stress test: what is left of the score, by kind and level, and where it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting.pictures import embedded
from maskwright.reporting.stress_plots import level_curve
from maskwright.reporting.words import score_text
from maskwright.run import Run

SUITES = {"ladder": "the ladder of eight kinds", "corruptions": "common corruptions"}
SIZES = {"large": "A large object", "small": "A small object"}
STRONG = 0.82  # of the colour, from where on light text is easier to read than dark
MOST_CASES = 6


def stress_sections(run: Run, *, few: bool = False) -> list[dict[str, Any]]:
    """One entry a stress test of the run, the ladder first; none where nothing was measured yet.

    With `few`, the curves are left out, and all pictures but those of the worst kind.
    """
    found = sorted(path for path in run.path.glob("stress/*/stress.json") if not path.parent.name.startswith("."))
    ladder_first = sorted(found, key=lambda path: not path.parent.name.startswith("ladder-"))
    return [section(path.parent, read_json(path), place, few=few) for place, path in enumerate(ladder_first, 1)]


def section(folder: Path, scores: Mapping[str, Any], place: int, *, few: bool = False) -> dict[str, Any]:
    """What the page says of one stress test, the `place`-th on it."""
    kinds = [kind_row(kind, f"stress{place}-{number}", few=few) for number, kind in enumerate(scores["kinds"])]
    worst = min((kind for kind in kinds if kind["worst"]["level"]), key=lambda kind: kind["left"], default=None)
    return {
        **scores,
        "place": place,
        "name": f"{scores['suite']}, {scores['split']}",
        "title": SUITES.get(scores["suite"], scores["suite"]),
        "dataset_name": PurePath(scores["dataset"]["path"]).name,
        "kinds": kinds,
        "lowest": worst,
        "any_seen": any(kind["trained_on"] for kind in kinds),
        "by_class": by_class(scores),
        "extra_share": extra_share(scores["cost"]),
        "shown": [shown for size in SIZES if (shown := cases(folder, scores, size, 1 if few else MOST_CASES))],
    }


def kind_row(kind: Mapping[str, Any], name: str, *, few: bool) -> dict[str, Any]:
    """One kind with the cells of its row and its curve."""
    level = kind["worst"]["level"]
    left = None if level is None else kind["levels"][level - 1]["retention"]
    curve = "" if few else Markup(level_curve(kind["title"], kind["levels"], level, name))
    return {
        **kind,
        "cells": [cell(row) for row in kind["levels"][1:]],
        "left": 1.0 if left is None else left,
        "span": f"{kind['levels'][1]['label']} to {kind['levels'][-1]['label']}",
        "curve": curve,
    }


def cell(row: Mapping[str, Any]) -> dict[str, Any]:
    """Percent that is left, and how much of the colour of loss the cell has."""
    kept = row["retention"]
    if kept is None:
        return {"text": score_text(None), "shade": 0.0, "strong": False, "says": "no score"}
    shade = round(min(1.0, max(0.0, 1 - kept)), 3)
    says = f"level {row['level']}, {row['label']}: mean IoU {score_text(row['mean_iou'])}"
    return {"text": f"{100 * kept:.0f}", "shade": shade, "strong": shade > STRONG, "says": says}


def by_class(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a class: its IoU on the photos as they are, and at the worst level of every kind."""
    rows = []
    for k, item in enumerate(scores["clean"]["classes"]):
        at = [kind["levels"][(kind["worst"]["level"] or 1) - 1]["classes"][k] for kind in scores["kinds"]]
        rows.append({"name": item["name"], "clean": item["iou"], "at": at})
    return rows


def extra_share(cost: Mapping[str, float]) -> float | None:
    """What perturbing and scoring added to the time of predicting."""
    if not cost["predict_seconds"]:
        return None
    return (cost["perturb_seconds"] + cost["score_seconds"]) / cost["predict_seconds"]


def cases(folder: Path, scores: Mapping[str, Any], size: str, most: int) -> dict[str, Any] | None:
    """The object of this size as it is, and under the kinds that lost most of it; None where there is none."""
    rows = [row for row in scores["cases"] if row["size"] == size]
    rows.sort(key=lambda row: 1.0 if row["recall"] is None else row["recall"])
    pictures = {row["kind"]: _pictures(folder, row["pictures"]) for row in rows}
    rows = [row for row in rows if pictures[row["kind"]]]
    if not rows:
        return None
    kinds = {kind["name"]: kind for kind in scores["kinds"]}
    first = pictures[rows[0]["kind"]]
    still = next((pictures[row["kind"]] for row in rows if "-label" in row["pictures"]["label"]), first)
    return {
        "heading": SIZES[size],
        "class": rows[0]["class"],
        "id": rows[0]["id"],
        "recall": rows[0]["recall_clean"],
        "still": [(name, still[key]) for name, key in PANELS.items() if key in still],
        "kinds": [
            {
                "title": kinds[row["kind"]]["title"],
                "level": row["level"],
                "label": kinds[row["kind"]]["levels"][row["level"] - 1]["label"],
                "recall": row["recall"],
                "perturbed": pictures[row["kind"]]["perturbed"],
                "prediction": pictures[row["kind"]]["prediction"],
            }
            for row in rows[:most]
        ],
    }


PANELS = {"photo": "photo", "label": "label", "prediction": "clean"}


def _pictures(folder: Path, paths: Mapping[str, str]) -> dict[str, str]:
    """The pictures of a case as data URIs; none where one is gone."""
    found = {name: folder / path for name, path in paths.items()}
    return {name: embedded(path) for name, path in found.items()} if all(p.is_file() for p in found.values()) else {}
