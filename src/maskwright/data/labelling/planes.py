"""Label planes kept in memory, and rectangles of labels laid on them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import cv2
import numpy as np

from maskwright.types import Classes, InputError, Mask

# Left column, top row, and the labels of a rectangle, shape (h, w).
Tile = tuple[int, int, Mask]
Signature = tuple[int, int]  # of a mask file: time of writing in ns, bytes; (0, 0) where there is none
KEPT_BYTES = 256 << 20


class Planes:
    """The planes used last, up to a number of bytes but always one; thread-safe. A plane is never changed in place."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[str, tuple[Signature, Mask]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, id: str, signature: Signature) -> Mask | None:
        """The plane of an image, if its file is still the one it was read from or written to."""
        with self._lock:
            found = self._kept.get(id)
            if found is None or found[0] != signature:
                return None
            self._kept.move_to_end(id)
            return found[1]

    def put(self, id: str, signature: Signature, mask_HW: Mask) -> None:
        """Keep a plane, and forget those that were not asked for longest."""
        mask_HW.setflags(write=False)
        with self._lock:
            self._kept[id] = (signature, mask_HW)
            self._kept.move_to_end(id)
            while len(self._kept) > 1 and sum(plane.nbytes for _, plane in self._kept.values()) > self._most:
                self._kept.popitem(last=False)


def pasted(mask_HW: Mask, tiles: Sequence[Tile], classes: Classes) -> Mask:
    """A copy of the plane with the tiles laid on it, in their order.

    Raises InputError for a tile that is empty or reaches outside, and for an id that the class table lacks.
    """
    rows, columns = mask_HW.shape
    result = mask_HW.copy()
    for x, y, labels_HW in tiles:
        h, w = labels_HW.shape
        if not (0 <= x < x + w <= columns and 0 <= y < y + h <= rows):
            raise InputError(f"A tile of {w} x {h} at x {x}, y {y} is outside the image of {columns} x {rows} pixels.")
        if labels_HW.max() >= len(classes):
            alien = np.unique(labels_HW[(labels_HW >= len(classes)) & (labels_HW != classes.ignore)])
            if alien.size:
                raise InputError(
                    f"Class id {alien[0]} is not in the class table 0..{len(classes) - 1}; reload the page."
                )
        result[y : y + h, x : x + w] = labels_HW
    return result


def classes_present(mask_HW: Mask, classes: Classes) -> tuple[int, ...]:
    """The class ids in a mask, without ignore."""
    count = len(classes)
    histogram = cv2.calcHist([mask_HW], [0], None, [count], [0, count]).ravel()
    return tuple(int(id) for id in np.flatnonzero(histogram))
