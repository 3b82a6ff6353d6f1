"""Split a data set anew: measure what is in it, decide, and rewrite samples.csv so that it can be undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped
from maskwright.data.audit.scan import scan
from maskwright.data.audit.twins import near_duplicates
from maskwright.data.dataset import SPLITS, Dataset, Sample
from maskwright.data.splits.holdout import SplitRule
from maskwright.data.splits.sides import Decision, decide
from maskwright.data.splits.split import FOLD, split_hash
from maskwright.data.splits.stratify import TOLERANCE, Move
from maskwright.data.splits.tally import SideTally, findings, tally
from maskwright.files import read_bytes, write_bytes, write_yaml
from maskwright.run import read_csv, write_csv
from maskwright.types import InputError

BEFORE = "samples.csv.before-split"
RECORDED = ("split", "split_hash", "split_rule")


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """A data set as it is split now, and how it came about.

    `moves` are images or groups that were put elsewhere than their hash, `linked` those that near-copies joined,
    `new` the number of images that got a side, `written` whether files were changed.
    """

    dataset: Dataset
    hash: str
    sides: tuple[SideTally, ...]
    units: int
    moves: tuple[Move, ...]
    linked: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    new: int
    written: bool
    skipped: list[Skipped]

    def to_dict(self) -> dict[str, Any]:
        """Everything for machines."""
        return {
            "dataset": str(self.dataset.path),
            "split_hash": self.hash,
            "sides": {side.name: side.to_dict(self.dataset.classes) for side in self.sides},
            "units": self.units,
            "new": self.new,
            "moved": [asdict(move) for move in self.moves],
            "joined": [list(names) for names in self.linked],
            "notes": list(self.notes),
            "written": self.written,
        }


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the split looks at: labelled pixels (K,) by sample id, sets of ids of near-copies, and unreadable files."""

    counts: Mapping[str, NDArray[np.int64]]
    twins: Sequence[Collection[str]]
    skipped: Sequence[Skipped] = ()


def split_dataset(
    dataset: Dataset | str | Path,
    rule: SplitRule | None = None,
    *,
    again: bool = False,
    dry_run: bool = False,
    stratify: bool = True,
    near_copies: bool = True,
    tolerance: float = TOLERANCE,
    workers: int | None = None,
    strict: bool = False,
    contents: Contents | None = None,
) -> SplitResult:
    """Share the images of a data set out to train, val and test (and folds); rewrites samples.csv and dataset.yaml.

    A group's side follows from the hash of its name and the seed; then as few as possible are moved so that every
    side has every class, and shares of images and class pixels are within `tolerance` (relative) of the wanted ones.
    Groups with near-copies of each other's images stay together. After a split by the same rule only images without
    a side get one, unless `again`. `contents` replaces looking at the files. Raises InputError where the rule cannot
    be followed, and with `strict` for the first file that cannot be read.
    """
    rule = rule or SplitRule()
    data = _opened(dataset, refresh=not dry_run, strict=strict)
    contents = contents or look_into(data, stratify=stratify, near_copies=near_copies, workers=workers)
    if strict and contents.skipped:
        raise InputError(contents.skipped[0].reason)
    counts, twins, classes = contents.counts, contents.twins, data.classes
    known, notes = _known(data, rule, again)
    decision = decide(data.samples, rule, classes.names, counts=counts, twins=twins, known=known, tolerance=tolerance)
    samples = tuple(_assigned(sample, decision, rule) for sample in data.samples)
    sides = tally(samples, counts, classes)
    found = findings(sides, decision, counts, classes, rule, tolerance)
    after = _recorded(data, samples, rule)
    changed = (samples, after.record["split_rule"]) != (data.samples, data.record.get("split_rule"))
    if changed and not dry_run:
        write_bytes(data.path / BEFORE, read_bytes(data.path / "samples.csv"))
        _write(after)
    return SplitResult(
        dataset=after if changed else data,
        hash=split_hash(samples),
        sides=tuple(sides),
        units=len(set(decision.unit.values())),
        moves=decision.moves,
        linked=decision.linked,
        notes=(*notes, *decision.notes, *found),
        new=len(samples) - len(known),
        written=changed and not dry_run,
        skipped=list(contents.skipped),
    )


