"""Label Studio's brush: a mask as a bit-packed run-length code of an RGBA picture.

The layout is that of @thi.ng/rle-pack: 32 bits number of values, 5 bits word size - 1, four times 4 bits width of a run
length - 1; then runs: 1 bit repeated or not, 2 bits which width, length - 1, and one word or `length` words.
Readers raise ValueError with a short reason; callers add the file and the annotation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

_RUN_BITS = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * 4
_TRUNCATED, _WORD, _BEYOND = range(1, 4)
_PROBLEMS = {
    _TRUNCATED: "the brush ends before its last value",
    _WORD: "the brush stores more than 8 bits a value",
    _BEYOND: "the brush has more values than it announces",
}


def mask_from_labelstudio(data: Iterable[int], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Label Studio's brush `rle` to a mask (H, W): the pixels that are not fully transparent.

    Raises ValueError where the code is damaged or is not one of four channels of this size.
    """
    rows, columns = size_hw
    values = decode_labelstudio(data, expected=4 * rows * columns)
    return np.asarray(values[3::4].reshape(rows, columns) > 0)


def labelstudio_from_mask(mask_HW: NDArray[Any]) -> list[int]:
    """A mask (H, W) to Label Studio's brush `rle`: 255 in all four channels where the mask is not 0."""
    return _encode(np.where(mask_HW.reshape(-1) != 0, np.uint8(255), np.uint8(0)), channels=4)


def decode_labelstudio(data: Iterable[int], *, expected: int | None = None) -> NDArray[np.uint8]:
    """The bytes of Label Studio's brush `rle` to its values, one after the other (rows, columns, RGBA).

    Raises ValueError where the code is damaged or has not `expected` values, before it takes memory for them; a few
    kilobytes can announce gigabytes, so give `expected` for files that others made.
    """
    try:
        stream = np.frombuffer(bytes(iter(data)), np.uint8)
    except (TypeError, ValueError) as error:
        raise ValueError("the brush is not a list of numbers from 0 to 255") from error
    number, problem = _read_brush(stream, np.empty(0, np.uint8))
    if problem:
        raise ValueError(_PROBLEMS[problem])
    if expected is not None and number != expected:
        raise ValueError(f"the brush has {number} values, not {expected}")
    values = np.empty(number, np.uint8)
    _read_brush(stream, values)
    return values


def encode_labelstudio(values: NDArray[np.uint8]) -> list[int]:
    """Values (flat RGBA) to the bytes of Label Studio's brush `rle`; `decode_labelstudio` reads them back."""
    return _encode(values, channels=1)


def _encode(values: NDArray[np.uint8], *, channels: int) -> list[int]:
    """Every value stands `channels` times."""
    if channels * len(values) >= 2**32:
        raise ValueError("a brush cannot hold 2**32 values or more")
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])[: len(values)]
    lengths = channels * np.diff(starts, append=len(values))
    return cast(list[int], _write_brush(values[starts], lengths, channels * len(values)).tolist())


@compiled
def _bits(stream: Any, start: int, count: int) -> int:
    value = 0
    for bit in range(start, start + count):
        value = value << 1 | (int(stream[bit >> 3]) >> (7 - (bit & 7)) & 1)
    return value


@compiled
def _read_brush(stream: Any, values: Any) -> Any:
    """Fill `values`, or only check the code where they are empty; returns how many values there are, and a problem."""
    end = 8 * len(stream)
    if end < _HEADER_BITS:
        return 0, _TRUNCATED
    number, word = _bits(stream, 0, 32), _bits(stream, 32, 5) + 1
    if word > 8:
        return number, _WORD
    at, i = _HEADER_BITS, 0
    while i < number:
        if at + 3 > end:
            return number, _TRUNCATED
        repeated, width = _bits(stream, at, 1), _bits(stream, 37 + 4 * _bits(stream, at + 1, 2), 4) + 1
        if at + 3 + width > end:
            return number, _TRUNCATED
        length = _bits(stream, at + 3, width) + 1
        at += 3 + width
        if i + length > number:
            return number, _BEYOND
        if at + (word if repeated else word * length) > end:
            return number, _TRUNCATED
        if len(values):
            if repeated:
                values[i : i + length] = _bits(stream, at, word)
            else:
                for k in range(length):
                    values[i + k] = _bits(stream, at + word * k, word)
        at += word if repeated else word * length
        i += length
    return number, 0


@compiled
def _put(stream: Any, at: int, value: int, count: int) -> int:
    for bit in range(count):
        stream[(at + bit) >> 3] |= (value >> (count - 1 - bit) & 1) << (7 - ((at + bit) & 7))
    return at + count


@compiled
def _write_brush(values: Any, lengths: Any, number: int) -> Any:
    longest = 1 << _RUN_BITS[3]
    pieces = 0
    for length in lengths:
        pieces += (length + longest - 1) // longest
    stream = np.zeros((_HEADER_BITS + pieces * (3 + _RUN_BITS[3] + 8) + 7) // 8, np.uint8)
    at = _put(stream, _put(stream, 0, number, 32), 7, 5)
    for width in _RUN_BITS:
        at = _put(stream, at, width - 1, 4)
    for i in range(len(values)):
        rest = lengths[i]
        while rest > 0:
            length = min(rest, longest)
            rest -= length
            which = 0
            while length > 1 << _RUN_BITS[which]:
                which += 1
            at = _put(stream, at, 1 if length > 1 else 0, 1)
            at = _put(stream, at, which, 2)
            at = _put(stream, at, length - 1, _RUN_BITS[which])
            at = _put(stream, at, values[i], 8)
    return stream[: (at + 7) // 8]
