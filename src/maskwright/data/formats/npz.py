"""Images and masks as arrays of one NumPy archive; `npz_parts` says which arrays are understood."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.arrays import Array, Rows, arrays_of, texts, write_rows
from maskwright.data.formats.index import Renamer
from maskwright.data.formats.listing import Item, Listing, Options, Painted
from maskwright.data.formats.npz_parts import CLASSES, IDS, Part, find_parts
from maskwright.files import explained
from maskwright.imageio import encode_image
from maskwright.png import encode_plane
from maskwright.types import IGNORE, Classes, InputError

FILE = "dataset.npz"


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Which row an item is, and its pixels once they are loaded."""

    part: int
    row: int
    image: NDArray[Any] | None = None
    mask_HW: NDArray[Any] | None = None


def read(source: Path, options: Options) -> Listing:
    """Read one archive, or the only one in a folder, in two passes: values first, then images one by one.

    Grey values must lie in 0..255; floats of which none is above 1 are multiplied by 255. Masks of 0 and 255 alone
    are black and white; otherwise 255 is ignore. Raises InputError for arrays that fit no pattern.
    """
    archive = _archive(source)
    arrays = arrays_of(archive)
    parts, unused = find_parts(archive, arrays)
    seen = survey(archive, parts)
    notes = [f"array '{name}' is not used" for name in unused]
    if seen.factor != 1:
        notes.append(f"images hold values up to {seen.high:g}: multiplied by {seen.factor:g}")
    two = options.names is None or len(options.names) == 2
    white = seen.ids == {0, IGNORE} and two and CLASSES not in arrays and IGNORE not in options.ignore_ids
    classes, ids = _classes(archive, arrays, seen.ids, options, white)
    if not options.names and CLASSES not in arrays:
        notes.append(f"ids found in the masks: {', '.join(map(str, sorted(seen.ids)))}; name them with --classes")
    items = [
        Item(
            id=part.ids[row] if part.ids else f"{part.images.name}-{row:0{len(str(part.images.shape[0] - 1))}}",
            image=archive / f"{part.images.name}[{row}]",
            mask=archive if part.masks is not None else None,
            split=part.split,
            note=Pixels(part=place, row=row),
        )
        for place, part in enumerate(parts)
        for row in range(part.images.shape[0])
    ]
    crcs = {name: f"{array.dtype} {array.shape} {array.crc:08x}" for name, array in arrays.items()}
    return Listing(
        classes=classes,
        items=items,
        paint=ArrayPainter(Renamer(ids, classes, options), white),
        photo=ArrayPhoto(seen.factor),
        load=Loader(parts),
        notes=notes,
        record={"arrays": crcs},
    )


def _archive(source: Path) -> Path:
    if source.is_dir():
        found = sorted(source.glob("*.npz"))
        if len(found) != 1:
            raise InputError(f"{source} holds {len(found)} .npz archives; name the one that is meant.")
        return found[0]
    return source


@dataclass
class Values:
    """The values that occur: of images the lowest and highest, of masks all."""

    low: float = 0
    high: float = 0
    floating: bool = False
    ids: set[int] = field(default_factory=set)

    @property
    def factor(self) -> float:
        """What images are multiplied by to lie in 0..255."""
        return 255.0 if self.floating and self.high <= 1 else 1.0


def survey(archive: Path, parts: list[Part]) -> Values:
    """The values of all arrays; raises InputError for images outside 0..255 and masks that are no class ids."""
    values = Values()
    rows = [(place, row) for place, part in enumerate(parts) for row in range(part.images.shape[0])]
    load = Loader(parts)
    for place, row in track(rows, "looking at values"):
        part, (image, mask_HW) = parts[place], load.pixels(place, row)
        values.low, values.high = min(values.low, float(image.min())), max(values.high, float(image.max()))
        values.floating |= image.dtype.kind in "bf"
        if not (values.low >= 0 and values.high <= 255) or np.isnan(image).any():
            raise InputError(
                f"{archive / part.images.name}[{row}] holds values from {image.min():g} to {image.max():g}; "
                "scale all images to 0..255, or to 0..1 as floats, by one rule and save again."
            )
        if mask_HW is not None:
            found = np.unique(mask_HW).tolist()
            if bad := [value for value in found if not 0 <= value <= 65535 or value != int(value)]:
                raise InputError(f"{part.masks}, row {row} holds {bad[0]:g}; class ids are whole numbers from 0.")
            values.ids.update(map(int, found))
    return values


