"""Images and masks to and from disk: one reader, one writer, nothing half-written.

Every reader raises InputError with the file and the remedy; every writer goes through a temporary
neighbour and a rename, so that a full disk or a kill leaves the old file or none.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
import struct
import threading
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from maskwright.types import Classes, Colour, Image, InputError, Mask, TargetError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
MASK_SUFFIXES = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm"})
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_EXIF_ORIENTATION = 0x0112
_OPENING = threading.Lock()
# What decoders raise for damaged bytes: Pillow has no error type of its own.
_DAMAGE = (OSError, SyntaxError, EOFError, ValueError, TypeError, LookupError, struct.error, zlib.error, cv2.error)


# ---------------------------------------------------------------- reading


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
        plain = header.mode in ("RGB", "L") and "transparency" not in header.info
        if not plain or header.format not in ("JPEG", "PNG"):
            return _decode_slowly(header, path)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            raise InputError(f"{path} cannot be decoded; the file is damaged, export it again.")
        return np.asarray(decoded, np.uint8)


def _open(source: Path | io.BytesIO) -> PILImage.Image:
    # Pillow warns of odd metadata, which is no concern here, and of huge sizes, which is an error here.
    # Filters belong to the process, hence the lock: importing decodes in several threads.
    with _OPENING, warnings.catch_warnings():
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
        raise InputError(f"{path} has too many pixels to open at once ({error}); cut it into tiles first.") from error
    except _DAMAGE as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy or export the file again.") from error


def _check_depth(header: PILImage.Image, data: bytes, path: Path) -> None:
    # Pillow opens a 16-bit RGB PNG as 8-bit RGB without a word; its bit depth is byte 24 of the file.
    deep_png = header.format == "PNG" and len(data) > 24 and data[24] == 16
    deep_tiff = header.format == "TIFF" and max(_tiff_bits(header), default=8) > 8
    if header.mode in _WIDE_MODES or deep_png or deep_tiff:
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


def _decode_slowly(header: PILImage.Image, path: Path) -> Image:
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


def image_size(path: Path) -> tuple[int, int]:
    """(rows, columns) of a photo after its EXIF rotation, from the header alone."""
    with _decoding(path), _open(path) as header:
        width, height = header.size
        if header.format == "TIFF":  # Pillow may have turned the size already
            width, height = header.tag_v2[256], header.tag_v2[257]  # type: ignore[attr-defined]
        turned = header.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def read_plane(path: Path) -> Mask:
    """Read a single-channel mask file as stored: palette index or grey value, shape (H, W), uint8 or uint16.

    Raises InputError for colour masks (the remedy is the colour format), truncated files and non-images.
    """
    with _decoding(path), _open(io.BytesIO(read_bytes(path))) as image:
        image.load()
        if image.mode == "1":
            return np.array(image.convert("L"), np.uint8)
        if image.mode in ("P", "L"):
            return np.array(image, np.uint8)
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
    present = np.unique(mask_HW).astype(np.int64)
    alien = present[(present >= len(classes)) & (present != classes.ignore)]
    if alien.size:
        listed = ", ".join(str(value) for value in alien[:5]) + (", ..." if alien.size > 5 else "")
        raise InputError(
            f"{name} holds id {listed}, outside the class table 0..{len(classes) - 1} (ignore {classes.ignore}); "
            "name all classes with --classes, or correct the mask."
        )


def read_colours(path: Path) -> Image:
    """Read a colour-coded mask as RGB uint8 without any smoothing, shape (H, W, 3)."""
    with _decoding(path), _open(io.BytesIO(read_bytes(path))) as image:
        image.info.pop("transparency", None)  # a mask's colour counts, however see-through
        return np.array(image.convert("RGB"), np.uint8)


def read_bytes(path: Path) -> bytes:
    """The file's bytes; a missing, unreadable or empty file is an InputError."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder where a file was expected.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and the disk.") from error
    if not data:
        raise InputError(f"{path} is empty; copy or export the file again.")
    return data


