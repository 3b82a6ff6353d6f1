"""Writing: the old content or the new, never a part; every failure says what to do."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import photo, shapes, shapes_classes
from PIL import Image as PILImage

from maskwright.files import (
    read_json,
    read_yaml,
    resumable_folder,
    write_bytes,
    write_json,
    write_text,
    write_through,
    write_yaml,
)
from maskwright.imageio import colourise, overlay, read_colours, read_image, read_mask, write_image, write_mask
from maskwright.types import Classes, InputError, TargetError

CLASSES = shapes_classes()
Failure = Callable[[str, int], None]


def everything_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Failure:
    """Let one function of `os` fail with one error number."""

    def make_fail(name: str, number: int) -> None:
        def broken(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, name, broken)

    return make_fail


@pytest.mark.parametrize("place", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "disk is full while writing .* free some space"),
        (errno.EDQUOT, "disk is full while writing .* free some space"),
        (errno.EACCES, "may not be written; choose a folder"),
        (errno.EROFS, "may not be written; choose a folder"),
    ],
)
def test_a_failing_disk_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, fail: Failure, place: str, number: int, says: str
) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    fail(place, number)
    with pytest.raises(TargetError, match=says) as caught:
        write_bytes(path, b"new")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert everything_in(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), InputError("bad photo")])
def test_a_failing_writer_leaves_the_old_file_and_no_temporary(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        write_through(path, write)
    assert path.read_bytes() == b"old"
    assert everything_in(tmp_path) == ["file.bin"]


def test_an_unexpected_error_of_the_disk_is_not_hidden(tmp_path: Path, fail: Failure) -> None:
    fail("fsync", errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_bytes(tmp_path / "file.bin", b"new")
    assert everything_in(tmp_path) == []


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a.txt", tmp_path / "file" / "a.txt", tmp_path / "folder"):
        with pytest.raises(TargetError, match=r"cannot be written .*choose another path\.") as caught:
            write_text(path, "x")
        assert str(path) in str(caught.value)
    assert everything_in(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), InputError("bad photo")])
def test_a_staged_folder_leaves_nothing_on_failure(tmp_path: Path, error: BaseException) -> None:
    def fill() -> None:
        with resumable_folder(tmp_path / "new" / "deep" / "data", {}) as stage:
            (stage / "a.txt").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fill()
    assert everything_in(tmp_path) == []


def test_a_staged_folder_appears_whole_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "data"
    with resumable_folder(target, {}) as stage:
        (stage / "a.txt").write_text("whole")
        assert not target.exists()
    assert everything_in(tmp_path) == ["sub", "sub/data", "sub/data/a.txt"]


def test_a_staged_folder_takes_an_empty_target_only(tmp_path: Path) -> None:
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    for folder in (empty, full):
        folder.mkdir()
    (full / "mine.txt").write_text("keep")
    file.write_text("keep")
    with resumable_folder(empty, {}) as stage:
        (stage / "a.txt").write_text("x")
    assert everything_in(empty) == ["a.txt"]
    for target in (full, file):
        with (
            pytest.raises(TargetError, match="exists already; remove it or choose another name"),
            resumable_folder(target, {}),
        ):
            pytest.fail("must not be entered")
    assert everything_in(full) == ["mine.txt"]


def test_a_staged_folder_needs_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match="name a new folder"), resumable_folder(Path(), {}):
        pytest.fail("must not be entered")


def test_a_folder_that_may_not_be_made_is_explained(tmp_path: Path, fail: Failure) -> None:
    fail("mkdir", errno.EROFS)
    target = tmp_path / "data"
    with pytest.raises(TargetError, match="may not be written") as caught, resumable_folder(target, {}):
        pytest.fail("must not be entered")
    assert str(target) in str(caught.value)


@pytest.mark.parametrize("count", [3, 300])
def test_masks_come_back_as_they_were(tmp_path: Path, count: int) -> None:
    classes = Classes.from_names([f"c{i}" for i in range(count)])
    mask = (np.arange(40 * 50) % count).reshape(40, 50).astype(classes.dtype)
    mask[:3] = classes.ignore
    path = tmp_path / "mask.png"
    write_mask(path, mask, classes)
    again = read_mask(path, classes, (40, 50))
    assert again.dtype == classes.dtype
    assert np.array_equal(again, mask)
    if count == 3:
        assert np.array_equal(read_colours(path), colourise(mask, classes)), "the palette shows the class colours"
        with PILImage.open(path) as stored:
            assert stored.mode == "P"


@pytest.mark.parametrize(("name", "tolerance"), [("a.png", 0), ("a.jpg", 3), ("a.JPEG", 3)])
def test_images_come_back_as_they_were(tmp_path: Path, name: str, tolerance: int) -> None:
    write_image(tmp_path / name, photo((40, 60)))
    assert np.abs(read_image(tmp_path / name).astype(int) - photo((40, 60))).mean() <= tolerance


def test_an_overlay_paints_classes_and_leaves_background_and_ignore(tmp_path: Path) -> None:
    image, mask = shapes(1)
    laid = overlay(image, mask, CLASSES, opacity=0.5)
    untouched = (mask == 0) | (mask == 255)
    assert np.array_equal(laid[untouched], image[untouched])
    half = (image[~untouched].astype(float) + colourise(mask, CLASSES)[~untouched]) / 2
    assert np.abs(laid[~untouched] - half).max() <= 1


def test_json_is_strict_even_with_nan_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {"nan": float("nan"), "inf": [np.inf, np.float32("nan")], "n": np.int64(3), "a": np.array([1.5, np.nan])}
    write_json(path, {**value, "tuple": (1, "ä")})
    strict = json.loads(path.read_text("utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert strict == {"nan": None, "inf": [None, None], "n": 3, "a": [1.5, None], "tuple": [1, "ä"]}


def test_yaml_keeps_order_and_umlauts(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write_yaml(path, {"zebra": "Straße", "ape": [1, None]})
    assert path.read_text("utf-8").startswith("zebra: Straße")
    assert read_yaml(path) == {"zebra": "Straße", "ape": [1, None]}


@pytest.mark.parametrize(
    ("read", "content"),
    [(read_json, b"{'a': 1}"), (read_json, b"\xff\xfe"), (read_yaml, b"a: [1"), (read_yaml, b"\xff\x00\x81")],
)
def test_malformed_text_names_the_file_and_the_remedy(
    tmp_path: Path, read: Callable[[Path], object], content: bytes
) -> None:
    path = tmp_path / "broken.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not valid (JSON|YAML) .*correct it") as caught:
        read(path)
    assert str(path) in str(caught.value)
