"""Slices on which a model is weak, found by themselves: "darkest third of the images, bicycle: IoU 0.21 against 0.63".

Every attribute of the images is cut into thirds, for every class and for the mean over classes; groups are slices as
they are. Pixels are summed within a slice and outside before they are divided. A slice is reported where it is worse
by more than chance explains: images change places between slice and rest, and the largest gap over ALL slices tried
sets the bar (the max-T of Westfall and Young, Resampling-based multiple testing, 1993). Finding weak slices
from attributes: Chung et al., Slice Finder, ICDE 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.tally import CLASS_RATIOS, MEANS, Tally
from maskwright.scoring.doubting.attributes import OF_THE_CLASS, OF_THE_IMAGE, Attributes
from maskwright.types import Classes

MOST = 10
LEAST_IMAGES = 5  # in the slice and outside
LEAST_PX = 500  # of the class, in the slice and outside
DRAWS = 1000
LEVEL = 0.05
ALIKE = 0.5  # slices of one class that share more of their images are one
MOST_ALIKE = 3  # slices of one class, and classes for which the same images are reported
CELLS = 1 << 22  # draws x slices x images held at a time

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Images that have something in common: `inside_N` within the images `among_N` that say anything of the class."""

    class_id: int | None
    attribute: str
    range: str
    limits: str
    inside_N: NDArray[np.bool_]
    among_N: NDArray[np.bool_]


def find_slices(
    tally_N3K: Tally, attributes: Sequence[Attributes], groups: Sequence[str], classes: Classes, *, seed: int = 0
) -> list[dict[str, Any]]:
    """At most ten slices that are surely worse than the rest, the surest first; no two of them say the same.

    `difference` is IoU elsewhere minus IoU in the slice with its 95 % bootstrap interval `low`, `high`; `p` is
    corrected for all slices tried. Images are taken as independent: frames of one video are not, and flatter p.
    """
    tried = list(candidates(tally_N3K, attributes, groups, classes))
    if not tried:
        return []
    p = corrected_p(tally_N3K, tried, seed)
    found = []
    for number in np.flatnonzero(p <= LEVEL):
        candidate = tried[number]
        inside, outside, low, high = effect(tally_N3K, candidate, seed)
        if low > 0:
            found.append((low, candidate, _row(candidate, classes, inside, outside, (low, high), float(p[number]))))
    kept = distinct(sorted(found, key=lambda item: -item[0]))
    return kept[:MOST]


def candidates(
    tally_N3K: Tally, attributes: Sequence[Attributes], groups: Sequence[str], classes: Classes
) -> Iterator[Candidate]:
    """Every slice that is large enough to be tried."""
    for class_id in (None, *range(len(classes))):
        pixels_N = tally_N3K[:, 1:].sum((1, 2)) if class_id is None else tally_N3K[:, 1:, class_id].sum(1)
        among = pixels_N > 0
        for attribute, text, limits, inside in _cuts(attributes, groups, class_id):
            inside = inside & among
            rest = among & ~inside
            if min(inside.sum(), rest.sum()) < LEAST_IMAGES:
                continue
            if min(pixels_N[inside].sum(), pixels_N[rest].sum()) < LEAST_PX:
                continue
            yield Candidate(
                class_id=class_id, attribute=attribute, range=text, limits=limits, inside_N=inside, among_N=among
            )


def _cuts(
    attributes: Sequence[Attributes], groups: Sequence[str], class_id: int | None
) -> Iterator[tuple[str, str, str, NDArray[np.bool_]]]:
    for name, words in OF_THE_IMAGE.items():
        yield from _thirds(name, words, np.array([seen.image[name] for seen in attributes]))
    if class_id is not None:
        values = {
            "share": np.array([seen.share_K[class_id] for seen in attributes]),
            "object size": np.array([seen.part_px_K[class_id] for seen in attributes]),
        }
        for name, words in OF_THE_CLASS.items():
            yield from _thirds(name, words, values[name])
    names = sorted({group for group in groups if group})
    for group in names if len(names) > 1 else []:
        yield "group", group, "", np.array([one == group for one in groups])


def _thirds(
    name: str, words: tuple[str, str, str], values_N: Floats
) -> Iterator[tuple[str, str, str, NDArray[np.bool_]]]:
    known = values_N[~np.isnan(values_N)]
    if not known.size or known.min() == known.max():
        return
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    lowest, highest, unit = words
    # Strictly beyond the cut where many are equal, so that a slice is never nearly everything.
    yield name, lowest, f"{unit} up to {figure(low)}", values_N <= low
    yield name, highest, f"{unit} above {figure(high)}", values_N > high


