"""CVAT's "Segmentation mask 1.1": colour masks in the folders of Pascal VOC, with the colours in `labelmap.txt`.

docs.cvat.ai/docs/dataset_management/formats/format-smask. The lists in `ImageSets/Segmentation/` are CVAT's subsets.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.colour import ColourReader, encode_colours
from maskwright.data.formats.labels import IGNORE, UNWANTED, Labels, class_table, write_table
from maskwright.data.formats.listing import (
    SPLIT_NAMES,
    Files,
    FromFile,
    Item,
    Listing,
    Options,
    each_sample,
    match,
)
from maskwright.files import list_files, put_bytes, read_bytes, write_text
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES
from maskwright.types import IGNORE_COLOUR, Classes, Colour, InputError, Mask, parse_colour

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_ROW = re.compile(r"(?P<name>.+):(?P<colour>\d+,\s*\d+,\s*\d+):[^:]*:[^:]*")


def read(source: Path, options: Options) -> Listing:
    """Read `labelmap.txt`, `SegmentationClass/` and the photos in `JPEGImages/` or `--images`.

    A photo that CVAT exported without a mask has no annotation and becomes an unlabelled row.
    """
    colours = read_labelmap(source / "labelmap.txt")
    labels = class_table(colours, source, options, colours=colours)
    splits = read_lists(source / LISTS)
    images = _collect(_photo_folder(source, options), IMAGE_SUFFIXES, splits)
    masks = _collect(source / MASKS, MASK_SUFFIXES, splits)
    bare = {key: paths for key, paths in images.items() if key not in masks and len(paths) == 1}
    pairs, alone = match({key: paths for key, paths in images.items() if key not in bare}, masks)
    if not pairs:
        why = f"; {alone[0].reason}" if alone else ""
        raise InputError(f"{source} has no photo with a mask of the same name in {MASKS}/{why}")
    items = [Item(id=one.id, image=one.image, mask=one.mask, split=one.split) for one in pairs]
    taken = {item.id for item in items}
    unlabelled = [Item(id=stem, image=paths[0], split=split) for (split, stem), paths in bare.items()]
    notes = [*labels.notes]
    if bare:
        notes.append(f"without a mask, so unlabelled: {len(bare)} photos")
    return Listing(
        classes=labels.classes,
        items=[*items, *(item for item in unlabelled if item.id not in taken)],
        paint=FromFile(_reader(colours, labels, options)),
        alone=[*alone, *_nowhere(splits, images)],
        notes=notes,
    )


def read_labelmap(path: Path) -> dict[str, Colour]:
    """Label -> colour, from lines `label:r,g,b:parts:actions`; raises InputError where there is none."""
    lines = read_bytes(path).decode("utf-8-sig", errors="replace").splitlines()
    table: dict[str, Colour] = {}
    for number, line in enumerate(lines, start=1):
        row = _ROW.fullmatch(line.strip())
        if row is None:
            if line.strip() and not line.lstrip().startswith("#"):
                raise InputError(f"{path}, line {number} is not 'label:r,g,b::'; correct it.")
            continue
        name = row["name"].strip()
        if name in table:
            raise InputError(f"{path}, line {number}: '{name}' is listed twice; remove one.")
        try:
            table[name] = parse_colour(row["colour"])
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    if not table:
        raise InputError(f"{path} lists no label; export the task as 'Segmentation mask 1.1' again.")
    seen: dict[Colour, str] = {}
    for name, colour in table.items():
        if colour in seen:
            raise InputError(f"{path}: '{seen[colour]}' and '{name}' share the colour {colour}; give each its own.")
        seen[colour] = name
    return table


def read_lists(folder: Path) -> dict[str, str]:
    """Photo, as a path without suffix -> its split ('' for CVAT's 'default')."""
    splits: dict[str, str] = {}
    for path in filter(Path.is_file, sorted(folder.glob("*.txt"))):
        split = SPLIT_NAMES.get(path.stem.lower(), "")
        for line in path.read_text("utf-8-sig", errors="replace").splitlines():
            if line.strip():
                splits[_key(line.strip())] = split
    return splits


def _key(path: str) -> str:
    """CVAT keeps folders in names; an id has none."""
    return path.replace("\\", "/").strip("/").replace("/", "-")


def _photo_folder(source: Path, options: Options) -> Path:
    if options.images is None:
        if not (source / IMAGES).is_dir():
            raise InputError(f"{source} has no {IMAGES}/ (exported without images?); name the photos with --images.")
        return source / IMAGES
    return options.images if options.images.is_dir() else source / options.images


def _collect(folder: Path, suffixes: frozenset[str], splits: Mapping[str, str]) -> Files:
    found: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in list_files(folder, suffixes):
        stem = _key(path.relative_to(folder).with_suffix("").as_posix())
        found[splits.get(stem, ""), stem].append(path)
    return dict(found)


def _nowhere(splits: Mapping[str, str], images: Files) -> list[Skipped]:
    have = {stem for _, stem in images}
    return [Skipped(stem, f"{stem} is listed in {LISTS}/ but has no photo.") for stem in splits if stem not in have]


@dataclass(frozen=True)
class ReadMask:
    """Reads a colour mask into the numbers of its labels, and those into class ids."""

    numbers: ColourReader
    ids: Mask

    def __call__(self, path: Path) -> Mask:
        """Class ids (H, W) of one file."""
        mask_HW: Mask = self.ids[self.numbers(path)]
        return mask_HW


def _reader(colours: Mapping[str, Colour], labels: Labels, options: Options) -> ReadMask:
    rows = Classes.from_names(colours, background=None, colours=colours)
    ids = np.full(rows.ignore + 1, labels.classes.ignore, labels.classes.dtype)
    for number, name in enumerate(rows.names):
        value = labels.id_of(name)
        ids[number] = labels.blank if value == UNWANTED else value
    return ReadMask(
        ColourReader(
            {colour: name for name, colour in colours.items()}, rows, options.ignore_colours, options.unknown or "error"
        ),
        ids,
    )


def write(dataset: Dataset, target: Path) -> None:
    """Write the layout that CVAT imports; ignored pixels are the label 'ignore' in white.

    Raises InputError where two classes share a colour, or one is white.
    """
    write_table(dataset, target)
    rows: dict[Colour, str] = {IGNORE_COLOUR: IGNORE}
    for item in dataset.classes.items:
        if item.colour in rows:
            raise InputError(
                f"{dataset.path}: '{item.name}' and '{rows[item.colour]}' share a colour here; change one of them."
            )
        rows[item.colour] = item.name
    lines = [f"{item.name}:{','.join(map(str, item.colour))}::" for item in dataset.classes.items]
    lines.append(f"{IGNORE}:{','.join(map(str, IGNORE_COLOUR))}::")
    write_text(target / "labelmap.txt", "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n")
    samples = dataset.labelled()
    for folder in (IMAGES, MASKS, LISTS):
        (target / folder).mkdir(parents=True, exist_ok=True)
    each_sample(_WriteMask(dataset.only_table(), target), samples, target)
    for split in sorted({sample.split for sample in samples}):
        stems = [Path(sample.image).stem for sample in samples if sample.split == split]
        write_text(target / LISTS / f"{split or 'default'}.txt", "\n".join(stems) + "\n")


@dataclass(frozen=True)
class _WriteMask:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> None:
        source = self.dataset.path / sample.image
        put_bytes(self.target / IMAGES / source.name, read_bytes(source))
        png = encode_colours(self.dataset.mask(sample), self.dataset.classes)
        put_bytes(self.target / MASKS / f"{source.stem}.png", png)
