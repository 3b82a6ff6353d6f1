"""CARLA recordings as in the Lyft-Udacity challenge: `CameraRGB/` and `CameraSeg/`, the class in the red channel.

Tags and colours: CARLA 0.9.0 to 0.9.9, "Cameras and sensors" (0.8 has the same tags, other colours for two of them).
The group is the folder, which is one drive: its frames are near copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.index import Renamer
from maskwright.data.formats.listing import SPLIT_NAMES, Files, Listing, Options, each_sample, listing, match
from maskwright.files import list_files, put_bytes, read_bytes, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES, encode_image, read_colours
from maskwright.types import Classes, Colour, InputError, Mask

PHOTOS, MASKS = "CameraRGB", "CameraSeg"
TAGS: dict[str, Colour] = {
    "unlabelled": (0, 0, 0),
    "building": (70, 70, 70),
    "fence": (190, 153, 153),
    "other": (250, 170, 160),
    "pedestrian": (220, 20, 60),
    "pole": (153, 153, 153),
    "road line": (157, 234, 50),
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "vegetation": (107, 142, 35),
    "vehicle": (0, 0, 142),
    "wall": (102, 102, 156),
    "traffic sign": (220, 220, 0),
}
FEWEST_GROUPS = 3  # train, val and test need one each


def read(source: Path, options: Options) -> Listing:
    """Read every folder below `source` that holds `CameraRGB` and `CameraSeg`.

    A folder called train, val or test gives the split; other folders are groups. Raises InputError where there is
    no such folder.
    """
    if not source.is_dir():
        raise InputError(f"Folder {source} does not exist; check the path.")
    folders = sorted(path.parent for path in (source / PHOTOS, *source.rglob(PHOTOS)) if path.is_dir())
    images: Files = defaultdict(list)
    masks: Files = defaultdict(list)
    places: dict[str, tuple[str, str]] = {}
    for folder in dict.fromkeys(folders):
        parts = folder.relative_to(source).parts
        key = "-".join(parts)
        places[key] = _split_and_group(parts)
        for path in list_files(folder / PHOTOS, IMAGE_SUFFIXES):
            images[key, stem_of(path)].append(path)
        for path in list_files(folder / MASKS, MASK_SUFFIXES):
            masks[key, stem_of(path)].append(path)
    pairs, alone = match(images, masks)
    if not pairs:
        raise InputError(f"{source} holds no pairs in {PHOTOS}/ and {MASKS}/; are they named otherwise?")
    classes = Classes.from_names(
        options.names or TAGS,
        background=0,
        colours=TAGS if options.names is None else dict(zip(options.names, TAGS.values(), strict=False)),
    )
    to_ids = RedReader(Renamer({i: i for i in range(len(classes))}, classes, options))
    found = listing(classes, pairs, to_ids, alone)
    items = [replace(item, split=split, group=group) for item in found.items for split, group in [places[item.split]]]
    groups = {item.group for item in items if not item.split}
    if groups and len(groups) < FEWEST_GROUPS:
        items = [replace(item, group="") for item in items]
        few = f"only {len(groups)} folder(s): frames are shared out one by one, and those of one drive are near copies"
        return replace(found, items=items, notes=[f"{few}; name whole stretches with --group."])
    return replace(found, items=items)


def _split_and_group(parts: Sequence[str]) -> tuple[str, str]:
    split = next((SPLIT_NAMES[part.lower()] for part in parts if part.lower() in SPLIT_NAMES), "")
    return split, "-".join(part for part in parts if part.lower() not in SPLIT_NAMES)


@dataclass(frozen=True)
class RedReader:
    """Reads class ids from a picture's red channel; CARLA leaves the others empty or puts object numbers there."""

    to_ids: Renamer

    def __call__(self, path: Path) -> Mask:
        """Class ids (H, W) of one file."""
        return self.to_ids.rename(read_colours(path)[..., 0], path)


def write(dataset: Dataset, target: Path) -> None:
    """Write `SPLIT/GROUP/CameraRGB` and `CameraSeg` (ignore is 255); raises InputError for another class table."""
    if dataset.classes.names != list(TAGS):
        raise InputError(f"{dataset.path} does not have CARLA's 13 classes; use the index format.")
    samples = dataset.labelled()
    for folder in {_folder(sample) for sample in samples}:
        for kind in (PHOTOS, MASKS):
            (target / folder / kind).mkdir(parents=True, exist_ok=True)
    each_sample(_WriteFrame(dataset.only_table(), target), samples, target)


def _folder(sample: Sample) -> Path:
    return Path(sample.split, sample.group.replace("/", "-").replace("\\", "-").lstrip("."))


@dataclass(frozen=True)
class _WriteFrame:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> None:
        folder, photo = self.target / _folder(sample), self.dataset.path / sample.image
        put_bytes(folder / PHOTOS / photo.name, read_bytes(photo))
        red_HW = self.dataset.mask(sample).astype(np.uint8)
        empty = np.zeros_like(red_HW)
        png = encode_image(np.stack([red_HW, empty, empty], axis=-1), ".png")
        put_bytes(folder / MASKS / f"{photo.stem}.png", png)