class Loader:
    """Reads items' pixels, row by row; one reader for each array."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.images = [Rows(part.images) for part in parts]
        self.masks = [None if part.masks is None or part.paired else Rows(part.masks) for part in parts]

    def __call__(self, item: Item) -> Item:
        """The item with its pixels."""
        image, mask_HW = self.pixels(item.note.part, item.note.row)
        return replace(item, note=replace(item.note, image=image, mask_HW=mask_HW))

    def pixels(self, part: int, row: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Image (H, W) or (H, W, 3), and mask (H, W) where there is one, as they are stored."""
        pixels, masks = self.images[part][row], self.masks[part]
        if self.parts[part].paired:
            return pixels[0], pixels[1]
        if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3):
            pixels = np.moveaxis(pixels, 0, -1)
        image = pixels[..., 0] if pixels.shape[-1] == 1 and pixels.ndim == 3 else pixels
        return image, None if masks is None else masks[row].reshape(image.shape[:2])


def _classes(
    archive: Path, arrays: Mapping[str, Array], stored: set[int], options: Options, white: bool
) -> tuple[Classes, dict[int, int]]:
    """The class table and stored id -> class id: names given, else the archive's own table, else the ids found."""
    if white:
        return Classes.from_names(options.names or ("background", "object"), background=0), {0: 0, 1: 1}
    if not options.names and CLASSES not in arrays:
        kept = sorted(stored - {IGNORE} - set(options.ignore_ids))
        if not kept:
            raise InputError(f"{archive}: masks hold {sorted(stored)} only, no class; is another array the masks?")
        return Classes.from_names([f"class-{value}" for value in kept]), {value: new for new, value in enumerate(kept)}
    classes = Classes.from_names(options.names) if options.names else _own_classes(arrays[CLASSES])
    return classes, {i: i for i in range(len(classes))}


def _own_classes(array: Array) -> Classes:
    names = texts(array)
    if len(names) > 1 or not names[0].startswith("{"):
        return Classes.from_names(names)
    try:
        return Classes.from_dict(json.loads(names[0]), source=str(array))
    except json.JSONDecodeError as error:
        raise InputError(f"{array} is no class table ({error}); write a list of names.") from error


@dataclass(frozen=True)
class ArrayPainter:
    """Renames the ids that an item carries; `white` masks have 255 where the class is."""

    to_ids: Renamer
    white: bool

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask (H, W) of one item."""
        stored_HW = item.note.mask_HW
        plane_HW = (stored_HW == IGNORE).astype(np.uint8) if self.white else stored_HW.astype(np.uint16)
        return Painted(mask_HW=self.to_ids.rename(plane_HW, item.image))


@dataclass(frozen=True)
class ArrayPhoto:
    """Encodes the image that an item carries as PNG, its values multiplied by `factor`."""

    factor: float

    def __call__(self, item: Item) -> tuple[bytes, str]:
        """The photo's bytes and suffix."""
        image = np.rint(item.note.image * self.factor).astype(np.uint8)
        return (encode_plane(image, None) if image.ndim == 2 else encode_image(image, ".png")), ".png"


def write(dataset: Dataset, target: Path) -> None:
    """Write `dataset.npz` with `images_SPLIT` (N, H, W, 3), `masks_SPLIT` (N, H, W), `ids_SPLIT` and `classes`.

    Raises InputError where images are not all of one size.
    """
    samples = dataset.labelled()
    rows, columns = samples[0].size_hw
    if other := [sample for sample in samples if sample.size_hw != (rows, columns)]:
        raise InputError(
            f"{other[0].image} is {other[0].width}x{other[0].height}, {samples[0].image} {columns}x{rows}; one array "
            "holds one size: cut patches of one size first, or use the index format."
        )
    path = target / FILE
    with explained(path), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for split in dict.fromkeys(sample.split for sample in samples):
            end, here = f"_{split}" if split else "", [sample for sample in samples if sample.split == split]
            size = (len(here), rows, columns)
            write_rows(file, f"images{end}", (*size, 3), (dataset.image(s) for s in _tracked(here, "images")))
            write_rows(file, f"masks{end}", size, (dataset.mask(s) for s in _tracked(here, "masks")))
            _write_texts(file, f"{IDS}{end}", [sample.id for sample in here])
        _write_texts(file, CLASSES, [json.dumps(dataset.classes.to_dict(), ensure_ascii=False)])


def _tracked(samples: list[Sample], what: str) -> Iterator[Sample]:
    return track(samples, f"writing {len(samples)} {what}")


def _write_texts(file: zipfile.ZipFile, name: str, values: list[str]) -> None:
    array = np.array(values)
    write_rows(file, name, array.shape, iter(array[:, None]))
