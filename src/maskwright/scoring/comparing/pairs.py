"""Every two sources against each other on the same images: differences, intervals and p-values, all from counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import track
from maskwright.metrics.intervals import bootstrap, holm, permutation_p
from maskwright.metrics.tally import CLASS_RATIOS, MEANS, Tally

DRAWS = 10_000
LEVEL = 0.95
# So many permutations a test that the smallest p is still 0.025 after the correction for all of them.
DRAWS_PER_TEST = 40
# Columns of counts that are resampled at once.
_COLUMNS = 512

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Scores of S sources and of the P pairs among them; M is the mean first, then every class.

    Differences are second minus first. `p_PM` is not corrected; `adjusted_PM` is, after Holm: means over all pairs,
    classes over all classes and pairs.
    """

    score_SM: Floats
    low_SM: Floats
    high_SM: Floats
    pairs: list[tuple[int, int]]
    difference_PM: Floats
    low_PM: Floats
    high_PM: Floats
    error_PM: Floats
    p_PM: Floats
    adjusted_PM: Floats
    same_P: NDArray[np.bool_]
    draws: int


def scores_of(mean: str, background: int | None) -> Callable[[Tally], Floats]:
    """(..., 3, K) -> (..., 1 + K): the mean called `mean` in MEANS, then the IoU of every class."""

    def statistic(tally: Tally) -> Floats:
        return np.concatenate([MEANS[mean](tally, background)[..., None], CLASS_RATIOS["iou"](tally)], axis=-1)

    return statistic


def measure_pairs(
    tally_SN3K: Tally, mean: str, background: int | None, *, units_N: NDArray[np.int64] | None = None, seed: int = 0
) -> Measured:
    """Intervals and tests of S sources over the same N images (or units of them), for each class and for the mean.

    Intervals: paired bootstrap, the same resampled units for all sources (Efron and Tibshirani 1993). Tests: the
    units of a pair swap sides at random (Fisher 1935), two-sided. Correction: Holm (1979).
    """
    sources, _, _, classes = tally_SN3K.shape
    statistic = scores_of(mean, background)
    pairs = list(combinations(range(sources), 2))
    draws = max(DRAWS, DRAWS_PER_TEST * len(pairs) * classes)
    bounds = dict(_differences(tally_SN3K, statistic, units_N, seed))
    alone = [bootstrap(tally, statistic, units_N=units_N, draws=DRAWS, seed=seed, level=LEVEL) for tally in tally_SN3K]
    p_PM = np.array(
        [
            permutation_p(tally_SN3K[a], tally_SN3K[b], statistic, units_N=units_N, draws=draws, seed=seed)
            for a, b in track(pairs, f"testing {len(pairs)} pairs")
        ]
    )
    difference, low, high, error = (np.array([bounds[pair][row] for pair in pairs]) for row in range(4))
    return Measured(
        score_SM=np.array([found.estimate_M for found in alone]),
        low_SM=np.array([found.low_M for found in alone]),
        high_SM=np.array([found.high_M for found in alone]),
        pairs=pairs,
        difference_PM=difference,
        low_PM=low,
        high_PM=high,
        error_PM=error,
        p_PM=p_PM,
        adjusted_PM=np.column_stack([holm(p_PM[:, 0]), holm(p_PM[:, 1:].ravel()).reshape(len(pairs), classes)]),
        same_P=np.array([bool((tally_SN3K[a] == tally_SN3K[b]).all()) for a, b in pairs]),
        draws=draws,
    )


def _differences(
    tally_SN3K: Tally, statistic: Callable[[Tally], Floats], units_N: NDArray[np.int64] | None, seed: int
) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
    """(pair, its difference, low, high and error as rows): one source against several others at a time."""
    sources, _, _, classes = tally_SN3K.shape
    step = max(1, _COLUMNS // (3 * classes))
    for a in range(sources - 1):
        for start in range(a + 1, sources, step):
            others = range(start, min(start + step, sources))

            def against(counts_DR3K: Tally) -> Floats:
                scores_DRM = statistic(counts_DR3K)
                return (scores_DRM[:, 1:] - scores_DRM[:, :1]).reshape(len(scores_DRM), -1)

            stacked = np.stack([tally_SN3K[a], *tally_SN3K[others.start : others.stop]], axis=1)
            found = bootstrap(stacked, against, units_N=units_N, draws=DRAWS, seed=seed, level=LEVEL)
            rows = np.stack([found.estimate_M, found.low_M, found.high_M, found.error_M])
            for b, part in zip(others, rows.reshape(4, len(others), -1).swapaxes(0, 1), strict=True):
                yield (a, b), part
