"""Images and masks to and from disk: the only reader and the only writer of pixels."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from maskwright.files import read_bytes, write_bytes
from maskwright.png import decode_plain, encode_plane
from maskwright.types import IGNORE_WIDE, Classes, Colour, Image, InputError, Mask

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
MASK_SUFFIXES = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm"})
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_EXIF_ORIENTATION = 0x0112
OPENING = threading.Lock()
# What decoders raise for damaged bytes: Pillow has no error type of its own.
_DAMAGE = (OSError, SyntaxError, EOFError, ValueError, TypeError, LookupError, struct.error, zlib.error, cv2.error)


def read_image(path: Path) -> Image:
    """Read a photo as RGB uint8, shape (H, W, 3), with its EXIF rotation applied.

    CMYK and palette files are converted, an opaque alpha channel is dropped. Raises InputError for a file that
    is missing, truncated, no image, has more than 8 bits a channel, or has see-through pixels.
    """
    return decode_image(read_bytes(path), path)


def decode_image(data: bytes, path: Path) -> Image:
    """`read_image` for bytes that are at hand; `path` names the file in errors."""
    with _decoding(path):
        header = _open(io.BytesIO(data))
        _check_depth(header, data, path)
        _check_complete(header, data, path)
        # OpenCV is faster at JPEG; for PNG it is not, and prints libpng's remarks on odd colour profiles.
        if header.format != "JPEG" or header.mode not in ("RGB", "L"):
            return _decode_with_pillow(header, path)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            raise InputError(f"{path} cannot be decoded; the file is damaged, export it again.")
        return np.asarray(decoded, np.uint8)


def _open(source: Path | io.BytesIO) -> PILImage.Image:
    # Pillow warns of odd metadata, which is no concern here, and of huge sizes, which is an error here.
    # Filters belong to the process, hence the lock: importing decodes in several threads.
    with OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PILImage.DecompressionBombWarning)
        return PILImage.open(source)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turn what Pillow and OpenCV raise for a bad file into an InputError with the remedy."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that can be read; export it as JPEG or PNG.") from error
    except (PILImage.DecompressionBombError, PILImage.DecompressionBombWarning) as error:
        raise InputError(f"{path} has too many pixels to open ({error}); cut it up or predict it as a TIFF.") from error
    except _DAMAGE as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy or export the file again.") from error


def is_deep(data: bytes, path: Path) -> bool:
    """Whether a photo has more than 8 bits a channel; raises InputError for what is no image."""
    with _decoding(path), _open(io.BytesIO(data)) as header:
        return _deep(header, data)


def _deep(header: PILImage.Image, data: bytes) -> bool:
    # Pillow opens a 16-bit RGB PNG as 8-bit RGB without a word; its bit depth is byte 24 of the file.
    deep_png = header.format == "PNG" and len(data) > 24 and data[24] == 16
    deep_tiff = header.format == "TIFF" and max(_tiff_bits(header), default=8) > 8
    return header.mode in _WIDE_MODES or deep_png or deep_tiff


def _check_depth(header: PILImage.Image, data: bytes, path: Path) -> None:
    if _deep(header, data):
        raise InputError(
            f"{path} has more than 8 bits a channel; scale all images to 8 bits by one rule first, "
            "so that they stay comparable."
        )


def _tiff_bits(header: PILImage.Image) -> tuple[int, ...]:
    bits = getattr(header, "tag_v2", {}).get(258, (8,))
    return bits if isinstance(bits, tuple) else (int(bits),)


def _check_complete(header: PILImage.Image, data: bytes, path: Path) -> None:
    # Older OpenCV fills the missing part of a cut file with grey and only prints a warning.
    cut = header.format == "PNG" and data.rfind(b"IEND") < 0
    if header.format == "JPEG":
        cut = data.find(b"\xff\xd9", _first_scan(data)) < 0
    if cut:
        raise InputError(f"{path} is truncated (its end is missing); copy or export the file again.")


def _first_scan(data: bytes) -> int:
    # Where a JPEG's pixels begin; the segments before may hold a thumbnail with an end mark of its own.
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        place += 1 if data[place + 1] == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


def _decode_with_pillow(header: PILImage.Image, path: Path) -> Image:
    image = ImageOps.exif_transpose(header)
    if "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA"):
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            raise InputError(
                f"{path} has see-through pixels, whose colour is undefined; flatten it on a background first."
            )
    return np.array(image.convert("RGB"), np.uint8)


def read_plane(path: Path) -> Mask:
    """Read a single-channel mask file as stored: palette index or grey value, shape (H, W), uint8 or uint16.

    Raises InputError for colour masks (the remedy is the colour format), truncated files and non-images.
    """
    return decode_plane(read_bytes(path), path)


def decode_plane(data: bytes, path: Path) -> Mask:
    """`read_plane` for bytes that are at hand; `path` names the file in errors."""
    if (plain := decode_plain(data)) is not None:
        return plain
    with _decoding(path), _open(io.BytesIO(data)) as image:
        image.load()
        if image.mode in ("1", "P", "L"):
            return np.array(image, np.uint8)  # white in a 1-bit mask is id 1
        if image.mode.startswith("I"):
            plane = np.asarray(image)
            if plane.min() < 0 or plane.max() > 65535:
                raise InputError(f"{path} holds values beyond 16 bits; masks hold class ids from 0.")
            return plane.astype(np.uint16)
        if image.mode in ("RGB", "RGBA"):
            pixels = np.asarray(image.convert("RGB"))
            if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all():
                return pixels[..., 0].copy()
            raise InputError(f"{path} is a colour picture, not class ids; import it with the 'colour' format.")
        raise InputError(f"{path} has mode {image.mode}; a mask is a single-channel 8- or 16-bit PNG.")


def read_mask(path: Path, classes: Classes, size_hw: tuple[int, int] | None = None) -> Mask:
    """Read a class-id mask and hold it to the contract: right size, ids of the table or ignore only."""
    mask_HW = read_plane(path)
    check_mask(mask_HW, classes, name=str(path), size_hw=size_hw)
    return mask_HW.astype(classes.dtype, copy=False)


def check_mask(mask_HW: Mask, classes: Classes, *, name: str, size_hw: tuple[int, int] | None = None) -> None:
    """The mask contract at every door; raises InputError that names the file, the finding and the remedy."""
    if mask_HW.ndim != 2:
        raise InputError(f"{name} has {mask_HW.ndim} dimensions; a mask is one plane of class ids.")
    if size_hw is not None and mask_HW.shape != size_hw:
        rows, columns = mask_HW.shape
        turned = " (the photo carries an EXIF rotation that the mask lacks?)" if mask_HW.shape == size_hw[::-1] else ""
        raise InputError(
            f"{name} is {columns}x{rows} but its image is {size_hw[1]}x{size_hw[0]}{turned}; "
            "export the mask at the image's size."
        )
    if mask_HW.size and mask_HW.max() < len(classes):
        return
    present = np.flatnonzero(_histogram(mask_HW))
    alien = present[(present >= len(classes)) & (present != classes.ignore)]
    if alien.size:
        listed = ", ".join(str(value) for value in alien[:5]) + (", ..." if alien.size > 5 else "")
        raise InputError(
            f"{name} holds id {listed}, outside the class table 0..{len(classes) - 1} (ignore {classes.ignore}); "
            "name all classes with --classes, or correct the mask."
        )


def _histogram(mask_HW: Mask) -> NDArray[Any]:
    # Twenty times as fast as sorting the pixels, which np.unique does.
    ids = 256 if mask_HW.dtype == np.uint8 else IGNORE_WIDE + 1
    return np.asarray(cv2.calcHist([mask_HW], [0], None, [ids], [0, ids])).ravel()


def read_colours(path: Path) -> Image:
    """Read a colour-coded mask as RGB uint8 without any smoothing, shape (H, W, 3)."""
    with _decoding(path), _open(io.BytesIO(read_bytes(path))) as image:
        image.info.pop("transparency", None)  # a mask's colour counts, however see-through
        return np.array(image.convert("RGB"), np.uint8)


def write_mask(path: Path, mask_HW: Mask, classes: Classes) -> None:
    """Write class ids as a single-channel PNG, with the class colours as its palette where ids fit 8 bits."""
    write_bytes(path, encode_mask(mask_HW, classes))


def encode_mask(mask_HW: Mask, classes: Classes) -> bytes:
    """The PNG that `write_mask` writes, as bytes."""
    return encode_plane(mask_HW, classes.palette()[:256] if mask_HW.dtype == np.uint8 else None)


def write_image(path: Path, image_HW3: Image) -> None:
    """Write RGB uint8 as JPEG (quality 92) or PNG, by the path's suffix."""
    write_bytes(path, encode_image(image_HW3, path.suffix))


