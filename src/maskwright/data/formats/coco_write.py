"""Data sets as COCO instance annotations: one annotation a connected region of a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.listing import each_sample
from maskwright.data.pixels import outline
from maskwright.data.pixels.rle import counts_from_mask, text_from_counts
from maskwright.files import put_bytes, read_bytes
from maskwright.types import Classes, Mask

Encoder = Callable[[NDArray[np.bool_]], Any]


def run_lengths(region_HW: NDArray[np.bool_]) -> Any:
    """A region as COCO's compressed run lengths."""
    text = text_from_counts(counts_from_mask(region_HW))
    return {"size": list(region_HW.shape), "counts": text}


def polygons(region_HW: NDArray[np.bool_]) -> Any:
    """A region as polygons that cover exactly its pixels, each hole joined to its outer ring by a cut of no width."""
    return [polygon.ravel().tolist() for polygon in outline.polygons(region_HW)]


def write(dataset: Dataset, target: Path, encode: Encoder) -> None:
    """Write `annotations/instances_SPLIT.json` and the photos in `SPLIT/`.

    Pixels of the background are what no annotation covers; ignored ones are a crowd region (`iscrowd`), always as run
    lengths, as COCO has it. `info.maskwright` keeps the class table, so that reading gives the same data set.
    """
    samples = dataset.labelled()
    splits = sorted({sample.split or "train" for sample in samples})
    for folder in ("annotations", *splits):
        (target / folder).mkdir(exist_ok=True)
    work = _Annotate(dataset.only_table(), target, encode)
    number = 1
    for split in splits:
        of_split = [sample for sample in samples if (sample.split or "train") == split]
        images, annotations = [], []
        described = each_sample(work, of_split, target)
        for image_id, (sample, regions) in enumerate(zip(of_split, described, strict=True), start=1):
            name = Path(sample.image).name
            images.append({"id": image_id, "file_name": name, "height": sample.height, "width": sample.width})
            for region in regions:
                annotations.append({"id": number, "image_id": image_id, **region})
                number += 1
        content = {
            "info": {"description": dataset.path.name, "maskwright": dataset.classes.to_dict()},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": _category(c.id), "name": c.name, "supercategory": ""} for c in dataset.classes.items],
        }
        put_bytes(target / "annotations" / f"instances_{split}.json", msgspec.json.encode(content))


def _category(class_id: int) -> int:
    """COCO's ids begin at 1."""
    return class_id + 1


@dataclass(frozen=True)
class _Annotate:
    dataset: Dataset
    target: Path
    encode: Encoder

    def __call__(self, sample: Sample) -> list[dict[str, Any]]:
        source = self.dataset.path / sample.image
        put_bytes(self.target / (sample.split or "train") / source.name, read_bytes(source))
        return list(regions(self.dataset.mask(sample), self.dataset.classes, self.encode))


def regions(mask_HW: Mask, classes: Classes, encode: Encoder) -> Iterator[dict[str, Any]]:
    """Annotations of one mask, without ids: the connected regions of each class, and one crowd of ignored pixels."""
    for value in np.unique(mask_HW).tolist():
        if value == classes.background:
            continue
        of_class = mask_HW == value
        if value == classes.ignore:
            # A crowd is no object; its category means nothing here, but COCO's tools want one.
            yield {"category_id": _category(0), **_region(of_class, run_lengths), "iscrowd": 1}
            continue
        _, labels_HW, boxes, _ = cv2.connectedComponentsWithStats(of_class.astype(np.uint8), connectivity=8)
        for label, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), start=1):
            window = (slice(top, top + height), slice(left, left + width))
            region_HW = np.zeros(of_class.shape, np.bool_)
            region_HW[window] = labels_HW[window] == label
            yield {"category_id": _category(value), **_region(region_HW, encode), "iscrowd": 0}


def _region(region_HW: NDArray[np.bool_], encode: Encoder) -> dict[str, Any]:
    box = cv2.boundingRect(region_HW.view(np.uint8))
    return {"segmentation": encode(region_HW), "area": int(np.count_nonzero(region_HW)), "bbox": list(box)}
