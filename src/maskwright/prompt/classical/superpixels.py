"""Superpixels, and which of them touch: the small pieces that a click is answered with.

Pieces are grown by SLIC (Achanta et al., PAMI 2012): k-means in colour and position, each centre looking only around
itself; loose bits then join the neighbour they touch most recently, so that every piece is connected.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


def superpixels(lab_HW3: Floats, step_px: float, compactness: float, rounds: int = 4) -> tuple[Labels, int]:
    """A piece's number for every pixel, without gaps, and how many pieces there are, about `step_px` wide each."""
    rows, columns = lab_HW3.shape[:2]
    down, across = max(1, round(rows / step_px)), max(1, round(columns / step_px))
    centre_y = (np.arange(down) + 0.5) * rows / down
    centre_x = (np.arange(across) + 0.5) * columns / across
    centres = np.zeros((down * across, 5), np.float32)
    centres[:, 3] = np.repeat(centre_y, across)
    centres[:, 4] = np.tile(centre_x, down)
    centres[:, :3] = lab_HW3[centres[:, 3].astype(int), centres[:, 4].astype(int)]
    raw_HW = np.zeros((rows, columns), np.int32)
    _assign(lab_HW3, centres, np.float32(step_px), np.float32((compactness / step_px) ** 2), rounds, raw_HW)
    labels_HW = np.full((rows, columns), -1, np.int32)
    queue = np.empty((rows * columns, 2), np.int32)
    count = _connect(raw_HW, labels_HW, queue, max(1, int(step_px * step_px / 4)))
    return labels_HW, count


def touching(labels_HW: Labels, count: int) -> tuple[Labels, Labels, Labels, Labels]:
    """Pairs of pieces that touch, (E, 2), pixels along their border (E,), and for every pixel pair: edge, place.

    The last two let maps be averaged along borders: `edges[i]` is the pair that the two neighbouring pixels
    `places[i]` (flat index of the first) belong to.
    """
    columns = labels_HW.shape[1]
    flat = labels_HW.ravel()
    beside = np.flatnonzero(labels_HW[:, :-1] != labels_HW[:, 1:])
    beside += beside // max(1, columns - 1)
    below = np.flatnonzero(flat[: flat.size - columns] != flat[columns:])
    first = np.concatenate([flat[beside], flat[below]]).astype(np.int64)
    second = np.concatenate([flat[beside + 1], flat[below + columns]]).astype(np.int64)
    places = np.concatenate([beside, below])
    keys, edges, lengths = np.unique(
        np.minimum(first, second) * count + np.maximum(first, second), return_inverse=True, return_counts=True
    )
    pairs = np.stack([keys // count, keys % count], axis=1).astype(np.int32)
    return pairs, lengths.astype(np.int32), edges.astype(np.int32), places.astype(np.int32)


def means(labels_HW: Labels, count: int, maps_HWC: Floats) -> Floats:
    """The mean of every channel over each piece, (N, C)."""
    sums = np.zeros((count, maps_HWC.shape[2] + 1), np.float64)
    _sum(labels_HW, maps_HWC, sums)
    return np.asarray(sums[:, :-1] / sums[:, -1:], np.float32)


@compiled
def _sum(labels: Any, maps: Any, sums: Any) -> Any:
    channels = maps.shape[2]
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            k = labels[row, column]
            for c in range(channels):
                sums[k, c] += maps[row, column, c]
            sums[k, channels] += 1


@compiled
def _assign(lab: Any, centres: Any, step: Any, weight: Any, rounds: Any, labels: Any) -> Any:
    rows, columns = labels.shape
    nearest = np.empty((rows, columns), np.float32)
    reach = int(step * 1.5) + 1
    for _ in range(rounds):
        nearest[:] = np.float32(1e30)
        for k in range(len(centres)):
            light, a, b, y, x = centres[k]
            for row in range(max(0, int(y) - reach), min(rows, int(y) + reach + 1)):
                dy = np.float32(row) - y
                for column in range(max(0, int(x) - reach), min(columns, int(x) + reach + 1)):
                    dx = np.float32(column) - x
                    dl, da, db = lab[row, column, 0] - light, lab[row, column, 1] - a, lab[row, column, 2] - b
                    far = dl * dl + da * da + db * db + weight * (dy * dy + dx * dx)
                    if far < nearest[row, column]:
                        nearest[row, column] = far
                        labels[row, column] = k
        sums = np.zeros((len(centres), 6))
        for row in range(rows):
            for column in range(columns):
                k = labels[row, column]
                sums[k, 0] += lab[row, column, 0]
                sums[k, 1] += lab[row, column, 1]
                sums[k, 2] += lab[row, column, 2]
                sums[k, 3] += row
                sums[k, 4] += column
                sums[k, 5] += 1
        for k in range(len(centres)):
            if sums[k, 5] > 0:
                for i in range(5):
                    centres[k, i] = sums[k, i] / sums[k, 5]


@compiled
def _connect(raw: Any, labels: Any, queue: Any, smallest: Any) -> Any:
    rows, columns = raw.shape
    count = 0
    for row in range(rows):
        for column in range(columns):
            if labels[row, column] >= 0:
                continue
            queue[0, 0], queue[0, 1] = row, column
            labels[row, column] = count
            tail, head, beside = 1, 0, -1
            while head < tail:
                y, x = queue[head, 0], queue[head, 1]
                head += 1
                for step in range(4):
                    r = y + (step == 0) - (step == 1)
                    c = x + (step == 2) - (step == 3)
                    if 0 <= r < rows and 0 <= c < columns:
                        if labels[r, c] < 0:
                            if raw[r, c] == raw[row, column]:
                                labels[r, c] = count
                                queue[tail, 0], queue[tail, 1] = r, c
                                tail += 1
                        elif labels[r, c] != count:
                            beside = labels[r, c]
            if tail < smallest and beside >= 0:
                for i in range(tail):
                    labels[queue[i, 0], queue[i, 1]] = beside
            else:
                count += 1
    return count
