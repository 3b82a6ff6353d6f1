"""The data set: a folder with a class table, one row an image, photos and masks.

DATASET/dataset.yaml    class table, where it came from, split, fingerprint
DATASET/samples.csv     one row an image
DATASET/images/         the photos as they came
DATASET/masks/          class-id PNGs, each with its image's stem
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from maskwright.console import Skipped
from maskwright.files import content_hash, read_bytes, read_yaml, write_yaml
from maskwright.imageio import decode_image, read_mask
from maskwright.run import read_csv, write_csv
from maskwright.types import Classes, Image, InputError, Mask

FORMAT = 1
SPLITS = ("train", "val", "test")
SET_ASIDE = ("started", "skipped")  # what a person has not finished, and must not be learned from


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row of `samples.csv`; paths are relative to the data set's folder.

    `group` names what must not be torn apart by a split (a video sequence, a photo, a place).
    `status` is 'labelled', 'unlabelled', 'started' or 'skipped'; only a labelled row has a mask. `masks/` may hold a
    file for a started or skipped one, which counts once it is finished. `image_hash` is empty as long as the photo
    itself is not in the folder. `extra` holds any further columns, which are kept.
    """

    id: str
    image: str
    mask: str = ""
    split: str = ""
    group: str = ""
    source: str = ""
    height: int
    width: int
    image_hash: str
    mask_hash: str = ""
    status: str = "unlabelled"
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.height, self.width

    def to_row(self) -> dict[str, Any]:
        """The row of `samples.csv`: the columns of every data set, then the further ones."""
        row = {name: getattr(self, name) for name in COLUMNS}
        return row | dict(self.extra)


COLUMNS = tuple(item.name for item in fields(Sample) if item.name != "extra")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set on disk, opened. Pixels are read only when asked for."""

    path: Path
    classes: Classes
    samples: tuple[Sample, ...]
    record: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a data set folder; raises InputError naming the file and the row that is wrong."""
        path = Path(path)
        if not path.exists():
            raise InputError(f"Folder {path} does not exist; check the path.")
        if not (path / "dataset.yaml").is_file():
            raise InputError(
                f"{path} is not a data set (it has no dataset.yaml); make one with 'maskwright import' or 'init'."
            )
        record = read_yaml(path / "dataset.yaml")
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"{path}/dataset.yaml has a format this version does not know; use a newer maskwright.")
        classes = Classes.from_dict(record, source=str(path / "dataset.yaml"))
        samples = tuple(_parse_row(row, path / "samples.csv", n) for n, row in enumerate(_rows(path), start=2))
        if twice := [key for key, count in Counter(sample.id for sample in samples).items() if count > 1]:
            raise InputError(f"{path}/samples.csv has two rows for '{twice[0]}'; remove one.")
        return cls(path=path, classes=classes, samples=samples, record=record)

    @classmethod
    def create(cls, path: Path, classes: Classes, samples: Iterable[Sample], record: dict[str, Any]) -> Dataset:
        """Write `dataset.yaml` and `samples.csv` into a folder whose images and masks are in place."""
        rows = tuple(sorted(samples, key=lambda sample: sample.id))
        write_csv(path / "samples.csv", [sample.to_row() for sample in rows])
        full = {"format": FORMAT, **classes.to_dict(), **record, "fingerprint": fingerprint(classes, rows)}
        write_yaml(path / "dataset.yaml", full)
        return cls(path=path, classes=classes, samples=rows, record=full)

    @property
    def fingerprint(self) -> str:
        """Changes with any class, image, mask or split; independent of the order of rows."""
        return fingerprint(self.classes, self.samples)

    def only_table(self) -> Dataset:
        """The data set without its rows, to be sent to worker processes with the rows they need."""
        return replace(self, samples=(), record={})

    def labelled(self, split: str | None = None) -> list[Sample]:
        """Samples with a mask, of one split or of all; raises InputError if there are none."""
        found = [s for s in self.samples if s.mask and (split is None or s.split == split)]
        if not found:
            have = Counter(s.split or "(none)" for s in self.samples if s.mask)
            listed = ", ".join(f"{name} {count}" for name, count in sorted(have.items())) or "no labelled images at all"
            raise InputError(
                f"{self.path} has no labelled images in split '{split or 'any'}' (it has: {listed}); "
                "move some there in samples.csv, or import with other shares."
            )
        return found

    def refresh(self, *, strict: bool = False) -> tuple[Dataset, list[Skipped]]:
        """Take in masks that were added and files that changed since `samples.csv` was written.

        Only files newer than the table are read. Returns the data set as it is now and the files that no longer
        hold to the contract, which are left out of it (with `strict` the first one raises).
        """
        table = self.path / "samples.csv"
        written_ns = table.stat().st_mtime_ns
        kept: list[Sample] = []
        skipped: list[Skipped] = []
        for sample in self.samples:
            try:
                kept.append(_refreshed(self, sample, written_ns))
            except InputError as error:
                if strict:
                    raise
                skipped.append(Skipped(sample.id, str(error)))
        if kept == list(self.samples):
            return self, skipped
        changed = replace(self, samples=tuple(kept))
        changed = replace(changed, record={**self.record, "fingerprint": changed.fingerprint})
        if not skipped:
            write_csv(table, [sample.to_row() for sample in kept])
            write_yaml(self.path / "dataset.yaml", changed.record)
        return changed, skipped

    def image(self, sample: Sample) -> Image:
        """The photo of a sample, RGB uint8, shape (H, W, 3)."""
        path = self.path / sample.image
        image_HW3 = decode_image(read_bytes(path), path)
        if image_HW3.shape[:2] != sample.size_hw:
            raise InputError(f"{path} is not the size that samples.csv says; import the data set again.")
        return image_HW3

    def mask(self, sample: Sample) -> Mask:
        """The mask of a labelled sample, held to the contract, shape (H, W)."""
        assert sample.mask, f"{sample.id} has no mask"
        return read_mask(self.path / sample.mask, self.classes, sample.size_hw)


