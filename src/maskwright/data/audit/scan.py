"""Facts about every image and mask of a data set: one pass over the pixels, small, cached, able to go on later.

The cache is DATASET/.cache/scan-VERSION.jsonl. Files whose size and time of change are known are not opened; files
that were only touched or copied are known by their content hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from maskwright.console import Skipped, say
from maskwright.data.audit.look import ImageFacts, MaskFacts, look_at_image, look_at_mask
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import pooled
from maskwright.files import content_hash, explained, read_bytes, write_bytes
from maskwright.imageio import decode_image
from maskwright.types import Classes, Image, InputError, TargetError

VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of one sample; `image` or `mask` is None where there is none or it cannot be read (the error)."""

    id: str
    image_hash: str = ""
    mask_hash: str = ""
    image: ImageFacts | None = None
    mask: MaskFacts | None = None
    image_error: str = ""
    mask_error: str = ""

    @property
    def pixels(self) -> tuple[int, ...]:
        """Pixels of each class, in id order; empty where there is no readable mask."""
        return self.mask.pixels if self.mask else ()


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One line of the cache: facts, the state of the files on disk, and the class table they were read by."""

    stamp: str
    table: str
    facts: Facts


def scan(dataset: Dataset, *, workers: int | None = None) -> list[Facts]:
    """Facts of every sample, in the data set's order; what earlier scans saw and has not changed is not opened again.

    Damaged, missing and wrong files become facts. `workers` as in `pooled`. Memory: about 15 kB a sample.
    """
    path = dataset.path / ".cache" / f"scan-{VERSION}.jsonl"
    known, lines = _read_cache(path)
    table = table_hash(dataset.classes)
    known = {key: line for key, line in known.items() if line.table == table}
    stamps = {sample.id: _stamp(dataset.path, sample) for sample in dataset.samples}
    found = {key: line.facts for key, line in known.items() if stamps.get(key) == line.stamp}
    rest = [(sample, known.get(sample.id)) for sample in dataset.samples if sample.id not in found]
    if rest:
        for facts in _remembered(path, _look_at_all(dataset, rest, workers), stamps, table):
            found[facts.id] = facts
        if lines + len(rest) > len(dataset.samples):
            _compact(path, [_Line(stamp=stamps[s.id], table=table, facts=found[s.id]) for s in dataset.samples])
    return [found[sample.id] for sample in dataset.samples]


def table_hash(classes: Classes) -> str:
    """Changes with what a mask's ids and colours mean."""
    return hashlib.blake2b(repr(classes.to_dict()).encode(), digest_size=8).hexdigest()


def _look_at_all(dataset: Dataset, rest: Sequence[tuple[Sample, _Line | None]], workers: int | None) -> Iterator[Facts]:
    work = Look(folder=dataset.path, classes=dataset.classes)
    items = [(sample, line.facts if line else None) for sample, line in rest]
    for facts in pooled(work, items, label=f"looking at {len(items)} images", workers=workers):
        assert not isinstance(facts, Skipped), "a broken file is a fact"
        yield facts


@dataclass(frozen=True, kw_only=True)
class Look:
    """Facts of one sample; facts that were seen before are kept if the files' contents are the same."""

    folder: Path
    classes: Classes

    def __call__(self, item: tuple[Sample, Facts | None]) -> Facts:
        """Facts of a sample, which may have been seen before."""
        sample, before = item
        facts = Facts(id=sample.id)
        image_HW3: Image | None = None
        image_bytes, mask_bytes = b"", b""
        try:
            image_bytes = read_bytes(self.folder / sample.image)
            facts = replace(facts, image_hash=content_hash(image_bytes))
        except InputError as error:
            facts = replace(facts, image_error=str(error))
        try:
            mask_bytes = read_bytes(self.folder / sample.mask) if sample.mask else b""
            facts = replace(facts, mask_hash=content_hash(mask_bytes) if mask_bytes else "")
        except InputError as error:
            facts = replace(facts, mask_error=str(error))
        if before and (before.image_hash, before.mask_hash) == (facts.image_hash, facts.mask_hash):
            return before
        if image_bytes:
            try:
                image_HW3 = decode_image(image_bytes, self.folder / sample.image)
                facts = replace(facts, image=look_at_image(image_HW3))
            except InputError as error:
                facts = replace(facts, image_error=str(error))
        if mask_bytes:
            try:
                mask = look_at_mask(mask_bytes, self.folder / sample.mask, self.classes, image_HW3)
                facts = replace(facts, mask=mask)
            except InputError as error:
                facts = replace(facts, mask_error=str(error))
        return facts


def _stamp(folder: Path, sample: Sample) -> str:
    """Paths, sizes and times of change of a sample's files."""
    parts = []
    for name in (sample.image, sample.mask):
        state = ""
        with suppress(OSError):
            about = (folder / name).stat() if name else None
            state = f"{about.st_size} {about.st_mtime_ns}" if about else ""
        parts.append(f"{name} {state}")
    return "; ".join(parts)


def _read_cache(path: Path) -> tuple[dict[str, _Line], int]:
    """The last line of each sample, and the number of lines; a line that was cut off by a crash is passed over."""
    decoder = msgspec.json.Decoder(_Line)
    known: dict[str, _Line] = {}
    count = 0
    with suppress(OSError), path.open("rb") as file:
        for count, line in enumerate(file, 1):  # noqa: B007
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                entry = decoder.decode(line)
                known[entry.facts.id] = entry
    return known, count


def _remembered(path: Path, found: Iterator[Facts], stamps: dict[str, str], table: str) -> Iterator[Facts]:
    """Append each result to the cache as it comes; a data set that may not be written is scanned all the same."""
    try:
        with explained(path):
            path.parent.mkdir(exist_ok=True)
            file = path.open("ab", buffering=0)
            if file.tell():
                file.write(b"\n")  # ends a line that a crash left open
    except TargetError as error:
        say(f"Nothing is remembered for the next time: {error}")
        yield from found
        return
    with file:
        for facts in found:
            line = msgspec.json.encode(_Line(stamp=stamps[facts.id], table=table, facts=facts))
            with explained(path):
                file.write(line + b"\n")
            yield facts


def _compact(path: Path, lines: list[_Line]) -> None:
    with suppress(TargetError):
        write_bytes(path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
