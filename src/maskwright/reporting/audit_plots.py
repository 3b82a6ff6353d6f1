"""Figures of an audit, in the style of the run report."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from maskwright.reporting.plots import MOST_CLASS_LINES, SIZE_IN, STYLE, VAL, to_svg
from maskwright.types import Classes


def part_sizes(parts: Sequence[Sequence[int]], classes: Classes) -> str:
    """How large connected parts are, as SVG: a line a class where there are at most 12, else one for all."""
    counts_KS = np.array(parts)
    last = int(np.flatnonzero(counts_KS.sum(axis=0)).max(initial=0))
    sizes = 2 ** np.arange(last + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIZE_IN[0], 2.8), layout="constrained")
        axes = figure.subplots()
        if len(classes) <= MOST_CLASS_LINES:
            for item in classes.items:
                pale = np.dot(item.colour, (0.299, 0.587, 0.114)) > 190
                outline = [withStroke(linewidth=2.8, foreground="#9ca3af")] if pale else None
                colour = tuple(channel / 255 for channel in item.colour)
                axes.plot(sizes, counts_KS[item.id, : last + 1], color=colour, linewidth=1.6, path_effects=outline)
        else:
            axes.plot(sizes, counts_KS.sum(axis=0)[: last + 1], color=VAL, linewidth=1.8)
        axes.set_xscale("log", base=10)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.set(title="Connected parts by size", xlabel="pixels (at least; each class in steps of 2)", ylabel="parts")
        words = f"Sizes of {int(counts_KS.sum())} connected parts of {len(classes)} classes"
        return to_svg(figure, "parts", words)


def brightness(counts: Sequence[int]) -> str:
    """How bright images are on average, as SVG."""
    edges = np.linspace(0, 256, len(counts) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIZE_IN[0], 2.8), layout="constrained")
        axes = figure.subplots()
        axes.bar(
            edges[:-1], counts, width=float(np.diff(edges)[0]), align="edge", color=VAL, alpha=0.85, edgecolor="white"
        )
        axes.set(title="Images by their mean brightness", xlabel="mean grey, 0 to 255", ylabel="images", xlim=(0, 256))
        axes.grid(visible=False, axis="x")
        return to_svg(figure, "brightness", f"Histogram of the mean brightness of {sum(counts)} images")
