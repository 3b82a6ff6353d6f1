"""COCO instance annotations: polygons and run lengths in JSON, painted to class ids without opening an image.

Which pixels a polygon covers is defined by pycocotools' rasterisation. Format: cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.data.formats import coco_write
from maskwright.data.formats.coco_files import annotation_files, photo_folders, sample_ids, split_of, unusable
from maskwright.data.formats.coco_json import Category, CocoFile, Id, read_coco
from maskwright.data.formats.groups import Groups, read_groups
from maskwright.data.formats.listing import Item, Listing, Options, Painted, photo_file
from maskwright.data.formats.shapes import Shape, paint_shapes, painting_order
from maskwright.data.pixels.raster import paint_texts
from maskwright.data.pixels.rle import counts_from_text
from maskwright.types import Classes, InputError, unknown_name

BACKGROUND = -1  # an annotation that is known and painted by nobody
_Segmentation = msgspec.json.Decoder()
Row = tuple[Id | None, Id, bool, bytes]  # annotation id, category id, crowd, segmentation as JSON


def read(source: Path, options: Options) -> Listing:
    """Read an annotation file, or a folder with `annotations/instances_SPLIT.json` and folders of images.

    `kind` 'classes' makes background and one class a category, in the order of the file; 'groups' one class a group
    of the groups file; 'binary' one class of everything. Images without annotations are background as a whole.
    """
    files = [read_coco(path) for path in annotation_files(source)]
    categories = _categories(files)
    classes, table, notes = class_table(categories, files, options)
    places = {} if options.without_images else photo_folders(source, files, options)
    items: list[Item] = []
    alone = [row for file in files for row in file.malformed]
    ids = sample_ids(files)
    for number, file in enumerate(files):
        split = split_of(file.path) if len(files) > 1 else ""
        for picture in file.pictures:
            path = places.get(number, Path()) / picture.file_name
            if reason := unusable(picture, path, file.path, options):
                alone.append(Skipped(str(path), reason))
                continue
            items.append(
                Item(
                    id=ids[number, picture.id],
                    image=path,
                    mask=file.path,
                    split=split,
                    size_hw=(picture.height, picture.width),
                    note=(number, picture.id),
                    extra={"image_id": str(picture.id)},
                )
            )
    return Listing(
        classes=classes,
        items=items,
        paint=PaintImage(classes, table, options.crowd, options.ties),
        photo=None if options.without_images else photo_file,
        load=_Loader(files),
        alone=alone,
        notes=notes,
        record={
            "annotations": {"as": options.kind, "crowd": options.crowd},
            "overlaps": {"rule": "higher priority wins", "ties": options.ties, "contested": "see contested.csv"},
        },
    )


def _categories(files: Sequence[CocoFile]) -> list[Category]:
    """The categories of all files, by id; a file that disagrees with another is an InputError."""
    by_id: dict[Id, Category] = {}
    for file in files:
        for category in file.categories:
            if not category.name.strip():
                raise InputError(f"{file.path}: category {category.id} has no name; give it one.")
            known = by_id.setdefault(category.id, category)
            if known.name != category.name:
                raise InputError(
                    f"{file.path} calls category {category.id} '{category.name}', another file '{known.name}'; "
                    "import the files one by one."
                )
    if not by_id:
        raise InputError(f"{files[0].path} has no categories, so nothing says what its annotations are.")
    return [by_id[key] for key in sorted(by_id, key=lambda key: (isinstance(key, str), key))]


def class_table(
    categories: Sequence[Category], files: Sequence[CocoFile], options: Options
) -> tuple[Classes, dict[Id, int], list[str]]:
    """Classes, category id -> class id (BACKGROUND where no class wants it), and remarks."""
    if options.kind == "binary":
        names = options.names or ("background", "object")
        classes = Classes.from_names(names if len(names) == 2 else ("background", *names), background=0)
        if len(classes) != 2:
            raise InputError(f"--as binary has one class beside the background, not {', '.join(names)}.")
        if len(categories) > 1 and (name := classes.names[1]) in [category.name for category in categories]:
            raise InputError(
                f"--as binary makes one class of all {len(categories)} categories, not of '{name}' alone; call it "
                f"otherwise, or write --as classes --classes {name}."
            )
        return classes, {category.id: 1 for category in categories}, []
    if options.kind == "groups":
        return _grouped(categories, read_groups(options.groups))
    ours = files[0].info.get("maskwright") if isinstance(files[0].info, dict) else None
    if isinstance(ours, dict) and options.names is None:
        classes = Classes.from_dict(ours, source=str(files[0].path))
        return classes, {one.id: classes.id_of(one.name) for one in categories}, []
    listed = [category.name for category in categories]
    if twice := [name for name, count in Counter(listed).items() if count > 1]:
        raise InputError(f"{files[0].path} has two categories '{twice[0]}'; rename one, or put both into a group.")
    wanted = [name for name in options.names or listed if name != "background"]
    for name in wanted:
        if name not in listed:
            raise unknown_name("category", name, listed)
    classes = Classes.from_names(["background", *wanted], background=0)
    ids = {name: i for i, name in enumerate(wanted, start=1)}
    dropped = [one.name for one in categories if one.name not in ids]
    notes = [f"background by choice: {_few(dropped)}"] if dropped and options.names else []
    return classes, {one.id: ids.get(one.name, BACKGROUND) for one in categories}, notes


def _grouped(categories: Sequence[Category], groups: Groups) -> tuple[Classes, dict[Id, int], list[str]]:
    classes, group_of = groups.classes(), groups.group_of()
    ids = {one.id: classes.id_of(group_of[one.name]) if one.name in group_of else BACKGROUND for one in categories}
    notes = []
    if alone := [one.name for one in categories if ids[one.id] == BACKGROUND]:
        notes.append(f"in no group, so background: {_few(alone)}")
    if strangers := groups.strangers(one.name for one in categories):
        notes.append(f"in the groups file, not in the annotations: {_few(strangers)}")
    return classes, ids, notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


@dataclass(frozen=True)
class _Loader:
    """Fills in the annotations of one image, in this process."""

    files: Sequence[CocoFile]

    def __call__(self, item: Item) -> Item:
        number, image_id = item.note
        rows: list[Row] = [
            (one.id, one.category_id, bool(one.iscrowd), bytes(one.segmentation))
            for one in self.files[number].annotations.get(image_id, ())
        ]
        return replace(item, note=rows)


@dataclass(frozen=True)
class PaintImage:
    """Paints the annotations of one image."""

    classes: Classes
    table: Mapping[Id, int]
    crowd: str
    ties: str

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask of one image, what was contested, and the annotations that could not be used."""
        kept, left_out = self._wanted(item)
        blank = self.classes.ignore if self.classes.background is None else self.classes.background
        painted = None
        if self.ties != "smaller":
            painted = self._from_texts(kept, item.image.name, size_hw, blank)
        if painted is None:
            shapes: list[Shape] = []
            for number, value, text in kept:
                name = _annotation(number, item.image.name)
                try:
                    segmentation, remark = sound_parts(_Segmentation.decode(text))
                    shapes.append(shape_of(name, value, segmentation, size_hw))
                    left_out += [Skipped(name, remark)] if remark else []
                except ValueError as error:
                    left_out.append(Skipped(name, str(error)))
            painted = paint_shapes(shapes, self.classes, size_hw, ties=self.ties, blank=blank)
        return replace(painted, left_out=(*left_out, *painted.left_out)) if left_out else painted

    def _wanted(self, item: Item) -> tuple[list[tuple[Id | None, int, bytes]], list[Skipped]]:
        """Annotations that are painted: id, class id, segmentation; and those of no known category."""
        kept: list[tuple[Id | None, int, bytes]] = []
        left_out: list[Skipped] = []
        rows: Iterable[Row] = item.note
        for number, category, crowd, text in rows:
            if category not in self.table:
                name = _annotation(number, item.image.name)
                left_out.append(Skipped(name, f"category {category} is not in the file, so it stays background"))
                continue
            value = self.table[category]
            if crowd and self.crowd != "class":
                value = self.classes.ignore if self.crowd == "ignore" else BACKGROUND
            if value != BACKGROUND:
                kept.append((number, value, text))
        return kept, left_out

    def _from_texts(
        self, kept: Sequence[tuple[Id | None, int, bytes]], photo: str, size_hw: tuple[int, int], blank: int
    ) -> Painted | None:
        """The quick way for images of plain polygons only, which most are; None for any other image."""
        order = painting_order([value for _, value, _ in kept], self.classes, self.ties)
        rows = [kept[i] for i in order]
        painting = paint_texts(
            [text for *_, text in rows], [value for _, value, _ in rows], size_hw, self.classes.dtype, blank
        )
        if painting is None:
            return None
        problems = sorted((order[i], reason) for i, reason in painting.problems.items())
        left_out = tuple(Skipped(_annotation(kept[i][0], photo), reason) for i, reason in problems)
        return Painted(mask_HW=painting.mask_HW, contested=painting.contested, left_out=left_out)


