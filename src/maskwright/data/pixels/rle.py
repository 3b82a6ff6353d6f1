"""Run-length codes of masks: COCO's counts and their text, and CVAT's runs in a box (Label Studio's: `brush`).

Readers raise ValueError with a short reason; callers add the file and the annotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

Counts = NDArray[np.int64]

_TRUNCATED, _ILLEGAL, _LONG, _NEGATIVE = range(1, 5)
_PROBLEMS = {
    _TRUNCATED: "the run-length code ends in the middle of a number",
    _ILLEGAL: "the run-length code has a character that cannot be in it",
    _LONG: "the run-length code has a number beyond 32 bits",
    _NEGATIVE: "a run length is negative",
}


def counts_from_text(text: str | bytes) -> Counts:
    """COCO's compressed `counts` to run lengths.

    Five bits a character, lowest first, as signed differences to the run two before (`rleFrString` of pycocotools).
    Raises ValueError where the text is cut off, has characters outside the alphabet or gives a negative run.
    """
    data = text.encode() if isinstance(text, str) else text
    counts, problem = _read_counts(np.frombuffer(data, np.uint8))
    if problem:
        raise ValueError(_PROBLEMS[problem])
    return cast(Counts, counts)


def text_from_counts(counts: Sequence[int] | Counts) -> str:
    """Run lengths to COCO's compressed `counts`, character by character as pycocotools writes them."""
    return bytes(_write_counts(_as_counts(counts))).decode("ascii")


def mask_from_counts(counts: Sequence[int] | Counts, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Run lengths column by column, the first one outside, to a mask (H, W).

    Raises ValueError, before it takes memory, where runs are negative or do not add up to the pixels of the image.
    """
    counts, (rows, columns) = _as_counts(counts), size_hw
    _check_sum(counts, rows * columns, "image")
    flat = np.repeat((np.arange(len(counts)) & 1).astype(np.uint8), counts)
    return np.asarray(cv2.transpose(flat.reshape(columns, rows)), np.uint8).view(np.bool_)


def counts_from_mask(mask_HW: NDArray[Any]) -> Counts:
    """A mask (H, W; everything but 0 is inside) to run lengths column by column, the first one outside."""
    return _runs(np.asarray(cv2.transpose(_as_bytes(mask_HW)), np.uint8).reshape(-1))


def area(counts: Sequence[int] | Counts) -> int:
    """Pixels inside."""
    return int(_as_counts(counts)[1::2].sum())


@dataclass(frozen=True, kw_only=True)
class BoxedRuns:
    """A mask as CVAT's XML stores it: run lengths row by row inside a box, the first one outside."""

    counts: Counts
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def from_text(cls, text: str, *, left: int, top: int, width: int, height: int) -> BoxedRuns:
        """The attribute `rle="12, 5, 61"`; raises ValueError where it is not a list of whole numbers."""
        try:
            counts = [int(number) for number in text.split(",")] if text.strip() else []
        except ValueError as error:
            raise ValueError("the run lengths are not whole numbers with commas between") from error
        return cls(counts=_as_counts(counts), left=left, top=top, width=width, height=height)

    @property
    def text(self) -> str:
        """What the attribute `rle` holds."""
        return ", ".join(map(str, self.counts.tolist()))


def mask_from_boxed(boxed: BoxedRuns, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """CVAT's runs to a mask (H, W).

    Raises ValueError where the box leaves the image or the runs do not add up to its pixels.
    """
    rows, columns = size_hw
    bottom, right = boxed.top + boxed.height, boxed.left + boxed.width
    if min(boxed.left, boxed.top) < 0 or min(boxed.width, boxed.height) < 1 or bottom > rows or right > columns:
        raise ValueError(f"the box of the mask does not lie in the image of {columns} x {rows} pixels")
    _check_sum(boxed.counts, boxed.width * boxed.height, "box")
    mask_HW = np.zeros(size_hw, np.bool_)
    inside = (np.arange(len(boxed.counts)) & 1).astype(np.bool_)
    window = np.repeat(inside, boxed.counts).reshape(boxed.height, boxed.width)
    mask_HW[boxed.top : bottom, boxed.left : right] = window
    return mask_HW


def boxed_from_mask(mask_HW: NDArray[Any]) -> BoxedRuns:
    """A mask to CVAT's runs in its bounding box; raises ValueError where the mask is empty, for it has no box."""
    mask_HW = _as_bytes(mask_HW)
    left, top, width, height = cv2.boundingRect(mask_HW)
    if not width:
        raise ValueError("an empty mask has no box")
    window = np.ascontiguousarray(mask_HW[top : top + height, left : left + width])
    return BoxedRuns(counts=_runs(window.reshape(-1)), left=left, top=top, width=width, height=height)


def _as_counts(counts: Sequence[int] | Counts) -> Counts:
    try:
        array = np.asarray(counts)
    except ValueError as error:
        raise ValueError("the run lengths are not a list of numbers") from error
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError("the run lengths are not a list of whole numbers")
    return array.astype(np.int64, copy=False)


def _check_sum(counts: Counts, pixels: int, what: str) -> None:
    if len(counts) and counts.min() < 0:
        raise ValueError(_PROBLEMS[_NEGATIVE])
    # Python's integers: a sum of hostile counts may leave 64 bits.
    total = sum(counts.tolist())
    if total != pixels or pixels < 1:
        raise ValueError(f"the run lengths add up to {total} pixels, the {what} has {pixels}")


def _as_bytes(mask_HW: NDArray[Any]) -> NDArray[np.uint8]:
    mask_HW = mask_HW if mask_HW.dtype == np.bool_ else mask_HW != 0
    return np.ascontiguousarray(mask_HW).view(np.uint8)


def _runs(flat: NDArray[np.uint8]) -> Counts:
    """Lengths of the runs of 0, 1, 0, ...; the first may be 0."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = [0, 0] if len(flat) and flat[0] else [0]
    return np.diff(np.concatenate([edges, changes, [len(flat)]]))


@compiled
def _read_counts(text: Any) -> Any:
    counts = np.empty(len(text), np.int64)
    m, p = 0, 0
    while p < len(text):
        number, shift, more = 0, 0, True
        while more:
            if p == len(text):
                return counts[:m], _TRUNCATED
            six = int(text[p]) - 48
            if six < 0 or six > 63:
                return counts[:m], _ILLEGAL
            if shift > 30:
                return counts[:m], _LONG
            number |= (six & 31) << shift
            shift += 5
            more = six & 32 != 0
            if not more and six & 16:
                number -= 1 << shift
            p += 1
        counts[m] = number + (counts[m - 2] if m > 2 else 0)
        if counts[m] < 0:
            return counts[:m], _NEGATIVE
        if counts[m] >= 1 << 32:
            return counts[:m], _LONG
        m += 1
    return counts[:m].copy(), 0


@compiled
def _write_counts(counts: Any) -> Any:
    text = np.empty(13 * len(counts), np.uint8)
    p = 0
    for i in range(len(counts)):
        number = counts[i] - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            six = number & 31
            number >>= 5
            more = number != (-1 if six & 16 else 0)
            text[p] = 48 + six + (32 if more else 0)
            p += 1
    return text[:p]
