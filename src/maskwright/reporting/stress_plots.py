"""Figures of a stress test, in the style of the others: small, because there are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from maskwright.reporting.plots import BEST, QUIET, STYLE, VAL, to_svg
from maskwright.reporting.words import score_text

SIZE_IN = (2.5, 1.75)


def level_curve(title: str, levels: Sequence[Mapping[str, Any]], worst: int | None, name: str) -> str:
    """Mean IoU (line) and mean Dice (dashes) of one kind by level, as SVG, with the worst level marked."""
    x = [row["level"] for row in levels]
    iou, dice = ([_number(row[key]) for row in levels] for key in ("mean_iou", "mean_dice"))
    with mpl.rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        axes.axhline(iou[0], color=QUIET, linewidth=0.8, linestyle=":")
        axes.plot(x, dice, color=QUIET, linewidth=1.1, linestyle="--")
        axes.plot(x, iou, color=VAL, linewidth=2, marker="o", markersize=2.5)
        if worst is not None:
            axes.plot([worst], [iou[worst - 1]], "o", color=BEST, markersize=5, zorder=5)
        axes.set(ylim=(-0.02, 1.02), xlim=(0.7, x[-1] + 0.3))
        axes.set_xticks(x if len(x) <= 6 else x[::3])
        axes.set_yticks([0, 0.5, 1])
        words = ", ".join(score_text(row["mean_iou"], 2) for row in levels)
        return to_svg(figure, name, f"{title}, mean IoU by level: {words}")


def _number(value: float | None) -> float:
    return np.nan if value is None else value
