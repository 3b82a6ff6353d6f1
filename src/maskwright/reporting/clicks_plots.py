"""Figures of clicks: how good the mask is after each, and how many objects are done. Prompters appear by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from maskwright.reporting.compare_plots import colour_of, name_points
from maskwright.reporting.plots import QUIET, SIZE_IN, STYLE, to_svg

Rows = Sequence[Mapping[str, Any]]


def iou_curves(prompters: Rows, targets: Sequence[float], name: str) -> str:
    """Mean IoU by click as SVG: clicks at the centre with their 95 % band, jittered ones as thin dashes."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        ends = {}
        for one in reversed(prompters):
            colour, curve = colour_of(one["rank"]), one["centre"]["curve"]
            x = range(1, len(curve["mean"]) + 1)
            low, high = (np.array(curve[end], float) for end in ("low", "high"))  # None becomes NaN
            axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
            if one["jittered"] is not None:
                axes.plot(x, one["jittered"]["curve"]["mean"], color=colour, linewidth=1, linestyle=(0, (3, 2)))
            axes.plot(x, curve["mean"], color=colour, linewidth=1.8, marker="o", markersize=2.8)
            ends[one["rank"]] = (float(x[-1]), curve["mean"][-1])
        for target in targets:
            axes.axhline(target, color=QUIET, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0)
        axes.set(title="Mean IoU by click", xlabel="clicks", ylabel="mean IoU over objects", ylim=(0, 1.02))
        finish(figure, axes, ends, len(x))
        said = "; ".join(
            f"{one['name']} {one['centre']['curve']['mean'][0]:.2f} to {one['centre']['curve']['mean'][-1]:.2f}"
            for one in prompters
        )
        return to_svg(figure, f"{name}-iou", f"Mean IoU by click: {said}")


def done_curves(prompters: Rows, target: float, most: int, name: str) -> str:
    """Share of objects whose mask has reached `target` after so many clicks at the centre, as SVG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        ends, x = {}, np.arange(1, most + 1)
        for one in reversed(prompters):
            noc = one["centre"]["noc"][f"{100 * target:.0f}"]
            clicks = np.sort(np.array(noc["clicks"]))
            share = np.searchsorted(clicks, x, side="right") / len(clicks)
            # Those that failed are counted with the largest number of clicks, but are not done there.
            share[-1] = 1 - noc["failed"] / len(clicks)
            axes.plot(x, share, color=colour_of(one["rank"]), linewidth=1.8, drawstyle="steps-post")
            ends[one["rank"]] = (float(most), float(share[-1]))
        axes.set(title=f"Objects with an IoU of {target:.2f}", xlabel="clicks", ylabel="share of objects")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        finish(figure, axes, ends, most)
        said = "; ".join(f"{one['name']} {ends[one['rank']][1]:.0%}" for one in prompters)
        return to_svg(figure, f"{name}-done", f"Objects with an IoU of {target:.2f} after {most} clicks: {said}")


def finish(figure: Figure, axes: Axes, ends: Mapping[int, tuple[float, float]], most: int) -> None:
    """Whole numbers of clicks, and the number of every prompter where its line ends."""
    axes.set_xlim(1 - 0.03 * most, most * 1.08)
    axes.set_xticks(range(1, most + 1) if most <= 8 else [1, *range(5, most + 1, max(5, most // 25 * 5))])
    if len(ends) > 1:
        name_points(figure, axes, ends)
