"""New samples out of two: a box, half of the classes, or single objects of another sample, mask included.

Ids after are a subset of the ids of both partners (plus ignore, where either has it). Nothing that comes in is
written to; images are (H, W, 3) uint8, masks (H, W) of class ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.augmenting.sampling import class_pixels
from maskwright.data.pairs import Pair
from maskwright.types import Image, Mask

Mix = Callable[[Pair, Pair, np.random.Generator, int], Pair]

MOST_OBJECTS = 4
LEAST_OBJECT_PX = 16
PASTE_ZOOM = (0.7, 1.4)
EDGE_PX = 3


def cutmix(base: Pair, other: Pair, rng: np.random.Generator, ignore: int) -> Pair:
    """A box of the other sample in the same place; its area is uniform (Yun et al. 2019, CutMix).

    Both samples have the same size; `ignore` is not needed here.
    """
    rows, columns = base[1].shape
    side = rng.random() ** 0.5
    centre_y, centre_x = rng.uniform(0, rows), rng.uniform(0, columns)
    top, bottom = (int(np.clip(round(centre_y + sign * side * rows / 2), 0, rows)) for sign in (-1, 1))
    left, right = (int(np.clip(round(centre_x + sign * side * columns / 2), 0, columns)) for sign in (-1, 1))
    image_HW3, mask_HW = base[0].copy(), base[1].copy()
    image_HW3[top:bottom, left:right] = other[0][top:bottom, left:right]
    mask_HW[top:bottom, left:right] = other[1][top:bottom, left:right]
    return image_HW3, mask_HW


def classmix(base: Pair, other: Pair, rng: np.random.Generator, ignore: int) -> Pair:
    """Half of the classes that the other sample shows, laid over in the same place (Olsson et al. 2021, ClassMix).

    An odd number is rounded up, so a single class covers what it covers there. Both samples have the same size.
    """
    present = np.flatnonzero(class_pixels(other[1], ignore))
    taken = np.zeros(ignore + 1, np.uint8)
    taken[rng.choice(present, (len(present) + 1) // 2, replace=False)] = 1
    taken_HW = taken[other[1]]
    image_HW3, mask_HW = base[0].copy(), base[1].copy()
    cv2.copyTo(other[0], taken_HW, image_HW3)
    cv2.copyTo(other[1], taken_HW, mask_HW)
    return image_HW3, mask_HW


# By recipe key: (base, other, rng, ignore) -> mixed, all of one size.
MIXES: dict[str, Mix] = {"cutmix": cutmix, "classmix": classmix}


def paste(
    base: Pair, source: Pair, class_id: int, rng: np.random.Generator, *, zoom: float = 1.0, flip: float = 0.5
) -> Pair:
    """One to four connected objects of a class, each flipped and scaled at random and put at a random place.

    The sizes of base and source may differ; objects are scaled by `zoom` times 0.7 to 1.4. Edges of the image are
    blended over about a pixel, the mask stays sharp. Without an object in the source the base comes back.
    Ghiasi et al. 2021, Simple Copy-Paste.
    """
    inside_HW = np.asarray(source[1] == class_id, np.uint8)
    window = _window(cv2.boundingRect(inside_HW))
    shown_HW3, inside_HW = source[0][window], inside_HW[window]
    count, labels_HW, boxes, _ = cv2.connectedComponentsWithStats(inside_HW)
    if count < 2:
        return base
    areas = boxes[1:, cv2.CC_STAT_AREA]
    # Specks are noise of the labels, unless there is nothing else.
    worthy = 1 + np.flatnonzero(areas >= min(LEAST_OBJECT_PX, areas.max()))
    wanted = int(rng.integers(1, min(MOST_OBJECTS, len(worthy)) + 1))
    image_HW3, mask_HW = base[0].copy(), base[1].copy()
    for label in rng.choice(worthy, wanted, replace=False):
        window = _window(boxes[label, :4].tolist())
        patch = shown_HW3[window], np.asarray(labels_HW[window] == label, np.uint8) * 255
        scale = zoom * float(np.exp(rng.uniform(*np.log(PASTE_ZOOM))))
        _place(image_HW3, mask_HW, class_id, _jittered(patch, scale, rng.random() < flip), rng)
    return image_HW3, mask_HW


def _window(box: Sequence[int]) -> tuple[slice, slice]:
    """A box (left, top, width, height) with a margin, so that a blended edge has something to blend with."""
    left, top, width, height = box
    return (
        slice(max(0, top - EDGE_PX), top + height + EDGE_PX),
        slice(max(0, left - EDGE_PX), left + width + EDGE_PX),
    )


def _jittered(patch: tuple[Image, NDArray[np.uint8]], scale: float, flipped: bool) -> tuple[Image, NDArray[np.uint8]]:
    image_HW3, inside_HW = patch
    rows, columns = inside_HW.shape
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(image_HW3, size, interpolation=how), np.uint8)
    inside = np.where(cv2.resize(inside_HW, size, interpolation=how) > 127, 255, 0).astype(np.uint8)
    return (image[:, ::-1], inside[:, ::-1]) if flipped else (image, inside)


def _place(
    image_HW3: Image,
    mask_HW: Mask,
    class_id: int,
    patch: tuple[Image, NDArray[np.uint8]],
    rng: np.random.Generator,
) -> None:
    """Write a patch with its centre anywhere in the image; what reaches beyond is cut off."""
    rows, columns = patch[1].shape
    top = int(rng.integers(mask_HW.shape[0])) - rows // 2
    left = int(rng.integers(mask_HW.shape[1])) - columns // 2
    y, x = slice(max(0, top), top + rows), slice(max(0, left), left + columns)
    target = image_HW3[y, x]
    cut = (slice(max(0, -top), max(0, -top) + target.shape[0]), slice(max(0, -left), max(0, -left) + target.shape[1]))
    alpha_HW = np.asarray(cv2.GaussianBlur(patch[1], (0, 0), 0.8), np.uint8)[cut]
    alpha_HW1 = (alpha_HW / np.float32(255))[..., None]
    target[:] = np.rint(target + (patch[0][cut] - target.astype(np.float32)) * alpha_HW1).astype(np.uint8)
    mask_HW[y, x][patch[1][cut] > 0] = class_id
