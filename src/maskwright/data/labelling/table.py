"""The rows and classes of the data set that is being labelled, written back in one go."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.labelling.record import Record
from maskwright.types import Classes, InputError

_MADE_NEW = {"format", "fingerprint", "background", "ignore", "classes"}  # of dataset.yaml, by Dataset.create


class Table:
    """`samples.csv` and `dataset.yaml`, with what labelling changed in them and has not written yet; thread-safe.

    Other verbs may write the files at the same time (`split`, for one): their rows are taken in before each write.
    """

    def __init__(self, data: Dataset) -> None:
        self.path = data.path
        self.changed = False
        self._lock = threading.RLock()
        self._ours: dict[str, dict[str, Any]] = {}
        self._signature = _signature(data.path)
        self._take(data)

    def _take(self, data: Dataset) -> None:
        for sample in data.samples:
            _confine(sample, data.path)
        self.data = data
        self.rows = {sample.id: sample for sample in data.samples}

    @property
    def classes(self) -> Classes:
        """The class table as it is now."""
        return self.data.classes

    def put(self, id: str, record: Record) -> None:
        """Let the row of an image say what its record says; only a labelled row has a mask."""
        done = record.status == "labelled" and bool(record.mask_hash)
        values: dict[str, Any] = {
            "mask": f"masks/{id}.png" if done else "",
            "mask_hash": record.mask_hash if done else "",
            "status": record.status,
        }
        with self._lock:
            row = self.rows.get(id)
            if row is not None and {key: getattr(row, key) for key in values} != values:
                self._ours[id] = values
                self.rows[id] = replace(row, **values)
                self.changed = True

    def reclass(self, classes: Classes) -> Classes:
        """Replace the class table and write it at once; returns it."""
        with self._lock:
            old, self.data = self.data, replace(self.data, classes=classes)
            self.changed = True
            try:
                self.flush()
            except BaseException:
                self.data = replace(self.data, classes=old.classes)
                raise
            return classes

    def flush(self) -> None:
        """Write what changed, atomically; raises TargetError where the disk is full or may not be written."""
        with self._lock:
            if not self.changed:
                return
            if _signature(self.path) != self._signature:
                self._merge()
            record = {key: value for key, value in self.data.record.items() if key not in _MADE_NEW}
            self.data = Dataset.create(self.path, self.classes, self.rows.values(), record)
            self._signature = _signature(self.path)
            self.changed = False

    def _merge(self) -> None:
        """Take in what others wrote meanwhile; what was labelled here stays."""
        there = replace(Dataset.open(self.path), classes=self.classes)
        rows = (replace(sample, **self._ours.get(sample.id, {})) for sample in there.samples)
        self._take(replace(there, samples=tuple(rows)))


def _signature(path: Path) -> tuple[int, ...]:
    stats = [(path / name).stat() for name in ("samples.csv", "dataset.yaml")]
    return tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_size, stat.st_ino))


def _confine(sample: Sample, path: Path) -> None:
    """Raise InputError for a row that names files outside the data set, which somebody else may have written."""
    image = Path(sample.image)
    if image.is_absolute() or ".." in image.parts or {"/", "\\", "\0"} & set(sample.id) or sample.id in ("", ".", ".."):
        raise InputError(
            f"{path}/samples.csv: row '{sample.id}' names '{sample.image}', outside the data set; correct the row."
        )
