"""What is labelled so far, as a data set of its own: a training keeps its images while a person goes on labelling."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.splits.split import place
from maskwright.files import content_hash, explained, read_bytes, require_free
from maskwright.types import InputError

VAL = 0.2  # share of the labelled images that validate where none is labelled that was meant to


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The data set written, how many of its images train and validate, and what a person should know of them."""

    dataset: Dataset
    train: int
    val: int
    note: str


def take_snapshot(data: Dataset, folder: Path) -> Snapshot:
    """Write the finished images of `data` into a new `folder`: hard links, which cost nothing, or else copies.

    Splits are kept where both training and validation images are among them; otherwise see `with_validation`. Raises
    InputError where fewer than 2 images are labelled outside the test, or only one class.
    """
    done = [sample for sample in data.samples if sample.mask and sample.status not in ("started", "skipped")]
    samples, note = with_validation(done, data.path)
    require_classes(data, samples)
    require_free(folder)
    rows = []
    with explained(folder):
        for sample in samples:
            for name in (sample.image, sample.mask):
                link(data.path / name, folder / name)
            # A mask may have been saved after its row was written.
            rows.append(replace(sample, mask_hash=content_hash(read_bytes(folder / sample.mask))))
    record = {"from": {"format": "snapshot", "path": str(data.path.resolve())}, "split": note or "as in the data set"}
    dataset = Dataset.create(folder, data.classes, rows, record)
    sides = [sample.split for sample in rows]
    return Snapshot(dataset=dataset, train=sides.count("train"), val=sides.count("val"), note=note)


def with_validation(samples: Sequence[Sample], path: Path) -> tuple[list[Sample], str]:
    """The samples with a split each, and what was decided: '' where training and validation images are there already.

    Otherwise a fifth of all but the test images, whole groups, the first by a hash of the name, so that the same ones
    validate again when more are labelled. Raises InputError where fewer than 2 are there.
    """
    sides = [sample.split for sample in samples]
    if "train" in sides and "val" in sides:
        return [replace(s, split="train") if s.split not in ("val", "test") else s for s in samples], ""
    free = [sample for sample in samples if sample.split != "test"]
    if len(free) < 2:
        have = f"{len(free)} labelled image{'' if len(free) == 1 else 's'}"
        more = f" outside the test split (and {len(samples) - len(free)} in it)" if len(free) < len(samples) else ""
        raise InputError(f"{path} has {have}{more}; label 2 or more, one to learn from and one to validate.")
    grouped = len({sample.group or sample.id for sample in free}) > 1
    keys = {sample.id: (sample.group if grouped else "") or sample.id for sample in free}
    wanted, val = max(1, round(VAL * len(free))), set[str]()
    for key in sorted(set(keys.values()), key=lambda one: (place(one, 0, "val"), one)):
        size = sum(other == key for other in keys.values())
        if not val or len(val) + size <= wanted:
            val |= {id for id, other in keys.items() if other == key}
    if len(val) == len(free):  # cannot be with two groups or more
        raise AssertionError("all images validate")
    few = "" if grouped else "; all are of one group, so the score flatters"
    said = f"{len(val)} of {len(free)} labelled images validate, chosen by a hash of their names{few}"
    side = {id: "val" if id in val else "train" for id in keys}
    return [replace(sample, split=side.get(sample.id, "test")) for sample in samples], said


def require_classes(data: Dataset, samples: Sequence[Sample]) -> None:
    """Raise InputError unless two classes are labelled; looks no further than it must."""
    found: set[int] = set()
    for sample in samples:
        found |= set(np.unique(data.mask(sample)).tolist()) - {data.classes.ignore}
        if len(found) > 1:
            return
    only = f"only '{data.classes.names[found.pop()]}'" if found else "no class at all"
    raise InputError(
        f"The {len(samples)} labelled images of {data.path} show {only}; label a second class, so that there is "
        "something to tell apart (where the rest is background, finish images with that setting)."
    )


def link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no such thing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        if not source.is_file():
            raise InputError(f"{source} is gone; put it back, or remove its row from samples.csv.") from None
        shutil.copy2(source, target)
