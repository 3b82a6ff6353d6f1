"""Near-duplicates among any number of images: 64-bit hashes in a multi-index, every hit verified by thumbnails.

The index follows Norouzi, Punjani and Fleet (2012): codes that differ in at most 11 bits agree in one of four words
of 16 bits up to two bits. Of N images 1 / 120 of all pairs is looked at, a few million at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maskwright.data.audit.look import THUMB
from maskwright.data.audit.scan import Facts

MOST_BITS = 11
MOST_DISTANCE = 0.1
FLAT = 4.0  # grey levels of contrast below which a thumbnail shows nothing that could be recognised
AT_ONCE = 2_000_000
_WORDS = 4
# Bits are scattered over the words: neighbouring frequencies go together, and words should not.
_SCATTERED = np.random.default_rng(0).permutation(64)

Codes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Two images that show the same; `distance` is 0 for equal files, else 1 - correlation of the thumbnails."""

    first: str
    second: str
    distance: float


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Images linked by near-duplicates, sorted; `distance` is the largest of the links that hold them together."""

    ids: tuple[str, ...]
    distance: float


def near_duplicates(facts: Sequence[Facts], *, within: float = MOST_DISTANCE) -> list[Cluster]:
    """Clusters of images that show the same: single links up to the distance `within`, the largest cluster first.

    Frames of a slow video chain into one cluster, as they should where a split must not tear them apart.
    """
    return clusters(near_pairs(facts, within=within))


def near_pairs(facts: Sequence[Facts], *, within: float = MOST_DISTANCE) -> list[Twins]:
    """Pairs of images that show the same, the nearest first; re-encoded, scaled, brightened or slightly cropped copies.

    Of many equal or equally hashed images not all pairs are listed, but enough to link them. Images without
    contrast are compared by content only. `within` is at most 0.1 or so: farther twins are not all found.
    """
    found = [*_equal_files(facts), *_look_alikes(facts, within)]
    nearest: dict[tuple[str, str], float] = {}
    for a, b, distance in found:
        key = (facts[a].id, facts[b].id) if facts[a].id < facts[b].id else (facts[b].id, facts[a].id)
        nearest[key] = min(distance, nearest.get(key, distance))
    return sorted((Twins(first=a, second=b, distance=d) for (a, b), d in nearest.items()), key=_order)


def _order(pair: Twins) -> tuple[float, str, str]:
    return pair.distance, pair.first, pair.second


def _equal_files(facts: Sequence[Facts]) -> Iterator[tuple[int, int, float]]:
    first: dict[str, int] = {}
    for place, one in enumerate(facts):
        if one.image_hash and (other := first.setdefault(one.image_hash, place)) != place:
            yield other, place, 0.0


def _look_alikes(facts: Sequence[Facts], within: float) -> Iterator[tuple[int, int, float]]:
    images = [(place, one.image) for place, one in enumerate(facts) if one.image]
    if len(images) < 2:
        return
    grey = np.stack([np.frombuffer(image.thumb, np.uint8).reshape(-1, 3).mean(axis=1) for _, image in images])
    contrast = grey.std(axis=1)
    clear = np.flatnonzero(contrast >= FLAT)
    shape = ((grey[clear] - grey[clear].mean(axis=1, keepdims=True)) / contrast[clear, None]).astype(np.float32)
    codes = np.array([images[i][1].code for i in clear], np.uint64)
    for a, b in similar_codes(codes):
        distance = 1 - np.einsum("nc,nc->n", shape[a], shape[b]) / (THUMB * THUMB)
        kept = distance <= within
        for i, j, d in zip(clear[a[kept]], clear[b[kept]], distance[kept], strict=True):
            # Rounded up: 0 is kept for files that are equal.
            yield images[i][0], images[j][0], max(1e-4, round(float(d), 4))


def similar_codes(codes: Codes) -> Iterator[tuple[Places, Places]]:
    """Chunks of pairs of places whose codes differ in at most 11 of 64 bits.

    Equal codes are reported as a chain with a few links each, and otherwise stand for one another.
    """
    order = np.argsort(codes, kind="stable")
    for hop in (1, 2, 3):
        same = codes[order[hop:]] == codes[order[:-hop]]
        yield order[:-hop][same], order[hop:][same]
    unique, where = np.unique(codes, return_index=True)
    for a, b in _candidates(unique):
        near = np.bitwise_count(unique[a] ^ unique[b]) <= MOST_BITS
        yield where[a[near]], where[b[near]]


def _candidates(codes: Codes) -> Iterator[tuple[Places, Places]]:
    bits = (codes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    words = (bits[:, _SCATTERED].reshape(-1, _WORDS, 16) << np.arange(16, dtype=np.uint64)).sum(axis=2).astype(np.int64)
    flips = [0, *(1 << i for i in range(16)), *((1 << i) | (1 << j) for i, j in combinations(range(16), 2))]
    for word in words.T:
        order = np.argsort(word, kind="stable")
        ends = np.cumsum(np.bincount(word, minlength=1 << 16))
        starts = np.concatenate([[0], ends[:-1]])
        for flip in flips:
            partner = word ^ flip
            yield from _joined(order, np.arange(len(codes)), starts[partner], ends[partner])


def _joined(order: Places, places: Places, starts: Places, ends: Places) -> Iterator[tuple[Places, Places]]:
    """Every place with every partner in its bucket, each pair once, in chunks of bounded size."""
    counts = ends - starts
    busy = counts > 0
    places, starts, counts = places[busy], starts[busy], counts[busy]
    total = np.cumsum(counts)
    begin = 0
    while begin < len(places):
        done = total[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, done + AT_ONCE, side="right")))
        n = counts[begin:end]
        first = np.repeat(places[begin:end], n)
        step = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        second = order[np.repeat(starts[begin:end], n) + step]
        once = first < second
        yield first[once], second[once]
        begin = end


def clusters(pairs: Sequence[Twins]) -> list[Cluster]:
    """What pairs link together, by union and find; the largest cluster first."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    widest: dict[str, float] = {}
    for pair in sorted(pairs, key=_order):
        a, b = root(pair.first), root(pair.second)
        if a != b:
            parent[b] = a
            widest[a] = pair.distance
    members: dict[str, list[str]] = {}
    for key in parent:
        members.setdefault(root(key), []).append(key)
    found = [Cluster(ids=tuple(sorted(ids)), distance=widest[top]) for top, ids in members.items()]
    return sorted(found, key=lambda cluster: (-len(cluster.ids), cluster.ids))
