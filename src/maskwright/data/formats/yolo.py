"""Ultralytics YOLO's segmentation labels: a text file a photo, a line a polygon, in fractions of the photo.

docs.ultralytics.com/datasets/segment: `data.yaml` names the classes and the folders of photos, and the labels of
`images/train/a.jpg` are in `labels/train/a.txt`. A photo without such a file is background as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.figures import flat
from maskwright.data.formats.labels import IGNORE, UNWANTED, Labels, class_table, write_table
from maskwright.data.formats.listing import Item, Listing, Options, Painted, each_sample
from maskwright.data.formats.photos import parts_of, unique
from maskwright.data.formats.shapes import Shape, paint_shapes
from maskwright.data.pixels.outline import polygons
from maskwright.files import list_files, put_bytes, read_bytes, read_yaml, write_yaml
from maskwright.imageio import IMAGE_SUFFIXES
from maskwright.types import InputError

SPLIT_KEYS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
BESIDE = 0.01  # how far outside the photo a coordinate may lie, as ultralytics checks it
DIGITS = 9


def read(source: Path, options: Options) -> Listing:
    """Read `data.yaml` (or `classes.txt`), the photos that it names, and their labels."""
    names, data = read_names(source, options)
    items: list[Item] = []
    for split, image in photos_by_split(source, data):
        label = beside(image, source, "labels", ".txt")
        items.append(Item(id=image.stem, image=image, mask=label or image, split=split, note=label is not None))
    items, alone = unique(items)
    if not items:
        raise InputError(f"{source} holds no photos where its data.yaml says; expected images/train and images/val.")
    labels = class_table(names.values(), source, options)
    bare = sum(not item.note for item in items)
    return Listing(
        classes=labels.classes,
        items=items,
        paint=PaintLines(labels, names, options.ties),
        alone=alone,
        notes=[*labels.notes, *([f"without a label file, so background only: {bare} photos"] if bare else [])],
        record={"overlaps": {"rule": "higher priority wins", "ties": options.ties}},
    )


def read_names(source: Path, options: Options) -> tuple[dict[int, str], Mapping[str, Any]]:
    """Stored id -> class name, and the content of the YAML file; names may be a list or a mapping."""
    path = data_file(source)
    data: Any = {} if path is None else read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a mapping; write for example 'names: [cat, dog]'.")
    names: Any = data.get("names")
    listed = source / "classes.txt"
    if names is None and listed.is_file():
        names = read_bytes(listed).decode("utf-8-sig", errors="replace").strip().splitlines()
    if names is None and options.names:
        names = [name for name in options.names if name != "background"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{path or source / 'data.yaml'} gives no names of classes; add 'names: [...]'.")
    try:
        table = {int(number): str(name).strip() for number, name in names.items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the keys of 'names' must be numbers; write '0: cat'.") from error
    if len(set(table.values())) < len(table):
        raise InputError(f"{path}: two classes share a name; give each its own.")
    return table, data


def data_file(source: Path) -> Path | None:
    """`data.yaml`, `dataset.yaml` of ultralytics, or the only YAML file of a folder that has names."""
    if not source.is_dir():
        raise InputError(f"Folder {source} does not exist; name the folder that holds data.yaml.")
    known = [source / "data.yaml", source / "data.yml", *sorted(source.glob("*.yaml")), *sorted(source.glob("*.yml"))]
    for path in known:
        if path.is_file():
            data = read_yaml(path)
            if path.stem == "data" or (isinstance(data, dict) and "names" in data):
                return path
    return None


def photos_by_split(source: Path, data: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """(split, photo) for every photo of the folders and lists that `train`, `val` and `test` name, each once.

    Paths of another machine are found by their last parts; nothing outside `source` is.
    """
    seen: set[Path] = set()
    named = False
    for split, keys in SPLIT_KEYS.items():
        for entry in _entries(next((data[key] for key in keys if data.get(key)), None)):
            named = True
            for image in _photos(source, str(entry)):
                if image not in seen:
                    seen.add(image)
                    yield split, image
    if named:
        return
    for image in list_files(source / "images" if (source / "images").is_dir() else source, IMAGE_SUFFIXES):
        folders = image.relative_to(source).parts[:-1]
        yield next((split for split, keys in SPLIT_KEYS.items() if set(keys) & set(folders)), ""), image


def _entries(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _photos(source: Path, entry: str) -> list[Path]:
    place = inside(source, entry)
    if place is None:
        raise InputError(f"{source} has nothing at '{entry}', which its YAML file names; correct the path there.")
    if place.is_dir():
        return list_files(place, IMAGE_SUFFIXES)
    if place.suffix.lower() != ".txt":
        raise InputError(f"{place} is neither a folder nor a list of photos (.txt).")
    lines = read_bytes(place).decode("utf-8-sig", errors="replace").splitlines()
    found = [inside(source, line.strip()) for line in lines if line.strip()]
    return [path for path in found if path is not None and path.is_file()]


def inside(source: Path, entry: str) -> Path | None:
    """The longest end of a path that exists below `source`."""
    parts = parts_of(entry)
    return next((path for k in range(len(parts)) if (path := source.joinpath(*parts[k:])).exists()), None)


def beside(image: Path, source: Path, folder: str, *suffixes: str) -> Path | None:
    """The file that goes with a photo: the last 'images' on its way becomes `folder`, as ultralytics does it."""
    parts = list(image.relative_to(source).parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = folder
    path = source.joinpath(*parts)
    return next((one for suffix in suffixes if (one := path.with_suffix(suffix)).is_file()), None)


@dataclass(frozen=True)
class PaintLines:
    """Paints the polygons of one label file."""

    labels: Labels
    names: Mapping[int, str]
    ties: str

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask of one photo; raises InputError where not one line of its file can be used."""
        shapes: list[Shape] = []
        left_out: list[Skipped] = []
        unwanted = 0
        for number, line in enumerate(_lines(item), start=1):
            name = f"{item.mask}, line {number}"
            try:
                value, polygon = self._parse(line, size_hw)
            except ValueError as error:
                left_out.append(Skipped(name, str(error)))
                continue
            unwanted += value == UNWANTED
            if value != UNWANTED:
                shapes.append(Shape(name=name, value=value, polygons=[polygon]))
        if left_out and not shapes and not unwanted:
            raise InputError(f"{left_out[0].file}: {left_out[0].reason}; no other line of the file can be used.")
        painted = paint_shapes(shapes, self.labels.classes, size_hw, ties=self.ties, blank=self.labels.blank)
        return replace(painted, left_out=(*left_out, *painted.left_out))

    def _parse(self, line: str, size_hw: tuple[int, int]) -> tuple[int, list[float]]:
        """Class id and polygon in pixels of 'id x y x y x y ...'; raises ValueError with the reason."""
        try:
            number, *values = (float(word) for word in line.split())
        except ValueError as error:
            raise ValueError("it is not a line of numbers") from error
        if number not in self.names:
            raise ValueError(f"class {number:g} is not among the names")
        if len(values) == 4:
            raise ValueError("it is a bounding box; label polygons, or make them from the boxes first")
        if len(values) % 2:
            raise ValueError("it has an odd number of coordinates")
        if not all(-BESIDE <= value <= 1 + BESIDE for value in values):
            raise ValueError("a coordinate is not a fraction of the photo (0 to 1)")
        rows, columns = size_hw
        points = flat(zip(values[0::2], values[1::2], strict=True))
        return self.labels.id_of(self.names[int(number)]), [
            value * (rows if place % 2 else columns) for place, value in enumerate(points)
        ]


