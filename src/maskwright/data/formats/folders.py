"""A folder of images and a folder of masks: looks at the masks and hands over to the format that fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from maskwright.data.dataset import Dataset
from maskwright.data.formats import binary, colour, index
from maskwright.data.formats.listing import Listing, Options, Pair, find_pairs
from maskwright.imageio import read_colours, read_plane
from maskwright.types import InputError

LOOKED_AT = 50
READERS = {"binary": binary.read, "index": index.read, "colour": colour.read}


def read(source: Path, options: Options) -> Listing:
    """Read `images/` + `masks/` as binary, index or colour masks, whichever they are; says which and why."""
    pairs, _ = find_pairs(source, options)
    table = None if options.table else index.table_file(source)
    kind, why = ("index", f"{table.name} gives the classes") if table else kind_of(pairs, options)
    found = READERS[kind](source, options)
    return replace(found, notes=[f"masks read as '{kind}': {why}", *found.notes])


def kind_of(pairs: list[Pair], options: Options) -> tuple[str, str]:
    """'binary', 'index' or 'colour', and the reason, from up to 50 masks spread over the list."""
    values: set[int] = set()
    for pair in pairs[:: max(1, len(pairs) // LOOKED_AT)]:
        try:
            values |= set(np.unique(read_plane(pair.mask)).tolist())
        except InputError:
            if _has_colours(pair.mask):
                return "colour", f"{pair.mask.name} has colours"
    if options.table is not None:
        return "colour", "a colour table is given"
    if values <= {0, 255}:
        return "binary", "pixels are 0 and 255 only"
    listed = ", ".join(str(value) for value in sorted(values)[:6]) + (", ..." if len(values) > 6 else "")
    if {0, 255} <= values and len(values) > 64:
        return "binary", f"{len(values)} greys between 0 and 255, as smoothed black and white has them"
    return "index", f"pixels are {listed}"


def _has_colours(path: Path) -> bool:
    try:
        pixels = read_colours(path)
    except InputError:
        return False
    return bool((pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 1] != pixels[..., 2]).any())


def write(dataset: Dataset, target: Path) -> None:
    """The simplest pair of folders: index masks."""
    index.write(dataset, target)
