"""Black and white masks of one class against its background."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskwright.data.dataset import Dataset
from maskwright.data.formats.listing import Listing, Options, find_pairs, listing, write_pairs
from maskwright.imageio import read_plane
from maskwright.png import encode_plane
from maskwright.types import Classes, InputError, Mask


def read(source: Path, options: Options) -> Listing:
    """Read `images/` + `masks/`: 0 is background, the brightest value (1 or 255) is the class.

    Greys in between, as smoothed edges and JPEG leave them, are decided at the middle.
    """
    names = options.names or ("background", "object")
    if len(names) == 1:
        names = ("background", names[0])
    if len(names) != 2:
        raise InputError(f"Binary masks have two classes, not {len(names)}; give --classes background,NAME.")
    pairs, alone = find_pairs(source, options)
    return listing(Classes.from_names(names, background=0), pairs, read_binary, alone)


def read_binary(path: Path) -> Mask:
    """0 and 1 from a black and white mask, shape (H, W)."""
    plane = read_plane(path)
    highest = int(plane.max())
    if highest not in (0, 1) and highest < 128:
        raise InputError(
            f"{path} has values up to {highest}, neither 0/1 nor 0/255; if they are class ids, use the index format."
        )
    return (plane >= (1 if highest <= 1 else 128)).astype(np.uint8)


def write(dataset: Dataset, target: Path) -> None:
    """Write `images/` and `masks/` of 0 and 255; raises InputError for more than one class or ignored pixels."""
    if len(dataset.classes) != 2:
        raise InputError(f"{dataset.path} has {len(dataset.classes)} classes; black and white masks hold two.")

    write_pairs(dataset, target, encode_binary)


def encode_binary(mask_HW: Mask, classes: Classes) -> bytes:
    """A PNG of 0 and 255."""
    if (mask_HW == classes.ignore).any():
        raise InputError("The mask has ignored pixels, which black and white cannot say; use the index format.")
    return encode_plane((mask_HW * 255).astype(np.uint8), None)
