"""Ultralytics' folder for the task `semantic` (since 8.4.52): class-id masks beside the photos, and a `data.yaml`.

docs.ultralytics.com/datasets/semantic: `path`, `train`, `val`, `test`, `names`, `masks_dir`, `label_mapping`; the mask
of `images/train/a.jpg` is `masks/train/a.png`, one channel, 255 is ignored. It is read as grey, so a palette would
change its ids: masks are written without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.index import Renamer, table_file
from maskwright.data.formats.labels import write_table
from maskwright.data.formats.listing import FromFile, Item, Listing, Options, each_sample
from maskwright.data.formats.photos import unique
from maskwright.data.formats.yolo import beside, photos_by_split, read_names
from maskwright.files import put_bytes, read_bytes, read_yaml, write_yaml
from maskwright.png import encode_plane
from maskwright.types import IGNORE, Classes, InputError

MASKS = "masks"
SUFFIXES = (".png", ".PNG", ".tif", ".tiff", ".bmp")


def read(source: Path, options: Options) -> Listing:
    """Read `data.yaml`, the photos that it names, and their masks in `masks_dir`."""
    names, data = read_names(source, options)
    folder = data.get("masks_dir")
    if not isinstance(folder, str) or not folder:
        raise InputError(f"{source}: the YAML file has no masks_dir, so labels are polygons; use the yolo format.")
    classes, own = _table(source, names, options)
    items: list[Item] = []
    alone: list[Skipped] = []
    for split, image in photos_by_split(source, data):
        mask = beside(image, source, folder, *SUFFIXES)
        if mask is None:
            alone.append(Skipped(str(image), f"{image} is an image without a mask of the same stem in {folder}/."))
        else:
            items.append(Item(id=image.stem, image=image, mask=mask, split=split))
    items, twins = unique(items)
    if not items:
        first = f" The first: {(alone + twins)[0].reason}" if alone + twins else ""
        raise InputError(f"{source} holds no photo with a mask in {folder}/.{first}")
    ids = _mapped(own, data.get("label_mapping"), classes, source)
    return Listing(
        classes=classes,
        items=items,
        paint=FromFile(Renamer(ids, classes, options)),
        alone=alone + twins,
    )


def _table(source: Path, names: Mapping[int, str], options: Options) -> tuple[Classes, dict[int, int]]:
    """The class table, and the id that ultralytics trains with -> class id.

    A single name means a black and white mask: 0 is what it is not.
    """
    rows = sorted(names)
    given = list(options.names or [names[row] for row in rows])
    if len(rows) == 1 and len(given) == 1:
        return Classes.from_names(["background", *given], background=0), {0: 0, 1: 1}
    if rows != list(range(len(rows))) or len(given) != len(rows):
        raise InputError(
            f"{source}: {len(rows)} names, numbered {rows[0]} to {rows[-1]}, must be 0 to {len(given) - 1}."
        )
    path = None if options.names else table_file(source)
    kept = None if path is None else Classes.from_dict(read_yaml(path), source=str(path))
    classes = kept if kept is not None and kept.names == given else Classes.from_names(given)
    return classes, {row: row for row in rows}


def _mapped(own: Mapping[int, int], mapping: Any, classes: Classes, source: Path) -> dict[int, int]:
    """Stored id -> class id by `label_mapping`; what it does not name stays."""
    if mapping is None:
        return dict(own)
    try:
        pairs = {int(stored): IGNORE if new in (None, "ignore_label") else int(new) for stored, new in mapping.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{source}: label_mapping must map numbers to numbers or ignore_label.") from error
    if alien := [new for new in pairs.values() if new != IGNORE and new not in own]:
        raise InputError(f"{source}: label_mapping names the class {alien[0]}, which has no name; add it to 'names'.")
    return {**own, **{stored: classes.ignore if new == IGNORE else own[new] for stored, new in pairs.items()}}


def write(dataset: Dataset, target: Path) -> None:
    """Write `data.yaml`, `images/SPLIT/` and `masks/SPLIT/`; raises InputError where ids need more than 8 bits."""
    if dataset.classes.ignore != IGNORE:
        raise InputError(f"{dataset.path} has {len(dataset.classes)} classes; ultralytics holds 255 at most.")
    write_table(dataset, target)
    samples = dataset.labelled()
    for split in {"train", "val", *(sample.split or "train" for sample in samples)}:
        for folder in ("images", MASKS):
            (target / folder / split).mkdir(parents=True, exist_ok=True)
    each_sample(_WritePlane(dataset.only_table(), target), samples, target)
    tests = {"test": "images/test"} if (target / "images" / "test").is_dir() else {}
    names = dict(enumerate(dataset.classes.names))
    # Without 'path', ultralytics takes the folder of the file, wherever that is moved.
    paths = {"train": "images/train", "val": "images/val", **tests, "masks_dir": MASKS}
    write_yaml(target / "data.yaml", {**paths, "names": names})


@dataclass(frozen=True)
class _WritePlane:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> None:
        source = self.dataset.path / sample.image
        split = sample.split or "train"
        put_bytes(self.target / "images" / split / source.name, read_bytes(source))
        png = encode_plane(self.dataset.mask(sample), None)
        put_bytes(self.target / MASKS / split / f"{source.stem}.png", png)
