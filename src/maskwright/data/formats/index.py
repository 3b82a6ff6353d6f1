"""Masks whose pixel values are class ids (255 is ignore)."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.data.formats.listing import Listing, Options, Pair, find_pairs, listing, write_pairs
from maskwright.data.jobs import pooled
from maskwright.files import read_yaml, write_yaml
from maskwright.imageio import encode_mask, read_plane
from maskwright.types import IGNORE, IGNORE_WIDE, Classes, InputError, Mask


def read(source: Path, options: Options) -> Listing:
    """Read `images/` + `masks/`.

    Class names come from the options, else from a `dataset.yaml` or `classes.yaml` in the source, else the ids
    are found by scanning and named after themselves.
    """
    pairs, alone = find_pairs(source, options)
    table = known_classes(source, options)
    if table is not None:
        ids = {item.id: item.id for item in table.items}
        return listing(table, pairs, Renamer(ids, table, options), alone)
    ids, classes = scan(pairs, options)
    names = ", ".join(f"{stored} -> {classes.names[new]}" for stored, new in ids.items())
    return listing(
        classes,
        pairs,
        Renamer(ids, classes, options),
        alone,
        notes=[f"ids found in the masks: {names}; name them with --classes"],
    )


def known_classes(source: Path, options: Options) -> Classes | None:
    """The class table that options or a file in the source give, if any."""
    if options.names:
        return Classes.from_names(options.names)
    path = table_file(source)
    return None if path is None else Classes.from_dict(read_yaml(path), source=str(path))


def table_file(source: Path) -> Path | None:
    """The `dataset.yaml` or `classes.yaml` in a source that holds a class table."""
    for path in (source / "dataset.yaml", source / "classes.yaml"):
        if path.is_file():
            data = read_yaml(path)
            if isinstance(data, dict) and "classes" in data:
                return path
    return None


def scan(pairs: list[Pair], options: Options) -> tuple[dict[int, int], Classes]:
    """Stored id -> class id, and a table named after the stored ids."""
    present: set[int] = set()
    for found in pooled(stored_ids, pairs, label="scanning ids", name=attrgetter("id")):
        if not isinstance(found, Skipped):  # else the importer meets this file again and lists it
            present.update(found)
    stored = sorted(present - {IGNORE} - set(options.ignore_ids))
    if not stored:
        raise InputError(f"{pairs[0].mask.parent} holds no class id at all; are the masks of another kind?")
    classes = Classes.from_names([f"class-{value}" for value in stored])
    return {value: new for new, value in enumerate(stored)}, classes


def stored_ids(pair: Pair) -> list[int]:
    """The values that a mask file holds."""
    return [int(value) for value in np.unique(read_plane(pair.mask))]


class Renamer:
    """Reads a stored mask and renames its ids; an id that nobody named is an InputError."""

    def __init__(self, ids: dict[int, int], classes: Classes, options: Options) -> None:
        self.classes = classes
        self.table = np.full(IGNORE_WIDE + 1, -1, np.int32)
        self.table[list(ids)] = list(ids.values())
        self.table[[classes.ignore, *options.ignore_ids]] = classes.ignore

    def __call__(self, path: Path) -> Mask:
        """Class ids (H, W) of one file."""
        return self.rename(read_plane(path), path)

    def rename(self, plane_HW: Mask, name: str | Path) -> Mask:
        """Class ids of a plane of stored ids, shape (H, W); `name` is what errors call it."""
        renamed = self.table[plane_HW]
        if renamed.size and renamed.min() < 0:
            alien = int(plane_HW[renamed < 0][0])
            raise InputError(
                f"{name} holds id {alien}, outside the class table 0..{len(self.classes) - 1} "
                f"(ignore {self.classes.ignore}); name all classes with --classes, "
                f"or leave the id out with --ignore {alien}."
            )
        return renamed.astype(self.classes.dtype)


def write(dataset: Dataset, target: Path) -> None:
    """Write `images/`, `masks/` (split folders inside) and `classes.yaml`."""
    write_pairs(dataset, target, encode_mask)
    write_yaml(target / "classes.yaml", dataset.classes.to_dict())
