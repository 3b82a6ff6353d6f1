"""PASCAL VOC 2012 segmentation: `JPEGImages/`, `SegmentationClass/`, `ImageSets/Segmentation/*.txt`.

Everingham et al.: The PASCAL visual object classes challenge, development kit of VOC2012: masks are palette PNGs,
21 classes, 255 (224, 224, 192) is void. Other class tables come as `labelmap.txt` (`name:r,g,b:parts:actions`),
as CVAT and Datumaro write it; there, colours count.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.colour import ColourReader
from maskwright.data.formats.cvat import read_labelmap
from maskwright.data.formats.index import Renamer
from maskwright.data.formats.listing import SPLIT_NAMES, FromFile, Item, Listing, Options, each_sample
from maskwright.files import list_files, put_bytes, read_bytes, write_text
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES
from maskwright.png import encode_plane
from maskwright.types import IGNORE, Classes, Colour, InputError, Mask

PHOTOS, MASKS, LISTS, LABELMAP = "JPEGImages", "SegmentationClass", Path("ImageSets", "Segmentation"), "labelmap.txt"
# fmt: off
NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
VOID: Colour = (224, 224, 192)
IGNORED_LABELS = ("ignored", "ignore", "void")


def palette() -> list[Colour]:
    """The 256 colours of VOC: the bits of the id, spread over the high bits of red, green and blue."""
    return [
        (_spread(index), _spread(index >> 1), _spread(index >> 2))  # every third bit, the lowest becomes the highest
        for index in range(256)
    ]


def _spread(bits: int) -> int:
    return sum((bits >> (3 * place) & 1) << (7 - place) for place in range(8))


def read(source: Path, options: Options) -> Listing:
    """Read a folder with `SegmentationClass/`, or one above it (`VOCdevkit/VOC2012`).

    The image sets give the splits; a photo of `test.txt` without a mask is unlabelled. Raises InputError where there
    is no such folder or no pair.
    """
    root = _root(source, options)
    photos = _by_name(root / (options.images or PHOTOS), IMAGE_SUFFIXES)
    masks = _by_name(root / (options.masks or MASKS), MASK_SUFFIXES)
    splits = _image_sets(root / LISTS) or dict.fromkeys([*photos, *masks], "")
    notes = [
        f"{len(unlisted)} {what} in no list of {LISTS}/ stay out"
        for what, there in (("photos", photos), ("masks", masks))
        if (unlisted := there.keys() - splits.keys())
    ]
    items, alone = [], []
    for name, split in splits.items():
        photo, mask = photos.get(name, []), masks.get(name, [])
        if reason := _mismatch(root, name, split, photo, mask):
            alone.append(Skipped(str(photo[0] if photo else root / PHOTOS / name), reason))
        else:
            only = mask[0] if mask else None
            items.append(Item(id=name.replace("/", "-"), image=photo[0], mask=only, split=split))
    if not any(item.mask for item in items):
        raise InputError(f"{root} holds no photo with a mask of the same name in {MASKS}/.")
    classes, paint = _reader(root, options)
    return Listing(classes=classes, items=items, paint=FromFile(paint), alone=alone, notes=notes)


def _root(source: Path, options: Options) -> Path:
    if not source.is_dir():
        raise InputError(f"Folder {source} does not exist; check the path.")
    wanted = options.masks or MASKS
    near = chain((source,), source.glob("*"), source.glob("*/*"))
    root = next((folder for folder in near if (folder / wanted).is_dir()), None)
    if root is None:
        raise InputError(f"{source} is not in the layout of PASCAL VOC: it has no folder {wanted}/.")
    return root


def _by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, list[Path]]:
    """Files by their path below the folder without suffix, as image sets name them."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in list_files(folder, suffixes):
        found[_one_form(path.relative_to(folder).with_suffix("").as_posix())].append(path)
    return found


def _one_form(name: str) -> str:
    # A decomposed umlaut from one system matches a composed one from another.
    return unicodedata.normalize("NFC", name)


def _mismatch(root: Path, name: str, split: str, photo: list[Path], mask: list[Path]) -> str:
    """Why a listed name cannot be used, or nothing."""
    for files in (photo, mask):
        if len(files) > 1:
            return f"{files[0]} and {files[1]} share one stem; rename one."
    if not photo:
        return f"{root / PHOTOS / name} is listed or has a mask, but is not there."
    if not mask and split != "test":
        return f"{photo[0]} has no mask of the same name in {MASKS}/."
    return ""


