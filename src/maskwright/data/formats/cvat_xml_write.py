"""Data sets as CVAT's XML: a dump of a project whose subsets are the splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.labels import IGNORE, write_table
from maskwright.data.formats.listing import each_sample
from maskwright.data.pixels.rle import boxed_from_mask
from maskwright.files import explained, put_bytes, read_bytes
from maskwright.types import IGNORE_COLOUR, Classes


def write(dataset: Dataset, target: Path) -> None:
    """Write `annotations.xml`, as a dump of a project with a subset a split, and the photos in `images/SPLIT/`.

    Every connected region of a class is a mask; ignored pixels have the label 'ignore'.
    """
    write_table(dataset, target)
    samples = dataset.labelled()
    for split in {sample.split for sample in samples}:
        (target / "images" / split).mkdir(parents=True, exist_ok=True)
    described = each_sample(_Describe(dataset.only_table(), target), samples, target)
    path = target / "annotations.xml"
    with explained(path), path.open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        xml.startElement("annotations", AttributesImpl({}))
        _element(xml, "version", {}, "1.1")
        _write_meta(xml, dataset.classes)
        for number, (sample, shapes) in enumerate(zip(samples, described, strict=True)):
            size = {"width": str(sample.width), "height": str(sample.height)}
            subset = {"subset": sample.split} if sample.split else {}
            xml.startElement(
                "image", AttributesImpl({"id": str(number), "name": Path(sample.image).name, **subset, **size})
            )
            for shape in shapes:
                _element(xml, "mask", shape)
            xml.endElement("image")
        xml.endElement("annotations")
        xml.endDocument()


def _write_meta(xml: XMLGenerator, classes: Classes) -> None:
    inside = ("meta", "project", "labels")
    for tag in inside:
        xml.startElement(tag, AttributesImpl({}))
    names = [(item.name, item.colour) for item in classes.items if item.id != classes.background]
    for name, colour in [*names, (IGNORE, IGNORE_COLOUR)]:
        xml.startElement("label", AttributesImpl({}))
        _element(xml, "name", {}, name)
        _element(xml, "color", {}, "#" + bytes(colour).hex())
        _element(xml, "type", {}, "any")
        _element(xml, "attributes", {})
        xml.endElement("label")
    for tag in reversed(inside):
        xml.endElement(tag)


def _element(xml: XMLGenerator, tag: str, attributes: Mapping[str, str], text: str = "") -> None:
    xml.startElement(tag, AttributesImpl(dict(attributes)))
    xml.characters(text)
    xml.endElement(tag)
    xml.ignorableWhitespace("\n")


@dataclass(frozen=True)
class _Describe:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> list[dict[str, str]]:
        """Copy the photo; the attributes of one mask element a connected region."""
        source = self.dataset.path / sample.image
        put_bytes(self.target / "images" / sample.split / source.name, read_bytes(source))
        classes, mask_HW = self.dataset.classes, self.dataset.mask(sample)
        return [
            {"label": IGNORE if value == classes.ignore else classes.names[value], "source": "manual", **region}
            for value in np.unique(mask_HW).tolist()
            if value != classes.background
            for region in _regions(mask_HW == value)
        ]


def _regions(inside_HW: NDArray[np.bool_]) -> Iterator[dict[str, str]]:
    count, labels_HW, boxes, _ = cv2.connectedComponentsWithStats(inside_HW.astype(np.uint8), connectivity=8)
    for label in range(1, count):
        left, top, width, height = boxes[label, :4].tolist()
        runs = boxed_from_mask(labels_HW[top : top + height, left : left + width] == label)
        place = {"left": left, "top": top, "width": width, "height": height, "z_order": 0}
        yield {"occluded": "0", "rle": runs.text, **{key: str(value) for key, value in place.items()}}
