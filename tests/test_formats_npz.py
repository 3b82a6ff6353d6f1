"""NumPy archives as courses and notebooks leave them."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import photo, shapes, write_shapes
from numpy.typing import NDArray

from maskwright.data.build import Built
from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.arrays import Rows, arrays_of
from maskwright.data.formats.listing import Options
from maskwright.types import InputError

ALL = Shares(val=0, test=0)
COUNT = 6
IMAGES = np.stack([photo((16, 20), seed) for seed in range(COUNT)])
MASKS: NDArray[np.uint8] = np.stack([shapes(seed, (16, 20), ignored=False)[1] for seed in range(COUNT)])
GREY = IMAGES[..., 0]


def bring_in(tmp_path: Path, arrays: dict[str, Any], options: Options | None = None) -> Built:
    source = tmp_path / "src" / "data.npz"
    source.parent.mkdir(parents=True)
    np.savez_compressed(source, **arrays)
    return import_dataset("npz", source, tmp_path / "data", options=options, shares=ALL)


def test_image_and_mask_in_one_array_and_an_unlabelled_test_set(tmp_path: Path) -> None:
    names = ("background", "disc", "box")
    arrays = {"training_set": np.stack([GREY, MASKS], axis=1), "test_set": GREY[:2]}
    data = bring_in(tmp_path, arrays, Options(names=names)).dataset
    assert data.classes.names == list(names)
    rows = [(s.id, s.split, s.status, s.source) for s in data.samples]
    assert rows[0] == ("test_set-0", "test", "unlabelled", "test_set[0]")
    assert rows[-1] == ("training_set-5", "train", "labelled", "training_set[5]")
    assert len(rows) == COUNT + 2
    for place, sample in enumerate(data.samples[2:]):
        assert np.array_equal(data.mask(sample), MASKS[place])
        assert np.array_equal(data.image(sample), np.repeat(GREY[place, ..., None], 3, axis=2))
    png = (data.path / data.samples[0].image).read_bytes()
    assert png[25] == 0, "a grey photo stays grey"
    assert data.record["arrays"].keys() == arrays.keys()


def test_validation_is_taken_from_the_training_set_and_resuming_starts_over_for_new_content(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"training_set": np.stack([GREY, MASKS], axis=1), "test_set": GREY[:2]}
    np.savez(tmp_path / "a.npz", **arrays)
    data = import_dataset("npz", tmp_path / "a.npz", tmp_path / "data", shares=Shares(val=0.3)).dataset
    assert {s.split for s in data.samples if s.mask} == {"train", "val"}
    assert {s.split for s in data.samples if not s.mask} == {"test"}
    first = FORMATS["npz"].read(tmp_path / "a.npz", Options()).record
    np.savez(tmp_path / "a.npz", **{**arrays, "test_set": GREY[2:4]})
    assert FORMATS["npz"].read(tmp_path / "a.npz", Options()).record != first


NAMINGS: dict[str, dict[str, Any]] = {
    "plain": {"images": IMAGES, "masks": MASKS},
    "channels first": {"x": np.moveaxis(IMAGES, 3, 1), "y": MASKS[:, None]},
    "a channel of one": {"X": IMAGES, "Y": MASKS[..., None]},
    "wide integers": {"image": IMAGES.astype(np.int64), "label": MASKS.astype(np.int32)},
    "float masks": {"imgs": IMAGES, "gt": MASKS.astype(np.float64)},
    "floats to 1": {"images": IMAGES.astype(np.float32) / 255, "masks": MASKS},
    "floats to 255": {"images": IMAGES.astype(np.float32), "masks": MASKS},
    "in no order": {"masks": MASKS, "other": np.zeros((3, 3, 3, 3, 3)), "images": IMAGES, "note": np.arange(4)},
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_names_shapes_and_types_of_all_kinds(naming: str, tmp_path: Path) -> None:
    built = bring_in(tmp_path, NAMINGS[naming])
    data = built.dataset
    assert built.skipped == []
    assert data.classes.names == ["class-0", "class-1", "class-2"]
    for place, sample in enumerate(data.samples):
        assert np.array_equal(data.image(sample), IMAGES[place])
        assert np.array_equal(data.mask(sample), MASKS[place])


def test_splits_come_from_the_names(tmp_path: Path) -> None:
    arrays = {"x_train": IMAGES[:3], "y_train": MASKS[:3], "val_images": IMAGES[3:4], "val_masks": MASKS[3:4]}
    data = bring_in(tmp_path, {**arrays, "X_test": IMAGES[4:], "y_test": MASKS[4:]}).dataset
    assert [s.split for s in data.samples] == ["test", "test", "val", "train", "train", "train"]
    assert np.array_equal(data.mask(data.samples[2]), MASKS[3])


def test_ids_with_gaps_are_closed_and_black_and_white_is_seen(tmp_path: Path) -> None:
    gaps = np.array([3, 7, 255], np.uint8)[MASKS]
    data = bring_in(tmp_path, {"images": GREY, "masks": gaps}).dataset
    assert data.classes.names == ["class-3", "class-7"]
    assert np.array_equal(data.mask(data.samples[0]), np.array([0, 1, 255], np.uint8)[MASKS[0]])
    white = bring_in(tmp_path / "b", {"images": GREY, "masks": (MASKS != 0).astype(np.uint8) * 255}, None)
    assert white.dataset.classes.names == ["background", "object"]
    assert np.array_equal(white.dataset.mask(white.dataset.samples[0]), MASKS[0] != 0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"a": np.zeros(3)}, r"needs arrays such as images and masks.*it holds: a \(3,\)"),
    "no masks": ({"images": IMAGES}, "needs arrays such as images and masks"),
    "unnamed": ({"arr_0": IMAGES, "arr_1": MASKS}, "needs arrays such as"),
    "different counts": ({"images": IMAGES, "masks": MASKS[:4]}, r"as many rows as .* \(4 and 6\)"),
    "two of a kind": ({"images": IMAGES, "x": IMAGES, "masks": MASKS}, "seem to be the same thing"),
    "masks of another split": ({"x_train": IMAGES, "y_test": MASKS}, "has no images that belong to it"),
    "one-hot": ({"images": IMAGES, "masks": np.zeros((COUNT, 16, 20, 5))}, "merged by argmax"),
    "four channels": ({"images": np.zeros((COUNT, 16, 20, 4)), "masks": MASKS}, "expected"),
    "no images in it": ({"images": IMAGES[:0], "masks": MASKS[:0]}, "has shape"),
    "scaled around 0": ({"images": IMAGES / 127.5 - 1, "masks": MASKS}, r"\[0\] holds values from -"),
    "16 bits": ({"images": IMAGES.astype(np.uint16) * 200, "masks": MASKS}, "scale all images to 0..255"),
    "not a number": ({"images": np.where(IMAGES > 9, IMAGES, np.nan), "masks": MASKS}, "scale all images"),
    "infinite": ({"images": np.where(IMAGES > 9, IMAGES, np.inf), "masks": MASKS}, "scale all images"),
    "half a class": ({"images": IMAGES, "masks": MASKS + np.float32(0.5)}, "row 0 holds 0.5; class ids are whole"),
    "negative ids": ({"images": IMAGES, "masks": MASKS.astype(int) - 1}, "holds -1; class ids"),
    "objects": ({"images": IMAGES, "masks": np.array([MASKS[0], None], object)}, "may run code when read"),
    "by columns": ({"images": np.asfortranarray(IMAGES), "masks": MASKS}, "numpy.ascontiguousarray"),
    "sizes differ": ({"images": IMAGES, "masks": MASKS[:, :8]}, "must be equally large"),
    "path as id": ({"images": IMAGES, "masks": MASKS, "ids": np.array(["../../x", *"abcde"])}, "names of files"),
    "ids twice": ({"images": IMAGES, "masks": MASKS, "ids": np.array(["a"] * COUNT)}, "each once"),
    "only ignore": ({"images": IMAGES, "masks": np.full_like(MASKS, 255)}, r"hold \[255\] only, no class"),
    "a torn table": ({"images": IMAGES, "masks": MASKS, "classes": np.array(["{x"])}, "is no class table"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_fits_no_pattern_is_refused_with_its_name(kind: str, tmp_path: Path) -> None:
    arrays, says = BAD[kind]
    with pytest.raises(InputError, match=says) as caught:
        bring_in(tmp_path, arrays)
    assert "data.npz" in str(caught.value)
    assert not (tmp_path / "data").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def scribbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)


def shorter_than_it_says(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data.replace(b"(6, 16", b"(9, 16"))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (cut, "cannot be read"),
        (scribbled, "cannot be read"),
        (shorter_than_it_says, "bytes long, not"),
        (lambda path: path.write_bytes(b"PK\x03\x04 no archive"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.unlink(), "does not exist"),
    ],
)
def test_a_damaged_archive_is_named(harm: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    rng = np.random.default_rng(0)
    np.savez_compressed(path, images=rng.integers(0, 255, IMAGES.shape).astype(np.uint8), masks=MASKS)
    harm(path)
    with pytest.raises(InputError, match=says) as caught:
        FORMATS["npz"].read(path, Options())
    assert str(path) in str(caught.value)


def test_a_folder_needs_one_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds 0 \.npz archives"):
        FORMATS["npz"].read(tmp_path, Options())


def test_memory_does_not_grow_with_the_array(tmp_path: Path) -> None:
    row_bytes, count = 100_000, 300
    np.savez_compressed(tmp_path / "a.npz", images=np.ones((count, row_bytes), np.uint8))
    tracemalloc.start()
    rows = Rows(arrays_of(tmp_path / "a.npz")["images"])
    total = sum(int(rows[row][0]) for row in range(count))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == count
    assert peak < 20 * row_bytes < count * row_bytes / 10


def test_rows_can_be_read_in_any_order(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", masks=MASKS)
    rows = Rows(arrays_of(tmp_path / "a.npz")["masks"])
    for row in (4, 5, 0, 0, 3):
        assert np.array_equal(rows[row], MASKS[row])


def test_images_of_several_sizes_are_not_written(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 2})
    with pytest.raises(InputError, match=r"is 58x44, .* 52x40; one array holds one size"):
        convert_dataset(data, "npz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_written_is_what_numpy_reads(tmp_path: Path) -> None:
    data = bring_in(tmp_path, {"x_train": IMAGES[:4], "y_train": MASKS[:4], "x_val": IMAGES[4:], "y_val": MASKS[4:]})
    convert_dataset(data.dataset, "npz", tmp_path / "out")
    with np.load(tmp_path / "out" / "dataset.npz") as found:
        assert np.array_equal(found["images_train"], IMAGES[:4])
        assert np.array_equal(found["masks_val"], MASKS[4:])
        assert found["ids_val"].tolist() == ["x_val-0", "x_val-1"]
        assert '"class-2"' in str(found["classes"][0])