def content_hash(data: bytes) -> str:
    """128-bit BLAKE2b of a file's bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def list_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files below `folder` with one of the suffixes, sorted by relative path; hidden files are left out."""
    if not folder.exists():
        raise InputError(f"Folder {folder} does not exist; check the path.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file where a folder was expected.")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def stem_of(path: Path) -> str:
    """The file's stem in one Unicode form: a decomposed umlaut from one system matches a composed one from another."""
    return unicodedata.normalize("NFC", path.stem)


# ---------------------------------------------------------------- writing


def write_mask(path: Path, mask_HW: Mask, classes: Classes) -> None:
    """Write class ids as a single-channel PNG, with the class colours as its palette where ids fit 8 bits."""
    write_bytes(path, encode_mask(mask_HW, classes))


def encode_mask(mask_HW: Mask, classes: Classes) -> bytes:
    """The PNG that `write_mask` writes, as bytes."""
    image = PILImage.fromarray(mask_HW)
    if mask_HW.dtype == np.uint8:
        image.putpalette(classes.palette()[:256].tobytes())
    return _encode(image, "PNG", compress_level=3)


def write_image(path: Path, image_HW3: Image) -> None:
    """Write RGB uint8 as JPEG (quality 92) or PNG, by the path's suffix."""
    image = PILImage.fromarray(image_HW3)
    if path.suffix.lower() in (".jpg", ".jpeg"):
        write_bytes(path, _encode(image, "JPEG", quality=92))
    else:
        write_bytes(path, _encode(image, "PNG", compress_level=3))


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


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: the old content or the new, never a part."""
    write_through(path, lambda temporary: _write_synced(temporary, data))


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, atomically; NaN and infinity become null."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write YAML in the order given, atomically."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def read_json(path: Path) -> Any:
    """Read JSON; a malformed file is an InputError that names it."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid JSON ({error}); correct it or write it anew.") from error


def read_yaml(path: Path) -> Any:
    """Read YAML; a malformed file is an InputError that names it."""
    try:
        return yaml.safe_load(read_bytes(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"{path} is not valid YAML ({first_line}); correct it there.") from error


def write_through(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour, then rename it to `path`; failures leave nothing behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explained(path):
        try:
            write(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError while writing `path` into a TargetError with the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TargetError(f"The disk is full while writing {path}; free some space or write elsewhere.") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise TargetError(f"{path} may not be written; choose a folder that is yours to write.") from error
        if isinstance(error, FileExistsError | NotADirectoryError | FileNotFoundError | IsADirectoryError):
            raise TargetError(f"{path} cannot be written ({error.strerror}); choose another path.") from error
        raise


def require_free(target: Path) -> None:
    """Raise TargetError where `target` exists already and is not an empty folder."""
    with explained(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise TargetError(f"{target} exists already; remove it or choose another name.")


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """A hidden neighbour of `target` to fill; it becomes `target` only if the block succeeds.

    Raises TargetError where `target` exists already and is not an empty folder.
    """
    require_free(target)
    if not target.name:
        raise TargetError(f"{target} has no name of its own; name a new folder.")
    with explained(target):
        new_parents = [parent for parent in target.parents if not parent.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        stage = target.with_name(f".{target.name}.{os.getpid()}.part")
        shutil.rmtree(stage, ignore_errors=True)
        try:
            stage.mkdir()
            yield stage
            if target.exists():
                target.rmdir()
            stage.rename(target)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            with suppress(OSError):
                for parent in new_parents:
                    parent.rmdir()
            raise


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def pack_colour(colour: Colour) -> int:
    """(r, g, b) -> one integer, 0xRRGGBB."""
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def pack_colours(pixels_HW3: Image) -> NDArray[np.uint32]:
    """RGB pixels -> one integer a pixel, 0xRRGGBB, shape (H, W)."""
    wide = pixels_HW3.astype(np.uint32)
    packed: NDArray[np.uint32] = (wide[..., 0] << np.uint32(16)) | (wide[..., 1] << np.uint32(8)) | wide[..., 2]
    return packed
