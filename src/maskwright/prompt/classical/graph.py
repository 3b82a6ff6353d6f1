"""Distances and smoothing over pieces that touch: compressed rows `starts`, `others`, and a weight for each entry."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

Floats = NDArray[np.float32]


def rows_of(pairs_E2: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Neighbours by piece: `others[starts[i]:starts[i + 1]]`, and the edge that each stands for."""
    both = np.concatenate([pairs_E2, pairs_E2[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    starts = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(both[:, 0], minlength=count), out=starts[1:])
    edges = np.tile(np.arange(len(pairs_E2), dtype=np.int32), 2)[order]
    return starts, np.ascontiguousarray(both[order, 1]), edges


@compiled
def shortest(starts: Any, others: Any, weights: Any, seeds: Any, widest: Any) -> Any:
    """Cost of the cheapest path to each piece from any seed (Dijkstra): the sum of the weights, or the largest."""
    count = len(starts) - 1
    cost = np.full(count, np.float32(1e9), np.float32)
    heap = [(np.float32(0), np.int64(0)) for _ in range(0)]
    for i in range(len(seeds)):
        cost[seeds[i]] = 0
        heappush(heap, (np.float32(0), np.int64(seeds[i])))
    while len(heap):
        far, node = heappop(heap)
        if far > cost[node]:
            continue
        for place in range(starts[node], starts[node + 1]):
            total = max(far, weights[place]) if widest else far + weights[place]
            if total < cost[others[place]]:
                cost[others[place]] = total
                heappush(heap, (np.float32(total), np.int64(others[place])))
    return cost


@compiled
def walked(starts: Any, others: Any, weights: Any, prior: Any, trust: Any, sweeps: Any) -> Any:
    """The random walker with priors (Grady 2005): x minimising sum w (x_i - x_j)^2 + sum trust (x_i - prior_i)^2."""
    x = prior.copy()
    count = len(prior)
    for sweep in range(sweeps):
        for step in range(count):
            i = step if sweep % 2 == 0 else count - 1 - step
            above, below = trust[i] * prior[i], trust[i]
            for place in range(starts[i], starts[i + 1]):
                above += weights[place] * x[others[place]]
                below += weights[place]
            if below > 0:
                x[i] += np.float32(1.5) * (above / below - x[i]) if sweep < sweeps - 2 else above / below - x[i]
    return x
