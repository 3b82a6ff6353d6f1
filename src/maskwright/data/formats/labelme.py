"""labelme: a JSON file beside each photo (versions 3 to 6; github.com/wkentaro/labelme, `_label_file.py`).

Polygons cover pixels by COCO's rule, with coordinates at pixel corners, which labelme's canvas has too; labelme's own
export draws the outline as well and is up to a pixel larger. The names `__ignore__` and `_background_`, and a
`labels.txt` that lists the labels, are those of its `labelme2voc.py`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.figures import box, ellipse, flat, placed_runs
from maskwright.data.formats.labels import UNWANTED, Labels, class_table, write_table
from maskwright.data.formats.listing import Item, Listing, Options, Painted, each_sample, photo_file
from maskwright.data.formats.photos import Photos, parts_of, photos_of, split_of, unique
from maskwright.data.formats.shapes import Shape, paint_shapes
from maskwright.data.pixels.outline import polygons
from maskwright.files import list_files, put_bytes, read_bytes, read_json, write_text
from maskwright.imageio import decode_plane
from maskwright.types import Classes, InputError, Mask

IGNORE_LABEL = "__ignore__"
BACKGROUND_LABEL = "_background_"
EMBEDDED = "embedded"  # an item's note: its photo lies in the JSON file
POLYGONS = ("polygon", "oriented_rectangle", "rotation")
THIN = ("point", "points", "line", "linestrip")
_SIGNATURES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"RIFF": ".webp"}


def read(source: Path, options: Options) -> Listing:
    """Read every labelme JSON below a folder, or one file; a folder on the way named train, val or test is the split.

    Photos are found by name beside the JSON files or in `--images`, else taken from `imageData`.
    """
    paths = [source] if source.is_file() else list_files(source, frozenset({".json"}))
    photos = photos_of(source, options)
    items: list[Item] = []
    alone: list[Skipped] = []
    found: set[str] = set()
    for path in track(paths, "reading annotations"):
        try:
            content = read_annotation(path)
            items.append(_item(path, content, photos, source))
            found.update(_label_names(content["shapes"]))
        except InputError as error:
            alone.append(Skipped(str(path), str(error)))
    items, twins = unique(items, sized=options.without_images)
    if not items:
        first = f" The first: {(alone + twins)[0].reason}" if alone + twins else ""
        raise InputError(f"{source} holds no labelme JSON that can be used.{first}")
    labels = class_table([*_listed(source), *sorted(found)], source, options)
    return Listing(
        classes=labels.classes,
        items=items,
        paint=PaintJson(labels, options.ties),
        photo=None if options.without_images else photo,
        alone=alone + twins,
        notes=list(labels.notes),
        record={"overlaps": {"rule": "higher priority wins", "ties": options.ties}},
    )


def read_annotation(path: Path) -> dict[str, Any]:
    """The content of one file; raises InputError where it is not labelme's."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise InputError(f"{path} is not labelme's JSON, for it has no list of shapes; move it elsewhere.")
    return content


def _item(path: Path, content: Mapping[str, Any], photos: Photos, source: Path) -> Item:
    name = content.get("imagePath")
    name = name if isinstance(name, str) and parts_of(name) else f"{path.stem}.jpg"
    size = (content.get("imageHeight"), content.get("imageWidth"))
    image = photos.find(path.parent.joinpath(*parts_of(name)).as_posix())
    embedded = image is None and isinstance(content.get("imageData"), str)
    if embedded:
        image = path.parent / PurePosixPath(parts_of(name)[-1]).with_suffix(_suffix(path, content["imageData"]))
    return Item(
        id=path.stem,
        image=image or photos.get(name, by=str(path)),
        mask=path,
        split=split_of(path.relative_to(source).parts[:-1]) if source.is_dir() else "",
        size_hw=(int(size[0]), int(size[1])) if all(type(one) is int and one > 0 for one in size) else None,  # type: ignore[arg-type]
        note=EMBEDDED if embedded else None,
    )


def _suffix(path: Path, text: str) -> str:
    head = _unpacked(text[:16], f"{path}: imageData")
    for signature, suffix in _SIGNATURES.items():
        if head.startswith(signature):
            return suffix
    raise InputError(f"{path}: imageData is no photo that can be read; put the photo beside the file.")


def photo(item: Item) -> tuple[bytes, str]:
    """The photo as it lies there, or as it is embedded."""
    if item.note != EMBEDDED:
        return photo_file(item)
    assert item.mask is not None
    return _unpacked(read_annotation(item.mask)["imageData"], f"{item.mask}: imageData"), item.image.suffix


def _label_names(shapes: Sequence[Any]) -> set[str]:
    """Labels of shapes that have an area."""
    every = [shape for shape in shapes if isinstance(shape, dict) and shape.get("shape_type") not in THIN]
    return {shape["label"] for shape in every if isinstance(shape.get("label"), str)}


def _listed(source: Path) -> list[str]:
    """The lines of `labels.txt`, labelme's own list."""
    path = source / "labels.txt"
    if not path.is_file():
        return []
    lines = read_bytes(path).decode("utf-8-sig", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() not in ("", IGNORE_LABEL, BACKGROUND_LABEL)]


