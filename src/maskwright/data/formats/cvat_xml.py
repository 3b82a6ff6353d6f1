"""CVAT's own XML, "CVAT for images 1.1": `annotations.xml` and the photos.

docs.cvat.ai/docs/dataset_management/formats/format-xml. Read are dumps of tasks, jobs and projects: polygons, boxes
and ellipses (turned ones too) and masks. Where shapes overlap, the higher `z_order` wins, as on CVAT's canvas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from maskwright.console import Skipped
from maskwright.data.formats.figures import box, ellipse, flat, placed_runs, turned
from maskwright.data.formats.labels import UNWANTED, Labels, class_table
from maskwright.data.formats.listing import SPLIT_NAMES, Item, Listing, Options, Painted, photo_file
from maskwright.data.formats.photos import photos_of, unique
from maskwright.data.formats.shapes import Shape, paint_shapes
from maskwright.data.pixels.rle import BoxedRuns, mask_from_boxed
from maskwright.files import read_bytes
from maskwright.types import Colour, InputError, parse_colour

Attributes = Mapping[str, str]
AREAS = ("polygon", "box", "ellipse", "mask")
THIN = ("polyline", "points", "tag", "cuboid", "skeleton")


@dataclass(kw_only=True)
class Dump:
    """What an XML file says: labels with their colours, the subset of a task, and each image with its shapes.

    `used` are labels of shapes with an area. Shapes are packed, for an export may hold millions; `shapes_of` unpacks.
    """

    labels: dict[str, Colour | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    subset: str = ""
    images: list[tuple[Attributes, bytes]] = field(default_factory=list)


def shapes_of(packed: bytes) -> list[tuple[str, dict[str, str]]]:
    """(element, attributes) of one image, in the order of the file."""
    return msgspec.msgpack.decode(packed, type=list[tuple[str, dict[str, str]]])


def read(source: Path, options: Options) -> Listing:
    """Read an XML file, or the only one of a folder; photos are found by name beside it or in `--images`.

    A photo without shapes is background as a whole. Subsets named after a split are kept.
    """
    path = _file(source)
    dump = read_dump(path)
    photos = photos_of(path, options)
    items: list[Item] = []
    alone: list[Skipped] = []
    for attributes, shapes in dump.images:
        name = attributes.get("name", "")
        try:
            image = photos.get(name, by=f"{path}, image {attributes.get('id', '')},")
            size_hw = _size(attributes, path)
        except InputError as error:
            alone.append(Skipped(name or str(path), str(error)))
            continue
        subset = attributes.get("subset", dump.subset)
        split = SPLIT_NAMES.get(subset.lower(), "")
        items.append(Item(id=image.stem, image=image, mask=path, split=split, size_hw=size_hw, note=shapes))
    items, twins = unique(items, sized=options.without_images)
    if not items:
        first = f" The first: {(alone + twins)[0].reason}" if alone + twins else ""
        raise InputError(f"{path} lists no image that can be used.{first}")
    colours = {name: colour for name, colour in dump.labels.items() if colour is not None}
    labels = class_table([*dump.labels, *sorted(dump.used)], source, options, colours=colours)
    return Listing(
        classes=labels.classes,
        items=items,
        paint=PaintXml(labels, options.ties),
        photo=None if options.without_images else photo_file,
        alone=alone + twins,
        notes=list(labels.notes),
        record={"overlaps": {"rule": "higher priority wins, then higher z_order", "ties": options.ties}},
    )


def _file(source: Path) -> Path:
    if not source.is_dir():
        return source
    found = [source / "annotations.xml"] if (source / "annotations.xml").is_file() else sorted(source.glob("*.xml"))
    if len(found) != 1:
        raise InputError(f"{source} holds {len(found)} XML files; name the one that CVAT exported.")
    return found[0]


def _size(attributes: Attributes, path: Path) -> tuple[int, int]:
    try:
        size = int(attributes["height"]), int(attributes["width"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: image '{attributes.get('name')}' has no size; export it again.") from error
    if min(size) < 1:
        raise InputError(f"{path}: image '{attributes.get('name')}' has no pixels; export it again.")
    return size


def read_dump(path: Path) -> Dump:
    """Parse without keeping the tree; raises InputError for other XML, video dumps and document type definitions."""
    target = _Target(path)
    parser = ElementTree.XMLParser(target=target)
    try:
        parser.feed(read_bytes(path))
        parser.close()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid XML ({error}); export it again.") from error
    if not target.root:
        raise InputError(f"{path} is not CVAT's XML; export the task as 'CVAT for images 1.1'.")
    return target.dump


class _Target:
    """Receives elements from the parser."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dump = Dump()
        self.root = False
        self.where: list[str] = []
        self.text = ""
        self.label: dict[str, str] = {}
        self.image: dict[str, str] = {}
        self.shapes: list[tuple[str, dict[str, str]]] = []

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InputError(f"{self.path} has a document type definition, which CVAT never writes; it is not read.")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.where:
            self.root = tag == "annotations"
        if tag == "track":
            raise InputError(f"{self.path} is a dump of video tracks; export it as 'CVAT for images 1.1' instead.")
        if self.where == ["annotations"] and tag == "image":
            self.image, self.shapes = attributes, []
        elif self.where == ["annotations", "image"]:
            self.shapes.append((tag, attributes))
            if tag in AREAS:
                self.dump.used.add(attributes.get("label", ""))
        self.where.append(tag)
        self.text = ""

    def data(self, text: str) -> None:
        if self.where[:2] == ["annotations", "meta"]:
            self.text += text

    def end(self, tag: str) -> None:
        self.where.pop()
        if self.where[-2:] == ["labels", "label"]:
            self.label[tag] = self.text.strip()
        elif tag == "label" and self.where[-1:] == ["labels"]:
            self._keep_label()
        elif tag == "image" and self.where == ["annotations"]:
            self.dump.images.append((self.image, msgspec.msgpack.encode(self.shapes)))
        elif tag == "subset" and self.where == ["annotations", "meta", "task"]:
            self.dump.subset = self.text.strip()

    def close(self) -> None:
        """Nothing is left to do."""

    def _keep_label(self) -> None:
        label, self.label = self.label, {}
        if not label.get("name") or label.get("type") in THIN or label.get("parent"):
            return
        try:
            colour = parse_colour(label.get("color", ""))
        except InputError:
            colour = None
        self.dump.labels[label["name"]] = colour


