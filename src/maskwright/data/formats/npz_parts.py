"""What the arrays of a NumPy archive are, by their names and shapes.

Understood: `training_set` (N, 2, H, W) of image and mask with `test_set` (M, H, W) of unlabelled images, as course
data sets have it; `images` and `masks`; `x_train`, `y_train`, `x_val`, ... with images (N, H, W), (N, H, W, 3) or
(N, 3, H, W) and masks (N, H, W); `ids_train` and `classes` as they are written here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maskwright.data.formats.arrays import Array, texts
from maskwright.data.formats.listing import SPLIT_NAMES
from maskwright.types import InputError

IMAGE_WORDS = {"x", "image", "images", "img", "imgs", "photos", "data", "input", "inputs"}
MASK_WORDS = {"y", "mask", "masks", "label", "labels", "annotations", "target", "targets", "gt", "segmentation"}
CLASSES, IDS = "classes", "ids"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Images of one split and their masks, which may lie in the same array (N, 2, H, W)."""

    split: str
    images: Array
    masks: Array | None
    ids: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether every row of `images` is an image and its mask."""
        return self.masks is self.images


def find_parts(archive: Path, arrays: Mapping[str, Array]) -> tuple[list[Part], list[str]]:
    """What the arrays are, by name and shape, and the names of those that are nothing known."""
    images: dict[str, Array] = {}
    masks: dict[str, Array] = {}
    ids: dict[str, Array] = {}
    unused = []
    for name, array in arrays.items():
        words = set(re.split(r"[^a-z]+", name.lower()))
        split = next((SPLIT_NAMES[word] for word in sorted(words) if word in SPLIT_NAMES), "")
        if IDS in words and array.dtype.kind == "U":
            ids[split] = array
        elif array.dtype.kind not in "buif" or len(array.shape) < 3:
            unused += [name] if name != CLASSES else []
        elif words & MASK_WORDS:
            _put(masks, split, array)
        elif words & IMAGE_WORDS or "set" in words:
            _put(images, split, array)
        else:
            unused.append(name)
    for split, array in images.items():
        if _pairs(array):
            _put(masks, split, array)
    if not images or not masks:
        have = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise InputError(f"{archive} needs arrays such as images and masks, or x_train and y_train; it holds: {have}.")
    if lone := masks.keys() - images.keys():
        raise InputError(f"{masks[lone.pop()]} has no images that belong to it; name them alike, x_train and y_train.")
    return [_part(split, array, masks.get(split), ids.get(split)) for split, array in images.items()], unused


def _put(arrays: dict[str, Array], split: str, array: Array) -> None:
    if split in arrays:
        raise InputError(f"{array} and '{arrays[split].name}' seem to be the same thing; rename one.")
    arrays[split] = array


def _pairs(array: Array) -> bool:
    return len(array.shape) == 4 and array.shape[1] == 2 and array.shape[3] not in (1, 3)


def _part(split: str, images: Array, masks: Array | None, ids: Array | None) -> Part:
    names = tuple(texts(ids)) if ids is not None else ()
    if names and (len(set(names)) != len(names) or any(re.search(r"^$|^\.|[/\\\0]", name) for name in names)):
        raise InputError(f"{ids} must hold names of files, each once.")
    counts = {images.shape[0], *([masks.shape[0]] if masks is not None else []), *([len(names)] if names else [])}
    if len(counts) > 1:
        listed = " and ".join(map(str, sorted(counts)))
        raise InputError(f"{images} does not have as many rows as what belongs to it ({listed}).")
    if masks is not images:
        image_hw = _size(images, (3, 1), "(N, H, W) or (N, H, W, 3)")
        if masks is not None and _size(masks, (1,), "(N, H, W), with one-hot classes merged by argmax") != image_hw:
            raise InputError(f"{masks} has shape {masks.shape}, its images {images.shape}; they must be equally large.")
    return Part(split=split, images=images, masks=masks, ids=names)


def _size(array: Array, channels: tuple[int, ...], wanted: str) -> tuple[int, ...]:
    """H and W of an array without channels, or with that many after or before them."""
    shape = array.shape
    if 0 not in shape:
        if len(shape) == 3:
            return shape[1:]
        if len(shape) == 4 and shape[3] in channels:
            return shape[1:3]
        if len(shape) == 4 and shape[1] in channels:
            return shape[2:]
    raise InputError(f"{array} has shape {shape}; expected {wanted}.")
