"""Regions grown from a click, and where to stop.

Pieces join one at a time, the likeliest first among those that touch the region (seeded region growing: Adams and
Bischof, PAMI 1994). Every step of it is a possible mask. What makes one good is measured for all of them at once, from
what each piece and each border adds: strength along the outline and inside, size, compactness, colour against the rest,
steadiness. A quadratic form turns that into the expected IoU after a first click, and after a correction into a number
that is highest where stopping gained most: proposals ranked by mid-level cues, as in CPMC (Carreira and Sminchisescu,
PAMI 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.classical.graph import shortest
from maskwright.prompt.classical.pieces import Floats, Pieces

_BLOCKED = np.float32(1e8)
_STEPS = 64
_LOW = 0.02  # a strength below which borders count as equal


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Pieces in the order in which they join (only those that may), and how unlikely the worst so far is."""

    order: NDArray[np.intp]
    level: Floats
    area: NDArray[np.float64]


def grow(pieces: Pieces, logit_N: Floats, seeds: NDArray[np.int64], allowed_N: NDArray[np.bool_]) -> Growth:
    """Grow from some pieces by their likelihood, over allowed pieces only."""
    cost = logit_N.max() - logit_N + np.float32(1e-3)
    sources = np.repeat(np.arange(pieces.count), np.diff(pieces.starts))
    step = np.maximum(cost[sources], cost[pieces.others])
    step[~(allowed_N[sources] & allowed_N[pieces.others])] = _BLOCKED
    level = shortest(pieces.starts, pieces.others, step, seeds, True)
    tie = level + np.float32(1e-4) * cost
    tie[seeds] = -1
    order = np.argsort(tie, kind="stable")
    order = order[: max(1, int(np.count_nonzero(level < _BLOCKED / 2)))]
    return Growth(order=order, level=level[order], area=np.cumsum(pieces.sizes_N[order], dtype=np.float64))


def stops(pieces: Pieces, growth: Growth, at_least: int) -> NDArray[np.intp]:
    """Steps of a growth that are looked at, from `at_least` pieces on.

    They are spread evenly over the logarithm of the area; of the steps in between, it is the one with the strongest
    outline.
    """
    last = len(growth.order) - 1
    start = min(at_least, len(growth.order)) - 1
    areas = np.geomspace(growth.area[start], growth.area[-1], _STEPS)
    even = np.unique(np.clip(np.searchsorted(growth.area, areas * (1 - 1e-9)), start, last))
    crossing, every = _Crossing(pieces, growth.order), np.arange(last + 1)
    length = crossing.at(pieces.lengths_E, every) + 1e-6
    edge = crossing.at(pieces.lengths_E * pieces.strengths_E, every) / length
    ends = np.append(even, last + 1)
    return np.array([first + int(edge[first:end].argmax()) for first, end in pairwise(ends)])


