"""How likely a piece belongs with what was clicked: numbers for each piece, weighed by a logistic regression.

Four distances of a piece from a click are used together, because each fails where another holds: the cheapest path over
borders (geodesic: Bai and Sapiro, ICCV 2007), the merging tree's height, the difference in colour and texture, and
plain distance. Histograms of typical colours compare the click's surroundings with the rest (as Boykov and Jolly, ICCV
2001, do with grey values).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.classical.graph import shortest
from maskwright.prompt.classical.pieces import Floats, Pieces
from maskwright.prompt.classical.tree import joining

_DISTANCES = 5
_FAR = np.array([3, 1.5, 0, 4.5, 4.5], np.float32)  # where there is no click to be far from
_PATH_STEP = 0.05
_PRIOR_PX = 20.0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A click or a stroke: the pieces under it, and its places (x, y) at the working size."""

    pieces: NDArray[np.int64]
    places_M2: Floats
    positive: bool


def first_evidence(pieces: Pieces, mark: Mark) -> Floats:
    """Numbers for each piece, (N, F), after a first positive mark."""
    far = _distances(pieces, [mark])
    path = np.exp(far[:, 0]) - 0.1
    columns = [far]
    for reach in (1.0, 3.0):
        near = pieces.sizes_N * np.exp(-path / reach)
        columns.append(_likelier(pieces, near, pieces.sizes_N - near)[:, None])
    for values in (far[:, 0], far[:, 4]):
        order = np.argsort(values, kind="stable")
        nearer = np.empty(pieces.count, np.float32)
        nearer[order] = np.cumsum(pieces.sizes_N[order]) / pieces.sizes_N.sum()
        columns.append(np.log(nearer + 0.002)[:, None])
    rows, width = pieces.labels_HW.shape
    corner = np.array([width, rows], np.float32)
    click = mark.places_M2.mean(axis=0)
    to_rim = np.minimum(pieces.centres_N2, corner - pieces.centres_N2).min(axis=1) / pieces.diagonal_px
    click_to_rim = max(0.0, float(np.minimum(click, corner - click).min())) / pieces.diagonal_px
    columns.append(np.full((pieces.count, 1), np.log(click_to_rim + 0.01)))
    columns.append(np.log(np.maximum(to_rim, 0) + 0.01)[:, None])
    columns.append(np.abs(pieces.centres_N2 - click) / pieces.diagonal_px)
    return np.concatenate(columns, axis=1).astype(np.float32)


def correction_evidence(
    pieces: Pieces, share_N: Floats, mark: Mark, others: Sequence[Mark], depths: tuple[Floats, float]
) -> Floats:
    """Numbers for each piece, (N, F), on whether it changes sides with `mark`, which contradicts the mask so far.

    `share_N` is how much of each piece is in the mask; `depths` are the pieces' and the mark's distance to the end of
    the side that the mark takes from, in pixels.
    """
    same = [other for other in others if other.positive == mark.positive]
    against = [other for other in others if other.positive != mark.positive]
    here, also, away = (_distances(pieces, marks) for marks in ([mark], same, against))
    theirs = 1 - share_N if mark.positive else share_N
    near = pieces.sizes_N * np.exp(-(np.exp(here[:, 0]) - 0.1))
    left, joined = pieces.sizes_N * theirs, pieces.sizes_N * (1 - theirs)
    plain = (np.exp(here[:, 2]) - 0.005) * pieces.diagonal_px
    piece_depth, depth = depths
    whole = np.full(pieces.count, 1.0)
    columns = [
        np.log(plain / depth + 0.1),
        whole * np.log(depth / pieces.diagonal_px + 0.003),
        np.log(piece_depth / pieces.diagonal_px + 0.003),
        theirs,
        _likelier(pieces, near * theirs, joined),
        _likelier(pieces, near * theirs, left),
        _likelier(pieces, joined, left),
        whole * mark.positive,
        whole * np.log1p(len(others)),
    ]
    return np.concatenate([here, also, away, here - away, np.stack(columns, axis=1)], axis=1).astype(np.float32)


def depths_of(pieces: Pieces, flags_hw: NDArray[np.bool_], mark: Mark) -> tuple[Floats, float]:
    """Distance in pixels to the outside of a region: each piece's mean, and the mark's largest, which is at least 1."""
    padded = np.pad(flags_hw.astype(np.uint8), 1)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)
    mean = np.bincount(pieces.labels_HW.ravel(), weights=depth.ravel(), minlength=pieces.count) / pieces.sizes_N
    columns, rows = mark.places_M2.astype(int).T
    return mean.astype(np.float32), max(1.0, float(depth[rows, columns].max()))


def _distances(pieces: Pieces, marks: Sequence[Mark]) -> Floats:
    """Logarithms of the five distances to the nearest of some marks, (N, 5)."""
    if not marks:
        return np.tile(_FAR, (pieces.count, 1))
    seeds = np.unique(np.concatenate([mark.pieces for mark in marks]))
    places = np.concatenate([mark.places_M2 for mark in marks])
    cost = pieces.strengths_E[pieces.edges] + np.float32(_PATH_STEP)
    path = shortest(pieces.starts, pieces.others, cost, seeds, False)
    height = joining(pieces.parents, pieces.heights, seeds)[: pieces.count]
    plain = _nearest(pieces.centres_N2, places) / pieces.diagonal_px
    colour, around = (
        np.sqrt(_nearest(values, values[seeds]) ** 2 + 1) for values in (pieces.colour_ND, pieces.around_ND)
    )
    columns = [path + 0.1, height + 0.01, plain + 0.005, colour + 2, around + 2]
    return np.asarray(np.log(np.stack(columns, axis=1)), np.float32)


def _nearest(values_ND: Floats, seeds_MD: Floats) -> Floats:
    """Distance to the nearest of a few rows."""
    best = np.full(len(values_ND), np.inf, np.float32)
    for seed in seeds_MD:
        best = np.minimum(best, ((values_ND - seed) ** 2).sum(axis=1))
    return np.asarray(np.sqrt(best), np.float32)


def _likelier(pieces: Pieces, one_N: Floats, other_N: Floats) -> Floats:
    """Log ratio of a piece's colours under the histograms of two weighted groups of pieces, both with a prior."""
    prior = pieces.sizes_N @ pieces.words_NK
    prior *= _PRIOR_PX / prior.sum()
    first, second = (weights @ pieces.words_NK + prior for weights in (one_N, other_N))
    ratio = np.log(first / first.sum()) - np.log(second / second.sum())
    return np.asarray(pieces.words_NK @ ratio, np.float32)
