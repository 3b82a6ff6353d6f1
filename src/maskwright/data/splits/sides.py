"""Which side every sample of a data set goes to: groups, near-copies, hold-outs, shares, folds.

Pure: samples and counts in, sides out; `resplit` reads and writes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import COLUMNS, Sample
from maskwright.data.splits.holdout import NAMES, TEST, TRAIN, UNSET, VAL, SplitRule, held_out, some
from maskwright.data.splits.split import FOLD, group_of, joined, place
from maskwright.data.splits.stratify import Move, Side, Units, share_out
from maskwright.types import InputError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Of every sample, by id: its side, fold ('' outside folds), group and unit; and what was done on the way.

    `moves` are repairs, `linked` groups (or images without one) that near-copies joined, `notes` sentences for the
    person.
    """

    split: dict[str, str]
    fold: dict[str, str]
    group: dict[str, str]
    unit: dict[str, str]
    moves: tuple[Move, ...]
    linked: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def decide(
    samples: Sequence[Sample],
    rule: SplitRule,
    classes: Sequence[str],
    *,
    counts: Mapping[str, NDArray[np.int64]],
    twins: Sequence[Collection[str]] = (),
    known: Collection[str] = (),
    tolerance: float,
) -> Decision:
    """Sides of all samples, whatever their order.

    `counts` holds labelled pixels by class, shape (K,), of every labelled sample; `twins` sets of ids of near-copies;
    `known` the ids whose present side (and fold) stays. Raises InputError where the rule cannot be followed.
    """
    group = groups_of(samples, rule)
    keys = {id: name or id for id, name in group.items()}
    unit = joined(keys, twins)
    names = sorted(set(unit.values()))
    row_of = {name: row for row, name in enumerate(names)}
    unit_N = np.array([row_of[unit[sample.id]] for sample in samples], np.int64)
    units = _measured(samples, unit_N, names, len(classes), counts, rule.seed)
    before = {s.id: NAMES.index(s.split) for s in samples if s.id in known and s.split in NAMES}
    settled_U, notes = _settled(samples, unit_N, names, before)
    forced_U, taken = held_out(samples, unit_N, units, rule, settled_U)
    settled_U = np.where(forced_U >= 0, forced_U, settled_U)
    side_U, moves = _shared(units, rule, classes, settled_U, tolerance)
    fold_U = np.full(len(names), UNSET)
    if rule.folds is not None:
        fold_U, fold_moves = _folded(
            units, rule, classes, side_U, _known_folds(samples, unit_N, known, len(names)), tolerance
        )
        moves += fold_moves
        side_U = np.where(side_U == TEST, TEST, np.where(fold_U == 0, VAL, TRAIN))
    split, fold = dict[str, str](), dict[str, str]()
    for sample, row in zip(samples, unit_N.tolist(), strict=True):
        # A row that is known stays, even where its unit has rows on several sides by now.
        stays = sample.id in before and forced_U[row] < 0
        split[sample.id] = sample.split if stays else NAMES[side_U[row]]
        kept_fold = sample.extra.get(FOLD, "") if stays and rule.folds else ""
        fold[sample.id] = kept_fold or (str(fold_U[row]) if fold_U[row] >= 0 and split[sample.id] != "test" else "")
    return Decision(
        split=split, fold=fold, group=group, unit=unit, moves=moves, linked=_linked(keys, unit), notes=(*notes, *taken)
    )


def groups_of(samples: Sequence[Sample], rule: SplitRule) -> dict[str, str]:
    """Sample id -> group ('' for none); raises InputError for an unknown column or a pattern that does not match."""
    if rule.column is None:
        return {s.id: s.group if rule.group is None else group_of(s.id, rule.group) for s in samples}
    columns = [*COLUMNS, *(samples[0].extra if samples else ())]
    if rule.column not in columns:
        raise unknown_name("column of samples.csv", rule.column, columns)
    return {s.id: str(s.to_row().get(rule.column, "")) for s in samples}


