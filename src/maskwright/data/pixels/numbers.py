"""Polygons as JSON text to flat arrays of numbers, without a Python object a number.

Only what is common and exact is read here: lists of lists of plain decimals of at most 15 digits, which one division
turns into the very float that any other reader gives (Clinger, "How to read floating point numbers accurately", 1990).
Everything else is left to a full JSON reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled

_POWERS = 10.0 ** np.arange(16)
_OPEN, _CLOSE, _COMMA, _MINUS, _DOT, _ZERO, _NINE = (ord(sign) for sign in "[],-.09")
_MOST_DIGITS = 15
_FEWEST_NUMBERS = 6
_OTHER = -1


def read_polygons(texts: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Numbers of all parts of all instances, where each part begins in them, and where each instance among the parts.

    A text is one instance, `[[x, y, x, y, x, y], ...]`, each part of three points or more; both lists of beginnings
    close with the end. Returns None where any text is something else.
    """
    joined = np.frombuffer(b"".join(texts) or b" ", np.uint8)
    ends = np.array([len(text) for text in texts], np.int64).cumsum()
    numbers = np.empty(len(joined) // 2 + 1)
    part_starts = np.zeros(len(joined) // _FEWEST_NUMBERS + 2, np.int64)
    instance_starts = np.zeros(len(texts) + 1, np.int64)
    parts = _parse(joined, ends, (numbers, part_starts, instance_starts), _POWERS)
    return None if parts == _OTHER else (numbers[: part_starts[parts]], part_starts[: parts + 1], instance_starts)


@compiled
def _parse(text: Any, ends: Any, found: Any, powers: Any) -> int:
    """Fill the arrays; returns the number of parts, or _OTHER."""
    numbers, part_starts, instance_starts = found
    place, parts, count = 0, 0, 0
    for instance in range(len(ends)):
        end = ends[instance]
        depth, ready = 0, True  # ready: a value or a list may follow, and not a comma
        while place < end:
            sign = text[place]
            if sign == _OPEN and ready and depth < 2:
                depth += 1
                place += 1
            elif sign == _CLOSE and not ready and depth:
                if depth == 2:
                    if count - part_starts[parts] < _FEWEST_NUMBERS:
                        return _OTHER
                    parts += 1
                    part_starts[parts] = count
                depth -= 1
                place += 1
                if depth == 0 and place < end:
                    return _OTHER
            elif sign == _COMMA and not ready and depth:
                ready = True
                place += 1
            elif sign <= 32:
                place += 1
            elif depth == 2 and ready:
                number, place = _number(text, place, end, powers)
                if place < 0:
                    return _OTHER
                numbers[count] = number
                count += 1
                ready = False
            else:
                return _OTHER
        if depth or ready:
            return _OTHER
        instance_starts[instance + 1] = parts
    return parts


@compiled
def _number(text: Any, place: int, end: int, powers: Any) -> Any:
    """A plain decimal and the place behind it; the place is negative where it is none."""
    negative = text[place] == _MINUS
    place += negative
    begin = place
    digits, point = 0, -1
    value = 0
    while place < end:
        sign = text[place]
        if _ZERO <= sign <= _NINE:
            value = 10 * value + (sign - _ZERO)
            digits += 1
        elif sign == _DOT and point < 0 and digits:
            point = digits
        else:
            break
        place += 1
    after = digits - point if point >= 0 else 0
    first_zero = digits - after > 1 and text[begin] == _ZERO  # JSON has no 007
    closed = place < end and (text[place] == _COMMA or text[place] == _CLOSE or text[place] <= 32)
    if not (0 < digits <= _MOST_DIGITS and closed) or first_zero or (point >= 0 and not after):
        return 0.0, -1
    size = value / powers[after]
    return (-size if negative else size), place
