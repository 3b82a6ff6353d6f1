"""Label Studio's JSON export: brush strokes, polygons, rectangles and ellipses.

labelstud.io/guide/task_format and /tags/brushlabels, /polygonlabels, /rectanglelabels, /ellipselabels: coordinates are
percentages of the photo, rectangles turn about their upper left corner. Of several annotations of a photo, the latest
that was not cancelled is taken.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from maskwright.console import Skipped
from maskwright.data.formats.figures import box, ellipse, flat, turned
from maskwright.data.formats.labels import UNWANTED, Labels, class_table
from maskwright.data.formats.listing import SPLIT_NAMES, Item, Listing, Options, Painted, photo_file
from maskwright.data.formats.photos import Photos, photos_of, unique
from maskwright.data.formats.shapes import Shape, paint_shapes
from maskwright.data.pixels.brush import mask_from_labelstudio
from maskwright.data.pixels.rle import counts_from_mask
from maskwright.files import read_bytes
from maskwright.imageio import IMAGE_SUFFIXES
from maskwright.types import InputError

NO_SHAPES = frozenset({"choices", "taxonomy", "textarea", "rating", "number", "datetime", "pairwise", "ranker"})
THIN = frozenset({"keypointlabels", "keypoint", "vectorlabels", "vector"})
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
_Any = msgspec.json.Decoder()


class _Result(msgspec.Struct):
    """One region; its value stays undecoded until it is painted."""

    type: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")
    original_width: Any = None
    original_height: Any = None


class _Annotation(msgspec.Struct):
    result: list[msgspec.Raw] = []
    was_cancelled: bool | None = False
    skipped: bool | None = False
    created_at: Any = None
    updated_at: Any = None
    id: Any = None

    @property
    def dropped(self) -> bool:
        return bool(self.was_cancelled or self.skipped)

    @property
    def when(self) -> tuple[str, str]:
        """ISO 8601 in UTC, as Label Studio writes it, sorts as text; numbers sort by their length first."""
        return str(self.updated_at or self.created_at or ""), str(self.id or "").rjust(20, "0")


class _Task(msgspec.Struct):
    id: Any = None
    data: dict[str, Any] | None = None
    annotations: list[_Annotation] | None = None
    completions: list[_Annotation] | None = None
    file_upload: str | None = None


def read(source: Path, options: Options) -> Listing:
    """Read an export, or the only JSON file of a folder; photos are found by name in it or in `--images`.

    A task without an annotation is an unlabelled row; a submitted one without regions is background as a whole.
    """
    path = _file(source)
    photos = photos_of(path, options)
    items: list[Item] = []
    alone: list[Skipped] = []
    counts: Counter[str] = Counter()
    labels: set[str] = set()
    for number, raw in enumerate(_tasks(path)):
        name = f"{path}, task {number}"
        try:
            task = msgspec.json.decode(raw, type=_Task)
            annotation = _chosen(task, counts)
            item = _item(name, path, task, photos)
            if annotation is not None:
                labels |= _label_names(annotation, counts)
                item = replace(item, mask=path, note=(name, annotation.result), size_hw=_size(annotation))
            items.append(item)
        except (msgspec.DecodeError, UnicodeDecodeError, InputError) as error:
            reason = str(error) if isinstance(error, InputError) else f"{name} is malformed ({error}); export it again."
            alone.append(Skipped(name, reason))
    items, twins = unique(items, sized=options.without_images)
    if not items:
        first = f" The first: {(alone + twins)[0].reason}" if alone + twins else ""
        raise InputError(f"{path} lists no photo that can be used.{first}")
    table = class_table(sorted(labels), source, options)
    return Listing(
        classes=table.classes,
        items=items,
        paint=PaintRegions(table, options.ties),
        photo=None if options.without_images else photo_file,
        load=_load,
        alone=alone + twins,
        notes=[*table.notes, *_remarks(counts)],
        record={"overlaps": {"rule": "higher priority wins", "ties": options.ties}},
    )


def _file(source: Path) -> Path:
    if not source.is_dir():
        return source
    found = sorted(source.glob("*.json"))
    if len(found) != 1:
        raise InputError(f"{source} holds {len(found)} JSON files; name the one that Label Studio exported.")
    return found[0]


def _tasks(path: Path) -> list[msgspec.Raw]:
    try:
        tasks = msgspec.json.decode(read_bytes(path), type=list[msgspec.Raw])
        first = msgspec.json.decode(tasks[0]) if tasks else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not a list of tasks ({error}); export it as JSON again.") from error
    if not isinstance(first, dict) or not {"annotations", "completions"} & first.keys():
        raise InputError(f"{path} has no tasks with annotations; export it as JSON, not as JSON-MIN or CSV.")
    return tasks


def _chosen(task: _Task, counts: Counter[str]) -> _Annotation | None:
    """The latest annotation that was not cancelled."""
    every = task.annotations if task.annotations is not None else task.completions or []
    kept = [one for one in every if not one.dropped]
    counts["cancelled"] += len(every) - len(kept)
    counts["several"] += len(kept) > 1
    counts["none"] += not kept
    return max(kept, key=lambda one: one.when) if kept else None


def _remarks(counts: Counter[str]) -> list[str]:
    notes = []
    if counts["several"]:
        notes.append(f"photos with several annotations, of which the latest is taken: {counts['several']}")
    if counts["cancelled"]:
        notes.append(f"cancelled annotations, not taken: {counts['cancelled']}")
    if counts["none"]:
        notes.append(f"photos without an annotation, so unlabelled: {counts['none']}")
    if counts["passed over"]:
        notes.append(f"choices, texts and the like, which are no shapes: {counts['passed over']}")
    return notes


def _item(name: str, path: Path, task: _Task, photos: Photos) -> Item:
    data = task.data or {}
    written = [value for key, value in data.items() if key == "image" and isinstance(value, str)]
    written += [value for value in data.values() if isinstance(value, str) and _is_photo(value)]
    if task.file_upload:
        written.append(task.file_upload)
    if not written:
        raise InputError(f"{name} names no photo; its data has {', '.join(map(str, data)) or 'nothing'}.")
    image = photos.get(*(known for one in written for known in _names(one)), by=name)
    return Item(id=image.stem, image=image, split=SPLIT_NAMES.get(str(data.get("split", "")).lower(), ""))


def _is_photo(value: str) -> bool:
    return any(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in _names(value))


def _names(address: str) -> list[str]:
    """What a photo may be called on this machine: as written, then without the digits that an upload puts before it."""
    parts = urlsplit(address) if "://" in address or address.startswith("/data/") else None
    name = address
    if parts is not None:
        name = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    folder, _, last = name.replace("\\", "/").rpartition("/")
    short = _UPLOADED.sub("", last)
    return [name] if short == last else [name, f"{folder}/{short}" if folder else short]


def _size(annotation: _Annotation) -> tuple[int, int] | None:
    """Rows and columns of the photo as the regions say."""
    for raw in annotation.result:
        one = msgspec.json.decode(raw, type=_Result)
        if type(one.original_width) is int and type(one.original_height) is int:
            return one.original_height, one.original_width
    return None


def _label_names(annotation: _Annotation, counts: Counter[str]) -> set[str]:
    names: set[str] = set()
    for raw in annotation.result:
        one = msgspec.json.decode(raw, type=_Result)
        counts["passed over"] += one.type in NO_SHAPES
        if one.type.endswith("labels") and one.type not in THIN:
            value = msgspec.json.decode(one.value, type=dict[str, msgspec.Raw])
            names |= set(_value_labels({key: _Any.decode(raw) for key, raw in value.items() if key.endswith("labels")}))
    return names


def _load(item: Item) -> Item:
    """Regions as bytes of their own, to be sent to a worker."""
    if item.note is None:
        return item
    name, results = item.note
    return replace(item, note=(name, [bytes(raw) for raw in results]))


@dataclass(frozen=True)
class PaintRegions:
    """Paints the regions of one annotation."""

    labels: Labels
    ties: str

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask of one photo, what was contested, and the regions that could not be used."""
        name, results = item.note
        shapes: list[Shape] = []
        left_out: list[Skipped] = []
        decoded = [_Any.decode(raw) for raw in results]
        for index, result in enumerate(decoded):
            kind = result.get("type", "")
            if kind in NO_SHAPES or kind == "relation" or _labelled_elsewhere(result, decoded):
                continue
            region = f"{name}, region {index} of {item.image.name}"
            try:
                if kind in THIN:
                    raise ValueError(f"'{kind}' has no area; draw a polygon or use the brush")
                value = self._id_of(result)
                if value != UNWANTED:
                    shapes.append(shape_of(region, value, result, size_hw))
            except ValueError as error:
                left_out.append(Skipped(region, str(error)))
        painted = paint_shapes(shapes, self.labels.classes, size_hw, ties=self.ties, blank=self.labels.blank)
        return replace(painted, left_out=(*left_out, *painted.left_out))

    def _id_of(self, result: Mapping[str, Any]) -> int:
        names = _value_labels(_value(result))
        if len(names) != 1:
            raise ValueError(f"it has {len(names) or 'no'} labels; give each region one")
        return self.labels.id_of(names[0])