def undo_split(dataset: Dataset | str | Path) -> Dataset:
    """Bring back the sides, groups and folds from before the last split; images that came later have no side then.

    Raises InputError where nothing was split.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    path = data.path / BEFORE
    if not path.is_file():
        raise InputError(f"{path} is not there, so there is no split to undo.")
    rows = {row["id"]: row for row in read_csv(path)}

    def undone(sample: Sample) -> Sample:
        row = rows.get(sample.id, {})
        extra = {key: value for key, value in sample.extra.items() if key != FOLD}
        if row.get(FOLD) is not None:
            extra[FOLD] = row[FOLD]
        return replace(sample, split=row.get("split", ""), group=row.get("group", sample.group), extra=extra)

    old = data.record.get("split_before") or {}
    record = {key: value for key, value in data.record.items() if key not in (*RECORDED, "split_before")}
    result = replace(data, samples=tuple(undone(sample) for sample in data.samples), record=record | old)
    _write(replace(result, record=result.record | {"fingerprint": result.fingerprint}))
    path.unlink()
    return Dataset.open(data.path)


def _opened(dataset: Dataset | str | Path, *, refresh: bool, strict: bool) -> Dataset:
    """The data set with changed files taken in; rows whose files broke keep their place in the table."""
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    if not data.samples:
        raise InputError(f"{data.path}/samples.csv has no rows; add images first.")
    if not refresh:
        return data
    fresh = {sample.id: sample for sample in data.refresh(strict=strict)[0].samples}
    return replace(data, samples=tuple(fresh.get(sample.id, sample) for sample in data.samples))


def look_into(data: Dataset, *, stratify: bool, near_copies: bool, workers: int | None = None) -> Contents:
    """Read what the split needs; without `stratify` and `near_copies` no file is opened."""
    labelled = [sample.id for sample in data.samples if sample.mask]
    nothing_K = np.zeros(len(data.classes), np.int64)
    if not stratify and not near_copies:
        return Contents(counts=dict.fromkeys(labelled, nothing_K), twins=_copies(data.samples))
    facts = scan(data, workers=workers)
    broken = [
        Skipped(one.id, one.mask_error or one.image_error)
        for one, sample in zip(facts, data.samples, strict=True)
        if one.mask_error or (one.image_error and sample.image_hash)
    ]
    # A mask that cannot be read is not counted; the image still gets a side.
    pixels = {one.id: np.array(one.pixels, np.int64) for one in facts if one.mask}
    counts = pixels if stratify else dict.fromkeys(labelled, nothing_K)
    twins = [cluster.ids for cluster in near_duplicates(facts)] if near_copies else []
    return Contents(counts=counts, twins=twins, skipped=broken)


def _copies(samples: Sequence[Sample]) -> list[list[str]]:
    """Ids of images with equal bytes."""
    same: dict[str, list[str]] = {}
    for sample in samples:
        same.setdefault(sample.image_hash or sample.id, []).append(sample.id)
    return [ids for ids in same.values() if len(ids) > 1]


def _known(data: Dataset, rule: SplitRule, again: bool) -> tuple[set[str], list[str]]:
    """Ids whose side stays, and what to say of the others."""
    old = data.record.get("split_rule")
    if again:
        return set(), []
    if old != rule.to_record():
        if old is not None:
            return set(), ["The rule is not that of the last split, so all images are assigned anew."]
        if str(data.record.get("split", "")).startswith("given"):
            return set(), ["The source's own split is replaced; --undo brings it back, --keep-test keeps its test."]
        return set(), []
    known = {
        sample.id
        for sample in data.samples
        if sample.split in SPLITS and (rule.folds is None or sample.split == "test" or sample.extra.get(FOLD))
    }
    fresh = len(data.samples) - len(known)
    said = (
        f"{fresh} of {len(data.samples)} images are new; the others keep their sides"
        if fresh
        else (f"All {len(data.samples)} images have their sides by this rule")
    )
    return known, [f"{said} (--again decides anew)."]


def _assigned(sample: Sample, decision: Decision, rule: SplitRule) -> Sample:
    extra = {key: value for key, value in sample.extra.items() if key != FOLD}
    if rule.folds is not None:
        extra[FOLD] = decision.fold[sample.id]
    return replace(sample, split=decision.split[sample.id], group=decision.group[sample.id], extra=extra)


def _recorded(data: Dataset, samples: tuple[Sample, ...], rule: SplitRule) -> Dataset:
    """The data set with its new rows, and the split in its record."""
    before = {key: data.record[key] for key in RECORDED if key in data.record}
    record = {
        **data.record,
        "split": describe(rule),
        "split_hash": split_hash(samples),
        "split_rule": rule.to_record(),
        "split_before": before,
    }
    after = replace(data, samples=samples, record=record)
    return replace(after, record={**record, "fingerprint": after.fingerprint})


def describe(rule: SplitRule) -> str:
    """The rule in words, as run and report show it."""
    by = rule.group or (f"column {rule.column}" if rule.column else "")
    parts = [f"by hash of the {f'group ({by})' if by else 'image or its group'}, seed {rule.seed}"]
    if rule.folds is not None:
        parts.append(f"{rule.folds} folds")
    elif rule.hold_out is None:
        parts.append(f"{rule.val:.0%} validation")
    for want, name in ((rule.hold_out, "validation"), (rule.hold_out_test, "test")):
        if want is not None:
            number = want if isinstance(want, int) else len(want)
            parts.append(f"{number} {name} images {'by hash' if isinstance(want, int) else 'named'}")
    if rule.keep_test:
        parts.append("test images as they were")
    elif rule.hold_out_test is None:
        parts.append(f"{rule.test:.0%} test")
    return ", ".join(parts)


def _write(data: Dataset) -> None:
    # The record comes last: if it is not reached, the next call decides the same anew.
    write_csv(data.path / "samples.csv", [sample.to_row() for sample in data.samples])
    write_yaml(data.path / "dataset.yaml", data.record)
