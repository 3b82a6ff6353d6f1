"""Planes of class ids to PNG, quickly: no filter, which flat areas do not need, and a deflater made for speed.

PNG: ISO/IEC 15948. Runs of one id are what deflate finds by itself; filters made files no smaller and took longer.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_NO_FILTER = 0
_LEVEL = 1  # of 0..3; higher ones take far longer and save little on masks


def encode_plane(plane_HW: NDArray[np.uint8] | NDArray[np.uint16], palette_N3: NDArray[np.uint8] | None) -> bytes:
    """A single-channel PNG of 8 or 16 bits; with a palette (8 bits only) viewers show its colours, values stay ids."""
    rows, columns = plane_HW.shape
    depth = 8 * plane_HW.dtype.itemsize
    assert depth in (8, 16)
    assert palette_N3 is None or depth == 8
    plain = np.ascontiguousarray(plane_HW, ">u2" if depth == 16 else np.uint8).view(np.uint8)
    lines = np.empty((rows, 1 + plain.shape[1]), np.uint8)
    lines[:, 0] = _NO_FILTER
    lines[:, 1:] = plain
    header = struct.pack(">IIBBBBB", columns, rows, depth, 0 if palette_N3 is None else 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", _deflated(lines)), (b"IEND", b"")]
    if palette_N3 is not None:
        chunks.insert(1, (b"PLTE", palette_N3[:256].tobytes()))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _deflated(lines: NDArray[np.uint8]) -> bytes:
    """The same bytes for the same pixels, always: fingerprints of data sets rest on them.

    A compressor object and not `isal_zlib.compress`, which starts from memory that it does not clear: what it finds
    there, and so its output, depends on what other threads did before.
    """
    compressor = isal_zlib.compressobj(_LEVEL)
    return bytes(compressor.compress(lines) + compressor.flush())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
