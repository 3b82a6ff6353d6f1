"""What is known of one image's labels beside their pixels: DATASET/.label/state/ID.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from maskwright.files import content_hash, read_bytes, read_json, write_json
from maskwright.types import InputError

STATUSES = ("unlabelled", "started", "labelled", "skipped")
_NS = 1_000_000_000
_SAVING_NS = 5 * _NS  # a mask is written within this time after its record, or it is looked at again


@dataclass(frozen=True, kw_only=True)
class Record:
    """The state of one image's labels; `mask_hash` is '' and `mask_bytes` 0 where it has no mask.

    `revision` counts saves. `present` lists the class ids in the mask, None where nobody has looked yet. `clicks` and
    `seconds` are what labelling took, `writer` names the page that saved last. A record is written before its mask;
    `before` is what held until then, so that a save that was cut off in between is told from one that was not.
    """

    revision: int = 0
    status: str = "unlabelled"
    mask_hash: str = ""
    mask_bytes: int = 0
    present: tuple[int, ...] | None = ()
    clicks: int = 0
    seconds: float = 0.0
    writer: str = ""
    updated: str = ""
    before: Record | None = None


def read_record(path: Path) -> Record:
    """Read a record; raises InputError naming the file where it is damaged."""
    values = read_json(path)
    try:
        before = values.pop("before", None)
        return replace(_parse(values), before=None if before is None else _parse(before))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged; remove it, the mask itself is in masks/.") from error


def write_record(path: Path, record: Record) -> None:
    """Write a record atomically."""
    write_json(path, asdict(record))


def settle(record: Record, mask: Path, written_ns: int) -> Record:
    """The record as the mask file says, after a crash or an edit by another program.

    `written_ns` is when the record was written: a mask of the right size from then is taken for the recorded one.
    """
    try:
        found = mask.stat()
    except FileNotFoundError:
        found = None
    size = 0 if found is None else found.st_size
    late_ns = 0 if found is None else found.st_mtime_ns - written_ns
    if size == record.mask_bytes and 0 <= late_ns <= _SAVING_NS:
        return record
    digest = content_hash(read_bytes(mask)) if size else ""
    if digest == record.mask_hash:
        return record
    if record.before is not None and digest == record.before.mask_hash:
        return record.before
    return edited_elsewhere(record, digest, size)


def edited_elsewhere(record: Record, digest: str, size: int) -> Record:
    """The record after another program wrote (or removed) the mask."""
    status = record.status if digest or record.status == "skipped" else "unlabelled"
    return replace(
        record,
        revision=record.revision + 1,
        status=status,
        mask_hash=digest,
        mask_bytes=size,
        present=None if digest else (),
        writer="",
        before=None,
    )


def _parse(values: dict[str, Any]) -> Record:
    known = {item.name for item in fields(Record)} - {"before"}
    record = Record(**{key: value for key, value in values.items() if key in known})
    if record.status not in STATUSES or not isinstance(record.revision, int) or not isinstance(record.mask_hash, str):
        raise ValueError(record)
    present = None if record.present is None else tuple(int(one) for one in record.present)
    return replace(
        record,
        present=present,
        clicks=int(record.clicks),
        seconds=float(record.seconds),
        mask_bytes=int(record.mask_bytes),
    )
