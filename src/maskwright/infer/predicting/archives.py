"""Photos in a zip archive, read where they lie: nothing is unpacked, so no name in it leads anywhere."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

from maskwright.console import Skipped
from maskwright.imageio import IMAGE_SUFFIXES
from maskwright.types import InputError

MOST_BYTES = 256 << 20  # of one photo, unpacked


def list_archive(path: Path) -> tuple[list[str], list[Skipped]]:
    """Names of the photos in an archive, sorted, and members that are left out because their names lead out of it.

    Hidden members are passed over, as hidden files of a folder are. Raises InputError for what is no archive.
    """
    photos, refused = [], []
    with _explained(path):
        names = _opened(path, path.stat().st_mtime_ns).namelist()
    for name in names:
        place = place_of(name)
        if place.suffix.lower() not in IMAGE_SUFFIXES or _hidden(place):
            continue
        if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
            refused.append(Skipped(f"{path}/{name}", "its name leads out of the archive; pack it again."))
        else:
            photos.append(name)
    return sorted(photos), refused


def place_of(member: str) -> PurePosixPath:
    """The path of a member; some programs on Windows write backslashes."""
    return PurePosixPath(member.replace("\\", "/"))


def _hidden(place: PurePosixPath) -> bool:
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in place.parts)


def read_member(path: Path, member: str) -> bytes:
    """The bytes of one member; raises InputError where it is damaged, locked or far larger than a photo."""
    with _explained(path, member):
        archive = _opened(path, path.stat().st_mtime_ns)
        if archive.getinfo(member).file_size > MOST_BYTES:
            raise InputError(f"{path}/{member} unpacks to more than {MOST_BYTES >> 20} MiB; unpack it yourself first.")
        with archive.open(member) as stream:
            data = stream.read(MOST_BYTES)
    if not data:
        raise InputError(f"{path}/{member} is empty; pack it again.")
    return data


def member_state(path: Path, member: str) -> str:
    """What changes when the member does."""
    with _explained(path, member):
        info = _opened(path, path.stat().st_mtime_ns).getinfo(member)
    return f"{info.file_size}-{info.CRC:08x}"


@lru_cache(maxsize=2)
def _opened(path: Path, modified_ns: int) -> zipfile.ZipFile:
    # Kept open, because each opening reads the whole list of members.
    return zipfile.ZipFile(path)


@contextmanager
def _explained(path: Path, member: str = "") -> Iterator[None]:
    name = f"{path}/{member}" if member else f"{path}"
    try:
        yield
    except InputError:
        raise
    except NotImplementedError as error:
        raise InputError(f"{name} is packed in an unknown way ({error}); pack it again with deflate.") from error
    except RuntimeError as error:  # zipfile has no error of its own for it
        raise InputError(f"{name} is locked with a password; unpack it first.") from error
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{name} cannot be read ({error}); copy or pack the archive again.") from error
