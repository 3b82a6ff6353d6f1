"""The rule of a split, and what it holds out whatever the shares: so many images, or those named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Sample
from maskwright.data.splits.split import place
from maskwright.data.splits.stratify import Units
from maskwright.files import read_bytes
from maskwright.imageio import IMAGE_SUFFIXES
from maskwright.types import InputError

HoldOut = int | tuple[str, ...] | None
TEST, VAL, TRAIN = 0, 1, 2
NAMES = ("test", "val", "train")
UNSET = -1


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How samples are shared out; the same rule and seed give the same sides.

    `val`, `test`: shares of the labelled images. `group`: regular expression on the id, whose first bracket (or whole
    match) names the group; '' drops the groups there are. `column`: the column of samples.csv that names it. With
    neither, the groups that the data set has are kept. `hold_out`, `hold_out_test`: instead of a share, that many
    labelled images, or the ids named (with all that belongs to their groups). `keep_test` leaves the test images that
    there are. `folds`: that many equal parts of all that is not test; fold 0 is 'val' until a recipe names another.
    """

    val: float = 0.15
    test: float = 0.15
    seed: int = 0
    group: str | None = None
    column: str | None = None
    hold_out: HoldOut = None
    hold_out_test: HoldOut = None
    keep_test: bool = False
    folds: int | None = None

    def __post_init__(self) -> None:
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise InputError(
                f"Shares val {self.val} and test {self.test} leave nothing to train on; their sum must be below 1."
            )
        if self.group is not None and self.column is not None:
            raise InputError("--group and --column both say what a group is; give one of them.")
        if self.folds is not None and self.folds < 2:
            raise InputError(f"--folds {self.folds} is too few; 2 or more parts can be compared, 5 is usual.")
        if self.folds is not None and self.hold_out is not None:
            raise InputError(
                "--folds chooses the validation images itself; leave out --hold-out (--hold-out-test stays)."
            )
        if self.keep_test and self.hold_out_test is not None:
            raise InputError("--keep-test keeps the test images that there are; leave out --hold-out-test.")
        for want in (self.hold_out, self.hold_out_test):
            if isinstance(want, int) and want < 1:
                raise InputError(f"{want} images cannot be held out; name a number of 1 or more, or a file of ids.")

    def to_record(self) -> dict[str, Any]:
        """The rule as `dataset.yaml` keeps it: what was set."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if value not in (None, False)}


def held_out(
    samples: Sequence[Sample], unit_N: NDArray[np.int64], units: Units, rule: SplitRule, settled_U: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[str]]:
    """The fixed side of every unit, UNSET for most, and what a person should know of it.

    `unit_N` is the unit of every sample, `settled_U` the side of units that keep the one they have. Raises
    InputError for an unknown id, one that is in both lists, and a number that cannot be held out.
    """
    row_of = dict(zip((sample.id for sample in samples), unit_N.tolist(), strict=True))
    tests = rule.hold_out_test
    if rule.keep_test:
        tests = tuple(sample.id for sample in samples if sample.split == "test")
        if not tests:
            raise InputError("--keep-test finds no test images in samples.csv; leave it out, or hold some out.")
    forced_U = np.full(len(units.names), UNSET)
    notes: list[str] = []
    for side, want in ((TEST, tests), (VAL, rule.hold_out)):
        if isinstance(want, tuple):
            rows = [row_of[id] for id in known_ids(want, row_of)]
            if clash := [id for id, row in zip(want, rows, strict=True) if forced_U[row] not in (UNSET, side)]:
                raise InputError(f"'{clash[0]}' or its group is held out for test and for validation; remove one.")
            forced_U[rows] = side
            if along := int(np.isin(unit_N, rows).sum()) - len(set(want)):
                more = f"{along} more image{'' if along == 1 else 's'}"
                notes.append(f"With the groups of those held out, {NAMES[side]} takes {more}.")
    for side, want in ((TEST, tests), (VAL, rule.hold_out)):
        if isinstance(want, int):
            rows, note = first_by_hash(units, want, side, np.where(forced_U >= 0, forced_U, settled_U), rule.seed)
            forced_U[rows] = side
            notes += note
    return forced_U, notes


def first_by_hash(
    units: Units, want: int, side: int, taken_U: NDArray[np.int64], seed: int
) -> tuple[list[int], list[str]]:
    """Rows of the free units, first by hash, that bring the labelled images of a side to `want`, and a note if short.

    A unit that would be too many is passed over, so a unit that is added changes nothing unless its hash comes
    before the last one taken. Raises InputError where not even one unit fits.
    """
    left = want - int(units.images_U[taken_U == side].sum())
    if left <= 0:
        return [], []
    chosen: list[int] = []
    place_U = np.array([place(name, seed, f"hold out {NAMES[side]}") for name in units.names])
    free_U = (taken_U == UNSET) & (units.images_U > 0)
    if left >= (there := int(units.images_U[free_U].sum())):
        raise InputError(
            f"{want} labelled images cannot be held out for {NAMES[side]}: only {there} are free, and some must stay "
            "for training; hold out fewer."
        )
    for row in np.argsort(place_U, kind="stable").tolist():
        if free_U[row] and units.images_U[row] <= left:
            chosen.append(row)
            left -= int(units.images_U[row])
    if left == want:
        smallest = units.images_U[free_U].min()
        raise InputError(
            f"{want} labelled images cannot be held out for {NAMES[side]}: the smallest group has {smallest}; hold out "
            "more, or choose smaller groups."
        )
    short = f"Only {want - left} of the {want} images wanted for {NAMES[side]} are held out: no whole group fits in."
    return chosen, [short] if left else []


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids that a text file lists, one a line; a suffix and the folder 'images/' are left away, # starts a remark.

    Raises InputError where there is none.
    """
    lines = [line.partition("#")[0].strip() for line in read_bytes(path).decode("utf-8-sig", "replace").splitlines()]
    ids = []
    for line in filter(None, lines):
        name = line.replace("\\", "/").removeprefix("images/")
        stem, dot, suffix = name.rpartition(".")
        ids.append(stem if f"{dot}{suffix}".lower() in IMAGE_SUFFIXES else name)
    if not ids:
        raise InputError(f"{path} lists no ids; write one a line.")
    return tuple(dict.fromkeys(ids))


def known_ids(wanted: Sequence[str], known: Collection[str]) -> list[str]:
    """The ids wanted, each of which must be one of the data set's; raises InputError naming the nearest."""
    for id in wanted:
        if id not in known:
            near = get_close_matches(id, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "ids are the names of images without their suffix."
            raise InputError(f"'{id}' is to be held out, but is no id of samples.csv; {hint}")
    return list(wanted)


def some(names: Sequence[str], most: int = 3) -> str:
    """'a, b, c and 4 more'."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
