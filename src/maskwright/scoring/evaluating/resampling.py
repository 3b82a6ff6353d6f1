"""Ratios with their intervals, and both as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.intervals import bootstrap
from maskwright.metrics.units import Units

LEVEL = 0.95

Floats = NDArray[np.float64]
# Of counts with any leading dimensions: (..., X) -> (..., M).
Ratio = Callable[[NDArray[Any]], Floats]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How intervals are made."""

    units: Units
    draws: int = 10_000
    seed: int = 0

    def measure(self, counts_NX: NDArray[Any], ratios: Mapping[str, Ratio]) -> dict[str, Floats]:
        """Estimate, low and high end of every ratio of the summed counts, (3, ...); all ratios of the same draws."""
        shapes = {name: ratio(counts_NX[:1]).shape[1:] for name, ratio in ratios.items()}

        def statistic(counts_DX: NDArray[Any]) -> Floats:
            values = [ratio(counts_DX).reshape(len(counts_DX), -1) for ratio in ratios.values()]
            return np.concatenate(values, axis=1)

        found = bootstrap(
            counts_NX, statistic, units_N=self.units.units_N, draws=self.draws, seed=self.seed, level=LEVEL
        )
        ends_3M = np.stack([found.estimate_M, found.low_M, found.high_M])
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
        parts = np.split(ends_3M, cuts, axis=1)
        return {name: part.reshape(3, *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def number(value: Any) -> float | None:
    """A float; None where it is undefined."""
    return float(value) if np.isfinite(value) else None


def interval(ends_3: Floats) -> list[float] | None:
    """[low, high]; None where there is none."""
    low, high = number(ends_3[1]), number(ends_3[2])
    return None if low is None or high is None else [low, high]


def values(measured: Mapping[str, Floats], *place: int) -> dict[str, float | None]:
    """The estimates at one place of every measure, such as a class."""
    return {name: number(ends[(0, *place)]) for name, ends in measured.items()}


def intervals(measured: Mapping[str, Floats], *place: int) -> dict[str, list[float] | None]:
    """The intervals at one place of every measure."""
    return {name: interval(np.array([ends[(row, *place)] for row in range(3)])) for name, ends in measured.items()}


def share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """part / whole, NaN where there is nothing."""
    ratio: Floats = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return ratio
