"""Rows of a TIFF of any size, without ever holding all of it: strips or tiles, BigTIFF, 8 bits a channel.

TIFF 6.0 (Adobe 1992) and BigTIFF. Pillow finds where the segments lie. Each one goes to the only decoder of photos as a
small TIFF of its own, so that colours, depth and damage are judged as for any other photo. Only an alpha channel is
not: what is see-through counts with the colour that is stored, as mosaics are often empty at their edges.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image as PILImage
from PIL.TiffImagePlugin import TiffImageFile

from maskwright.imageio import OPENING, decode_image
from maskwright.types import Image, InputError

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_MOST_PIXELS = 1 << 26  # of a segment: bounds memory
_MOST_BYTES = 1 << 28  # of a segment as it is stored
_MOST_SIDE = (1 << 31) - 1  # of the PNG that is written
_LOW = 64  # rows that are read at a time where nothing is packed
_COLUMNS, _ROWS, _BITS, _PACKING, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR = 256, 257, 258, 259, 262, 274, 277, 284
_STRIPS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_COLUMNS, _TILE_ROWS, _TILES, _TILE_BYTES = 322, 323, 324, 325
_EXTRA, _JPEG_TABLES = 338, 347
# How the bytes of a segment become pixels, with fill order, predictor, colour map and where the chroma lies.
_MEANING = (_BITS, _PACKING, _PHOTOMETRIC, 266, _SAMPLES, 317, 320, _EXTRA, _JPEG_TABLES, 530, 531)
_LONG = {_COLUMNS, _ROWS, _STRIPS, _STRIP_ROWS, _STRIP_BYTES}
_RAISED = (OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, struct.error, MemoryError)

Places = tuple[tuple[int, int], ...]


class Rows(Protocol):
    """An image that is read some rows at a time."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Rows and columns of the whole."""

    def read(self, start: int, stop: int) -> Image:
        """Rows `start` to `stop` as RGB, (stop - start, W, 3)."""


@dataclass(frozen=True, kw_only=True)
class ArrayRows:
    """An image in memory as `Rows`."""

    image_HW3: Image

    @property
    def size_hw(self) -> tuple[int, int]:
        """See `Rows`."""
        return self.image_HW3.shape[0], self.image_HW3.shape[1]

    def read(self, start: int, stop: int) -> Image:
        """See `Rows`."""
        return self.image_HW3[start:stop]


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Where the strips or tiles of a TIFF lie, `high` x `wide` pixels each, and the tags that say what they mean."""

    size_hw: tuple[int, int]
    high: int
    wide: int
    places: Places  # offset and bytes, row by row
    tags: dict[int, Any]

    @property
    def across(self) -> int:
        """Segments side by side."""
        return -(-self.size_hw[1] // self.wide)


@dataclass(kw_only=True)
class TiffRows:
    """A TIFF as `Rows`; it keeps the decoded segments of the rows read last, as the next reading needs some of them."""

    path: Path
    file: BinaryIO
    segments: Segments
    _decoded: dict[int, Image] = field(default_factory=dict)

    @property
    def size_hw(self) -> tuple[int, int]:
        """See `Rows`."""
        return self.segments.size_hw

    def read(self, start: int, stop: int) -> Image:
        """See `Rows`; raises InputError where the file is damaged."""
        high = self.segments.high
        wanted = range(start // high, -(-stop // high))
        self._decoded = {row: image for row, image in self._decoded.items() if row in wanted}
        for row in wanted:
            if row not in self._decoded:
                self._decoded[row] = self._decode(row)
        first = wanted.start * high
        return np.concatenate([self._decoded[row] for row in wanted])[start - first : stop - first]

    def _decode(self, row: int) -> Image:
        segments = self.segments
        rows, columns = segments.size_hw
        top = row * segments.high
        image = np.zeros((min(segments.high, rows - top), columns, 3), np.uint8)
        for number in range(segments.across):
            offset, count = segments.places[row * segments.across + number]
            if not count:
                continue  # GDAL leaves out what is empty
            left = number * segments.wide
            part = self._segment(offset, count, len(image))
            image[:, left : left + segments.wide] = part[: len(image), : columns - left]
        return image

    def _segment(self, offset: int, count: int, rows: int) -> Image:
        try:
            self.file.seek(offset)
            return decode_image(_alone(self.segments, self.file.read(count), rows), self.path)
        except InputError:
            raise
        except _RAISED as error:
            raise InputError(f"{self.path} is damaged ({error!r}); copy or export the file again.") from error


def is_large_tiff(path: Path) -> bool:
    """Whether a file is a TIFF with more pixels than `read_image` may open at once."""
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            tags = _tags(file)
            return int(tags[_ROWS]) * int(tags[_COLUMNS]) > (PILImage.MAX_IMAGE_PIXELS or _MOST_SIDE)
    except _RAISED:
        return False


@contextmanager
def open_tiff(path: Path) -> Iterator[TiffRows]:
    """Open a TIFF to be read by rows; raises InputError where that is not possible, with the remedy."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from error
    with file:
        try:
            segments = segments_of(_tags(file), path, path.stat().st_size)
        except InputError:
            raise
        except _RAISED as error:
            raise InputError(f"{path} is no TIFF that can be read ({error!r}); export it again.") from error
        yield TiffRows(path=path, file=file, segments=segments)