def encode_image(image_HW3: Image, suffix: str, *, quality: int = 92) -> bytes:
    """The bytes that `write_image` writes."""
    image = PILImage.fromarray(image_HW3)
    if suffix.lower() in (".jpg", ".jpeg"):
        return _encode(image, "JPEG", quality=quality)
    return _encode(image, "PNG", compress_level=3)


def image_size(data: bytes, path: Path, *, upright: bool = True) -> tuple[int, int]:
    """Rows and columns of an encoded photo as `decode_image` would return it; without `upright`, before it is turned.

    Only then nothing is decoded, as Pillow reads a whole PNG to find its EXIF. Raises InputError as `decode_image`.
    """
    with _decoding(path), _open(io.BytesIO(data)) as header:
        _check_depth(header, data, path)
        _check_complete(header, data, path)
        columns, rows = header.size
        turned = upright and header.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (columns, rows) if turned else (rows, columns)


def browser_type(data: bytes, path: Path) -> str | None:
    """The media type under which browsers show these bytes as `decode_image` does; None where they may not."""
    with _decoding(path), _open(io.BytesIO(data)) as header:
        plain = header.mode in ("L", "RGB") and "transparency" not in header.info
        upright = header.getexif().get(_EXIF_ORIENTATION, 1) == 1
        return PILImage.MIME[header.format] if plain and upright and header.format in ("JPEG", "PNG", "WEBP") else None


