"""Photos as a page shows them: as they came where browsers can, else anew."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from maskwright.data.dataset import Sample
from maskwright.files import content_hash, read_bytes, write_bytes
from maskwright.imageio import browser_type, decode_image, decode_reduced, encode_image, image_size
from maskwright.types import InputError, TargetError

THUMB_PX = 160
_QUALITY = 95  # of photos that must be encoded anew; labels are drawn on them, so artefacts would mislead
_THUMB_QUALITY = 80


def displayable(path: Path, sample: Sample, longest: int | None = None) -> tuple[bytes, str]:
    """The photo's bytes and media type: upright, and `longest` pixels a side at most if given.

    Raises InputError for a photo that is gone, damaged, or not of the size that the table says.
    """
    data = read_bytes(path)
    if image_size(data, path) != sample.size_hw:
        raise InputError(f"{path} is not the size that samples.csv says; import the data set again.")
    if longest is not None and longest < max(sample.size_hw):
        return encode_image(decode_reduced(data, path, longest), ".jpg"), "image/jpeg"
    kind = browser_type(data, path)
    if kind is not None:
        return data, kind
    return encode_image(decode_image(data, path), ".jpg", quality=_QUALITY), "image/jpeg"


def thumbnail(path: Path, sample: Sample, folder: Path) -> bytes:
    """A JPEG of at most 160 pixels a side, kept in `folder` by the hash of the photo."""
    name = sample.image_hash or content_hash(read_bytes(path))
    kept = folder / f"{name}.jpg"
    with suppress(InputError):
        return read_bytes(kept)
    data = encode_image(decode_reduced(read_bytes(path), path, THUMB_PX), ".jpg", quality=_THUMB_QUALITY)
    with suppress(TargetError):  # it is made again
        write_bytes(kept, data)
    return data