@dataclass(frozen=True)
class PaintXml:
    """Paints the shapes of one image."""

    labels: Labels
    ties: str

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask of one photo, what was contested, and the shapes that could not be used."""
        shapes: list[Shape] = []
        left_out: list[Skipped] = []
        for index, (kind, attributes) in enumerate(shapes_of(item.note)):
            label = attributes.get("label", "")
            name = f"{item.mask}, {item.image.name}, {kind} {index} '{label}'"
            try:
                if kind in THIN:
                    raise ValueError(f"'{kind}' has no area; draw it as a polygon or mask")
                if attributes.get("outside") == "1":
                    continue
                if (value := self.labels.id_of(label)) != UNWANTED:
                    shapes.append(shape_of(name, value, kind, attributes, size_hw))
            except ValueError as error:
                left_out.append(Skipped(name, str(error)))
        painted = paint_shapes(shapes, self.labels.classes, size_hw, ties=self.ties, blank=self.labels.blank)
        return replace(painted, left_out=(*left_out, *painted.left_out))


def shape_of(name: str, value: int, kind: str, attributes: Attributes, size_hw: tuple[int, int]) -> Shape:
    """One element in pixels; raises ValueError with the reason where it is malformed or of an unknown kind."""
    layer = int(_number(attributes, "z_order", "0"))
    if kind == "mask":
        left, top, width, height = (int(_number(attributes, key)) for key in ("left", "top", "width", "height"))
        runs = BoxedRuns.from_text(attributes.get("rle", ""), left=left, top=top, width=width, height=height)
        if height > size_hw[0] or width > size_hw[1]:
            raise ValueError("it is larger than the photo")
        window_HW = mask_from_boxed(replace(runs, left=0, top=0), (height, width))
        return Shape(name=name, value=value, counts=placed_runs(window_HW, left, top, size_hw), layer=layer)
    return Shape(name=name, value=value, polygons=[_polygon(kind, attributes)], layer=layer)


def _polygon(kind: str, attributes: Attributes) -> Sequence[float]:
    degrees = _number(attributes, "rotation", "0")
    if kind == "polygon":
        return flat([pair.split(",") for pair in attributes.get("points", "").split(";")])
    if kind == "box":
        left, top, right, bottom = (_number(attributes, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        return turned(box(left, top, right, bottom), (left + right) / 2, (top + bottom) / 2, degrees)
    if kind == "ellipse":
        x, y, radius_x, radius_y = (_number(attributes, key) for key in ("cx", "cy", "rx", "ry"))
        return ellipse(x, y, radius_x, radius_y, degrees=degrees)
    raise ValueError(f"elements '{kind}' are not known")


def _number(attributes: Attributes, key: str, default: str | None = None) -> float:
    text = attributes.get(key, default)
    if text is None:
        raise ValueError(f"it has no {key}")
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"its {key} is '{text}', no number") from error
    if not math.isfinite(number):
        raise ValueError(f"its {key} is not a finite number")
    return number
