"""Figures of a comparison. Sources appear by their rank, a number; the page says whose it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from maskwright.reporting.plots import SIZE_IN, STYLE, to_svg

# Okabe and Ito's colours for every kind of sight, without the yellow that white swallows; the rest are grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8c510a")
REST = "#8b93a1"

Sources = Sequence[Mapping[str, Any]]


def colour_of(rank: int) -> str:
    """The colour of the source of that rank, from 1."""
    return COLOURS[rank - 1] if rank <= len(COLOURS) else REST


def score_curves(sources: Sources, by: str, title: str) -> str | None:
    """Validation mean IoU of every run against 'epoch' or 'minutes', as SVG; None where no run has one."""
    lines = {
        source["rank"]: [(row[by], row["val_score"]) for row in source["curve"] if row.get("val_score") is not None]
        for source in sources
    }
    lines = {rank: line for rank, line in lines.items() if line}
    if not lines:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        for rank, line in sorted(lines.items(), reverse=True):
            _line(axes, line, rank)
        axes.set(title=title, xlabel=by)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.08, y=0.1)
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=by == "epoch", min_n_ticks=1, steps=[1, 2, 5, 10]))
        name_points(figure, axes, {rank: line[-1] for rank, line in lines.items()})
        best = max(lines, key=lambda rank: lines[rank][-1][1])
        words = (
            f"Validation mean IoU by {by} of {len(lines)} runs; number {best} ends highest, at {lines[best][-1][1]:.3f}"
        )
        return to_svg(figure, f"curves-{by}", words)


def loss_curves(sources: Sources) -> str | None:
    """Training (dashed) and validation loss by epoch, as SVG; None where no run has one."""
    found = {
        (source["rank"], key): [(row["epoch"], row[key]) for row in source["curve"] if row.get(key) is not None]
        for source in sources
        for key in ("train_loss", "val_loss")
    }
    found = {key: line for key, line in found.items() if line}
    if not found:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        for (rank, key), line in sorted(found.items(), reverse=True):
            _line(axes, line, rank, dashed=key == "train_loss")
        axes.set(title="Loss: validation, and training (dashed)", xlabel="epoch")
        axes.margins(x=0.08, y=0.1)
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        ends = {rank: line[-1] for (rank, key), line in found.items() if key == "val_loss" and rank <= len(COLOURS)}
        name_points(figure, axes, ends)
        return to_svg(figure, "curves-loss", f"Training and validation loss by epoch of {len(sources)} runs")


def pareto(sources: Sources, key: str, title: str, unit: str, metric: str) -> str | None:
    """Score with its interval against a cost on a logarithmic axis, as SVG; None where nothing has that cost.

    A line joins those that nothing else beats in both; the others are paler.
    """
    known = [source for source in sources if source.get(key) and source["score"] is not None]
    if not known:
        return None
    cost, score = (np.array([source[name] for source in known], float) for name in (key, "score"))
    low, high = (np.array([source["interval"][side] for source in known], float) for side in (0, 1))
    front = frontier(cost, score)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        axes.plot(cost[front], score[front], drawstyle="steps-post", color="#c3c9d2", linewidth=1.4, zorder=1)
        for place, source in enumerate(known):
            colour, alpha = colour_of(source["rank"]), 1.0 if place in front else 0.55
            ends = [[max(0.0, score[place] - low[place])], [max(0.0, high[place] - score[place])]]
            axes.errorbar(
                cost[place], score[place], yerr=ends, fmt="o", color=colour, alpha=alpha,
                markersize=6 if place in front else 4.5, elinewidth=1.1, capsize=2,
            )  # fmt: skip
        axes.set_xscale("log")
        _log_ticks(axes, cost)
        axes.set(title=title, xlabel=unit, ylabel=metric)
        axes.margins(y=0.12)
        name_points(figure, axes, {s["rank"]: (x, y) for s, x, y in zip(known, cost, score, strict=True)})
        ranks = ", ".join(str(known[place]["rank"]) for place in front)
        return to_svg(
            figure, f"pareto-{key}", f"{metric} against {unit} of {len(known)}; nothing beats numbers {ranks}"
        )


def frontier(cost: NDArray[Any], score: NDArray[Any]) -> list[int]:
    """Indices of those that nothing beats in cost and score, by rising cost."""
    front: list[int] = []
    for place in sorted(range(len(cost)), key=lambda i: (cost[i], -score[i])):
        if not front or score[place] > score[front[-1]]:
            front.append(place)
    return front


def name_points(figure: Figure, axes: Axes, points: Mapping[int, tuple[float, float]]) -> None:
    """Write every point's number beside it, where it covers no point and no other number."""
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    inside = axes.get_window_extent()
    box = tuple(float(side) * scale for side in (inside.x0, inside.y0, inside.x1 + 4, inside.y1 + 10))
    at = {rank: tuple(axes.transData.transform(xy) * scale) for rank, xy in points.items()}
    for rank, (x, y) in labels_beside(at, box).items():
        dx, dy = x - at[rank][0], y - at[rank][1]
        far = math.hypot(dx, dy) > 14
        note = axes.annotate(
            str(rank), points[rank], (dx, dy), textcoords="offset points", color=colour_of(rank), fontsize=8,
            fontweight="bold", ha="center", va="center", annotation_clip=False, zorder=10,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            arrowprops={"arrowstyle": "-", "color": "#b5bcc8", "linewidth": 0.7, "shrinkA": 5, "shrinkB": 3}
            if far else None,
        )  # fmt: skip
        note.set_in_layout(False)


