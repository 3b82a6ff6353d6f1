"""Figures of one evaluation, in the style of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from maskwright.reporting.plots import BEST, QUIET, SIZE_IN, STYLE, VAL, to_svg


def reliability(curve: Sequence[Mapping[str, float]], ece: float, name: str) -> str:
    """Reliability diagram as SVG: how often the network is right at each confidence, and how often it is that sure.

    Bins without a pixel are left out (Niculescu-Mizil and Caruana 2005; Guo et al. 2017).
    """
    rows = [row for row in curve if row.get("share") and row.get("accuracy") is not None]
    sure, right = [row["confidence"] for row in rows], [row["accuracy"] for row in rows]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIZE_IN[0], 3.9), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        top.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1.1, label="confidence can be believed")
        top.vlines(sure, sure, right, color=BEST, linewidth=3, alpha=0.45, label="gap")
        top.plot(sure, right, "o-", color=VAL, markersize=4, linewidth=1.6, label="measured")
        top.set(title="Reliability", ylabel="share that is right", ylim=(-0.02, 1.02), xlim=(-0.02, 1.02))
        top.legend(loc="upper left")
        width = 0.85 * float(np.median(np.diff(sorted(sure)))) if len(sure) > 1 else 0.05
        bottom.bar(sure, [row["share"] for row in rows], width=width, color=VAL, alpha=0.85)
        bottom.set(xlabel="confidence of the prediction", ylabel="pixels")
        bottom.yaxis.set_major_locator(MaxNLocator(2))
        bottom.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        gap = float(np.max(np.abs(np.subtract(sure, right)), initial=0))
        words = f"Reliability diagram, {len(rows)} bins: expected calibration error {ece:.3f}, largest gap {gap:.3f}"
        return to_svg(figure, name, words)
