"""Masks to polygons along the cracks between pixels, so that `raster.fill` gives the mask back, pixel for pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

Ring = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """One connected piece of a mask: rings (P, 2) of x, y at pixel corners (0 to width, 0 to height), not closed.

    The outer ring runs clockwise on the screen, holes run the other way, so that both common rules (even-odd and
    non-zero winding) leave the holes open.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()


def outlines(mask_HW: NDArray[Any], *, tolerance_px: float = 0.0) -> list[Outline]:
    """The connected pieces of a mask (H, W; everything but 0 is inside), from top to bottom.

    Pixels that touch at a corner only are separate pieces; background that touches at a corner is one hole. Points in
    the middle of a straight line are left out. A tolerance moves boundaries by up to so many pixels to save points
    (Douglas and Peucker 1973): then the polygons are close to the mask, no longer equal; rings that would collapse keep
    all their points, so that no piece and no hole is lost.
    """
    inside_HW = np.ascontiguousarray(mask_HW != 0).view(np.uint8)
    padded_HW = np.pad(inside_HW, 1)
    pieces, labels_HW = cv2.connectedComponents(padded_HW, connectivity=4)
    points = np.empty((_corners(padded_HW), 2), np.int32)
    rings = np.empty((len(points) // 4, 3), np.int64)
    outer: list[Ring | None] = [None] * pieces
    holes: list[list[Ring]] = [[] for _ in range(pieces)]
    for start, stop, owner in rings[: _trace(padded_HW, labels_HW, points, rings)].tolist():
        ring = _simplified(points[start:stop], tolerance_px)
        # The scan meets a piece at its top, which is on the outer ring.
        if outer[owner] is None:
            outer[owner] = ring
        else:
            holes[owner].append(ring)
    return [Outline(outer=o, holes=tuple(h)) for o, h in zip(outer, holes, strict=True) if o is not None]


def polygons(mask_HW: NDArray[Any], *, tolerance_px: float = 0.0) -> list[NDArray[np.float64]]:
    """One polygon (P, 2) of x, y for each connected piece of a mask, for formats without holes.

    `raster.fill(polygons(mask_HW), mask_HW.shape)` is the mask again, unless a tolerance is given.
    """
    return [keyhole(outline.outer, outline.holes) for outline in outlines(mask_HW, tolerance_px=tolerance_px)]


def keyhole(outer: NDArray[Any], holes: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Join an outer ring and its holes (each (P, 2) of x, y) to one polygon by bridges without width.

    From the top of each hole a vertical bridge goes up to the next ring and back. What is passed twice changes no
    pixel under the even-odd rule.
    """
    rings = [np.asarray(outer, np.float64)]
    for hole in holes:
        ring = np.asarray(hole, np.float64)
        # Begin where the bridge arrives: at the top, leftmost.
        rings.append(np.roll(ring, -int(np.lexsort((ring[:, 0], ring[:, 1]))[0]), axis=0))
    if len(rings) == 1:
        return rings[0]
    rings[1:] = sorted(rings[1:], key=lambda ring: (ring[0, 1], ring[0, 0]))
    starts = np.cumsum([0, *(len(ring) for ring in rings)])
    edges, landings = _bridges(np.concatenate(rings), starts)
    parents = np.searchsorted(starts, edges, side="right") - 1
    arrivals: list[list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]] = [[] for _ in rings]
    # A bridge ends on a ring that begins higher up: from the lowest hole on, each is complete when its turn comes.
    for index in range(len(rings) - 1, 0, -1):
        whole = _with_bridges(rings[index], arrivals[index])
        parent = int(parents[index])
        closed = np.concatenate([whole, whole[:1]])
        arrivals[parent].append((int(edges[index] - starts[parent]), landings[index], closed))
    return _with_bridges(rings[0], arrivals[0])


def _with_bridges(
    ring: NDArray[np.float64], arrivals: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]
) -> NDArray[np.float64]:
    """Put each (edge, point on the edge, closed ring to visit from there) into a ring."""
    pieces, done = [], 0
    for edge, landing, visit in sorted(arrivals, key=lambda it: (it[0], float(np.abs(it[1] - ring[it[0]]).sum()))):
        pieces += [ring[done : edge + 1], landing[None], visit, landing[None]]
        done = edge + 1
    return np.concatenate([*pieces, ring[done:]])


def _simplified(ring: Ring, tolerance_px: float) -> Ring:
    if tolerance_px <= 0:
        return ring
    simple = np.asarray(cv2.approxPolyDP(ring[:, None], tolerance_px, closed=True), np.int32)[:, 0]
    return simple if len(simple) > 2 and cv2.contourArea(simple) > 0 else ring


def _corners(inside_HW: NDArray[np.uint8]) -> int:
    """How many corners all rings have together: one where one or three of four pixels are inside, two at a diagonal."""
    a, b, c, d = inside_HW[:-1, :-1], inside_HW[:-1, 1:], inside_HW[1:, :-1], inside_HW[1:, 1:]
    single, diagonal = a ^ b ^ c ^ d, (a ^ b) & (a ^ c) & (a ^ d ^ 1)
    return int(np.count_nonzero(single)) + 2 * int(np.count_nonzero(diagonal))


@compiled
def _trace(inside_HW: Any, labels_HW: Any, points: Any, rings: Any) -> int:
    """Follow every boundary with the object on the right hand; planes have a border of one pixel outside.

    Fills in the corners of all rings, in the coordinates of the plane without border, and for each ring its first
    corner, the one after its last, and the label of the piece that it bounds; returns the number of rings.
    """
    rows, columns = inside_HW.shape
    seen_HW = np.zeros((rows, columns), np.bool_)
    count, ring = 0, 0
    for top in range(1, rows - 1):
        for start in range(1, columns - 1):
            # The upper side of a pixel begins a ring unless one came along here; its left end is a corner then.
            if not inside_HW[top, start] or inside_HW[top - 1, start] or seen_HW[top, start]:
                continue
            rings[ring, 0], rings[ring, 2] = count, labels_HW[top, start]
            y, x, heading = top, start, 0
            while True:
                points[count, 0], points[count, 1] = x - 1, y - 1
                count += 1
                y, x, heading = _corner(inside_HW, seen_HW, y, x, heading)
                if y == top and x == start and heading == 0:
                    break
            rings[ring, 1] = count
            ring += 1
    return ring


@compiled
def _corner(inside_HW: Any, seen_HW: Any, y: int, x: int, heading: int) -> Any:
    """Go straight on (0 right, 1 down, 2 left, 3 up) to the next corner and turn; (y, x) is the pixel below right."""
    while True:
        if heading == 0:
            seen_HW[y, x] = True
            x += 1
            left, right = inside_HW[y - 1, x], inside_HW[y, x]
        elif heading == 1:
            y += 1
            left, right = inside_HW[y, x], inside_HW[y, x - 1]
        elif heading == 2:
            x -= 1
            left, right = inside_HW[y, x - 1], inside_HW[y - 1, x - 1]
        else:
            y -= 1
            left, right = inside_HW[y - 1, x - 1], inside_HW[y - 1, x]
        if not right:  # also where only a corner touches ahead: stay with the same pixel
            return y, x, (heading + 1) % 4
        if left:
            return y, x, (heading + 3) % 4


def _bridges(points: NDArray[np.float64], starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For the first point of every ring but the outer one: the next edge above of a ring before it, and the place.

    Edges are kept by the pixel columns that they cross, so that a mask of noise with its thousands of holes stays fast.
    """
    origin = np.array([np.floor(points[:, 0].min()), 0.0])
    points = points - origin
    following = np.arange(1, len(points) + 1)
    following[starts[1:] - 1] = starts[:-1]
    here, there = points[:, 0], points[following, 0]
    first_column, end_column = np.floor(np.minimum(here, there)), np.ceil(np.maximum(here, there))
    spans = np.stack([first_column, end_column], axis=1).astype(np.int64)
    columns = int(here.max()) + 2
    begun, ended = (np.bincount(spans[:, side], minlength=columns) for side in (0, 1))
    ends = np.cumsum(np.cumsum(begun - ended))
    edges, landings = np.zeros(len(starts) - 1, np.int64), np.empty((len(starts) - 1, 2))
    _hang((points, following, starts), (spans, ends), edges, landings)
    return edges, landings + origin


@compiled
def _hang(rings: Any, buckets: Any, edges: Any, landings: Any) -> None:
    """Fill in where each ring hangs; buckets are the columns an edge crosses, and how many crossings lie up to each."""
    points, following, starts = rings
    spans, ends = buckets
    crossing = np.empty(ends[-1], np.int64)
    firsts = ends.copy()
    for edge in range(len(points)):
        for column in range(spans[edge, 0], spans[edge, 1]):
            firsts[column] -= 1
            crossing[firsts[column]] = edge
    for ring in range(1, len(starts) - 1):
        x, y = points[starts[ring], 0], points[starts[ring], 1]
        found = False
        for k in range(firsts[int(x)], ends[int(x)]):
            edge = crossing[k]
            ax, ay = points[edge, 0], points[edge, 1]
            bx, by = points[following[edge], 0], points[following[edge], 1]
            if edge < starts[ring] and min(ax, bx) <= x < max(ax, bx):
                height = ay + (x - ax) * (by - ay) / (bx - ax)
                if height <= y and (not found or height > landings[ring, 1]):
                    found = True
                    edges[ring], landings[ring, 0], landings[ring, 1] = edge, x, height
        if not found:  # a tolerance has moved the hole out of its piece
            landings[ring, 0], landings[ring, 1] = points[0, 0], points[0, 1]
