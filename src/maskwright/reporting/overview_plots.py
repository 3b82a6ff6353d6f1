"""Figures about several runs: one line a run. The page prints the legend, so no name can break a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from maskwright.reporting.plots import SIZE_IN, STYLE, Rows, to_svg

# Distinct for most colour-blind readers too (after Okabe and Ito 2008); then again dashed and dotted.
COLOURS = ("#2457d6", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6b4ea0", "#5f6672")
DASHES = {"solid": "-", "dashed": "--", "dotted": ":"}


def strokes(count: int) -> list[tuple[str, str]]:
    """(colour, dash as in CSS) of so many lines; after 24 they repeat."""
    return [(COLOURS[i % len(COLOURS)], list(DASHES)[i // len(COLOURS) % len(DASHES)]) for i in range(count)]


def scores_by(runs: Sequence[Rows], key: str, label: str) -> str:
    """Validation mean IoU of every run, against its `epoch` or against the `seconds` of its training, as SVG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        last = []
        for rows, (colour, dash) in zip(runs, strokes(len(runs)), strict=True):
            scored = [row for row in rows if math.isfinite(row.get("val_score", math.nan))]
            x = [row[key] + 1 if key == "epoch" else row[key] / 60 for row in scored]
            marker = "o" if len(x) == 1 else ""
            axes.plot(x, [row["val_score"] for row in scored], DASHES[dash], color=colour, marker=marker, linewidth=1.8)
            last += [row["val_score"] for row in scored[-1:]]
        axes.set(
            title=f"Validation mean IoU by {label}", xlabel=label, ylim=(0, max([*last, 0.1]) * 1.25), xlim=(0, None)
        )
        axes.set_ylim(0, min(1.02, axes.get_ylim()[1]))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=key == "epoch"))
        reached = f", {min(last):.2f} to {max(last):.2f} at the end" if last else ""
        words = f"Validation mean IoU of {len(runs)} runs by {label}{reached}"
        return to_svg(figure, f"all-{key}", words)