def _image_sets(folder: Path) -> dict[str, str]:
    """Name -> split; train, val and test say more than trainval, which says more than any other list."""
    lists = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    rank = {"train": 0, "val": 0, "test": 0, "trainval": 1}
    splits: dict[str, str] = {}
    for path in sorted(lists, key=lambda path: rank.get(path.stem, 2)):
        split = "train" if path.stem == "trainval" else SPLIT_NAMES.get(path.stem, "")
        text = read_bytes(path).decode("utf-8-sig", errors="replace") if path.stat().st_size else ""
        for line in text.splitlines():
            if line.strip():
                splits.setdefault(_one_form(line.strip()), split)
    return splits


def _reader(root: Path, options: Options) -> tuple[Classes, VocReader | ColourReader]:
    path = next((file for file in (options.table, root / LABELMAP) if file is not None and file.is_file()), None)
    if path is None:
        names = options.names or NAMES
        classes = Classes.from_names(names, colours=dict(zip(names, palette(), strict=False)))
        return classes, VocReader(classes, options)
    table = read_labelmap(path)
    ignored = tuple(table.pop(name) for name in IGNORED_LABELS if name in table)
    if options.names:
        if len(options.names) != len(table):
            raise InputError(f"--classes has {len(options.names)} names, but {path} has {len(table)} classes.")
        table = dict(zip(options.names, table.values(), strict=True))
    classes = Classes.from_names(table, colours=table)
    colours = {*ignored, *options.ignore_colours, VOID} - set(table.values())
    return classes, ColourReader(
        {colour: name for name, colour in table.items()}, classes, tuple(colours), options.unknown or "error"
    )


class VocReader:
    """Reads ids from the palette, and from VOC's colours where a program has saved the mask as RGB."""

    def __init__(self, classes: Classes, options: Options) -> None:
        table = dict(zip(classes.names, palette(), strict=False))
        self.to_ids = Renamer({i: i for i in range(len(classes))}, classes, options)
        names = {colour: name for name, colour in table.items()}
        self.to_colours = ColourReader(names, classes, (*options.ignore_colours, VOID), options.unknown or "error")

    def __call__(self, path: Path) -> Mask:
        """Class ids (H, W) of one file."""
        try:
            return self.to_ids(path)
        except InputError as error:
            try:
                return self.to_colours(path)
            except InputError as second:
                # Ids that nobody named are the better explanation, unless the file is a colour picture.
                raise (second if "colour picture" in str(error) else error) from None


def write(dataset: Dataset, target: Path) -> None:
    """Write the layout with `labelmap.txt`; ignore is 255. Raises InputError beyond 255 classes."""
    classes = dataset.classes
    if classes.ignore != IGNORE:
        raise InputError(f"{dataset.path} has {len(classes)} classes; VOC's masks hold 255; use the index format.")
    colours = _colours(classes)
    samples = dataset.labelled()
    for folder in (PHOTOS, MASKS, LISTS):
        (target / folder).mkdir(parents=True, exist_ok=True)
    each_sample(_WritePair(dataset.only_table(), target, tuple(colours)), samples, target)
    for split in ("train", "val", "test", ""):
        _write_list(target / LISTS / f"{split or 'default'}.txt", (s for s in samples if s.split == split))
    _write_list(target / LISTS / "trainval.txt", (s for s in samples if s.split in ("train", "val")))
    lines = ["# label:color_rgb:parts:actions"]
    lines += [f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(classes.names, colours, strict=False)]
    write_text(target / LABELMAP, "\n".join(lines) + "\n")


def _colours(classes: Classes) -> list[Colour]:
    """Each class's own colour, or VOC's where own ones cannot be told apart."""
    own = [item.colour for item in classes.items]
    return palette()[: len(own)] if max(Counter([*own, VOID]).values()) > 1 else own


def _write_list(path: Path, samples: Iterable[Sample]) -> None:
    if names := [sample.id for sample in samples]:
        write_text(path, "\n".join(names) + "\n")


@dataclass(frozen=True)
class _WritePair:
    dataset: Dataset
    target: Path
    colours: tuple[Colour, ...]

    def __call__(self, sample: Sample) -> None:
        photo = self.dataset.path / sample.image
        put_bytes(self.target / PHOTOS / f"{sample.id}{photo.suffix}", read_bytes(photo))
        table = np.full((256, 3), VOID, np.uint8)
        table[: len(self.colours)] = self.colours
        put_bytes(self.target / MASKS / f"{sample.id}.png", encode_plane(self.dataset.mask(sample), table))
