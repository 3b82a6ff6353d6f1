"""Predictions as polygons: one for each connected piece of a class, holes kept; the background is what none covers.

Coordinates are pixels, x to the right and y down, at the corners of pixels: polygons run along the cracks between them
and cover exactly the pixels of the mask, unless they are simplified.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from maskwright.imageio import encode_image
from maskwright.infer.predicting.outputs.answer import Answer, count_pixels
from maskwright.types import Classes, Mask

Ring = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A connected piece of a class: rings (P, 2) of x, y, not closed, as `data.pixels.outline` has them."""

    class_id: int
    outer: Ring
    holes: tuple[Ring, ...]

    @property
    def area_px(self) -> float:
        """Area inside, without the holes: the piece's pixels where nothing is simplified."""
        return _area(self.outer) - sum(_area(hole) for hole in self.holes)

    @property
    def box_xywh(self) -> list[int]:
        """Left, top, width and height."""
        low, high = self.outer.min(0), self.outer.max(0)
        return [*low.tolist(), *(high - low).tolist()]


def pieces(mask_HW: Mask, classes: Classes, simplify_px: float = 0.0) -> Iterator[Piece]:
    """The pieces of every class but the background, class by class and from top to bottom."""
    from maskwright.data.pixels.outline import outlines  # numba takes a while to import

    for class_id, pixels in enumerate(count_pixels(mask_HW, classes)):
        if pixels and class_id != classes.background:
            for found in outlines(mask_HW == class_id, tolerance_px=simplify_px):
                yield Piece(class_id=class_id, outer=found.outer, holes=found.holes)


def _area(ring: Ring) -> float:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return abs(int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


def geojson_of(mask_HW: Mask, classes: Classes, *, simplify_px: float = 0.0) -> dict[str, Any]:
    """Class ids (H, W) -> a GeoJSON FeatureCollection (RFC 7946) in pixels, as plain data.

    Outer rings run the way that the standard asks for when the numbers are taken as they are. `objectType` and
    `classification` are those of QuPath, which shows such files over their image.
    """
    return {
        "type": "FeatureCollection",
        "features": [_feature(piece, classes) for piece in pieces(mask_HW, classes, simplify_px)],
    }


def _feature(piece: Piece, classes: Classes) -> dict[str, Any]:
    item = classes.items[piece.class_id]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [_closed(ring) for ring in (piece.outer, *piece.holes)]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": item.name, "color": list(item.colour)},
            "id": item.id,
            "name": item.name,
            "area_px": piece.area_px,
        },
    }


def _closed(ring: Ring) -> list[list[int]]:
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]


def geojson(answer: Answer) -> bytes:
    """One GeoJSON file."""
    return msgspec.json.encode(geojson_of(answer.mask_HW, answer.classes, simplify_px=answer.simplify_px))


def labelme(answer: Answer) -> bytes:
    """One labelme file; it points at the photo where that is a file, and holds it where it is not."""
    from maskwright.data.formats.labelme import annotation

    content = annotation(answer.mask_HW, answer.classes, _way_to(answer), simplify_px=answer.simplify_px)
    if answer.origin is None:
        content["imageData"] = base64.b64encode(encode_image(answer.image_HW3, ".png")).decode("ascii")
    return msgspec.json.encode(content)


def _way_to(answer: Answer) -> str:
    if answer.origin is None:
        return f"{Path(answer.name).name}.png"
    folder = (answer.target / "labelme" / answer.name).parent
    try:
        return Path(os.path.relpath(answer.origin.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return answer.origin.resolve().as_posix()
