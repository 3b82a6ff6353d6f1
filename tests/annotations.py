"""COCO annotation files drawn by code, and a format of it that takes its time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from drawing import photo

from maskwright.data.formats import FORMATS, Format, coco
from maskwright.data.formats.listing import Item, Listing, Options, Painted, Painter
from maskwright.imageio import write_image

HW = (24, 36)
CATEGORIES = ({"id": 90, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 31, "name": "potted plant"})


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """A rectangle as a segmentation of one polygon."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def annotation(number: Any, image: Any, category: Any, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **more}


def picture(number: Any, name: str = "", hw: tuple[int, int] = HW) -> dict[str, Any]:
    return {"id": number, "file_name": name or f"{number}.png", "height": hw[0], "width": hw[1]}


def content(
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]] = CATEGORIES,
) -> dict[str, Any]:
    return {"images": images, "annotations": annotations, "categories": categories}


def write_annotations(path: Path, *parts: Any) -> Path:
    """Write `content(*parts)`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(*parts)))
    return path


def many(path: Path, count: int, *, photos: bool = False, seed: int = 0) -> Path:
    """`count` images of two or three overlapping boxes each, one of them malformed now and then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for image in range(count):
        for _ in range(int(rng.integers(2, 4))):
            left, top = rng.uniform(0, 20, 2).round(1).tolist()
            shape = box(left, top, left + 12, top + 9) if rng.random() > 0.05 else []
            category = CATEGORIES[int(rng.integers(3))]["id"]
            annotations.append(annotation(len(annotations), image, category, shape))
        if photos:
            write_image(path.parent / f"{image}.png", photo(HW, seed=image))
    return write_annotations(path, [picture(image) for image in range(count)], annotations)


@dataclass(frozen=True)
class SlowPainter:
    """Another painter, with a pause of SLOW_SECONDS before each image."""

    paint: Painter

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        time.sleep(float(os.environ.get("SLOW_SECONDS", "0")))
        return self.paint(item, size_hw)


def read_slowly(source: Path, options: Options) -> Listing:
    found = coco.read(source, options)
    assert found.paint is not None
    return replace(found, paint=SlowPainter(found.paint))


def add_slow_format() -> None:
    """For a process of its own: `maskwright import slow`."""
    FORMATS["slow"] = Format(read=read_slowly, about="COCO, slowly")