@dataclass(frozen=True)
class PaintJson:
    """Paints the shapes of one JSON file."""

    labels: Labels
    ties: str

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask of one photo, what was contested, and the shapes that could not be used."""
        assert item.mask is not None
        shapes: list[tuple[Any, Shape]] = []
        left_out: list[Skipped] = []
        for index, entry in enumerate(read_annotation(item.mask)["shapes"]):
            name = f"{item.mask}, shape {index}"
            try:
                if (kind := _get(entry, "shape_type")) in THIN:
                    raise ValueError(f"'{kind}' has no area; draw it as a polygon")
                if (value := self.labels.id_of(_get(entry, "label"))) != UNWANTED:
                    name = f"{name} '{entry['label']}'"
                    shapes.append((_group(entry), shape_of(name, value, entry, size_hw)))
            except ValueError as error:
                left_out.append(Skipped(name, str(error)))
        united = unite(shapes)
        painted = paint_shapes(united, self.labels.classes, size_hw, ties=self.ties, blank=self.labels.blank)
        return replace(painted, left_out=(*left_out, *painted.left_out))


def _get(entry: Any, key: str) -> Any:
    if not isinstance(entry, dict):
        raise ValueError("it is not a shape")
    return entry.get(key)


def _group(entry: Mapping[str, Any]) -> Any:
    group = entry.get("group_id")
    return (entry["label"], group) if type(group) is int else None


def unite(shapes: Sequence[tuple[Any, Shape]]) -> list[Shape]:
    """Polygons of one label and group are one object, which stands where its last part stood."""
    parts: dict[Any, Shape] = {}
    for index, (group, shape) in enumerate(shapes):
        key = index if group is None or shape.counts is not None else group
        before = parts.pop(key, None)
        parts[key] = shape if before is None else replace(shape, polygons=[*before.polygons, *shape.polygons])
    return list(parts.values())


def shape_of(name: str, value: int, entry: Mapping[str, Any], size_hw: tuple[int, int]) -> Shape:
    """One shape in pixels; raises ValueError with the reason where it has no area or is malformed."""
    kind = entry.get("shape_type") or "polygon"
    points = entry.get("points")
    if not isinstance(points, list):
        raise ValueError("it has no list of points")
    if kind in POLYGONS or (kind == "rectangle" and len(points) == 4):
        return Shape(name=name, value=value, polygons=[flat(points)])
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"shapes of the type '{kind}' are not known")
    (x0, y0), (x1, y1) = _two(points)
    if kind == "rectangle":
        return Shape(name=name, value=value, polygons=[box(x0, y0, x1, y1)])
    if kind == "circle":
        radius = float(np.hypot(x1 - x0, y1 - y0))
        return Shape(name=name, value=value, polygons=[ellipse(x0, y0, radius, radius)])
    return Shape(name=name, value=value, counts=_placed(entry.get("mask"), (x0, y0, x1, y1), size_hw))


def _two(points: list[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        (x0, y0), (x1, y1) = points
        corners = (float(x0), float(y0)), (float(x1), float(y1))
    except (TypeError, ValueError) as error:
        raise ValueError("it needs two points of two numbers") from error
    if not np.isfinite(corners).all():
        raise ValueError("a coordinate is not a finite number")
    return corners


def _placed(text: Any, corners: tuple[float, ...], size_hw: tuple[int, int]) -> list[int]:
    """A `mask` shape as run lengths: its PNG with the first corner at its place; corners are inclusive."""
    if not isinstance(text, str):
        raise ValueError("it has no mask")
    stored = decode_plane(_unpacked(text, "its mask"), Path("its mask")) > 0
    left, top, right, bottom = (round(value) for value in corners)
    if all(value == int(value) for value in corners):
        stored = stored[: max(0, bottom - top + 1), : max(0, right - left + 1)]
    return placed_runs(stored, left, top, size_hw)


def _unpacked(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name} is not base64; save the file again with labelme.") from error


def write(dataset: Dataset, target: Path) -> None:
    """Write photos and JSON files side by side in a folder a split, with `labels.txt` and `classes.yaml`.

    One polygon is one connected region; a hole is joined to the outer ring by a cut of no width.
    """
    write_table(dataset, target)
    samples = dataset.labelled()
    for split in {sample.split for sample in samples}:
        (target / split).mkdir(exist_ok=True)
    each_sample(_WriteJson(dataset.only_table(), target), samples, target)
    names = [item.name for item in dataset.classes.items if item.id != dataset.classes.background]
    write_text(target / "labels.txt", "\n".join([IGNORE_LABEL, BACKGROUND_LABEL, *names]) + "\n")


@dataclass(frozen=True)
class _WriteJson:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> None:
        source = self.dataset.path / sample.image
        folder = self.target / sample.split
        put_bytes(folder / source.name, read_bytes(source))
        content = annotation(self.dataset.mask(sample), self.dataset.classes, source.name)
        put_bytes(folder / f"{source.stem}.json", msgspec.json.encode(content))


def annotation(mask_HW: Mask, classes: Classes, image_path: str, *, simplify_px: float = 0.0) -> dict[str, Any]:
    """A mask (H, W) as the content of labelme's file for the photo at `image_path`, seen from that file."""
    shapes = [
        _entry(IGNORE_LABEL if value == classes.ignore else classes.names[value], polygon_P2)
        for value in np.unique(mask_HW).tolist()
        if value != classes.background
        for polygon_P2 in polygons(mask_HW == value, tolerance_px=simplify_px)
    ]
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": mask_HW.shape[0],
        "imageWidth": mask_HW.shape[1],
    }


def _entry(label: str, polygon_P2: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "label": label,
        "points": polygon_P2.astype(int).tolist(),
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }
