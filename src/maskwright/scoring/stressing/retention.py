"""How much of a score is left when photos are perturbed: levels, retention, area, worst drop, from counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.intervals import bootstrap
from maskwright.metrics.tally import CLASS_RATIOS, MEANS, Tally
from maskwright.metrics.units import Units
from maskwright.types import Classes

DRAWS = 2000
LEVEL = 0.95

DEFINITIONS = {
    "retention": "mean IoU at a level divided by the mean IoU of the untouched images (level 1); of a kind: the mean "
    "over its levels above 1; of the suite: the mean over kinds",
    "unseen": "retention over the kinds of which training saw nothing alike",
    "area": "area under the mean IoU by level (trapezoids, levels evenly spaced), divided by the number of steps",
    "worst": "of a kind: the level above 1 with the lowest mean IoU, and how far that lies below level 1; of the "
    "suite: the lowest retention of any kind and level",
    "interval": f"95 % bootstrap (BCa) over images, or over groups of them, {DRAWS} draws",
}

Floats = NDArray[np.float64]
Head = dict[str, Any]


def robustness(
    tally_PLN3K: Tally, heads: Sequence[Head], classes: Classes, *, background: bool, units: Units
) -> dict[str, Any]:
    """Everything that is reported of the counts of P kinds, L levels and N images, as plain data.

    `heads` names each kind ("name", "title", "unit", "trained_on") with its "values", a "value" and a "label" by level;
    level 1, the first, is the untouched image. `background` says whether that class enters the means. `units` are
    what is resampled for the intervals.
    """
    total_PL3K = tally_PLN3K.sum(2)
    iou_PL = _mean_of("iou", total_PL3K, classes, background)
    iou_PLK, dice_PLK = (CLASS_RATIOS[name](total_PL3K) for name in ("iou", "dice"))
    kept_PL = _retention(iou_PL)
    kept_P = _mean(kept_PL[:, 1:])
    low, high = _interval(tally_PLN3K, classes, background, units.units_N)
    columns = {"mean_iou": iou_PL, "mean_dice": _mean_of("dice", total_PL3K, classes, background), "retention": kept_PL}
    columns |= {"classes": iou_PLK, "class_dice": dice_PLK}
    kinds = [
        {
            **{key: value for key, value in head.items() if key != "values"},
            "levels": _levels(head["values"], {key: values[p] for key, values in columns.items()}),
            "retention": float(kept_P[p]),
            "interval": [float(low[p + 1]), float(high[p + 1])],
            "area": float(((iou_PL[p, 1:] + iou_PL[p, :-1]) / 2).mean()),
            "worst": _worst(iou_PL[p]),
        }
        for p, head in enumerate(heads)
    ]
    clean = kinds[0]["levels"][0]
    rows = zip(classes.names, clean["classes"], clean["class_dice"], strict=True)
    return {
        "clean": {
            "mean_iou": clean["mean_iou"],
            "mean_dice": clean["mean_dice"],
            "classes": [{"name": name, "iou": iou, "dice": dice} for name, iou, dice in rows],
        },
        "kinds": kinds,
        "retention": float(_mean(kept_P)),
        "interval": [float(low[0]), float(high[0])],
        "unseen": float(_mean(kept_P[[p for p, head in enumerate(heads) if not head["trained_on"]]])),
        "worst": float(np.nanmin(kept_PL[:, 1:])) if np.isfinite(kept_PL[:, 1:]).any() else float("nan"),
        "units": {"of": units.of, "count": units.count, "draws": DRAWS, "level": LEVEL, "note": units.note},
        "definitions": DEFINITIONS,
    }


def _levels(values: Sequence[dict[str, Any]], columns: dict[str, Floats]) -> list[dict[str, Any]]:
    """A row a level: its number, value and label, and one entry of every column."""
    return [
        {"level": place + 1, **value, **{key: column[place].tolist() for key, column in columns.items()}}
        for place, value in enumerate(values)
    ]


def table(result: dict[str, Any], classes: Sequence[str] = ()) -> list[str]:
    """Lines of text: a row a kind, a column a level, 'mean IoU / mean Dice' in each, retention last.

    The IoU and Dice of each class named follow, in the same layout.
    """
    names = [row["name"] for row in result["clean"]["classes"]]
    lines = _grid(result, "mean IoU / mean Dice", lambda row: (row["mean_iou"], row["mean_dice"]), with_retention=True)
    for name in classes:
        k = names.index(name)

        def pair(row: dict[str, Any], k: int = k) -> tuple[float, float]:
            return row["classes"][k], row["class_dice"][k]

        lines += ["", *_grid(result, f"IoU / Dice of {name}", pair)]
    return lines


def csv_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a kind and level: the means, the retention, and the IoU and Dice of every class."""
    names = [row["name"] for row in result["clean"]["classes"]]
    rows = []
    for kind in result["kinds"]:
        for level in kind["levels"]:
            row = {"kind": kind["name"], "level": level["level"], "value": level["label"]}
            row |= {key: _cell(level[key]) for key in ("mean_iou", "mean_dice", "retention")}
            row |= {f"iou/{name}": _cell(value) for name, value in zip(names, level["classes"], strict=True)}
            row |= {f"dice/{name}": _cell(value) for name, value in zip(names, level["class_dice"], strict=True)}
            rows.append(row)
    return rows


def _grid(result: dict[str, Any], what: str, pair: Any, *, with_retention: bool = False) -> list[str]:
    wide = max(len(what), *(len(kind["title"]) for kind in result["kinds"]))
    heads = ["1 (clean)", *(str(level) for level in range(2, result["levels"] + 1))]
    tail = "  retention" if with_retention else ""
    lines = [f"{what:{wide}}" + "".join(f"  {head:>13}" for head in heads) + tail]
    for kind in result["kinds"]:
        cells = "".join("  " + " / ".join(_score(value) for value in pair(row)) for row in kind["levels"])
        lines.append(f"{kind['title']:{wide}}{cells}" + (f"  {_score(kind['retention']):>9}" if tail else ""))
    return lines


def _mean_of(ratio: str, tally: Tally, classes: Classes, background: bool) -> Floats:
    name = f"mean_{ratio}" if background else f"mean_{ratio}_no_background"
    return MEANS[name](tally, classes.background)


def _retention(iou_PL: Floats) -> Floats:
    clean = iou_PL[..., :1]
    kept: Floats = np.divide(iou_PL, clean, out=np.full(iou_PL.shape, np.nan), where=clean > 0)
    return kept


def _interval(
    tally_PLN3K: Tally, classes: Classes, background: bool, units_N: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Bounds of the retention of the suite, then of each kind; NaN for a single unit, which says nothing of others."""
    kinds = len(tally_PLN3K)
    if units_N.max() < 1:
        return np.full(kinds + 1, np.nan), np.full(kinds + 1, np.nan)

    def retention(counts_DPL3K: NDArray[Any]) -> Floats:
        kept_DP = _mean(_retention(_mean_of("iou", counts_DPL3K, classes, background))[..., 1:])
        return np.concatenate([_mean(kept_DP)[:, None], kept_DP], axis=1)

    found = bootstrap(np.moveaxis(tally_PLN3K, 2, 0), retention, units_N=units_N, draws=DRAWS, level=LEVEL)
    return found.low_M, found.high_M


def _worst(iou_L: Floats) -> dict[str, Any]:
    if not np.isfinite(iou_L[1:]).any():
        return {"level": None, "mean_iou": None, "drop": None}
    level = int(np.nanargmin(iou_L[1:])) + 1
    return {"level": level + 1, "mean_iou": float(iou_L[level]), "drop": float(iou_L[0] - iou_L[level])}


def _mean(values: Floats) -> Floats:
    """Over the last axis, without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    total: Floats = np.where(known, values, 0).sum(-1)
    mean: Floats = np.divide(total, known.sum(-1), out=np.full(total.shape, np.nan), where=known.any(-1))
    return mean


def _score(value: float | None) -> str:
    return "    -" if value is None or np.isnan(value) else f"{value:.3f}"


def _cell(value: float | None) -> float | str:
    return "" if value is None or np.isnan(value) else round(value, 6)