def fingerprint(classes: Classes, samples: Sequence[Sample]) -> str:
    """32 hexadecimal digits over the class table and every row's id, split and content hashes."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(classes.to_dict()).encode())
    for sample in sorted(samples, key=lambda sample: sample.id):
        digest.update(f"{sample.id}\0{sample.split}\0{sample.image_hash}\0{sample.mask_hash}\n".encode())
    return digest.hexdigest()


def _refreshed(data: Dataset, sample: Sample, written_ns: int) -> Sample:
    image, mask = data.path / sample.image, data.path / "masks" / f"{sample.id}.png"
    try:
        image_changed = image.stat().st_mtime_ns > written_ns or not sample.image_hash
        mask_changed = sample.status not in SET_ASIDE and mask.is_file()
        mask_changed = mask_changed and (not sample.mask or mask.stat().st_mtime_ns > written_ns)
    except FileNotFoundError as error:
        raise InputError(f"{image} is gone; put it back, or remove its row from samples.csv.") from error
    except (OSError, ValueError) as error:  # no name for a file
        raise InputError(f"{data.path}/samples.csv names a file that cannot be looked for ({error}).") from error
    if sample.mask and not mask.is_file():
        raise InputError(f"{mask} is gone; put it back, or remove its row from samples.csv.")
    if image_changed:
        bytes_now = read_bytes(image)
        rows, columns = decode_image(bytes_now, image).shape[:2]
        sample = replace(sample, image_hash=content_hash(bytes_now), height=rows, width=columns)
    if mask_changed or (image_changed and sample.mask):
        read_mask(mask, data.classes, sample.size_hw)
        digest = content_hash(read_bytes(mask))
        sample = replace(sample, mask=f"masks/{mask.name}", mask_hash=digest, status="labelled")
    return sample


def _rows(path: Path) -> list[dict[str, str]]:
    return read_csv(path / "samples.csv")


def _parse_row(row: dict[str, str], path: Path, line: int) -> Sample:
    if missing := [name for name in COLUMNS if row.get(name) is None]:
        raise InputError(f"{path}, line {line}: column '{missing[0]}' is missing; import the data set again.")
    values: dict[str, Any] = {name: row[name] for name in COLUMNS}
    values["extra"] = {name: value or "" for name, value in row.items() if name and name not in COLUMNS}
    try:
        values["height"], values["width"] = int(row["height"]), int(row["width"])
    except ValueError as error:
        raise InputError(f"{path}, line {line}: height and width must be numbers.") from error
    return Sample(**values)
