"""From the bytes of a request to pixels: what is let in, and what is refused with which code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as AnyHTTPException

from maskwright.imageio import image_size
from maskwright.types import InputError

FORMATS = "JPEG, PNG, WebP, TIFF, BMP or PNM"
# Everything else is kept from the decoders: some of Pillow's run other programs.
_BEGINNINGS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"P4", b"P5", b"P6",
)  # fmt: skip
_FORM = "multipart/form-data"
# curl --data-binary says that it sends a form; the bytes tell what it is.
_TYPES = ("image/", "application/octet-stream", "application/x-www-form-urlencoded", _FORM)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes on: `queue` requests at once, each of so many bytes, pixels and seconds at most."""

    batch: int = 8
    wait_ms: float = 5
    queue: int = 64
    max_bytes: int = 32_000_000
    max_pixels: int = 50_000_000
    timeout_seconds: float = 30


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An encoded photo, and how errors call it."""

    data: bytes
    name: Path


def check_head(request: Request, limits: Limits) -> None:
    """Refuse by its headers what needs not be read: 413 for too many bytes, 415 for what says it is no image."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limits.max_bytes + _envelope(request):
        raise too_large(limits)
    kind = request.headers.get("content-type", "image/").lower()
    if not kind.startswith(_TYPES):
        raise HTTPException(415, f"'{kind[:60]}' is no image; send {FORMATS}, as the body or as a form's field 'file'.")


async def read_photo(request: Request, limits: Limits) -> Photo:
    """The photo in the body, or in the form's field `file`; 413, 415 and 422 as HTTPException."""
    if request.headers.get("content-type", "").lower().startswith(_FORM):
        photo = await _from_form(request)
    else:
        photo = Photo(data=await request.body(), name=Path("The image"))
    if not photo.data:
        raise HTTPException(422, "The request holds no image; send one as the body, or as a form's field 'file'.")
    if len(photo.data) > limits.max_bytes:
        raise too_large(limits)
    webp = photo.data[:4] == b"RIFF" and photo.data[8:12] == b"WEBP"
    if not webp and not photo.data.startswith(_BEGINNINGS):
        raise HTTPException(415, f"{photo.name} is no {FORMATS}, whatever it is called; export it as one of them.")
    return photo


def pixels_of(photo: Photo, limits: Limits) -> int:
    """How many pixels a photo has, by its header; 413 where they are too many, InputError where it is damaged."""
    try:
        rows, columns = image_size(photo.data, photo.name, upright=False)
    except InputError as error:
        if "DecompressionBomb" in type(error.__cause__).__name__:
            raise too_many_pixels(photo, limits) from error
        raise
    if rows * columns > limits.max_pixels:
        raise too_many_pixels(photo, limits)
    return rows * columns


class Room:
    """Room for so many decoded pixels; who needs more than is free waits, first come first served."""

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._turn, self._changed = asyncio.Lock(), asyncio.Condition()

    @asynccontextmanager
    async def taken(self, pixels: int) -> AsyncIterator[None]:
        """Hold room for `pixels` meanwhile; they must not be more than there is in all."""
        async with self._turn, self._changed:
            await self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            async with self._changed:
                self._free += pixels
                self._changed.notify_all()


def too_large(limits: Limits) -> HTTPException:
    """413 for bytes."""
    return HTTPException(413, f"The request is larger than {limits.max_bytes / 1e6:g} MB; send a smaller image.")


def too_many_pixels(photo: Photo, limits: Limits) -> HTTPException:
    """413 for pixels."""
    most = limits.max_pixels / 1e6
    return HTTPException(
        413, f"{photo.name} has more than {most:g} megapixels; send it smaller, or run 'maskwright predict' on it."
    )


def _envelope(request: Request) -> int:
    """Bytes that a form may have around its photo."""
    return 16 << 10 if request.headers.get("content-type", "").lower().startswith(_FORM) else 0


async def _from_form(request: Request) -> Photo:
    try:
        async with request.form(max_files=1, max_fields=8, max_part_size=4096) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(422, "The form has no field 'file' with an image in it; name it so.")
            # A name is only spoken of: no path is ever made of it.
            name = PurePosixPath((file.filename or "").replace("\\", "/")).name[:80] or "The image"
            return Photo(data=await file.read(), name=Path(name))
    except AnyHTTPException as error:
        if error.status_code == 400:
            why = error.detail.rstrip(".")
            raise HTTPException(422, f"The form cannot be read ({why}); send one file as 'file'.") from error
        raise
