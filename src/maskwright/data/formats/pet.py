"""Oxford-IIIT Pet as it is distributed: `images/`, `annotations/trimaps/`, `annotations/list.txt`.

Parkhi, Vedaldi, Zisserman, Jawahar: Cats and dogs, CVPR 2012, and the README of its annotations: trimaps hold
1 pet, 2 background, 3 not classified; list.txt holds `name class species breed`, species 1 cat, 2 dog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.console import Skipped
from maskwright.data.formats.listing import Item, Listing, Options, Painted
from maskwright.files import list_files, read_bytes, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, decode_image, encode_image, read_plane
from maskwright.types import Classes, Colour, InputError

CLASSES: dict[str, Colour] = {"background": (0, 0, 0), "cat": (128, 0, 0), "dog": (0, 128, 0)}
SPECIES = {"1": "cat", "2": "dog"}
PET, BACKGROUND, BORDER = 1, 2, 3
# How the files begin: some photos of the set are PNG, GIF or BMP and called .jpg.
KINDS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp"}


def read(source: Path, options: Options) -> Listing:
    """Read the folder that holds `images/` and `annotations/`.

    The set's own split is kept: `trainval.txt` is train, `test.txt` test. The uncertain border becomes ignore or
    background by `options.border`; `kind` 'binary' makes one class, pet. Raises InputError for another layout.
    """
    trimaps = source / "annotations" / "trimaps"
    if not trimaps.is_dir():
        raise InputError(f"{source} is not Oxford-IIIT Pet: expected images/ and annotations/trimaps/ in it.")
    classes = _classes(options)
    rows, split = _lists(source / "annotations")
    folder = source / (options.images or "images")
    photos = {stem_of(path): path for path in list_files(folder, IMAGE_SUFFIXES)}
    masks = {stem_of(path): path for path in list_files(trimaps, frozenset({".png"}))}
    items, alone = [], []
    for name in sorted(photos.keys() | masks.keys()):
        path = photos.get(name) or masks[name]
        species = _species(name, rows)
        if name not in photos or name not in masks:
            what = "a photo without a trimap" if name in photos else "a trimap without a photo"
            alone.append(Skipped(str(path), f"{path} is {what}."))
        elif species is None:
            alone.append(Skipped(str(path), f"{path} is not in annotations/list.txt, so cat or dog is unknown."))
        else:
            breed, value = re.sub(r"_\d+$", "", name), 1 if options.kind == "binary" else list(CLASSES).index(species)
            extra = {"species": species, "breed": breed}
            items.append(
                Item(id=name, image=path, mask=masks[name], split=split.get(name, ""), note=value, extra=extra)
            )
    if not items:
        raise InputError(f"{source} holds no photo with a trimap of the same name.")
    border = classes.ignore if options.border == "ignore" else 0
    notes = [f"the uncertain border becomes {options.border} (--border)"]
    if not rows:
        notes.append("annotations/list.txt is missing: a capital first letter is taken for a cat, as the set has it")
    return Listing(classes=classes, items=items, paint=TrimapPainter(border), photo=photo, alone=alone, notes=notes)


def _classes(options: Options) -> Classes:
    usual = ["background", "pet"] if options.kind == "binary" else list(CLASSES)
    if options.names is not None and len(options.names) != len(usual):
        raise InputError(f"--classes has {len(options.names)} names; this set needs {len(usual)}: {', '.join(usual)}.")
    names = options.names or usual
    return Classes.from_names(names, background=0, colours=dict(zip(names, CLASSES.values(), strict=False)))


def _lists(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Species and split by name, from the lists that are there."""
    species: dict[str, str] = {}
    split: dict[str, str] = {}
    for file, side in (("list.txt", ""), ("trainval.txt", "train"), ("test.txt", "test")):
        path = folder / file
        if not path.is_file():
            continue
        for number, line in enumerate(read_bytes(path).decode("utf-8", errors="replace").splitlines(), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 3 or words[2] not in SPECIES:
                raise InputError(f"{path}, line {number}: '{line.strip()}' is not 'name class species breed'.")
            species.setdefault(words[0], SPECIES[words[2]])
            if side:
                split[words[0]] = side
    return species, split


def _species(name: str, rows: Mapping[str, str]) -> str | None:
    if rows:
        return rows.get(name)
    return "cat" if name[:1].isupper() else "dog"


@dataclass(frozen=True)
class TrimapPainter:
    """Paints a trimap's pet in the class that the item notes, its border as `border`."""

    border: int

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask (H, W) of one item; raises InputError for values other than 1, 2 and 3."""
        assert item.mask is not None
        plane_HW = read_plane(item.mask)
        if plane_HW.min() < PET or plane_HW.max() > BORDER:
            found = sorted({int(value) for value in np.unique(plane_HW)} - {PET, BACKGROUND, BORDER})
            raise InputError(f"{item.mask} holds {found[0]}, but a trimap has 1 pet, 2 background, 3 border only.")
        table = np.array([0, item.note, 0, self.border], np.uint8)
        return Painted(mask_HW=table[plane_HW])


def photo(item: Item) -> tuple[bytes, str]:
    """The photo as it lies there, under the suffix of what it is; what is not JPEG, PNG or BMP becomes PNG."""
    data = read_bytes(item.image)
    for start, suffix in KINDS.items():
        if data.startswith(start):
            return data, suffix
    return encode_image(decode_image(data, item.image), ".png"), ".png"