def _labelled_elsewhere(result: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> bool:
    """With separate <Labels>, a region comes twice: bare as 'polygon', and as 'labels' with the same id."""
    if result.get("type") not in ("brush", "polygon", "rectangle", "ellipse"):
        return False
    return any(one.get("id") == result.get("id") and one.get("type") == "labels" for one in every)


def _value(result: Mapping[str, Any]) -> Mapping[str, Any]:
    value = result.get("value")
    return value if isinstance(value, dict) else {}


def _value_labels(value: Mapping[str, Any]) -> list[str]:
    every = [names for key, names in value.items() if key.endswith("labels") and isinstance(names, list)]
    return [name for names in every for name in names if isinstance(name, str)]


def shape_of(name: str, number: int, result: Mapping[str, Any], size_hw: tuple[int, int]) -> Shape:
    """One region in pixels; raises ValueError with the reason where it has no area or is malformed."""
    value = _value(result)
    declared = result.get("original_height"), result.get("original_width")
    if None not in declared and declared != size_hw:
        raise ValueError(f"it was drawn on {declared[1]} x {declared[0]} pixels, the photo has {size_hw[::-1]}")
    if result.get("image_rotation"):
        raise ValueError("the photo was turned in Label Studio; turn it back there, or turn the file")
    if "rle" in value:
        mask_HW = mask_from_labelstudio(value["rle"], size_hw)
        return Shape(name=name, value=number, counts=counts_from_mask(mask_HW).tolist())
    return Shape(name=name, value=number, polygons=[_polygon(str(result.get("type")), value, size_hw)])


def _polygon(kind: str, value: Mapping[str, Any], size_hw: tuple[int, int]) -> list[float]:
    y_px, x_px = size_hw[0] / 100, size_hw[1] / 100
    if "points" in value:
        points = flat(value["points"] or [])
        return [number * (y_px if place % 2 else x_px) for place, number in enumerate(points)]
    wide, high = ("radiusX", "radiusY") if "radiusX" in value else ("width", "height")
    if wide not in value:
        raise ValueError(f"regions of the type '{kind}' are not known")
    try:
        left, top, degrees = float(value["x"]) * x_px, float(value["y"]) * y_px, float(value.get("rotation") or 0)
        width, height = float(value[wide]) * x_px, float(value[high]) * y_px
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("its place or size is not made of numbers") from error
    if wide == "radiusX":
        return ellipse(left, top, width, height, degrees=degrees)
    return turned(box(left, top, left + width, top + height), left, top, degrees)
