"""Planes of class ids to PNG, quickly: no filter, which flat areas do not need, and a deflater made for speed.

PNG: ISO/IEC 15948. Runs of one id are what deflate finds by itself; filters made files no smaller and took longer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_NO_FILTER = 0
_LEVEL = 1  # of 0..3; higher ones take far longer and save little on masks
_MOST = 1 << 28  # pixels; beyond, Pillow has the word on what is too large


def encode_plane(plane_HW: Plane, palette_N3: NDArray[np.uint8] | None) -> bytes:
    """A single-channel PNG of 8 or 16 bits; with a palette (8 bits only) viewers show its colours, values stay ids."""
    return b"".join(encode_bands([plane_HW], (plane_HW.shape[0], plane_HW.shape[1]), plane_HW.dtype, palette_N3))


def encode_bands(
    bands: Iterable[Plane], size_hw: tuple[int, int], dtype: np.dtype[Any], palette_N3: NDArray[np.uint8] | None
) -> Iterator[bytes]:
    """`encode_plane` for a plane of `size_hw` that comes in bands of rows: the parts of its PNG, one by one.

    The same bytes for the same bands, always: fingerprints of data sets rest on them.
    """
    rows, columns = size_hw
    depth = 8 * dtype.itemsize
    assert depth in (8, 16)
    assert palette_N3 is None or depth == 8
    header = struct.pack(">IIBBBBB", columns, rows, depth, 0 if palette_N3 is None else 3, 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    if palette_N3 is not None:
        yield _chunk(b"PLTE", palette_N3[:256].tobytes())
    # A compressor object and not `isal_zlib.compress`, which starts from memory that it does not clear: what it finds
    # there, and so its output, depends on what other threads did before.
    compressor = isal_zlib.compressobj(_LEVEL)
    missing = rows
    for band_HW in bands:
        missing -= len(band_HW)
        packed = compressor.compress(_lines(band_HW, dtype))
        packed += b"" if missing else compressor.flush()
        if packed:
            yield _chunk(b"IDAT", packed)
    assert not missing, "bands make up the plane"
    yield _chunk(b"IEND", b"")


def _lines(plane_HW: Plane, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Rows as a PNG has them: the number of a filter, then the values, large end first."""
    plain = np.ascontiguousarray(plane_HW, dtype.newbyteorder(">")).view(np.uint8)
    lines = np.empty((len(plain), 1 + plain.shape[1]), np.uint8)
    lines[:, 0] = _NO_FILTER
    lines[:, 1:] = plain
    return lines


def decode_plain(data: bytes) -> Plane | None:
    """The plane of a PNG that `encode_plane` wrote, ten times as fast as Pillow; None for any other PNG."""
    if len(data) < 57 or data[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
        return None
    columns, rows, depth, colour, *method = struct.unpack(">IIBBBBB", data[16:29])
    if depth not in (8, 16) or colour not in ((0, 3) if depth == 8 else (0,)) or any(method):
        return None
    if not 0 < rows * columns <= _MOST:
        return None
    if (packed := _only_pixels(data)) is None:
        return None
    wide = 1 + columns * depth // 8
    unpacker = isal_zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, rows * wide + 1)
    except IsalError:  # type: ignore[misc]  # its stub is no exception
        return None
    if len(plain) != rows * wide or not unpacker.eof:
        return None
    lines = np.frombuffer(plain, np.uint8).reshape(rows, wide)
    if lines[:, 0].any():
        return None
    pixels = np.ascontiguousarray(lines[:, 1:])
    return pixels if depth == 8 else pixels.view(">u2").astype(np.uint16)


def _only_pixels(data: bytes) -> bytes | None:
    """What the IDAT chunks hold, where the file is whole and says nothing else of its pixels."""
    place, packed = 33, b""
    while place + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 8 + size
        if kind == b"IEND":
            return packed
        known = kind == b"IDAT" or (kind == b"PLTE" and not packed)
        if not known or data[end : end + 4] != struct.pack(">I", zlib.crc32(data[place + 4 : end])):
            return None
        if kind == b"IDAT":
            packed += data[place + 8 : end]
        place = end + 4
    return None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
