"""Image folders of Hugging Face Datasets: a metadata file a split says which mask belongs to which image.

Source: "Create an image dataset" and `folder_based_builder.py` of huggingface/datasets (3.x): `metadata.csv` or
`metadata.jsonl` with `file_name` and further `*_file_name` columns, paths relative to the metadata file;
`id2label.json` as Transformers' segmentation models publish it. Ignore is 255, as its image processors have it.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from maskwright.console import Skipped
from maskwright.data.dataset import COLUMNS, Dataset, Sample
from maskwright.data.formats import index
from maskwright.data.formats.listing import (
    SPLIT_NAMES,
    FromFile,
    Item,
    Listing,
    Options,
    Pair,
    each_sample,
    find_pairs,
)
from maskwright.files import put_bytes, read_bytes, read_json, stem_of, write_json, write_text
from maskwright.imageio import encode_mask
from maskwright.run import read_csv
from maskwright.types import Classes, InputError

ID2LABEL = "id2label.json"
SPLITS = SPLIT_NAMES | {"dev": "val", "testing": "test", "eval": "test", "evaluation": "test"}
FOLDERS = {"train": "train", "val": "validation", "test": "test", "": "."}
IMAGE_COLUMNS = ("file_name", "image_file_name", "pixel_values_file_name", "input_file_name")
MASK_COLUMNS = ("mask", "label", "annotation", "segmentation", "segmentation_mask", "labels", "output", "target")
IGNORED_LABELS = ("ignore", "ignored", "void")


def read(source: Path, options: Options) -> Listing:
    """Read a folder with metadata files, else pair folders (`train/images`, `train/masks`).

    Class names come from the options, else from `id2label.json`, else ids are found by scanning. A row without a mask
    is an unlabelled image; further columns are kept. Raises InputError for Parquet and where no column names masks.
    """
    if not source.is_dir():
        raise InputError(f"Folder {source} does not exist; check the path.")
    files = _metadata_files(source)
    if files:
        items, alone = _rows(source, files)
    else:
        try:
            pairs, alone = find_pairs(source, options)
        except InputError as error:
            raise InputError(
                f"{source} has no metadata.csv or metadata.jsonl, and no pairs of folders: {error}"
            ) from error
        items = [Item(id=pair.id, image=pair.image, mask=pair.mask, split=pair.split) for pair in pairs]
    labelled = [
        Pair(id=item.id, image=item.image, mask=item.mask, split=item.split) for item in items if item.mask is not None
    ]
    if not labelled:
        raise InputError(f"{source}: no row of the metadata names a mask that could be used; check its paths.")
    notes: list[str] = []
    if options.names:
        classes = Classes.from_names(options.names)
        ids = {i: i for i in range(len(classes))}
    elif (source / ID2LABEL).is_file():
        ids, classes, options = read_labels(source / ID2LABEL, options)
    else:
        ids, classes = index.scan(labelled, options)
        notes = [f"ids found in the masks: {', '.join(map(str, ids))}; name them with --classes or {ID2LABEL}"]
    paint = FromFile(index.Renamer(ids, classes, options))
    return Listing(classes=classes, items=items, paint=paint, alone=alone, notes=notes)


def _metadata_files(source: Path) -> list[Path]:
    found = [path for suffix in ("csv", "jsonl") for path in sorted(source.rglob(f"metadata.{suffix}"))]
    parquet = next(source.rglob("*.parquet"), None)
    if not found and parquet is not None:
        raise InputError(
            f"{parquet} is Parquet, which is not read here; save its images and masks as files with a metadata.csv."
        )
    return found


def _rows(source: Path, files: list[Path]) -> tuple[list[Item], list[Skipped]]:
    items: list[Item] = []
    alone: list[Skipped] = []
    for path in files:
        rows = read_csv(path) if path.suffix == ".csv" else list(_json_lines(path))
        if not rows:
            raise InputError(f"{path} has no rows; write one an image, with file_name and mask_file_name.")
        image, mask = _columns(path, list(dict.fromkeys(name for row in rows for name in row)))
        for number, row in enumerate(rows, start=1):
            try:
                items.append(_item(source, path, row, image, mask))
            except InputError as error:
                alone.append(Skipped(f"{path}, row {number}", f"{path}, row {number}: {error}"))
    return _told_apart(items), alone


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_bytes(path).decode("utf-8-sig", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number} is not valid JSON ({error}); correct it there.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number} is not an object; write one an image, with file_name.")
        yield row


def _columns(path: Path, names: list[Any]) -> tuple[str, str]:
    """The columns that name the image and the mask."""
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    usual = [name for word in MASK_COLUMNS for name in (f"{word}_file_name", word)]
    others = [name for name in names if str(name).endswith("_file_name") and name != image]
    mask = next((name for name in (*usual, *others) if name in names and name != image), None)
    if image is None or mask is None:
        have = ", ".join(map(str, names))
        raise InputError(f"{path} needs a column file_name and one such as mask_file_name; it has: {have}.")
    return image, mask


def _item(source: Path, path: Path, row: Mapping[str, Any], image: str, mask: str) -> Item:
    photo = _inside(path.parent, row.get(image))
    if photo is None:
        raise InputError(f"the column {image} is empty; name the image there.")
    parts = [part.lower() for part in photo.relative_to(source).parts[:-1]]
    split = next((SPLITS[part] for part in parts if part in SPLITS), "")
    extra = {
        str(name): str(value)
        for name, value in row.items()
        if name not in (image, mask, *COLUMNS) and isinstance(value, str | int | float)
    }
    group = row.get("group")
    return Item(
        id=stem_of(photo),
        image=photo,
        mask=_inside(path.parent, row.get(mask)),
        split=split,
        group=group if isinstance(group, str) else "",
        extra=extra,
    )


def _inside(folder: Path, name: object) -> Path | None:
    """The file of that name below the folder, None for an empty one; raises InputError for a way out of it."""
    if name is None or name == "":
        return None
    if not isinstance(name, str) or "\0" in name:
        raise InputError(f"{name!r} is no file name.")
    relative = PurePosixPath(name.replace("\\", "/"))
    if relative.is_absolute() or PureWindowsPath(name).drive or "://" in name or ".." in relative.parts:
        raise InputError(f"'{name}' leads out of {folder}; give a path relative to the metadata file.")
    return folder / relative


def _told_apart(items: list[Item]) -> list[Item]:
    """Images of one stem get their split in front, and where that is not enough their folders."""
    stems = Counter(item.id for item in items)
    items = [replace(item, id=f"{item.split}-{item.id}") if stems[item.id] > 1 else item for item in items]
    again = Counter(item.id for item in items)
    seen: Counter[str] = Counter()
    for place, item in enumerate(items):
        if again[item.id] > 1:
            seen[item.id] += 1
            items[place] = replace(item, id=f"{item.id}-{seen[item.id]}")
    return items


def read_labels(path: Path, options: Options) -> tuple[dict[int, int], Classes, Options]:
    """Stored id -> class id, the class table, and options that know the ids called ignore."""
    data = read_json(path)
    try:
        labels = {int(key): str(name) for key, name in data.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path} must map ids to names, for example {{'0': 'road'}} ({error}).") from error
    ignored = {key for key, name in labels.items() if name.lower() in IGNORED_LABELS}
    stored = sorted(labels.keys() - ignored)
    if not stored or stored[0] < 0 or max(labels) > 65535:
        raise InputError(f"{path} must name ids from 0 to 65535, one at least.")
    options = replace(options, ignore_ids=(*options.ignore_ids, *sorted(ignored)))
    classes = Classes.from_names([labels[key] for key in stored])
    return {key: new for new, key in enumerate(stored)}, classes, options


def write(dataset: Dataset, target: Path) -> None:
    """Write `train`, `validation` and `test` with `images/`, `masks/` and `metadata.csv`, and `id2label.json`."""
    samples = dataset.labelled()
    for split in {sample.split for sample in samples}:
        folder = target / FOLDERS[split]
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["file_name", "mask_file_name"])
        writer.writerows(_places(sample) for sample in samples if sample.split == split)
        write_text(folder / "metadata.csv", table.getvalue())
    write_json(target / ID2LABEL, {str(item.id): item.name for item in dataset.classes.items})
    each_sample(_WritePair(dataset.only_table(), target), samples, target)


def _places(sample: Sample) -> tuple[str, str]:
    return f"images/{Path(sample.image).name}", f"masks/{sample.id}.png"


@dataclass(frozen=True)
class _WritePair:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> None:
        image, mask = (self.target / FOLDERS[sample.split] / place for place in _places(sample))
        put_bytes(image, read_bytes(self.dataset.path / sample.image))
        put_bytes(mask, encode_mask(self.dataset.mask(sample), self.dataset.classes))