def decode_reduced(data: bytes, path: Path, longest: int) -> Image:
    """`decode_image` with at most `longest` pixels a side; JPEG is decoded at a fraction of its size."""
    rows, columns = image_size(data, path)
    factor = next((f for f in (8, 4, 2) if max(rows, columns) >= f * longest), 1)
    image = None
    if factor > 1 and data[:2] == b"\xff\xd8":
        image = cv2.imdecode(np.frombuffer(data, np.uint8), getattr(cv2, f"IMREAD_REDUCED_COLOR_{factor}"))
    image = decode_image(data, path) if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    scale = longest / max(rows, columns)
    if scale < 1:
        to = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        image = cv2.resize(image, to, interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def _encode(image: PILImage.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colourise(mask_HW: Mask, classes: Classes) -> Image:
    """Class ids -> RGB uint8 by the class table; ignored pixels are white."""
    return np.take(classes.palette(), mask_HW, axis=0)


def overlay(image_HW3: Image, mask_HW: Mask, classes: Classes, *, opacity: float = 0.5) -> Image:
    """The photo with the mask's colours laid over it; background and ignored pixels stay as they are."""
    mixed = cv2.addWeighted(image_HW3, 1 - opacity, colourise(mask_HW, classes), opacity, 0)
    show = mask_HW != classes.ignore
    if classes.background is not None:
        show &= mask_HW != classes.background
    return np.where(show[..., None], mixed, image_HW3).astype(np.uint8, copy=False)


def pack_colour(colour: Colour) -> int:
    """(r, g, b) -> one integer, 0xRRGGBB."""
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def pack_colours(pixels_HW3: Image) -> NDArray[np.uint32]:
    """RGB pixels -> one integer a pixel, 0xRRGGBB, shape (H, W)."""
    wide = pixels_HW3.astype(np.uint32)
    packed: NDArray[np.uint32] = (wide[..., 0] << np.uint32(16)) | (wide[..., 1] << np.uint32(8)) | wide[..., 2]
    return packed
