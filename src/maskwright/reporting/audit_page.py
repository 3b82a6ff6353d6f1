"""One HTML file about an audit: what to fix first, every kind of finding with pictures, and the data set in numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting import audit_plots
from maskwright.reporting.evaluation_section import LARGEST_MATRIX
from maskwright.reporting.pictures import embedded
from maskwright.reporting.render import write_page
from maskwright.reporting.words import DASH, cell_text, count_text
from maskwright.types import Classes, InputError

SEVERITIES = ("error", "warning", "note")
FORMAT = 1
SHOWN = 8
FOLDED = 100
FIRST = 5


def audit_page(folder: str | Path, *, out: Path | None = None) -> Path:
    """Write FOLDER/index.html (or `out`) from the `audit.json` and pictures that an audit left; returns its path.

    One file that needs no other and no network. The same audit gives the same bytes. Raises InputError if the
    folder holds no audit or the page cannot be written.
    """
    folder = Path(folder)
    if not (folder / "audit.json").is_file():
        raise InputError(f"{folder} holds no audit.json; make one with 'maskwright audit DATASET'.")
    audit = read_json(folder / "audit.json")
    if not isinstance(audit, dict) or audit.get("format") != FORMAT:
        raise InputError(f"{folder}/audit.json has a format this version does not know; audit the data set again.")
    return write_page(out or folder / "index.html", "audit.html", contents(audit, folder))


def contents(audit: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Everything that the template prints, in the page's order."""
    classes = Classes.from_dict(audit["classes"], source=str(folder / "audit.json"))
    summary = audit["summary"]
    groups = grouped(audit, folder)
    return {
        "name": audit["dataset"]["name"],
        "path": shlex.quote(audit["dataset"]["path"]),
        "fingerprint": audit["dataset"]["fingerprint"],
        "classes": classes,
        "counts": in_words(audit["counts"]),
        "facts": facts(summary, classes),
        "first": [group for group in groups if group["severity"] != "note"][:FIRST],
        "groups": groups,
        "repairs": sum(bool(finding["repairs"]) for finding in audit["findings"]),
        "splits": summary["splits"],
        "shares": shares(summary["splits"], classes),
        "together": together(summary["together"], classes),
        "sizes": summary["sizes"],
        "figures": {
            "parts": Markup(audit_plots.part_sizes(summary["parts"], classes)),
            "brightness": Markup(audit_plots.brightness(summary["brightness"])),
        },
    }


def in_words(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(severity, '3 errors', 3) for what there is."""
    return [
        (severity, f"{count_text(counts[severity])} {severity}{'' if counts[severity] == 1 else 's'}", counts[severity])
        for severity in SEVERITIES
        if counts[severity]
    ]


def facts(summary: Mapping[str, Any], classes: Classes) -> dict[str, str]:
    """Label -> value of the row under the headline."""
    splits = summary["splits"]
    named = [f"{count_text(row['images'])} {row['name'] or 'without split'}" for row in splits]
    return {
        "Images": count_text(sum(row["images"] for row in splits)),
        "Masks": count_text(sum(row["labelled"] for row in splits)),
        "Classes": str(len(classes)),
        "Split": " · ".join(named),
    }


def grouped(audit: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Findings by severity and kind, in the order of the file: the worst first."""
    result = []
    for (severity, kind), rows in groupby(audit["findings"], key=lambda row: (row["severity"], row["kind"])):
        findings = list(rows)
        result.append(
            {
                "severity": severity,
                "kind": kind,
                **audit["kinds"][kind],
                "count": len(findings),
                "fixes": list(dict.fromkeys(row["fix"] for row in findings))[:3],
                "drawn": [drawn(row, folder) for row in findings if row["pictures"]],
                "shown": findings[:SHOWN],
                "folded": findings[SHOWN : SHOWN + FOLDED],
                "rest": max(0, len(findings) - SHOWN - FOLDED),
                "repaired": sum(bool(row["repairs"]) for row in findings),
            }
        )
    return result


def drawn(finding: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A finding with its pictures as data URIs; pictures that are gone are left out."""
    paths = {picture["caption"]: folder / "pictures" / picture["file"] for picture in finding["pictures"]}
    panels = [{"caption": caption, "uri": embedded(path)} for caption, path in paths.items() if path.is_file()]
    return {"reason": finding["reason"], "ids": finding["ids"], "panels": panels}


def shares(splits: Sequence[Mapping[str, Any]], classes: Classes) -> list[dict[str, Any]]:
    """Every class with its share of the labelled pixels and of the labelled images, in all and in each split."""
    whole = sum(sum(row["pixels"]) for row in splits)
    labelled = sum(row["labelled"] for row in splits)
    result = []
    for item in classes.items:
        result.append(
            {
                "item": item,
                "pixels": _ratio(sum(row["pixels"][item.id] for row in splits), whole),
                "images": _ratio(sum(row["class_images"][item.id] for row in splits), labelled),
                "by_split": [
                    {
                        "pixels": _ratio(row["pixels"][item.id], sum(row["pixels"])),
                        "images": row["class_images"][item.id],
                    }
                    for row in splits
                ],
            }
        )
    return result


def together(counts: Sequence[Sequence[int]], classes: Classes) -> list[dict[str, Any]] | None:
    """Of the images with the row's class, the share that has the column's; None where there are too many classes."""
    if not 1 < len(classes) <= LARGEST_MATRIX:
        return None
    rows = []
    for item, row in zip(classes.items, counts, strict=True):
        own = row[item.id]
        cells = [
            {
                "text": DASH if i == item.id else cell_text(n / own, 99),
                "shade": 0 if i == item.id else round(n / own, 3),
            }
            for i, n in enumerate(row if own else [])
        ]
        rows.append({"item": item, "images": own, "cells": cells})
    return rows


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
