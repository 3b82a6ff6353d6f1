"""Figures as inline SVG: text stays text, the same numbers give the same bytes, pyplot is not involved.

Class names never enter a figure (the page prints the legend), so no name can break its layout or its font.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from maskwright.types import Classes

MOST_CLASS_LINES = 12
SIZE_IN = (4.8, 3.5)
INK, QUIET, TRAIN, VAL, BEST = "#1f2937", "#6b7280", "#94a3b8", "#2457d6", "#b45309"

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "maskwright",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": "#9ca3af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dfe3e8",
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "text.color": INK,
    "legend.facecolor": "white",
    "legend.edgecolor": "white",
    "legend.framealpha": 0.9,
    "axes.titlepad": 16,
    "lines.solid_capstyle": "round",
}

Rows = Sequence[dict[str, float]]


def loss_curves(rows: Rows, best_epoch: int | None) -> str:
    """Training and validation loss by epoch, with the learning rate below, as SVG; epochs count from 1."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        top.set_title("Loss")
        draw_line(top, rows, "train_loss", color=TRAIN, label="training")
        draw_line(top, rows, "val_loss", color=VAL, label="validation")
        if top.lines:
            top.legend(loc="upper right")
        draw_line(bottom, rows, "lr", color=QUIET, linewidth=1.2)
        bottom.set_ylabel("rate")
        bottom.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
        bottom.yaxis.set_major_locator(MaxNLocator(2))
        finish_epochs([top, bottom], rows, best_epoch)
        words = [f"{name} loss {ends(rows, key)}" for name, key in LOSSES.items() if points(rows, key)[0]]
        return to_svg(figure, "loss", "Curves by epoch: " + "; ".join([*words, "learning rate"]))


LOSSES = {"training": "train_loss", "validation": "val_loss"}


def score_curves(rows: Rows, classes: Classes, best_epoch: int | None) -> str:
    """Validation mean IoU by epoch as SVG, with a thin line for every class where there are at most 12."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        axes.set_title("Validation IoU")
        for item in classes.items if len(classes) <= MOST_CLASS_LINES else ():
            # A pale class would vanish on the white card without an outline.
            pale = np.dot(item.colour, (0.299, 0.587, 0.114)) > 190
            outline = [withStroke(linewidth=2.4, foreground="#9ca3af")] if pale else None
            colour = tuple(channel / 255 for channel in item.colour)
            draw_line(
                axes, rows, f"val_iou/{item.name}", color=colour, linewidth=1.3, path_effects=outline, markersize=0
            )
        draw_line(axes, rows, "val_score", color="black", linewidth=3, label="mean", markersize=5)
        axes.set_ylim(-0.02, 1.02)
        if best_epoch is not None and (best := [row for row in rows if row["epoch"] == best_epoch]):
            score = best[0].get("val_score", math.nan)
            axes.plot([best_epoch + 1], [score], "o", color=BEST, markersize=7, zorder=5)
        finish_epochs([axes], rows, best_epoch)
        return to_svg(figure, "score", f"Curve by epoch: validation mean IoU {ends(rows, 'val_score')}")


def histogram(values: Sequence[float], label: str) -> str:
    """How many images reach which mean IoU, as SVG; the median is marked."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIZE_IN[0], 2.4), layout="constrained")
        axes = figure.subplots()
        bins = 20 if len(values) < 100 else 40
        axes.hist(values, bins=np.linspace(0, 1, bins + 1).tolist(), color=VAL, alpha=0.85, edgecolor="white")
        middle = float(np.median(values))
        axes.axvline(middle, color=BEST, linestyle="--", linewidth=1.2)
        side = -4 if middle > 0.5 else 4
        axes.annotate(
            f"median {middle:.2f}", (middle, 1), (side, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top", ha="right" if side < 0 else "left", color=BEST,
        )  # fmt: skip
        axes.margins(y=0.2)
        axes.set(title="Images by their own mean IoU", xlabel="mean IoU of the image", ylabel="images", xlim=(0, 1))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=False, axis="x")
        words = f"Histogram of the mean IoU of {len(values)} images, {min(values):.2f} to {max(values):.2f}"
        return to_svg(figure, label, f"{words}, median {middle:.2f}")


def draw_line(axes: Axes, rows: Rows, key: str, **style: Any) -> None:
    """Plot one column against the epoch, with dots where there are few points; nothing where it is empty."""
    x, y = points(rows, key)
    if x:
        style = {"linewidth": 1.8, "markersize": 3, **style}
        axes.plot(x, y, marker="o" if len(x) <= 30 else "", **style)


def points(rows: Rows, key: str) -> tuple[list[float], list[float]]:
    """Epochs from 1, and the finite values of a column."""
    found = [(row["epoch"] + 1, row[key]) for row in rows if math.isfinite(row.get(key, math.nan))]
    return [x for x, _ in found], [y for _, y in found]


def ends(rows: Rows, key: str) -> str:
    """'1.26 to 0.57' for alternative texts."""
    values = points(rows, key)[1]
    return f"{values[0]:.3g} to {values[-1]:.3g}" if values else "not measured yet"


def finish_epochs(panels: Sequence[Axes], rows: Rows, best_epoch: int | None) -> None:
    """Whole numbers on the epoch axis, and a mark at the best epoch with its label in the first panel."""
    first, last = rows[0]["epoch"] + 1, rows[-1]["epoch"] + 1
    gap = max(0.5, 0.02 * (last - first))
    for axes in panels:
        axes.set_xlim(first - gap, last + gap)
        if best_epoch is not None:
            axes.axvline(best_epoch + 1, color=BEST, linestyle="--", linewidth=1)
    if best_epoch is not None:
        place = (best_epoch + 1 - first) / max(1, last - first)
        panels[0].annotate(
            f"best: epoch {best_epoch + 1}", (best_epoch + 1, 1), (0, 3),
            xycoords=("data", "axes fraction"), textcoords="offset points", color=BEST,
            ha="left" if place < 0.1 else "right" if place > 0.9 else "center",
        )  # fmt: skip
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an `<svg>` element for HTML: no prolog, no addresses, ids unique on the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    body = text[text.index("<svg") :]
    width, height = (float(side) for side in re.findall(r'(?:width|height)="([\d.]+)pt"', body)[:2])
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(alt)}">'
    body = opening + body[body.index(">") + 1 :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL).replace("xlink:href", "href")
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", body).strip()