def _linked(keys: Mapping[str, str], unit: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    members = defaultdict(set)
    for id, key in keys.items():
        members[unit[id]].add(key)
    return tuple(tuple(sorted(together)) for _, together in sorted(members.items()) if len(together) > 1)


def _measured(
    samples: Sequence[Sample],
    unit_N: NDArray[np.int64],
    names: Sequence[str],
    classes: int,
    counts: Mapping[str, NDArray[np.int64]],
    seed: int,
) -> Units:
    labelled = [index for index, sample in enumerate(samples) if sample.id in counts]
    images_U = np.bincount(unit_N[labelled], minlength=len(names)).astype(np.int64)
    pixels_UK = np.zeros((len(names), classes), np.int64)
    if labelled:
        np.add.at(pixels_UK, unit_N[labelled], np.stack([counts[samples[index].id] for index in labelled]))
    place_U = np.array([place(name, seed) for name in names])
    return Units(names=names, place_U=place_U, images_U=images_U, pixels_UK=pixels_UK)


def _settled(
    samples: Sequence[Sample],
    unit_N: NDArray[np.int64],
    names: Sequence[str],
    before: Mapping[str, int],
) -> tuple[NDArray[np.int64], list[str]]:
    """The side of units that have rows with a known one, that of most of them; UNSET for the others; and notes."""
    sides: dict[int, Counter[int]] = defaultdict(Counter)
    for sample, row in zip(samples, unit_N.tolist(), strict=True):
        if sample.id in before:
            sides[row][before[sample.id]] += 1
    torn = [names[row] for row, counter in sorted(sides.items()) if len(counter) > 1]
    notes = []
    if torn:
        notes.append(
            f"{len(torn)} {'group is' if len(torn) == 1 else 'groups are'} on more than one side since before "
            f"({some(torn)}): near-copies or groups that came later; --again puts each on one side."
        )
    settled_U = np.full(len(names), UNSET)
    for row, counter in sides.items():
        settled_U[row] = min(counter, key=lambda side: (-counter[side], side))
    return settled_U, notes


def _shared(
    units: Units, rule: SplitRule, classes: Sequence[str], settled_U: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.int64], tuple[Move, ...]]:
    """Test, validation and training by shares, among what is not fixed."""
    share = {TEST: rule.test, VAL: rule.val}
    if rule.keep_test or rule.hold_out_test is not None:
        share[TEST] = 0.0
    if rule.folds is not None or rule.hold_out is not None:
        share[VAL] = 0.0
    share[TRAIN] = 1 - sum(share.values())
    # The sides that are open, in the order of their intervals; who gets the last group of a rare class comes first.
    order = [side for side in (TEST, VAL, TRAIN) if share[side] > 0]
    ranks = [side for side in (TRAIN, TEST, VAL) if share[side] > 0]
    closed_U = (settled_U >= 0) & ~np.isin(settled_U, order)
    rest = np.flatnonzero(~closed_U)
    _enough(len(rest), bool((settled_U[rest] == UNSET).any()) or not len(rest), len(order))
    sides = [Side(name=NAMES[side], share=share[side], needs=1 + ranks.index(side)) for side in order]
    position = np.array([order.index(side) if side in order else UNSET for side in (TEST, VAL, TRAIN)] + [UNSET])
    shared = share_out(_some_units(units, rest), sides, classes, known_U=position[settled_U[rest]], tolerance=tolerance)
    side_U = settled_U.copy()
    side_U[rest] = np.array(order)[shared.side_U]
    return side_U, shared.moves


def _known_folds(
    samples: Sequence[Sample], unit_N: NDArray[np.int64], known: Collection[str], units: int
) -> NDArray[np.int64]:
    fold_U = np.full(units, UNSET)
    for sample, row in zip(samples, unit_N.tolist(), strict=True):
        text = sample.extra.get(FOLD, "")
        if sample.id in known and text.isdecimal():
            fold_U[row] = int(text)
    return fold_U


def _folded(
    units: Units,
    rule: SplitRule,
    classes: Sequence[str],
    side_U: NDArray[np.int64],
    fold_U: NDArray[np.int64],
    tolerance: float,
) -> tuple[NDArray[np.int64], tuple[Move, ...]]:
    """Equal parts of all that is not test; `fold_U` says which folds are settled. UNSET for the test."""
    folds = rule.folds or 0
    fold_U = np.where(fold_U < folds, fold_U, UNSET)
    rest = np.flatnonzero(side_U != TEST)
    _enough(len(rest), bool((fold_U[rest] == UNSET).any()), folds)
    some = _some_units(units, rest)
    place_U = np.array([place(name, rule.seed, "fold") for name in some.names])
    some = Units(names=some.names, place_U=place_U, images_U=some.images_U, pixels_UK=some.pixels_UK)
    sides = [Side(name=f"fold {fold}", share=1 / folds, needs=folds) for fold in range(folds)]
    shared = share_out(some, sides, classes, known_U=fold_U[rest], tolerance=tolerance)
    result_U = np.full(len(units.names), UNSET)
    result_U[rest] = shared.side_U
    return result_U, shared.moves


def _enough(units: int, free: bool, sides: int) -> None:
    """Refuse to share out fewer units than sides; what is settled already is not questioned."""
    if free and units < sides:
        groups = "1 group" if units == 1 else f"{units} groups"
        raise InputError(
            f"{groups} (or images without one) cannot be split {sides} ways; add images, set --val or --test to 0, "
            "or choose smaller groups."
        )


def _some_units(units: Units, rows: NDArray[np.int64]) -> Units:
    return Units(
        names=[units.names[row] for row in rows],
        place_U=units.place_U[rows],
        images_U=units.images_U[rows],
        pixels_UK=units.pixels_UK[rows],
    )
