"""Pieces merged into ever larger regions: a binary tree whose heights say how strong the border was that fell last.

As in ultrametric contour maps (Arbelaez et al., PAMI 2011): the weakest border goes first, its strength being the mean
along the border. A region's size counts, too, so that specks do not wait until the end.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np

from maskwright.compiled import compiled

_SIZE_POWER = 0.25  # how much a region's share of the image adds to the strength of its borders


@compiled
def merge(pairs: Any, lengths: Any, strengths: Any, sizes: Any, parents: Any, heights: Any) -> Any:
    """Fill `parents` and `heights` (2 N - 1) of the tree over N pieces; the last node is the whole image.

    All pieces hang together. `sizes` (2 N - 1) holds the pieces' sizes, and then every region's.
    """
    count = (len(parents) + 1) // 2
    tables: Any = [{np.int64(0): (0.0, 0.0)} for _ in range(2 * count - 1)]
    for i in range(2 * count - 1):
        tables[i].clear()
    heap = [(0.0, np.int64(0), np.int64(0)) for _ in range(0)]
    total = sizes[:count].sum()
    for e in range(len(pairs)):
        a, b = np.int64(pairs[e, 0]), np.int64(pairs[e, 1])
        tables[a][b] = (strengths[e] * lengths[e], float(lengths[e]))
        tables[b][a] = tables[a][b]
        small = min(sizes[a], sizes[b]) / total
        heappush(heap, (strengths[e] * small**_SIZE_POWER, a, b))
    alive = [True for _ in range(2 * count - 1)]
    height, new = 0.0, count
    while len(heap):
        cost, a, b = heappop(heap)
        if not (alive[a] and alive[b]):
            continue
        height = max(height, cost)
        alive[a] = alive[b] = False
        parents[a] = parents[b] = new
        heights[new] = height
        sizes[new] = sizes[a] + sizes[b]
        if len(tables[a]) < len(tables[b]):
            a, b = b, a
        table = tables[a]
        for other, value in tables[b].items():
            if other in table:
                own = table[other]
                table[other] = (own[0] + value[0], own[1] + value[1])
            else:
                table[other] = value
        table.pop(a)  # b's neighbours had it
        table.pop(b)
        tables[new] = table
        for other, value in table.items():
            tables[other][new] = value
            for gone in (a, b):
                if gone in tables[other]:
                    tables[other].pop(gone)
            small = min(sizes[new], sizes[other]) / total
            heappush(heap, (value[0] / value[1] * small**_SIZE_POWER, np.int64(other), np.int64(new)))
        new += 1
    parents[2 * count - 2] = -1


@compiled
def joining(parents: Any, heights: Any, seeds: Any) -> Any:
    """For every node, the height at which it first lies in one region with a seed: an ultrametric distance."""
    found = heights * 0 - 1
    marked = heights * 0
    for i in range(len(seeds)):
        node = seeds[i]
        while node >= 0 and marked[node] == 0:
            marked[node] = 1
            node = parents[node]
    for node in range(len(parents) - 1, -1, -1):
        found[node] = heights[node] if marked[node] else found[parents[node]]
    return found
