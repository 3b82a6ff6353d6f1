"""Tiles that overlap, and how their scores become one answer: smooth ramps whose weights sum to 1 at every pixel.

Weights as in nnU-Net's sliding window (Isensee et al., Nature Methods 2021: the middle of a tile counts most), but
separable and normalised beforehand, so that what is finished can be handed on while the next tiles are computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.geometry import Fit
from maskwright.run import Run, read_csv

Scores = NDArray[np.float32]
Block = tuple[slice, slice, Scores]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Tiles along one side of an image: `length` pixels in tiles of `tile`, neighbours share `overlap` or more.

    Tile i begins at `starts[i]`, its pixels count by `weights[i]`, and its first `done[i]` pixels are covered by no
    later tile.
    """

    length: int
    tile: int
    overlap: float
    starts: tuple[int, ...] = field(init=False)
    done: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        assert 0 < self.tile <= self.length
        assert 0 <= self.overlap < 1
        step = max(1, math.floor(self.tile * (1 - self.overlap)))
        count = 1 + math.ceil((self.length - self.tile) / step)
        last = self.length - self.tile
        starts = tuple(round(last * index / max(1, count - 1)) for index in range(count))
        object.__setattr__(self, "starts", starts)
        ends = (*starts[1:], self.length)
        object.__setattr__(self, "done", tuple(end - start for start, end in zip(starts, ends, strict=True)))

    def weights(self) -> list[NDArray[np.float32]]:
        """One ramp a tile; at every pixel of the image those of the tiles that cover it sum to 1.

        Where two tiles overlap, one fades into the other as a raised cosine: what lies at the edge of a tile, where
        the network saw the least around it, counts the least.
        """
        shared = [start + self.tile - after for start, after in pairwise(self.starts)]
        width = min(shared, default=0)
        middles = [after + part / 2 for after, part in zip(self.starts[1:], shared, strict=True)]
        found = []
        for index, start in enumerate(self.starts):
            places = start + np.arange(self.tile) + 0.5
            before = _fade(places, middles[index - 1], width) if index else np.ones(self.tile)
            after = _fade(places, middles[index], width) if index < len(middles) else np.zeros(self.tile)
            found.append((before - after).astype(np.float32))
        return found


def _fade(places: NDArray[np.floating[Any]], middle: float, width: float) -> NDArray[np.float64]:
    """From 0 to 1 around `middle`, as a raised cosine."""
    if width == 0:
        return (places > middle).astype(np.float64)
    share = np.clip((places - middle) / width + 0.5, 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * share))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The tiles of an image, row by row."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, size_hw: tuple[int, int], tile_hw: tuple[int, int], overlap: float) -> Grid:
        """Tiles of `tile_hw`, or of the image's side where that is shorter."""
        rows, columns = (
            Axis(length=length, tile=min(tile, length), overlap=overlap)
            for length, tile in zip(size_hw, tile_hw, strict=True)
        )
        return cls(rows=rows, columns=columns)

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)


def blended(grid: Grid, tiles: Iterable[Scores]) -> Iterator[Block]:
    """Scores (K, h, w) of every tile, row by row -> finished blocks of the image: rows, columns, scores.

    Blocks touch, do not overlap, and come row by row. What later tiles still add to is all that is kept: the part of
    a row of tiles that the next row covers.
    """
    coming = iter(tiles)
    below = np.zeros((0, 0, 0), np.float32)
    kept = 0
    across = grid.columns.weights()
    for top, high, down in zip(grid.rows.starts, grid.rows.done, grid.rows.weights(), strict=True):
        beside = None
        for left, wide, weights in zip(grid.columns.starts, grid.columns.done, across, strict=True):
            part = next(coming) * (down[:, None] * weights)
            if not below.size:
                below = np.empty((len(part), grid.rows.tile - min(grid.rows.done), grid.columns.length), np.float32)
            if beside is not None:
                part[:, :, : beside.shape[2]] += beside
            beside = part[:, :, wide:].copy()
            place = slice(left, left + wide)
            part = part[:, :, :wide]
            part[:, :kept] += below[:, :kept, place]
            below[:, : grid.rows.tile - high, place] = part[:, high:]
            yield slice(top, top + high), place, part[:, :high]
        kept = grid.rows.tile - high


def usual_hw(sizes_hw: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns that 95 of 100 images stay within, each side by itself: a single huge one changes nothing."""
    rows, columns = np.percentile(np.array(list(sizes_hw)), 95, axis=0, method="inverted_cdf").astype(int).tolist()
    return rows, columns


def photo_hw(run: Run) -> tuple[int, int] | None:
    """`usual_hw` of a run's training photos, from its record or from its data set; None where neither says so."""
    facts = run.about.get("data") or {}
    recorded = facts.get("image_hw")
    if isinstance(recorded, list) and len(recorded) == 2 and all(isinstance(n, int) and n > 0 for n in recorded):
        return recorded[0], recorded[1]
    table = Path(str(facts.get("path", ""))) / "samples.csv"
    try:
        rows = read_csv(table)
        sizes = [(int(row["height"]), int(row["width"])) for row in rows if row["split"] == "train"]
    except (ValueError, KeyError, TypeError):
        return None
    return usual_hw(sizes) if sizes else None


def tile_of(photo_hw: tuple[int, int], working_hw: tuple[int, int], fit: Fit) -> tuple[int, int]:
    """The part of an image that fills the working size at the scale that a training photo had there."""
    if fit == "stretch":
        return photo_hw
    scale = min(working / photo for working, photo in zip(working_hw, photo_hw, strict=True))
    return max(1, round(working_hw[0] / scale)), max(1, round(working_hw[1] / scale))