def _tags(file: BinaryIO) -> dict[int, Any]:
    # Unlike PIL.Image.open this does not mind the size. Warnings of odd tags are no concern here.
    with OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(TiffImageFile(file).tag_v2)


def segments_of(tags: dict[int, Any], path: Path, file_bytes: int) -> Segments:
    """The layout that the tags of a TIFF tell; raises InputError for one that cannot be read by parts."""
    rows, columns, samples = int(tags[_ROWS]), int(tags[_COLUMNS]), int(tags.get(_SAMPLES, 1))
    if tags.get(_ORIENTATION, 1) != 1:
        raise InputError(f"{path} is stored turned or mirrored, and too large to be turned; save it upright.")
    if tags.get(_PLANAR, 1) != 1 and samples > 1:
        raise InputError(f"{path} stores its colours apart; save it pixel by pixel (gdal: INTERLEAVE=PIXEL).")
    tiled = _TILES in tags
    high = int(tags[_TILE_ROWS]) if tiled else min(rows, int(tags.get(_STRIP_ROWS, rows)))
    wide = int(tags[_TILE_COLUMNS]) if tiled else columns
    if not (0 < rows <= _MOST_SIDE and 0 < columns <= _MOST_SIDE and high > 0 and wide > 0):
        raise InputError(f"{path} claims to be {columns}x{rows} in parts of {wide}x{high}; export it again.")
    places: Places = tuple(
        zip(
            _numbers(tags[_TILES if tiled else _STRIPS]),
            _numbers(tags[_TILE_BYTES if tiled else _STRIP_BYTES]),
            strict=True,
        )
    )
    if not tiled and tags.get(_PACKING, 1) == 1 and set(_numbers(tags.get(_BITS, 1))) == {8}:
        high, places = _thin(places, columns * samples, rows, high)
    if len(places) != -(-rows // high) * -(-columns // wide) or any(o + n > file_bytes for o, n in places):
        raise InputError(f"{path} is truncated (parts of it are missing); copy or export the file again.")
    if high * wide > _MOST_PIXELS or max(count for _, count in places) > _MOST_BYTES:
        raise InputError(
            f"{path} is packed in parts of {wide}x{high} pixels, too large to open; save it in tiles "
            "(gdal_translate -co TILED=YES, or vips tiffsave --tile)."
        )
    return Segments(size_hw=(rows, columns), high=high, wide=wide, places=places, tags=tags)


def _thin(places: Places, line: int, rows: int, high: int) -> tuple[int, Places]:
    """Strips that follow each other unpacked, as many low ones: some writers make one strip of an image."""
    follow = all(offset + count == after for (offset, count), (after, _) in pairwise(places))
    if high <= _LOW or not follow or sum(count for _, count in places) < rows * line:
        return high, places
    first = places[0][0]
    return _LOW, tuple((first + top * line, min(_LOW, rows - top) * line) for top in range(0, rows, _LOW))


def _alone(segments: Segments, packed: bytes, rows: int) -> bytes:
    """A segment as a TIFF of one strip: libtiff unpacks it, whatever its packing is."""
    high = segments.high if _TILES in segments.tags else rows  # tiles at the lower edge are full ones
    values = {tag: segments.tags[tag] for tag in _MEANING if tag in segments.tags}
    values |= {_COLUMNS: segments.wide, _ROWS: high, _STRIP_ROWS: high, _STRIPS: 0, _STRIP_BYTES: len(packed)}
    if _EXTRA in values:  # what is beside the colours is left out: tiles are often padded with see-through pixels
        values[_EXTRA] = (0,) * len(_numbers(values[_EXTRA]))
    place = 8 + 2 + 12 * len(values) + 4
    values[_STRIPS] = place
    directory, behind = b"", packed + b"\0" * (len(packed) % 2)
    for tag, value in sorted(values.items()):
        kind, count, data = _entry(tag, value)
        if len(data) > 4:
            data, behind = struct.pack("<I", place + len(behind)), behind + data + b"\0" * (len(data) % 2)
        directory += struct.pack("<HHI4s", tag, kind, count, data)
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + directory + b"\0\0\0\0" + behind


def _entry(tag: int, value: Any) -> tuple[int, int, bytes]:
    """Type, count and bytes of a tag's value: UNDEFINED, LONG or SHORT."""
    if tag == _JPEG_TABLES:
        return 7, len(value), bytes(value)
    numbers = _numbers(value)
    kind, letter = (4, "I") if tag in _LONG else (3, "H")
    return kind, len(numbers), struct.pack(f"<{len(numbers)}{letter}", *numbers)


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)