def figure(value: float) -> str:
    """Three digits that count, never as a power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def iou_of(summed: NDArray[Any], class_id: int | None) -> Floats:
    """IoU of the class, or the mean over classes, of summed tallies (..., 3, K)."""
    if class_id is None:
        return MEANS["mean_iou"](summed, None)
    return CLASS_RATIOS["iou"](summed[..., class_id : class_id + 1])[..., 0]


def corrected_p(tally_N3K: Tally, tried: Sequence[Candidate], seed: int) -> Floats:
    """p of every candidate, one-sided (worse than elsewhere), corrected over all of them."""
    gap_S, chance_DS = np.zeros(len(tried)), np.zeros((DRAWS, len(tried)))
    for class_id in dict.fromkeys(candidate.class_id for candidate in tried):
        own = [place for place, candidate in enumerate(tried) if candidate.class_id == class_id]
        gap_S[own], chance_DS[:, own] = _gaps(tally_N3K, [tried[place] for place in own], seed)
    spread_S = chance_DS.std(0) + 1e-12
    highest_D = (chance_DS / spread_S).max(1)
    return np.asarray((1 + (highest_D[:, None] >= gap_S / spread_S).sum(0)) / (1 + DRAWS))


def _gaps(tally_N3K: Tally, tried: Sequence[Candidate], seed: int) -> tuple[Floats, Floats]:
    """IoU elsewhere minus inside: as it is (S,), and with the images in DRAWS random orders (D, S); one class."""
    class_id, among = tried[0].class_id, tried[0].among_N
    chosen = slice(None) if class_id is None else slice(class_id, class_id + 1)
    counts_NX = tally_N3K[among][..., chosen].reshape(int(among.sum()), -1).astype(np.float64)
    inside_SN = np.stack([candidate.inside_N[among] for candidate in tried]).astype(np.float64)
    total_X, width = counts_NX.sum(0), tally_N3K[..., chosen].shape[-1]

    def gap(inside_X: Floats) -> Floats:
        both = [part.reshape(*part.shape[:-1], 3, width) for part in (total_X - inside_X, inside_X)]
        only = None if class_id is None else 0
        elsewhere, here = (np.nan_to_num(iou_of(part, only)) for part in both)
        return elsewhere - here

    rng = np.random.default_rng((seed, 0 if class_id is None else class_id + 1))
    step = max(1, CELLS // inside_SN.size)
    drawn = []
    for first in range(0, DRAWS, step):
        size = min(step, DRAWS - first)
        order_DN = rng.permuted(np.tile(np.arange(len(counts_NX)), (size, 1)), axis=1)
        drawn.append(gap(np.moveaxis(inside_SN[:, order_DN] @ counts_NX, 0, 1)))
    return gap(inside_SN @ counts_NX), np.concatenate(drawn)


def effect(tally_N3K: Tally, candidate: Candidate, seed: int) -> tuple[float, float, float, float]:
    """IoU in the slice and elsewhere, and the 95 % bootstrap interval of the difference; images drawn in each apart."""
    rng = np.random.default_rng((seed, 1))
    parts = [candidate.inside_N, candidate.among_N & ~candidate.inside_N]
    values, drawn = [], []
    for part in parts:
        counts = tally_N3K[part].reshape(int(part.sum()), -1).astype(np.float64)
        weights = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
        values.append(float(iou_of(tally_N3K[part].sum(0), candidate.class_id)))
        drawn.append(iou_of((weights @ counts).reshape(DRAWS, *tally_N3K.shape[1:]), candidate.class_id))
    low, high = np.nanquantile(drawn[1] - drawn[0], [0.025, 0.975])
    return values[0], values[1], float(low), float(high)


def distinct(found: Sequence[tuple[float, Candidate, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows without those that say again what a surer one said: the same class on mostly the same images."""
    kept: list[tuple[Candidate, dict[str, Any]]] = []
    for _, candidate, row in found:
        shared = [(other, _overlap(candidate, other)) for other, _ in kept]
        twin = any(other.class_id == candidate.class_id and share > ALIKE for other, share in shared)
        siblings = sum(other.class_id == candidate.class_id for other, _ in shared)
        if not twin and siblings < MOST_ALIKE and sum(share > 0.8 for _, share in shared) < MOST_ALIKE:
            kept.append((candidate, row))
    return [row for _, row in kept]


def _overlap(one: Candidate, other: Candidate) -> float:
    either = (one.inside_N | other.inside_N).sum()
    return float((one.inside_N & other.inside_N).sum() / either)


def _row(
    candidate: Candidate, classes: Classes, inside: float, outside: float, interval: tuple[float, float], p: float
) -> dict[str, Any]:
    name = None if candidate.class_id is None else classes.names[candidate.class_id]
    where = f"group {candidate.range}" if candidate.attribute == "group" else f"{candidate.range} ({candidate.limits})"
    return {
        "class": name,
        "attribute": candidate.attribute,
        "range": candidate.range,
        "limits": candidate.limits,
        "images": int(candidate.inside_N.sum()),
        "images_elsewhere": int((candidate.among_N & ~candidate.inside_N).sum()),
        "iou": inside,
        "elsewhere": outside,
        "difference": outside - inside,
        "low": interval[0],
        "high": interval[1],
        "p": p,
        "says": f"{name or 'all classes'}, {where}: IoU {inside:.2f} against {outside:.2f}",
    }
