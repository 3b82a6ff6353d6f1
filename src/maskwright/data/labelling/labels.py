"""The labels of every image: planes, revisions, and saves that are whole or not at all.

A save writes the record, then the mask: hashes tell on opening where one was cut off. `samples.csv` follows when
`flush` is called, except that an image which is begun is set aside there before its mask is written: nobody learns
from half a mask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.data.dataset import SET_ASIDE, Dataset, Sample
from maskwright.data.labelling.planes import Planes, Signature, Tile, classes_present, pasted
from maskwright.data.labelling.record import STATUSES, Record, edited_elsewhere, read_record, settle, write_record
from maskwright.data.labelling.survey import Survey
from maskwright.data.labelling.table import Table
from maskwright.files import content_hash, read_bytes, write_bytes
from maskwright.imageio import check_mask, decode_plane, encode_mask
from maskwright.run import now
from maskwright.types import Classes, Conflict, InputError, Mask, TargetError, unknown_name


class Labels:
    """Planes and records by image. Thread-safe; images are locked one by one.

    `tick` rises with every change of an image's state.
    """

    def __init__(self, data: Dataset, home: Path) -> None:
        self.path, self.home = data.path, home
        fresh, left_out = data.refresh()
        now_there = {sample.id: sample for sample in fresh.samples}
        rows = tuple(now_there.get(sample.id, sample) for sample in data.samples)
        # Rows whose files broke the contract stay in the table, with the reason.
        self.problems = {row.file: row.reason for row in left_out}
        self.table = Table(replace(fresh, samples=rows))
        self.rest_is_background = True
        self._survey = Survey(home / "present.json")
        self._planes = Planes()
        self._locks: dict[str, threading.RLock] = {}
        self._ticking = threading.Lock()
        self.tick = self._opened_at = time.time_ns() // 1_000_000  # a later server's ticks are later
        self._changed_at: dict[str, int] = {}
        self._records: dict[str, Record] = {}
        for path in sorted((home / "state").glob("*.json")):
            if path.stem in self.table.rows:
                self._open(path.stem, path)
        for id, row in self.table.rows.items():
            # Set aside for a first save that was then cut off.
            if row.status == "started" and id not in self._records and not self._mask_path(id).is_file():
                self.table.put(id, Record())
        self.flush()

    def _open(self, id: str, path: Path) -> None:
        record = read_record(path)
        settled = settle(record, self._mask_path(id), path.stat().st_mtime_ns)
        if settled != record:
            write_record(path, settled)
        self._records[id] = settled
        self.table.put(id, settled)

    @property
    def classes(self) -> Classes:
        """The class table as it is now."""
        return self.table.classes

    @property
    def changed(self) -> bool:
        """Whether `samples.csv` is behind what was labelled; `flush` mends it."""
        return self.table.changed

    def flush(self) -> None:
        """Bring `samples.csv` up to date; raises TargetError where the disk is full or read-only."""
        self.table.flush()

    def __contains__(self, id: str) -> bool:
        return id in self.table.rows

    def ids(self) -> list[str]:
        """The images, in the order of `samples.csv`."""
        return list(self.table.rows)

    def sample(self, id: str) -> Sample:
        """The row of an image; raises InputError for one that is not in the table."""
        if id not in self.table.rows:
            raise InputError(f"There is no image '{id}' in {self.path}; reload the list.")
        return self.table.rows[id]

    def record(self, id: str) -> Record:
        """What is known of an image's labels, without a look at its files."""
        if (found := self._records.get(id)) is not None:
            return found
        row = self.sample(id)
        status = "labelled" if row.mask else row.status if row.status in SET_ASIDE else "unlabelled"
        present = self._survey.known(id, row.mask_hash) if row.mask else ()
        return Record(revision=1 if row.mask else 0, status=status, mask_hash=row.mask_hash, present=present)

    def changed_since(self, tick: int) -> list[str]:
        """Images whose state changed after `tick`; all of them for a tick from before this project was opened."""
        with self._ticking:
            if not self._opened_at <= tick <= self.tick:
                return self.ids()
            return [id for id, at in self._changed_at.items() if at > tick]

    def mask(self, id: str) -> tuple[Mask, Record]:
        """The labels (H, W), ignore where there are none, and their record; the plane is not to be changed.

        Raises InputError for an image that is not in the table, and for a mask that breaks the contract.
        """
        row = self.sample(id)
        with self._locks.setdefault(id, threading.RLock()):
            return self._newest(row)

    def apply(
        self,
        id: str,
        tiles: Sequence[Tile],
        *,
        revision: int | None,
        clicks: int = 0,
        seconds: float = 0.0,
        writer: str = "",
    ) -> Record:
        """Lay tiles `(x, y, labels_HW)` on the labels and save them; returns when they are on the disk.

        `revision` is the one the tiles were made from, None to overwrite whatever is there. A writer whose last save
        was made but not answered may repeat it. Without tiles, clicks and seconds are added and no revision is made.
        Raises Conflict where others saved meanwhile, InputError for tiles
        that do not fit, TargetError where the disk is full or read-only: nothing is changed then.
        """
        row = self.sample(id)
        with self._locks.setdefault(id, threading.RLock()):
            mask_HW, record = self._newest(row)
            clicks, seconds = record.clicks + max(0, clicks), record.seconds + max(0.0, seconds)
            if not tiles:
                return self._keep(id, replace(record, clicks=clicks, seconds=seconds, before=None))
            _check_newest(id, record, revision, writer)
            status = record.status if record.status == "labelled" else "started"
            values = {"status": status, "writer": writer, "clicks": clicks, "seconds": seconds}
            return self._save(id, record, pasted(mask_HW, tiles, self.classes), **values)

    def set_status(self, id: str, status: str, *, revision: int | None, writer: str = "") -> tuple[Record, bool]:
        """Finish an image ('labelled'), skip it, or open it again ('started'); also whether labels changed.

        Finishing turns what is left into background where the table has one and the setting `rest_is_background` is
        not off. Raises Conflict where others saved meanwhile, InputError for a mask that would teach nothing.
        """
        if status not in STATUSES:
            raise unknown_name("status", status, STATUSES)
        row = self.sample(id)
        with self._locks.setdefault(id, threading.RLock()):
            mask_HW, record = self._newest(row)
            _check_newest(id, record, revision, writer)
            if status == "labelled":
                done = self._save(id, record, self._finished(id, mask_HW), status=status, writer=writer)
                return done, done.revision != record.revision
            if status != "skipped":
                status = "started" if record.mask_hash else "unlabelled"
            return self._keep(id, replace(record, status=status, updated=now(), before=None)), False

    def look(self, stop: threading.Event) -> None:
        """Find which classes are in masks that came from elsewhere, until done or told to stop; for a thread."""
        for id in self.ids():
            if stop.is_set():
                break
            if id in self and (record := self.record(id)).mask_hash and record.present is None:
                with suppress(InputError):
                    self._survey.look(self._mask_path(id), id, record.mask_hash, self.classes)
                    self._touch(id)
        with suppress(TargetError):  # it is looked up again next time
            self._survey.write()

    def _finished(self, id: str, mask_HW: Mask) -> Mask:
        background, ignore = self.classes.background, self.classes.ignore
        if background is not None and self.rest_is_background:
            return np.where(mask_HW == ignore, mask_HW.dtype.type(background), mask_HW)
        if (mask_HW == ignore).all():
            raise InputError(f"Nothing in '{id}' is labelled yet; label something, or skip the image.")
        return mask_HW

    def _newest(self, row: Sample) -> tuple[Mask, Record]:
        """The plane and the record as the files are now; a mask that another program wrote is a new revision."""
        path, record = self._mask_path(row.id), self.record(row.id)
        signature = _signature(path)
        known = self._planes.get(row.id, signature)
        if known is not None:
            return known, record
        data = read_bytes(path) if signature[1] else b""
        digest = content_hash(data) if data else ""
        if digest != record.mask_hash:
            record = self._keep(row.id, edited_elsewhere(record, digest, len(data)))
        elif data and row.id not in self._records:  # from now on, an edit elsewhere is a new revision
            record = self._keep(row.id, replace(record, mask_bytes=len(data)))
        if data:
            plane = decode_plane(data, path)
            check_mask(plane, self.classes, name=str(path), size_hw=row.size_hw)
            plane = plane.astype(self.classes.dtype, copy=False)
        else:
            plane = np.full(row.size_hw, self.classes.ignore, self.classes.dtype)
        if record.present is None:
            record = self._keep(row.id, replace(record, present=classes_present(plane, self.classes)))
        self._planes.put(row.id, signature, plane)
        return plane, record

    def _save(self, id: str, old: Record, mask_HW: Mask, **values: Any) -> Record:
        png = encode_mask(mask_HW, self.classes)
        digest = content_hash(png)
        new = replace(old, updated=now(), before=None, **values)
        if digest == old.mask_hash:
            return self._keep(id, new)
        present = classes_present(mask_HW, self.classes)
        new = replace(new, revision=old.revision + 1, mask_hash=digest, mask_bytes=len(png), present=present)
        path = self._mask_path(id)
        try:
            if new.status in SET_ASIDE and self.table.rows[id].status not in SET_ASIDE:
                self.table.put(id, new)
                self.table.flush()
            write_record(self._state_path(id), replace(new, before=replace(old, before=None)))
            write_bytes(path, png)
        except BaseException:
            self.table.put(id, old)
            # A full disk may refuse this as well; then the hashes tell when the project is opened.
            with suppress(InputError, OSError):
                write_record(self._state_path(id), old)
            raise
        self._planes.put(id, _signature(path), mask_HW)
        self.problems.pop(id, None)
        return self._note(id, new)

    def _keep(self, id: str, record: Record) -> Record:
        write_record(self._state_path(id), record)
        return self._note(id, record)

    def _note(self, id: str, record: Record) -> Record:
        self._records[id] = record
        self.table.put(id, record)
        self._touch(id)
        return record

    def _touch(self, id: str) -> None:
        with self._ticking:
            self.tick += 1
            self._changed_at[id] = self.tick

    def _mask_path(self, id: str) -> Path:
        return self.path / "masks" / f"{id}.png"

    def _state_path(self, id: str) -> Path:
        return self.home / "state" / f"{id}.json"


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _check_newest(id: str, record: Record, revision: int | None, writer: str) -> None:
    """Raise Conflict unless the labels are those of `revision`, or came of a save that its writer heard nothing of."""
    repeated = writer != "" and record.writer == writer and revision == record.revision - 1
    if revision is not None and revision != record.revision and not repeated:
        raise Conflict(
            f"'{id}' was saved elsewhere meanwhile (revision {record.revision} now); load it again, or overwrite it.",
            record.revision,
        )
