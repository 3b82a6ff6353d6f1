"""Polygons and run lengths to pixels, exactly as COCO defines them, and many instances into one plane of class ids."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maskwright.data.pixels.numbers import read_polygons
from maskwright.data.pixels.scanline import EMPTY, NO_NUMBERS, PROBLEMS, Layout, paint
from maskwright.types import Mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One annotated object: the id that it paints, and where.

    `polygons` are parts [x0, y0, x1, y1, ...] in pixels (x to the right, y down, the image from 0 to its size); the
    object is their union. `counts` are COCO's run lengths instead: column by column, the first run outside.
    """

    value: int
    polygons: Sequence[Sequence[float]] = ()
    counts: Sequence[int] | NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class Painting:
    """One plane of ids, what was contested on the way, and the instances that left no trace."""

    mask_HW: Mask
    contested: dict[tuple[int, int], int]  # (losing id, winning id) -> pixels
    problems: dict[int, str]  # index of the instance -> why it painted nothing


def fill(polygons: Sequence[NDArray[Any]], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of one object: the union of its parts, each (P, 2) of x, y in pixels; returns (H, W).

    Equal to `frPyObjects`, `merge` and `decode` of pycocotools. Inside one part, an even number of windings is outside;
    parts of fewer than three points cover nothing. Raises ValueError where coordinates are not finite or too far away.
    """
    parts = [np.asarray(polygon, np.float64).reshape(-1) for polygon in polygons]
    layout = Layout(
        numbers=np.concatenate([*parts, np.empty(0)]),
        part_starts=np.cumsum([0, *(len(part) for part in parts)]),
        instance_starts=np.array([0, len(parts)]),
        runs_N=np.zeros(1, np.bool_),
        codes_N=np.zeros(1, np.int64),
        values_V=np.ones(1, np.uint8),
    )
    mask_HW = np.zeros(_checked(size_hw), np.uint8)
    _, problems_N = paint(mask_HW, layout, 0)
    if problems_N[0] > EMPTY:
        raise ValueError(PROBLEMS[int(problems_N[0])])
    return mask_HW.view(np.bool_)


def paint_instances(
    instances: Sequence[Instance], size_hw: tuple[int, int], dtype: DTypeLike = np.uint8, background: int = 0
) -> Painting:
    """Paint the instances of one image in the order given: where they overlap, the later one wins.

    A pixel is contested when an instance of another id has claimed it before: each such repainting adds one to
    `contested[old id, new id]`, so that a pixel can count several times, and parts of one object never count against
    each other. Painting the background's id is a claim like any other; a pixel that nobody painted is none. Regions to
    ignore are instances whose value is the ignore id: give them first, so that every object wins over them, and find
    what they lost under (ignore, id).

    An instance that cannot be painted is left out as a whole, with its reason in `problems`, and so is one
    that covers no pixel. Raises ValueError where a value does not fit `dtype` (uint8 or uint16) or the size is not
    positive.
    """
    layout, malformed = _layout(instances, np.dtype(dtype))
    painting = _painted(layout, size_hw, background)
    for index in malformed:
        painting.problems[index] = PROBLEMS[NO_NUMBERS]
    return painting


def paint_texts(
    texts: Sequence[bytes],
    values: Sequence[int],
    size_hw: tuple[int, int],
    dtype: DTypeLike = np.uint8,
    background: int = 0,
) -> Painting | None:
    """`paint_instances` for polygons that are JSON text, in half the time; None where a text is anything else."""
    read = read_polygons(texts)
    if read is None:
        return None
    code_of: dict[int, int] = {}
    codes = [code_of.setdefault(value, len(code_of)) for value in values]
    layout = Layout(
        *read,
        runs_N=np.zeros(max(len(codes), 1), np.bool_),
        codes_N=np.array(codes or [0], np.int64),
        values_V=np.array(list(code_of), dtype),
    )
    return _painted(layout, size_hw, background)


def _painted(layout: Layout, size_hw: tuple[int, int], background: int) -> Painting:
    values = set(layout.values_V.tolist())
    top = int(np.iinfo(layout.values_V.dtype).max)
    if not 0 <= background <= top:
        raise ValueError(f"background {background} does not fit {layout.values_V.dtype}")
    # Somewhere to start from that no instance paints, so that "claimed" needs no plane of its own.
    blank = next((value for value in chain((background,), range(top, -1, -1)) if value not in values), None)
    if blank is None:
        raise ValueError(f"an image of {len(values)} different ids does not fit {layout.values_V.dtype}")
    mask_HW = np.full(_checked(size_hw), blank, layout.values_V.dtype)
    contested_VV, problems_N = paint(mask_HW, layout, blank)
    if blank != background:
        mask_HW[mask_HW == blank] = background
    problems = {int(i): PROBLEMS[int(problems_N[i])] for i in np.flatnonzero(problems_N)} if problems_N.any() else {}
    old, new = contested_VV.nonzero()
    ids_V = layout.values_V.tolist()
    pairs = zip(old.tolist(), new.tolist(), contested_VV[old, new].tolist(), strict=True)
    contested = {(ids_V[one], ids_V[other]): pixels for one, other, pixels in pairs}
    return Painting(mask_HW=mask_HW, contested=contested, problems=problems)


def _checked(size_hw: tuple[int, int]) -> tuple[int, int]:
    rows, columns = int(size_hw[0]), int(size_hw[1])
    if rows < 1 or columns < 1 or rows * columns >= 2**31:  # COCO's definition ends there
        raise ValueError(f"{rows} rows of {columns} pixels are no image")
    return rows, columns


def _layout(instances: Sequence[Instance], dtype: np.dtype[Any]) -> tuple[Layout, list[int]]:
    """Flat arrays for the kernel, and the indices of the instances that are not made of numbers."""
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a plane of ids is uint8 or uint16, not {dtype}")
    numbers, part_starts, instance_starts = array("d"), array("q", [0]), array("q", [0])
    codes, runs, malformed = array("q"), bytearray(), list[int]()
    code_of: dict[int, int] = {}
    for index, instance in enumerate(instances):
        parts = len(part_starts)
        try:
            for part in instance.polygons if instance.counts is None else (instance.counts,):
                if isinstance(part, np.ndarray):
                    numbers.frombytes(part.astype(np.float64).tobytes())
                else:
                    numbers.extend(part)
                part_starts.append(len(numbers))
        except (TypeError, ValueError, OverflowError):
            malformed.append(index)
            del part_starts[parts:]
            del numbers[part_starts[-1] :]
        instance_starts.append(len(part_starts) - 1)
        runs.append(instance.counts is not None)
        codes.append(code_of.setdefault(instance.value, len(code_of)))
    top = np.iinfo(dtype).max
    if wrong := [value for value in code_of if not 0 <= value <= top]:
        raise ValueError(f"id {wrong[0]} does not fit {dtype}")
    layout = Layout(
        numbers=np.frombuffer(numbers or array("d", [0.0])),
        part_starts=np.frombuffer(part_starts, np.int64),
        instance_starts=np.frombuffer(instance_starts, np.int64),
        runs_N=np.frombuffer(runs or bytearray(1), np.bool_),
        codes_N=np.frombuffer(codes or array("q", [0]), np.int64),
        values_V=np.array(list(code_of), dtype),
    )
    return layout, malformed
