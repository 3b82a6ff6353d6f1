"""Labels and candidate masks as bytes on the way to and from the page."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

from maskwright.types import InputError, Mask

HEADER = struct.Struct("<IIII")  # x, y, w, h of a tile
MOST_TILES = 1 << 16
HALF = 128  # of 255
SEEN = 2  # of 255: softer pixels are below every threshold of the page, 0.01 to 0.99


class SizeError(InputError):
    """More data than its image can account for."""


def deflated(*planes: NDArray[Any]) -> bytes:
    """Planes one after the other, row by row, 16 bits as little endian, in zlib's format."""
    packer = isal_zlib.compressobj(1)
    parts = [packer.compress(np.ascontiguousarray(plane, plane.dtype.newbyteorder("<"))) for plane in planes]
    return b"".join([*parts, packer.flush()])


def inflated(data: bytes, most: int) -> bytes:
    """The bytes that were deflated; raises SizeError beyond `most` of them, InputError for damaged ones."""
    unpacker = isal_zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, most + 1)
    except IsalError as error:  # type: ignore[misc]  # its stub is no exception
        raise InputError("The data of the request are damaged; send them again.") from error
    if len(plain) > most:
        raise SizeError(f"The data of the request unpack to more than {most:,} bytes; send less at a time.")
    if not unpacker.eof:
        raise InputError("The data of the request are cut off; send them again.")
    return bytes(plain)


def parse_tiles(body: bytes, size_hw: tuple[int, int], dtype: np.dtype[Any]) -> list[tuple[int, int, Mask]]:
    """Tiles of labels: four little-endian numbers x, y, w, h, then w * h labels, and so on; all of it deflated.

    Raises InputError for what is cut off, SizeError for more than three times the image.
    """
    most = 3 * size_hw[0] * size_hw[1] * dtype.itemsize + MOST_TILES
    data = inflated(body, most) if body else b""
    little, place, tiles = dtype.newbyteorder("<"), 0, []
    while place < len(data):
        head = data[place : place + HEADER.size]
        x, y, w, h = HEADER.unpack(head) if len(head) == HEADER.size else (0, 0, 0, 0)
        place += HEADER.size + w * h * dtype.itemsize
        if not w or not h or place > len(data):
            raise InputError("A tile of the request is empty or cut off; send the tiles again.")
        labels = np.frombuffer(data, little, w * h, place - w * h * dtype.itemsize)
        tiles.append((x, y, labels.reshape(h, w).astype(dtype, copy=False)))
        if len(tiles) > MOST_TILES:
            raise SizeError(f"The request has more than {MOST_TILES:,} tiles; send fewer at a time.")
    return tiles


def unpack_bits(x: int, y: int, w: int, h: int, bits: str, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask (H, W) from the packed bits of its rectangle; raises InputError where they do not fit."""
    rows, columns = size_hw
    if not (w > 0 and h > 0 and 0 <= x <= columns - w and 0 <= y <= rows - h):
        raise InputError(f"The mask so far, {w} x {h} at x {x}, y {y}, is outside the image of {columns} x {rows}.")
    count = (w * h + 7) // 8
    try:
        packed = inflated(base64.b64decode(bits, validate=True), count)
    except binascii.Error as error:
        raise InputError("The mask so far is not in base64; send it again.") from error
    if len(packed) != count:
        raise InputError(f"The mask so far has {len(packed)} bytes for {w} x {h} pixels; send {count}.")
    mask_HW = np.zeros(size_hw, np.bool_)
    mask_HW[y : y + h, x : x + w] = np.unpackbits(np.frombuffer(packed, np.uint8), count=w * h).reshape(h, w)
    return mask_HW


def pack_candidates(
    soft_NHW: NDArray[np.uint8], scores_N: Iterable[float], stability_N: Iterable[float]
) -> list[dict[str, Any]]:
    """Each candidate's rectangle of pixels that a threshold may show, its score, stability and area at 0.5."""
    packed = []
    for soft_HW, score, stability in zip(soft_NHW, scores_N, stability_N, strict=True):
        x, y, w, h = _extent(soft_HW >= SEEN)
        soft = np.ascontiguousarray(soft_HW[y : y + h, x : x + w])
        packed.append(
            {
                "score": float(score),
                "stability": float(stability),
                "area": int(np.count_nonzero(soft >= HALF)),
                "x": x,
                "y": y,
                "w": w,
                "h": h,
                "soft": base64.b64encode(deflated(soft)).decode(),
            }
        )
    return packed


def _extent(mask_HW: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is set; all 0 where nothing is."""
    rows = np.flatnonzero(mask_HW.any(axis=1))
    if not rows.size:
        return 0, 0, 0, 0
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask_HW[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return left, top, right - left, bottom - top
