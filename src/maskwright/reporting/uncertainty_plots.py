"""Figures about doubt: what leaving out doubtful pixels gains, and whether a confidence can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from maskwright.reporting.plots import BEST, QUIET, SIZE_IN, STYLE, VAL, to_svg

# Told apart by every kind of sight (Okabe and Ito 2008), and by their dashes in print.
LINES = (
    ("#0072b2", "-"),
    ("#d55e00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#e69f00", (0, (5, 1, 1, 1, 1, 1))),
    ("#56b4e9", (0, (1, 1))),
)


def risk_coverage(measures: Sequence[Mapping[str, Any]], name: str) -> str:
    """Risk against coverage of every measure as SVG, with what leaving out at random does."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        risk = measures[0]["risk"]
        axes.axhline(risk, color=QUIET, linewidth=1, linestyle=(0, (2, 3)), label="at random")
        for row, (colour, dashes) in zip(measures, LINES, strict=False):
            curve = row["curve"]
            axes.plot(
                curve["coverage"], curve["risk"], color=colour, linestyle=dashes, linewidth=1.8, label=row["name"]
            )
        axes.set(title="Risk against coverage", xlabel="pixels kept, the surest first", ylabel="wrong among them")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.08 * risk or 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="upper left")
        words = "; ".join(f"{row['name']} area {row['aurc']:.4f}" for row in measures)
        return to_svg(figure, name, f"Risk against coverage: {words}")


def reliability_pair(before: Mapping[str, Any], after: Mapping[str, Any] | None, name: str) -> str:
    """Reliability diagram as SVG, without and with the temperature (Guo et al. 2017)."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (2, 3)), label="can be believed")
        pairs = [(before, BEST, "s--", "as it is"), (after, VAL, "o-", "with temperature")]
        for counted, colour, style, label in pairs:
            if counted is not None:
                sure, right = ([row[key] for row in counted["curve"]] for key in ("confidence", "accuracy"))
                axes.plot(sure, right, style, color=colour, linewidth=1.6, markersize=4, label=label)
        axes.set(title="Reliability", xlabel="confidence of the prediction", ylabel="share that is right")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(loc="upper left")
        words = f"Reliability diagram: calibration error {before['ece']:.3f}"
        return to_svg(figure, name, words + ("" if after is None else f", with the temperature {after['ece']:.3f}"))
