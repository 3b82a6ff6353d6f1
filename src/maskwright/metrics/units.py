"""What intervals are taken over: images, or groups of images that are not independent of each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.intervals import units_of
from maskwright.types import InputError, unknown_name

ENOUGH_GROUPS = 10
UNITS = ("auto", "images", "groups")


@dataclass(frozen=True, kw_only=True)
class Units:
    """`units_N` says for every image which unit it belongs to; `note` is what a reader of the intervals must know."""

    of: str
    units_N: NDArray[np.int64]
    note: str = ""

    @property
    def count(self) -> int:
        """How many units there are."""
        return len(np.unique(self.units_N))


def choose_units(groups: Sequence[str], wanted: str = "auto") -> Units:
    """Groups where there are at least 10, else images; or what is wanted.

    An image without a group is a unit of its own. Raises InputError for an unknown name, and for groups where no
    image has one.
    """
    if wanted not in UNITS:
        raise unknown_name("unit", wanted, UNITS)
    sizes = Counter(group for group in groups if group)
    if wanted == "groups" and not sizes:
        raise InputError("No image here has a group, so intervals cannot be over groups; take --units images.")
    grouped = Units(of="groups", units_N=units_of(groups))
    several = any(size > 1 for size in sizes.values())
    if wanted == "groups" or (wanted == "auto" and several and grouped.count >= ENOUGH_GROUPS):
        few = f"only {grouped.count} groups: the interval is a rough one" if grouped.count < ENOUGH_GROUPS else ""
        return Units(of="groups", units_N=grouped.units_N, note=few)
    note = ""
    if several:
        note = (
            f"{len(groups)} images come from {grouped.count} group{'' if grouped.count == 1 else 's'}: frames of one "
            "sequence are alike, so the true interval is wider than the one over images"
        )
    return Units(of="images", units_N=np.arange(len(groups)), note=note)
