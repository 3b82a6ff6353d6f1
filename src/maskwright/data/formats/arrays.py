"""Arrays in an `.npz` archive, row by row: memory stays at one row, however large the array.

Source: NumPy's description of its file format (`numpy.lib.format`), versions 1.0 and 2.0; an archive is a zip file of
such files, packed or not, so rows can only be reached one after the other.
"""

from __future__ import annotations

import io
import math
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from maskwright.run import NOT_ARRAYS
from maskwright.types import InputError

LARGEST_ROW = 1 << 30  # bytes; a photo beyond it could not be opened anyway
LONGEST_TEXT = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Array:
    """What an archive says about one of its arrays; `crc` changes with the content."""

    archive: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    crc: int

    def __str__(self) -> str:
        return f"{self.archive}: array '{self.name}'"


def arrays_of(archive: Path) -> dict[str, Array]:
    """The arrays of an archive by name.

    Raises InputError for what is no archive, is cut off, holds pickled objects or lies column by column.
    """
    found = {}
    with _explained(archive), zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if not member.filename.endswith(".npy"):
                continue
            name = member.filename.removesuffix(".npy")
            with file.open(member) as stream:
                shape, by_columns, dtype = _header(stream)
                expected = stream.tell() + math.prod(shape) * dtype.itemsize
            one = Array(archive=archive, name=name, shape=shape, dtype=dtype, crc=member.CRC)
            if dtype.hasobject:
                raise InputError(f"{one} holds Python objects, which may run code when read; save plain numbers.")
            if by_columns and len(shape) > 1:
                raise InputError(f"{one} lies column by column; save numpy.ascontiguousarray of it.")
            if expected != member.file_size:
                raise InputError(f"{one} is {member.file_size} bytes long, not {expected}; save it again.")
            found[name] = one
    return found


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"format version {version}")
    return shape, by_columns, dtype


class Rows:
    """Rows of one array; going forward is quick, going back starts again."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.row_bytes = math.prod(array.shape[1:]) * array.dtype.itemsize
        if self.row_bytes > LARGEST_ROW:
            raise InputError(f"{array}: {self.row_bytes:,} bytes an image are too many; cut it into tiles first.")
        with _explained(array.archive):
            file = array.archive.open("rb")
            weakref.finalize(self, file.close)
            self.zip = zipfile.ZipFile(file)
            self._start()

    def _start(self) -> None:
        self.stream = self.zip.open(f"{self.array.name}.npy")
        _header(self.stream)
        self.next = 0

    def __getitem__(self, row: int) -> NDArray[Any]:
        """One row, of shape `array.shape[1:]`."""
        with _explained(self.array.archive):
            if row < self.next:
                self._start()
            while self.next <= row:
                data = self.stream.read(self.row_bytes)
                self.next += 1
            if len(data) != self.row_bytes:
                raise EOFError("its end is missing")
        return np.frombuffer(data, self.array.dtype).reshape(self.array.shape[1:])


def texts(array: Array) -> list[str]:
    """All entries of an array of text."""
    if array.dtype.kind != "U" or len(array.shape) > 1 or math.prod(array.shape) * array.dtype.itemsize > LONGEST_TEXT:
        raise InputError(f"{array} must hold a list of texts.")
    with _explained(array.archive), zipfile.ZipFile(array.archive) as file:
        values = np.lib.format.read_array(io.BytesIO(file.read(f"{array.name}.npy")), allow_pickle=False)
    return [str(value) for value in np.atleast_1d(values)]


def write_rows(file: zipfile.ZipFile, name: str, shape: tuple[int, ...], rows: Iterator[NDArray[Any]]) -> None:
    """Write an array of that shape into an archive, taking its rows one by one; all have the first one's type."""
    with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
        for number, row in enumerate(rows):
            if number == 0:
                header = {"descr": np.lib.format.dtype_to_descr(row.dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(stream, header)
            stream.write(np.ascontiguousarray(row).tobytes())


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{archive} does not exist; check the path.") from error
    except NOT_ARRAYS as error:
        raise InputError(f"{archive} cannot be read ({error}); save it again with numpy.savez_compressed.") from error
