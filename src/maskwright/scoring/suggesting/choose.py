"""Choosing a batch that stands for what is left: value times coverage, greedily.

The cost of a set of images is the distance of every image to the nearest that is labelled or chosen, summed with
weights: k-medoids, whose greedy start is BUILD of Kaufman and Rousseeuw (1990), with 1 - 1/e of the best possible
gain (Nemhauser, Wolsey and Fisher 1978). Unlike the k-centre cover of Sener and Savarese (ICLR 2018) it takes no
outliers, which do harm while labels are few (Hacohen, Dekel and Weinshall, ICML 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.scoring.suggesting.describe import Points

REPRESENTED = 2000  # images whose distances are counted, drawn where there are more: bounds time and memory
GREEDY = 300  # picks that are made one by one; a longer queue is computed anew long before it gets there


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A point chosen: its row, its distance to the nearest labelled or chosen one before, and for how many it stands.

    `distance` is infinite where nothing is labelled; `stands_for` counts the points that it is now the nearest to.
    """

    row: int
    distance: float
    stands_for: int


def cover(
    points_ND: Points,
    labelled_MD: Points,
    count: int,
    *,
    value_N: NDArray[np.float64],
    rng: np.random.Generator,
) -> list[Pick]:
    """Choose `count` points, each with the highest product of its own value and the gain in covering all by value.

    A near-copy of a chosen point gains nothing, so it comes last. `value_N` is positive; equal values leave diversity.
    After GREEDY points the rest follow by value times distance to the nearest of these.
    """
    total = len(points_ND)
    ground = np.arange(total) if total <= REPRESENTED else np.sort(rng.choice(total, REPRESENTED, replace=False))
    away_GN = distances(points_ND[ground], points_ND)
    nearest_N = (
        distances(points_ND, labelled_MD).min(1) if len(labelled_MD) else np.full(total, np.inf, dtype=np.float32)
    )
    reach_G = np.minimum(nearest_N[ground], away_GN.max())
    weight_G = value_N[ground].astype(np.float32)
    free_N = np.ones(total, bool)
    gains_GN = np.empty_like(away_GN)
    picks: list[Pick] = []
    for _ in range(min(count, total, GREEDY)):
        np.subtract(reach_G[:, None], away_GN, out=gains_GN)
        np.maximum(gains_GN, 0, out=gains_GN)
        score_N = np.where(free_N, weight_G @ gains_GN * value_N, -1.0)
        row = int(score_N.argmax())
        closer = away_GN[:, row] < reach_G
        stands = round(float(closer.sum()) * total / len(ground))
        picks.append(Pick(row=row, distance=float(nearest_N[row]), stands_for=stands))
        free_N[row] = False
        reach_G = np.minimum(reach_G, away_GN[:, row])
        nearest_N = np.minimum(nearest_N, distances(points_ND, points_ND[row : row + 1])[:, 0])
    rest = np.flatnonzero(free_N)
    rest = rest[np.argsort(-(value_N * nearest_N)[rest], kind="stable")][: count - len(picks)]
    return picks + [Pick(row=int(row), distance=float(nearest_N[row]), stands_for=1) for row in rest]


def distances(one_ND: Points, other_MD: Points) -> Points:
    """Euclidean distances (N, M)."""
    squares = (one_ND**2).sum(1)[:, None] + (other_MD**2).sum(1)[None] - 2 * one_ND @ other_MD.T
    # Rounding leaves a little of the distance of a point to itself.
    return np.sqrt(np.where(squares < 1e-5, 0, squares)).astype(np.float32)


def ranks(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value's place among all, from 1/(2 N) to 1 - 1/(2 N); equal values share theirs."""
    ordered = np.sort(values_N)
    first, last = np.searchsorted(ordered, values_N, "left"), np.searchsorted(ordered, values_N, "right")
    return np.asarray((first + last) / (2 * max(1, len(values_N))))
