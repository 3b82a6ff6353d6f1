"""Colours to ids in one pass over the pixels, and the colours that no table has from the same pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled
from maskwright.types import Image

NOWHERE = np.uint16(65534)  # no id: class tables end below it, ignore is above it
_MULTIPLIER = 0x9E3779B1  # Knuth's: spreads neighbouring colours over the table


class ColourTable:
    """Ids by packed colour (0xRRGGBB), as a small hash table that a kernel can read."""

    def __init__(self, ids: Mapping[int, int]) -> None:
        size = 64
        while size < 4 * len(ids):
            size *= 2
        self.codes = np.full(size, -1, np.int64)
        self.ids = np.full(size, NOWHERE, np.uint16)
        for code, one in ids.items():
            place = _first(code, size)
            while self.codes[place] >= 0:
                place = (place + 1) % size
            self.codes[place], self.ids[place] = code, one

    def ids_of(self, pixels_HW3: Image) -> tuple[NDArray[np.uint16], int]:
        """Ids (H, W), NOWHERE for colours outside the table, and how many pixels those are."""
        found = np.empty(pixels_HW3.shape[:2], np.uint16)
        return found, int(_look_up(np.ascontiguousarray(pixels_HW3), self.codes, self.ids, found))


@compiled
def _first(code: int, size: int) -> Any:
    return ((code * _MULTIPLIER) & 0xFFFFFFFF) >> 16 & (size - 1)


@compiled
def _look_up(pixels_HW3: Any, codes: Any, ids: Any, found: Any) -> int:
    rows, columns = found.shape
    size = len(codes)
    last_code, last_id, strangers = -1, NOWHERE, 0
    for y in range(rows):
        for x in range(columns):
            code = np.int64(pixels_HW3[y, x, 0]) << 16 | np.int64(pixels_HW3[y, x, 1]) << 8 | pixels_HW3[y, x, 2]
            # Masks are flat areas: most pixels have the colour of the one before.
            if code != last_code:
                place = _first(code, size)
                while codes[place] >= 0 and codes[place] != code:
                    place = (place + 1) & (size - 1)
                last_code, last_id = code, ids[place]
            found[y, x] = last_id
            strangers += last_id == NOWHERE
    return strangers
