"""What is to be predicted: files, folders, patterns, zip archives and videos, found and named, not yet read."""

from __future__ import annotations

import glob
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.console import Skipped
from maskwright.files import content_hash, list_files, read_bytes, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, decode_image
from maskwright.infer.predicting.archives import MOST_BYTES, list_archive, member_state, place_of, read_member
from maskwright.infer.segmenting.segment import by_parts
from maskwright.types import Image, InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp"})
STANDARD_INPUT = "stdin"
REMEDY = "rename one, or name the folder above both."


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image to read: a file, a `member` of a zip archive, or `data` at hand. Its results are called `name`.

    `parts` marks a file that is too large to be opened at once.
    """

    name: str
    path: Path
    member: str = ""
    data: bytes = b""
    parts: bool = False

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if self.member else f"{self.path}"

    @property
    def file(self) -> str:
        """`name` with the suffix of the original."""
        return self.name + Path(str(self)).suffix

    @property
    def lies_alone(self) -> bool:
        """Whether it is a file of its own."""
        return not self.member and not self.data

    def encoded(self) -> bytes:
        """Its bytes; raises InputError where they cannot be read."""
        if self.data:
            return self.data
        return read_member(self.path, self.member) if self.member else read_bytes(self.path)

    def read(self) -> Image:
        """RGB uint8 (H, W, 3); raises InputError as `read_image` does."""
        return decode_image(self.encoded(), Path(str(self)))

    def state(self) -> str:
        """What changes when the image does, found without reading it."""
        if self.data:
            return content_hash(self.data)
        return member_state(self.path, self.member) if self.member else file_state(self.path)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video file, or what a `camera` sees; its results are called `name`."""

    name: str
    path: Path
    camera: int | None = None

    def __str__(self) -> str:
        return f"{self.path}"

    def state(self) -> str:
        """What changes when the file does; a camera never shows the same again."""
        return file_state(self.path) if self.camera is None else str(time.time_ns())


Source = Photo | Clip
# A path or pattern (or - for standard input), an encoded image itself, or the number of a camera.
Given = str | Path | bytes | int | Photo


def file_state(path: Path) -> str:
    """Size and time of the last change."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and the disk.") from error
    return f"{found.st_size}-{found.st_mtime_ns}"


def find_sources(given: Sequence[Given]) -> tuple[list[Source], list[Skipped]]:
    """Every photo and video that is named, matched, or lies in a folder or archive; and what has to be left out.

    Folders, patterns (`photos/**/*.jpg`) and archives keep their inner structure in the names; photos come first, then
    what is too large to be opened at once, then videos. Those whose results would have one name are left out. Raises
    InputError where there is nothing at all.
    """
    found: dict[Source, None] = {}
    refused: list[Skipped] = []
    for one in given:
        for item in _sources(one):
            if isinstance(item, Skipped):
                refused.append(item)
            else:
                found[item] = None
    if not found:
        listed = ", ".join(STANDARD_INPUT if isinstance(one, bytes) else str(one) for one in given)
        first = f" The first: {refused[0].file}: {refused[0].reason}" if refused else ""
        raise InputError(f"{listed} holds no images; expected JPEG or PNG files, or videos.{first}")
    count = Counter(item.name for item in found)
    refused += [
        Skipped(str(item), f"{item} would overwrite the result of another one called '{item.name}'; {REMEDY}")
        for item in found
        if count[item.name] > 1
    ]
    alone = [item for item in found if count[item.name] == 1]
    return sorted(alone, key=_turn), refused


def read_standard_input() -> bytes:
    """An encoded image that is piped in; raises InputError where nothing is, or far more than an image."""
    if sys.stdin.isatty():
        raise InputError("Standard input is a terminal; pipe an image into it, as in '... - -o - < photo.jpg'.")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if not data:
        raise InputError("Standard input is empty; pipe an image into it, as in '... - -o - < photo.jpg'.")
    if len(data) > MOST_BYTES:
        raise InputError(f"Standard input holds more than {MOST_BYTES >> 20} MiB; name the file instead.")
    return data


def _turn(item: Source) -> int:
    return 2 if isinstance(item, Clip) else int(item.parts)


def _sources(given: Given) -> Iterator[Source | Skipped]:
    if isinstance(given, Photo):
        yield given
        return
    if isinstance(given, int):
        name = f"camera-{given}"
        yield Clip(name=name, path=Path(name), camera=given)
        return
    if isinstance(given, bytes):
        yield Photo(name=STANDARD_INPUT, path=Path(STANDARD_INPUT), data=given)
        return
    if str(given) == "-":
        yield from _sources(read_standard_input())
        return
    path = Path(given)
    if path.is_dir():
        yield from _inside(path, list_files(path, IMAGE_SUFFIXES | VIDEO_SUFFIXES))
    elif path.exists():
        yield from _file(path, stem_of(path))
    elif glob.has_magic(str(given)):
        yield from _matching(str(given))
    else:
        raise InputError(f"{path} does not exist; check the path.")


def _matching(pattern: str) -> Iterator[Source | Skipped]:
    """What a pattern matches, named from the last folder on that has no wildcard in it."""
    fixed = Path(*_until_magic(Path(pattern).parts[:-1]))
    matches = sorted(map(Path, glob.glob(pattern, recursive=True)))
    if not matches:
        raise InputError(f"{pattern} matches no file; check the pattern, and write ** for folders of any depth.")
    for path in matches:
        if path.is_dir():
            if "**" not in pattern:
                yield from _inside(fixed, list_files(path, IMAGE_SUFFIXES | VIDEO_SUFFIXES))
        elif path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES | {".zip"}:
            yield from _file(path, _name(path.relative_to(fixed)))


def _until_magic(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _inside(folder: Path, files: Sequence[Path]) -> Iterator[Source | Skipped]:
    for path in files:
        yield from _file(path, _name(path.relative_to(folder)))


def _name(path: Path) -> str:
    return (path.parent / stem_of(path)).as_posix()


def _file(path: Path, name: str) -> Iterator[Source | Skipped]:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        yield Clip(name=name, path=path)
    elif suffix == ".zip":
        members, refused = list_archive(path)
        yield from refused
        for member in members:
            yield Photo(name=_name(Path(place_of(member))), path=path, member=member)
    else:
        yield Photo(name=name, path=path, parts=by_parts(path))