def _annotation(number: Id | None, photo: str) -> str:
    return f"annotation {number} of {photo}"


def sound_parts(segmentation: Any) -> tuple[Any, str]:
    """Polygons without the parts that have fewer than three points, where others remain, and a remark about those."""
    if not isinstance(segmentation, list):
        return segmentation, ""
    sound = [part for part in segmentation if not isinstance(part, list) or len(part) >= 6]
    if not sound or len(sound) == len(segmentation):
        return segmentation, ""
    few = len(segmentation) - len(sound)
    parts = "one of its parts has" if few == 1 else f"{few} of its parts have"
    return sound, f"{parts} fewer than three points; the others are painted"


def shape_of(name: str, value: int, segmentation: Any, size_hw: tuple[int, int]) -> Shape:
    """A decoded `segmentation`: polygons, or run lengths as a list or as text; raises ValueError with the reason."""
    if isinstance(segmentation, list) and segmentation:
        if not all(isinstance(part, list) and len(part) >= 6 for part in segmentation):
            raise ValueError("a polygon needs at least three points as [x, y, x, y, x, y]")
        return Shape(name=name, value=value, polygons=segmentation)
    if not segmentation:
        raise ValueError("it has no segmentation")
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("its segmentation is neither polygons nor run lengths")
    if (size := segmentation.get("size")) != list(size_hw):
        raise ValueError(f"its run lengths are for the size {size}, the image has {list(size_hw)}")
    counts = segmentation["counts"]
    if isinstance(counts, str):
        return Shape(name=name, value=value, counts=counts_from_text(counts).tolist())
    if not isinstance(counts, list):
        raise ValueError("its run lengths are neither a list nor text")
    return Shape(name=name, value=value, counts=counts)


def write(dataset: Dataset, target: Path) -> None:
    """Write `annotations/instances_SPLIT.json` with compressed run lengths, and the photos in `SPLIT/`."""
    coco_write.write(dataset, target, coco_write.run_lengths)


def write_polygons(dataset: Dataset, target: Path) -> None:
    """The same with polygons; a hole is kept by a cut of no width that leads to it."""
    coco_write.write(dataset, target, coco_write.polygons)
