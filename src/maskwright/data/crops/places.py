"""Where patches may be cut: from each region, for each class, with little overlap."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskwright.data.dataset import SPLITS, Dataset, Sample
from maskwright.data.splits.split import place
from maskwright.types import InputError, unknown_name

TRIES = 40
WHOLE, ABOVE, BELOW = "image", "above", "below"


class Patch(NamedTuple):
    """A place in an image: the region that its centre lies in, the class it was drawn for, its upper left corner."""

    region: str
    wanted: str
    top: int
    left: int


@dataclass(frozen=True, kw_only=True)
class PatchPlan:
    """Which crops are wanted.

    `size` is rows and columns in pixels. `count` is the number wanted over all images; None means 8 an image, or all
    tiles with `grid`. `horizon` parts each image into 'above' and 'below': a row, a share of the height (below 1), or
    a CSV file with `name,row`; a patch belongs where its centre lies. `quota` gives the share of each region, equal if
    left out. `balance` draws for every class equally often. `max_overlap` is the largest share of a patch that another
    one of the same image may cover. `splits` are cut; images of other splits are kept whole.
    """

    size: tuple[int, int] = (256, 256)
    count: int | None = None
    horizon: float | Path | None = None
    quota: Mapping[str, float] = field(default_factory=dict)
    balance: bool = False
    grid: bool = False
    max_overlap: float = 0.25
    splits: tuple[str, ...] = ("train",)

    def __post_init__(self) -> None:
        if min(self.size) < 8 or (self.count is not None and self.count < 1) or not 0 <= self.max_overlap < 1:
            raise InputError("Patches need a side from 8 pixels, a count from 1, and an overlap from 0 to below 1.")
        regions = (WHOLE,) if self.horizon is None else (ABOVE, BELOW)
        for name, share in self.quota.items():
            if name not in regions:
                raise unknown_name("region", name, regions)
            if share < 0:
                raise InputError(f"The quota of region '{name}' is {share}; give a share from 0.")
        if self.quota and not sum(self.quota.values()):
            raise InputError("All quotas are 0; give at least one region a share above 0.")
        for split in self.splits:
            if split not in SPLITS:
                raise unknown_name("split", split, SPLITS)

    def share(self, region: str) -> float:
        """What part of the patches a region should have, up to a common factor."""
        return self.quota.get(region, 0.0) if self.quota else 1.0


@dataclass(frozen=True)
class Propose:
    """Places for patches in one image that overlap little, more than are needed."""

    dataset: Dataset
    plan: PatchPlan
    horizons: Mapping[str, int] | None
    seed: int
    most: int

    def __call__(self, sample: Sample) -> list[Patch]:
        """Patches of one image, in the order drawn; raises InputError for an image smaller than a patch."""
        rows, columns = self.plan.size
        if sample.height < rows or sample.width < columns:
            raise InputError(
                f"{sample.image} is {sample.width}x{sample.height}, smaller than a patch of {columns}x{rows}; "
                "make patches smaller."
            )
        rng = np.random.default_rng(int(place(sample.id, self.seed) * 2**53))
        if self.plan.grid:
            return [patch for patch in self._tiles(sample) if self.plan.share(patch.region)]
        found: list[Patch] = []
        keys = self._keys(sample)
        for turn in range(self.most if keys else 0):
            region, wanted, places = keys[turn % len(keys)]
            for _ in range(TRIES):
                top, left = self._draw(sample, places, rng)
                patch = Patch(region, wanted, top, left)
                if self._region(sample, top) == region and not self._collides(patch, found):
                    found.append(patch)
                    break
        return found

    def _region(self, sample: Sample, top: int) -> str:
        if self.horizons is None:
            return WHOLE
        return ABOVE if top + self.plan.size[0] / 2 <= self.horizons[sample.id] else BELOW

    def _keys(self, sample: Sample) -> list[tuple[str, str, Any]]:
        """What patches may be drawn for: region, class, and the pixels of both (None: any place of the image)."""
        regions = [(WHOLE, 0, sample.height)]
        if self.horizons is not None:
            row = min(max(self.horizons[sample.id], 0), sample.height)
            regions = [(ABOVE, 0, row), (BELOW, row, sample.height)]
        regions = [one for one in regions if self.plan.share(one[0]) and one[2] > one[1]]
        if not self.plan.balance or not sample.mask:
            return [(name, "", (first, last)) for name, first, last in regions]
        mask_HW = self.dataset.mask(sample)
        keys: list[tuple[str, str, Any]] = []
        for name, first, last in regions:
            for item in self.dataset.classes.items:
                places = np.flatnonzero(mask_HW[first:last] == item.id) + first * sample.width
                if places.size:
                    keys.append((name, item.name, places))
        return keys

    def _draw(self, sample: Sample, places: Any, rng: np.random.Generator) -> tuple[int, int]:
        """A corner: around a pixel of the class, or with the centre between two rows."""
        rows, columns = self.plan.size
        if isinstance(places, tuple):
            low, high = places[0] - rows // 2, places[1] - rows // 2
            top = int(rng.integers(low, max(high, low + 1)))
            left = int(rng.integers(0, sample.width - columns + 1))
        else:
            y, x = divmod(int(rng.choice(places)), sample.width)
            top, left = y - int(rng.integers(rows)), x - int(rng.integers(columns))
        return min(max(top, 0), sample.height - rows), min(max(left, 0), sample.width - columns)

    def _collides(self, patch: Patch, others: Sequence[Patch]) -> bool:
        rows, columns = self.plan.size
        for other in others:
            height, width = rows - abs(patch.top - other.top), columns - abs(patch.left - other.left)
            if height > 0 and width > 0 and height * width > self.plan.max_overlap * rows * columns:
                return True
        return False

    def _tiles(self, sample: Sample) -> list[Patch]:
        """The fewest tiles that cover the image and overlap by at least 0 pixels, evenly spread."""
        corners = []
        for length, side in zip(sample.size_hw, self.plan.size, strict=True):
            count = math.ceil(length / side)
            corners.append([round(i * (length - side) / max(count - 1, 1)) for i in range(count)])
        return [Patch(self._region(sample, top), "", top, left) for top in corners[0] for left in corners[1]]


def choose(proposals: Mapping[str, Sequence[Patch]], plan: PatchPlan, wanted: int) -> dict[str, list[Patch]]:
    """Take `wanted` patches (0: all) so that regions have their quotas, classes are even and images take turns."""
    queues: defaultdict[tuple[str, str], list[tuple[int, float, str, Patch]]] = defaultdict(list)
    for id, patches in proposals.items():
        turns: Counter[tuple[str, str]] = Counter()
        for patch in patches:
            key = (patch.region, patch.wanted)
            queues[key].append((turns[key], place(id, 0), id, patch))
            turns[key] += 1
    for queue in queues.values():
        queue.sort(reverse=True)
    classes = Counter(region for region, _ in queues)
    weight = {key: plan.share(key[0]) / classes[key[0]] for key in queues}
    taken: Counter[tuple[str, str]] = Counter()
    chosen: defaultdict[str, list[Patch]] = defaultdict(list)
    total = sum(map(len, queues.values()))
    while taken.total() < (min(wanted, total) if wanted else total):
        key = min((key for key in queues if queues[key]), key=lambda key: ((taken[key] + 1) / weight[key], key))
        *_, id, patch = queues[key].pop()
        chosen[id].append(patch)
        taken[key] += 1
    return dict(chosen)
