"""Things that were found or missed, by size: a pixel score hides a lost traffic sign, a count does not.

An object is a connected region of one class (8 neighbours), in the label or in the prediction. It is found (or true)
where at least half of its pixels have its class on the other side. Sizes are those of COCO (Lin et al., Microsoft
COCO, ECCV 2014), by the object's own pixels. Ignored pixels belong to no object.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.planes import Flags, Plane, known_planes
from maskwright.types import Mask

Counts = NDArray[np.int64]

SIZES = ("small", "medium", "large")
SIZE_LIMITS_PX = (32 * 32, 96 * 96)
LEAST_PX = 16
OBJECTS_LABELLED, OBJECTS_FOUND, OBJECTS_PREDICTED, OBJECTS_TRUE = range(4)
PIXELS_LABELLED, PIXELS_HIT = range(2)


def count_objects(truth_HW: Mask, guess_HW: Mask, classes: int, *, least_px: int = LEAST_PX) -> tuple[Counts, Counts]:
    """Objects and pixels of one image by size of object: (4, S, K) and (2, S, K).

    Of objects: labelled, found among them, predicted, true among them; regions of fewer than `least_px` pixels are
    specks and count nowhere. Of labelled pixels: all, and those hit; specks are in "small", so that the sizes sum to
    the tally. Ids outside 0..K-1 are ignored. Raises ValueError where the masks differ in size.
    """
    truth, guess = known_planes(truth_HW, guess_HW, classes)
    objects, pixels = (np.zeros((rows, len(SIZES), classes), np.int64) for rows in (4, 2))
    for row, own in ((OBJECTS_LABELLED, truth), (OBJECTS_PREDICTED, guess)):
        value, area, hit = _regions(own, truth == guess)
        size, k = np.digitize(area, SIZE_LIMITS_PX), value - 1
        counted = area >= least_px
        right = counted & (2 * hit >= area)
        np.add.at(objects[row], (size[counted], k[counted]), 1)
        np.add.at(objects[row + 1], (size[right], k[right]), 1)
        if row == OBJECTS_LABELLED:
            np.add.at(pixels[PIXELS_LABELLED], (size, k), area)
            np.add.at(pixels[PIXELS_HIT], (size, k), hit)
    return objects, pixels


def _regions(plane_HW: Plane, agree_HW: Flags) -> tuple[Counts, Counts, Counts]:
    """Of every connected region: its value in the plane, its pixels, and those on which the two masks agree.

    All classes at once: regions are made of runs of pixels in a row, and runs that touch in neighbouring rows join.
    """
    # An unknown column on the left keeps the rows apart.
    plane, agree = (np.pad(part, ((0, 0), (1, 0))).ravel() for part in (plane_HW, agree_HW))
    start = np.flatnonzero(plane[1:] != plane[:-1]) + 1
    end, value = np.append(start[1:], plane.size), plane[start].astype(np.int64)
    start, end, value = (part[value > 0] for part in (start, end, value))
    region, count = _joined(len(start), *_touching(start, end, value, plane_HW.shape[1] + 1))
    agreed = np.cumsum(agree, dtype=np.int32)
    kind, area, hit = np.zeros((3, count), np.int64)
    kind[region] = value
    np.add.at(area, region, end - start)
    np.add.at(hit, region, agreed[end - 1] - agreed[start - 1])
    return kind, area, hit


def _touching(start: Counts, end: Counts, value: Counts, stride: int) -> tuple[Counts, Counts]:
    """Pairs of runs of the same class, one in the row below the other, that touch along a side or at a corner."""
    # Below a run lie those that end behind its first column and start no later than one behind its last one.
    first = np.searchsorted(end, start + stride, "left")
    last = np.searchsorted(start, end + stride, "right")
    many = last - first
    upper = np.repeat(np.arange(len(start)), many)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first, many)
    same = value[upper] == value[lower]
    return upper[same], lower[same]


def _joined(count: int, one: Counts, other: Counts) -> tuple[Counts, int]:
    """The component of each of `count` things, numbered from 0, given pairs that belong together; and how many."""
    parent = np.arange(count)
    while len(one):
        # Of two roots the larger hangs itself under the smaller; then every path is made short.
        low, high = np.minimum(parent[one], parent[other]), np.maximum(parent[one], parent[other])
        np.minimum.at(parent, high, low)
        while not np.array_equal(short := parent[parent], parent):
            parent = short
        apart = parent[one] != parent[other]
        one, other = one[apart], other[apart]
    number = np.cumsum(parent == np.arange(count))
    return number[parent] - 1, int(number[-1]) if count else 0
