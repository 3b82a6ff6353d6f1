"""What a page says of doubt: which measure points at errors, what that gains, and maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting.pictures import embedded
from maskwright.reporting.uncertainty_plots import reliability_pair, risk_coverage
from maskwright.run import Run

SHOWN = 4


def uncertainty_sections(run: Run, *, few: bool = False) -> list[dict[str, Any]]:
    """One entry a split whose doubt was measured; none where nothing was. With `few`, without figures and maps."""
    found = sorted(run.path.glob("uncertainty/*/uncertainty.json"))
    return [section(path.parent, read_json(path), place, few=few) for place, path in enumerate(found, 1)]


def section(folder: Path, scores: Mapping[str, Any], place: int, *, few: bool = False) -> dict[str, Any]:
    """What the page says of one measurement, the `place`-th on it."""
    calibration = scores["calibration"]
    before, after = calibration["before"], calibration["after"]
    curves = "" if few else Markup(risk_coverage(scores["measures"], f"risk{place}"))
    pair = "" if few else Markup(reliability_pair(before, after, f"believed{place}"))
    return {
        **scores,
        "place": place,
        "name": scores["split"],
        "dataset_name": PurePath(scores["dataset"]["path"]).name,
        "best": scores["measures"][0],
        "curves": curves,
        "reliability": pair,
        "shown": [] if few else [maps(folder / "maps", row) for row in scores["pictures"][:SHOWN]],
    }


def maps(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """The maps of one image as data URIs; those that are gone are left out."""
    paths = {name: folder / f"{row['number']}-{name}.jpg" for name in row["panels"]}
    return {
        "id": row["id"],
        "panels": [{"name": name, "uri": embedded(path)} for name, path in paths.items() if path.is_file()],
    }