def region_facts(pieces: Pieces, growth: Growth, logit_N: Floats, at: NDArray[np.intp]) -> Floats:
    """Numbers for each step of `at`, (S, 19), on how much the region looks like a thing."""
    order, area, total = growth.order, growth.area, float(pieces.sizes_N.sum())
    crossing = _Crossing(pieces, order)
    length, strength = pieces.lengths_E, pieces.strengths_E
    outline = crossing.at(length, at) + 1e-6
    edge = np.log(crossing.at(length * strength, at) / outline + _LOW)
    sharp = crossing.at(length * np.log(strength + np.float32(_LOW)), at) / outline
    inner = np.log(crossing.inside(length * strength, at) / (crossing.inside(length, at) + 1e-6) + _LOW)
    sizes, places = pieces.sizes_N[order].astype(np.float64), pieces.centres_N2[order].astype(np.float64)
    centre = np.cumsum(sizes[:, None] * places, axis=0)[at] / area[at, None]
    square = np.cumsum(sizes[:, None] * places**2, axis=0)[at] / area[at, None]
    spread = np.sqrt(np.maximum(square - centre**2, 0).sum(axis=1) + 1)
    off = np.hypot(*(centre - places[0]).T) / np.sqrt(area[at])
    rim = np.cumsum(pieces.rim_N[order])[at]
    colours = np.cumsum(sizes[:, None] * pieces.words_NK[order], axis=0)[at]
    whole = pieces.sizes_N @ pieces.words_NK
    within, without = colours / area[at, None], (whole - colours) / np.maximum(total - area[at], 1)[:, None]
    contrast = 0.5 * ((within - without) ** 2 / (within + np.maximum(without, 0) + 1e-6)).sum(axis=1)
    logits = logit_N[order]
    level = np.minimum.accumulate(logits)
    last = len(order) - 1
    larger = level[at] - level[np.clip(np.searchsorted(area, area[at] * 1.5), 0, last)]
    smaller = level[np.clip(np.searchsorted(area, area[at] / 1.5), 0, last)] - level[at]
    columns = [
        *(np.log(area[at] / total), edge, sharp, inner, edge - inner, level[at]),
        *((np.cumsum(sizes * logits)[at] / area[at]), larger, smaller, np.log(off + 0.05), off),
        *(np.log(outline**2 / area[at]), rim / outline, np.log(1 + rim / np.sqrt(area[at])), contrast),
        *(np.log(spread / np.sqrt(area[at])), *_peaks(edge, area[at]), _peaks(sharp, area[at])[0]),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def change_facts(
    pieces: Pieces, growth: Growth, mask_N: NDArray[np.bool_], positive: bool, depth_px: float, at: NDArray[np.intp]
) -> Floats:
    """Numbers for each step of `at`, (S, 14), on what the region's change of sides does to the mask's outline."""
    crossing = _Crossing(pieces, growth.order)
    length, strength = pieces.lengths_E, pieces.strengths_E
    was = mask_N[pieces.pairs_E2[:, 0]] != mask_N[pieces.pairs_E2[:, 1]]
    outline = float(length[was].sum()) + 1
    before = float((length * strength)[was].sum())
    new, gone = crossing.at(length * ~was, at), crossing.at(length * was, at)
    new_sum, gone_sum = crossing.at(length * strength * ~was, at), crossing.at(length * strength * was, at)
    after = (before + new_sum - gone_sum) / np.maximum(outline + new - gone, 1)
    cut, erased = new_sum / (new + 1e-3), gone_sum / (gone + 1e-3)
    total, own = float(pieces.sizes_N.sum()), float(pieces.sizes_N[mask_N].sum()) + 1
    side = total - own if positive else own
    area, whole = growth.area[at], np.ones(len(at))
    outlines = np.log(np.maximum(after, 0) + _LOW)
    columns = [
        *(np.log(area / (np.pi * depth_px**2 + 30)), np.log(area / max(side, 1)), np.log(area / own)),
        *(outlines - np.log(before / outline + _LOW), (new - gone) / outline),
        *(np.log(np.maximum(cut, 0) + _LOW), np.log(np.maximum(erased, 0) + _LOW), cut - erased),
        *(gone / (gone + new + 1e-3), whole * np.log(depth_px / pieces.diagonal_px + 0.003), whole * positive),
        *(whole * np.log(own / total), *_peaks(outlines, area)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _peaks(values_S: NDArray[np.float64], area_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """How far each value is below the highest among regions of about its size, and below the highest of all."""
    size = np.log(area_S)
    near = np.abs(size[:, None] - size) < np.log(2)
    return values_S - np.where(near, values_S, -np.inf).max(axis=1), values_S - values_S.max()


class _Crossing:
    """Sums over the borders around, and inside, the first pieces of an order."""

    def __init__(self, pieces: Pieces, order: NDArray[np.intp]) -> None:
        self.count = pieces.count
        rank = np.full(pieces.count, pieces.count - 1)
        rank[order] = np.arange(len(order))
        ends = rank[pieces.pairs_E2]
        self.first, self.last = ends.min(axis=1), ends.max(axis=1)

    def at(self, values_E: Floats, steps: NDArray[np.intp]) -> NDArray[np.float64]:
        """Sum over the borders between the pieces up to a step and all others."""
        change = np.bincount(self.first, values_E, self.count) - np.bincount(self.last, values_E, self.count)
        return np.asarray(np.maximum(np.cumsum(change)[steps], 0))

    def inside(self, values_E: Floats, steps: NDArray[np.intp]) -> NDArray[np.float64]:
        """Sum over the borders between two of the pieces up to a step."""
        return np.asarray(np.cumsum(np.bincount(self.last, values_E, self.count))[steps])