def _lines(item: Item) -> list[str]:
    """The lines of the label file that hold something; none where there is no file."""
    if not item.note:
        return []
    assert item.mask is not None
    try:
        return [line for line in item.mask.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{item.mask} is not a text file that can be read; export it again.") from error


def write(dataset: Dataset, target: Path) -> None:
    """Write `data.yaml`, `images/SPLIT/` and `labels/SPLIT/`: one polygon a connected region, holes by a cut.

    Background has no name here. Ignored pixels are polygons of the last class, 'ignore', if there are any; ultralytics
    would learn it as a class.
    """
    write_table(dataset, target)
    samples = dataset.labelled()
    classes = dataset.classes
    names = [item.name for item in classes.items if item.id != classes.background]
    for split in {"train", "val", *(sample.split or "train" for sample in samples)}:
        for folder in ("images", "labels"):
            (target / folder / split).mkdir(parents=True, exist_ok=True)
    numbers = {classes.id_of(name): number for number, name in enumerate(names)} | {classes.ignore: len(names)}
    ignored = each_sample(_WriteLines(dataset.only_table(), target, numbers), samples, target)
    tests = {"test": "images/test"} if (target / "images" / "test").is_dir() else {}
    rows = dict(enumerate([*names, IGNORE] if any(ignored) else names))
    # Without 'path', ultralytics takes the folder of the file, wherever that is moved.
    write_yaml(target / "data.yaml", {"train": "images/train", "val": "images/val", **tests, "names": rows})


@dataclass(frozen=True)
class _WriteLines:
    dataset: Dataset
    target: Path
    numbers: Mapping[int, int]

    def __call__(self, sample: Sample) -> bool:
        """Copy the photo, write its lines; are there ignored pixels?"""
        source = self.dataset.path / sample.image
        split = sample.split or "train"
        put_bytes(self.target / "images" / split / source.name, read_bytes(source))
        mask_HW = self.dataset.mask(sample)
        present = [value for value in np.unique(mask_HW).tolist() if value in self.numbers]
        lines = [
            " ".join([str(self.numbers[value]), *(f"{one:.{DIGITS}g}" for one in fractions.ravel().tolist())])
            for value in present
            for polygon_P2 in polygons(mask_HW == value)
            if len(fractions := polygon_P2 / (sample.width, sample.height))
        ]
        put_bytes(self.target / "labels" / split / f"{source.stem}.txt", "".join(f"{one}\n" for one in lines).encode())
        return self.dataset.classes.ignore in present
