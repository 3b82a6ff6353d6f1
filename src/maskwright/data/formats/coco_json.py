"""COCO's annotation file, read without building a tree of it: a segmentation stays text until its image is painted.

Format: cocodataset.org/#format-data. Ids are whatever the file says; nothing about their order is assumed.
"""

from __future__ import annotations

import gc
import mmap
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from json import JSONDecoder
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from maskwright.console import Skipped
from maskwright.files import read_bytes
from maskwright.types import InputError

Id = int | str
S = TypeVar("S", bound=msgspec.Struct)


class Picture(msgspec.Struct, gc=False):
    """One row of `images`."""

    id: Id
    file_name: str
    height: int
    width: int


class Annotation(msgspec.Struct, gc=False):
    """One row of `annotations`; `segmentation` is the JSON text in the file."""

    image_id: Id
    category_id: Id
    id: Id | None = None
    iscrowd: int | bool | None = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class Category(msgspec.Struct, gc=False):
    """One row of `categories`."""

    id: Id
    name: str


@dataclass(frozen=True, kw_only=True)
class CocoFile:
    """An annotation file, opened."""

    path: Path
    pictures: list[Picture]
    categories: list[Category]
    annotations: dict[Id, list[Annotation]]  # by image
    info: Any
    malformed: list[Skipped] = field(default_factory=list)


class _Typed(msgspec.Struct):
    images: list[Picture]
    annotations: list[Annotation]
    categories: list[Category]
    info: Any = None


class _Loose(msgspec.Struct):
    images: msgspec.Raw
    annotations: msgspec.Raw
    categories: msgspec.Raw
    info: Any = None


MOST_MALFORMED = 100_000  # rows: beyond, the file is something else, and listing them takes more memory than reading it


def read_coco(path: Path) -> CocoFile:
    """Read one annotation file; rows that are malformed are listed and left out.

    Raises InputError for a file that is no JSON, lacks one of the three lists, or has a category or image id twice.
    """
    malformed: list[Skipped] = []
    with _mapped(path) as data, _no_collection():
        found = _decode(data, path, malformed)
        by_image: defaultdict[Id, list[Annotation]] = defaultdict(list)
        for annotation in found.annotations:
            by_image[annotation.image_id].append(annotation)
    _refuse_twins([row.id for row in found.categories], "category", path)
    _refuse_twins([row.id for row in found.images], "image", path)
    known = {picture.id for picture in found.images}
    annotations = len(found.annotations) + sum(row.file.startswith("annotation") for row in malformed)
    for lost in by_image.keys() - known:
        malformed += [
            Skipped(
                f"annotation {one.id}", f"{path}: annotation {one.id} is of image {lost}, which is not in the file."
            )
            for one in by_image.pop(lost)
        ]
    if annotations and not by_image:
        raise InputError(f"None of the {annotations} annotations can be used. The first reason: {malformed[0].reason}")
    for picture in found.images:
        if "\\" in picture.file_name:
            picture.file_name = picture.file_name.replace("\\", "/")  # as tools on Windows write it
    return CocoFile(
        path=path,
        pictures=found.images,
        categories=found.categories,
        annotations=dict(by_image),
        info=found.info,
        malformed=malformed,
    )


def _decode(data: Any, path: Path, malformed: list[Skipped]) -> _Typed:
    """The rows of the file; those that cannot be read are added to `malformed`."""
    try:
        try:
            return _rows(data, path, malformed)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return _rows(_plain_json(data), path, malformed)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path} is not a COCO annotation file ({error}); it needs the lists images, annotations and categories."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); copy or export the file again.") from error


def _rows(data: Any, path: Path, malformed: list[Skipped]) -> _Typed:
    try:
        return msgspec.json.decode(data, type=_Typed)
    except msgspec.ValidationError:
        loose = msgspec.json.decode(data, type=_Loose)
    return _Typed(
        images=_sound(loose.images, Picture, "image", path, malformed),
        annotations=_sound(loose.annotations, Annotation, "annotation", path, malformed),
        categories=_sound(loose.categories, Category, "category", path, malformed),
        info=loose.info,
    )


def _plain_json(data: Any) -> bytes:
    """What many tools write and JSON does not know: a byte order mark, and NaN and Infinity, which become null."""
    text = bytes(data).removeprefix(b"\xef\xbb\xbf")
    return re.sub(rb'("[^"\\]*(?:\\.[^"\\]*)*")|-?\b(?:NaN|Infinity)\b', lambda found: found[1] or b"null", text)


def _sound(rows: msgspec.Raw, kind: type[S], what: str, path: Path, malformed: list[Skipped]) -> list[S]:
    """Rows that can be read, numbers as text or with a point among them; the rest is listed by id or place."""
    sound: list[S] = []
    for place, row in enumerate(_each(rows, what)):
        try:
            sound.append(msgspec.json.decode(row, type=kind, strict=False))
        except msgspec.ValidationError as error:
            name = f"{what} {_id_in(row, place)}"
            malformed.append(Skipped(name, f"{path}: {name} is malformed ({error})."))
            if len(malformed) > MOST_MALFORMED:
                raise InputError(
                    f"{malformed[0].reason} So are over {MOST_MALFORMED:,} more; export it again."
                ) from error
    return sound


def _each(rows: msgspec.Raw, what: str) -> Iterator[bytes]:
    """The rows of a list as text, one after the other: a hundred megabytes may hold a row for every two bytes."""
    text, place = bytes(rows).decode(), 1
    if not text.startswith("["):
        raise msgspec.ValidationError(f"the {what} rows are no list")
    while text[place := _NEXT.match(text, place).end()] != "]":  # type: ignore[union-attr]  # it matches nothing, too
        _, end = _DECODER.raw_decode(text, place)
        yield text[place:end].encode()
        place = end


_DECODER, _NEXT = JSONDecoder(), re.compile(r"[\s,]*")


def _id_in(row: bytes, place: int) -> str:
    data = msgspec.json.decode(row)
    return str(data["id"]) if isinstance(data, dict) and "id" in data else f"number {place + 1} in the list"


def _refuse_twins(ids: list[Id], what: str, path: Path) -> None:
    seen: set[Id] = set()
    for one in ids:
        if one in seen:
            raise InputError(f"{path} has the {what} id {one} twice; give every {what} an id of its own.")
        seen.add(one)


@contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    """The file's bytes, from the disk cache instead of a copy; they live as long as a segmentation refers to them."""
    if not path.is_file() or not path.stat().st_size:
        read_bytes(path)  # raises with the reason
    with path.open("rb") as file:
        yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hundreds of thousands of new objects and no garbage: looking for some would take most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
