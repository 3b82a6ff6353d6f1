"""New data set folders, made sample by sample: on all cores, resumable, bad items listed.

    with resumable_folder(target, job) as stage:
        made = gather(stage, items, work, key=..., name=..., label="cutting patches")
        Dataset.create(stage, classes, made.samples, record)

`work(item)` writes the files of one item into `stage` (with `store`) and returns what it made.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import Named, Workers, journaled
from maskwright.files import JOURNAL, content_hash, explained, put_bytes
from maskwright.imageio import encode_mask
from maskwright.run import write_csv
from maskwright.types import Classes, InputError, Mask

T = TypeVar("T")
LEFT_OUT = "left_out.csv"


@dataclass(frozen=True, kw_only=True)
class Built:
    """A new data set, and the files that are not in it."""

    dataset: Dataset
    skipped: list[Skipped]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came of one item: samples, parts of it that could not be used, and counts that are summed over items."""

    samples: tuple[Sample, ...] = ()
    left_out: tuple[Skipped, ...] = ()
    tally: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What came of all items."""

    samples: list[Sample]
    skipped: list[Skipped]
    tally: Counter[str]


def gather(
    stage: Path,
    items: Sequence[T],
    work: Callable[[T], Made],
    *,
    key: Named[T],
    label: str,
    name: Named[T] = str,
    load: Callable[[T], T] | None = None,
    skipped: Sequence[Skipped] = (),
    workers: Workers = None,
    strict: bool = False,
) -> Gathered:
    """Work on every item and put the results together; what an interrupted call finished is not done again.

    `key` identifies an item and the state of its source, `skipped` is what was left out before. Everything left
    out is written to `left_out.csv`. Raises InputError if no item could be used, and with `strict` for the first one.
    """
    with explained(stage):
        for folder in ("images", "masks"):
            (stage / folder).mkdir(exist_ok=True)
    if strict and skipped:
        raise InputError(skipped[0].reason)
    found = Gathered(samples=[], skipped=list(skipped), tally=Counter())
    for result in journaled(
        _Plain(work, strict),
        items,
        journal=stage / JOURNAL,
        key=key,
        label=label,
        name=name,
        load=load,
        workers=workers,
        strict=strict,
    ):
        if isinstance(result, Skipped):
            found.skipped.append(result)
            continue
        found.samples.extend(Sample(**row) for row in result["samples"])
        found.skipped.extend(Skipped(*row) for row in result["left_out"])
        found.tally.update(result["tally"])
    if not found.samples:
        reasons = found.skipped[len(skipped) :] or found.skipped
        first = f" The first: {reasons[0].reason}" if reasons else ""
        raise InputError(f"None of {len(items)} images could be used.{first}")
    if found.skipped:
        write_csv(stage / LEFT_OUT, [asdict(row) for row in found.skipped])
    return found


@dataclass(frozen=True)
class _Plain:
    """The work, with its results as plain data for the journal."""

    work: Callable[[Any], Made]
    strict: bool

    def __call__(self, item: Any) -> dict[str, Any]:
        made = self.work(item)
        if self.strict and made.left_out:
            raise InputError(f"{made.left_out[0].file}: {made.left_out[0].reason}.")
        return {
            "samples": [vars(sample) for sample in made.samples],
            "left_out": [[row.file, row.reason] for row in made.left_out],
            "tally": dict(made.tally),
        }


def store(
    stage: Path,
    id: str,
    photo: bytes | None,
    suffix: str,
    mask_HW: Mask | None,
    classes: Classes,
    *,
    link: Path | None = None,
    **row: Any,
) -> Sample:
    """Write one photo (encoded) and its mask into a new data set folder; returns the sample.

    `link` is a file that holds `photo`: a hard link to it takes no space, where the file system allows one. `row`
    gives the other columns: height, width, split, group, source, extra.
    """
    image, mask, mask_hash = f"images/{id}{suffix}", "", ""
    if mask_HW is not None:
        png = encode_mask(mask_HW, classes)
        mask, mask_hash = f"masks/{id}.png", content_hash(png)
        put_bytes(stage / mask, png)
    if photo is not None:
        (stage / image).unlink(missing_ok=True)  # an interrupted call may have linked it: never write through a link
        if link is None or not _linked(link, stage / image):
            put_bytes(stage / image, photo)
    return Sample(
        id=id,
        image=image,
        mask=mask,
        image_hash="" if photo is None else content_hash(photo),
        mask_hash=mask_hash,
        status="labelled" if mask else "unlabelled",
        **row,
    )


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another disk, or no links there
        return False
    return True
