"""All predictions as one file of COCO annotations: one annotation a connected piece (cocodataset.org/#format-data)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from maskwright.console import track
from maskwright.files import write_through
from maskwright.infer.predicting.outputs.answer import Gathering
from maskwright.infer.predicting.outputs.polygons import Piece, pieces
from maskwright.types import Classes


def write_coco(path: Path, of: Gathering) -> None:
    """Write `coco.json`; memory holds the pieces of one image at a time.

    A hole is joined to the outer ring by a cut of no width, because COCO's polygons have none. `info.maskwright`
    keeps the class table, so that `maskwright import coco` gives the same masks.
    """
    write_through(path, lambda temporary: _write(temporary, of))


def _write(path: Path, of: Gathering) -> None:
    images = [
        {"id": number, "file_name": row.file, "height": row.height, "width": row.width}
        for number, row in enumerate(of.rows, start=1)
    ]
    head = {
        "info": {"description": "predictions", "maskwright": of.classes.to_dict()},
        "images": images,
        "categories": categories(of.classes),
    }
    count = 0
    with path.open("wb") as file:
        file.write(msgspec.json.encode(head)[:-1] + b',"annotations":[')
        for image_id, row in enumerate(track(of.rows, "writing coco.json"), start=1):
            for piece in pieces(of.ids_of(row), of.classes, of.simplify_px):
                count += 1
                entry = {"id": count, "image_id": image_id, **annotation(piece)}
                file.write((b"," if count > 1 else b"") + msgspec.json.encode(entry))
        file.write(b"]}\n")


def categories(classes: Classes) -> list[dict[str, Any]]:
    """COCO's ids begin at 1."""
    return [{"id": item.id + 1, "name": item.name, "supercategory": ""} for item in classes.items]


def annotation(piece: Piece) -> dict[str, Any]:
    """One annotation, without its ids."""
    from maskwright.data.pixels.outline import keyhole  # numba takes a while to import

    return {
        "category_id": piece.class_id + 1,
        "segmentation": [keyhole(piece.outer, piece.holes).ravel().tolist()],
        "area": piece.area_px,
        "bbox": piece.box_xywh,
        "iscrowd": 0,
    }