def labels_beside(points: Mapping[int, tuple[float, float]], box: tuple[float, ...]) -> dict[int, tuple[float, float]]:
    """Centres of the labels of points, in typographic points: the nearest free place, right of the point first."""
    placed: dict[int, tuple[float, float]] = {}
    for rank, (x, y) in sorted(points.items(), key=lambda item: (-item[1][1], item[0])):
        half = 3.2 * len(str(rank)) + 1
        best: tuple[float, tuple[float, float]] | None = None
        for radius in (9, 13, 18, 24, 31, 39, 48, 58, 70):
            for turn in (0, 45, -45, 90, -90, 135, -135, 180, 22, -22, 67, -67, 112, -112, 157, -157):
                spot = (
                    x + (radius + half - 4) * math.cos(math.radians(turn)),
                    y + radius * math.sin(math.radians(turn)),
                )
                cost = radius + 1000 * _clashes(spot, half, points.values(), placed, box)
                if best is None or cost < best[0]:
                    best = (cost, spot)
            if best is not None and best[0] < 1000:
                break
        assert best is not None
        placed[rank] = best[1]
    return placed


def _clashes(
    spot: tuple[float, float], half: float, points: Any, placed: Mapping[int, tuple[float, float]], box: Sequence[float]
) -> int:
    x, y = spot
    over = sum(abs(px - x) < half + 3 and abs(py - y) < 7.5 for px, py in points)
    over += sum(
        abs(px - x) < half + 3.2 * len(str(rank)) + 1.5 and abs(py - y) < 9.5 for rank, (px, py) in placed.items()
    )
    return int(over) + (not (box[0] + half <= x <= box[2] - half and box[1] + 5 <= y <= box[3] - 5))


def _line(axes: Axes, line: Sequence[tuple[float, float]], rank: int, *, dashed: bool = False) -> None:
    x, y = zip(*line, strict=True)
    axes.plot(
        x, y, color=colour_of(rank), linewidth=0.9 if rank > len(COLOURS) else 1.1 if dashed else 1.7,
        linestyle=(0, (3, 2)) if dashed else "-", marker="o" if len(x) <= 20 and not dashed else "", markersize=2.8,
        zorder=3 if rank > len(COLOURS) else 4,
    )  # fmt: skip


def _log_ticks(axes: Axes, values: NDArray[Any]) -> None:
    """Ticks at 1, 2 and 5, as people write numbers; room at both ends."""
    low, high = float(values.min()), float(values.max())
    room = max(1.25, (high / low) ** 0.1)
    axes.set_xlim(low / room, high * room)
    steps = (1.0,) if high / low > 200 else (1.0, 2.0, 5.0) if high / low > 4 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def short_number(value: float) -> str:
    """'0.5', '20', '1.5k', '31M'."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
