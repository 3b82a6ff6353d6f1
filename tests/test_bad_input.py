"""Every kind of bad input through the doors: refused or quarantined, with file and remedy, and nothing half-written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_files import BAD, HW, pair, truncated_jpeg, turned
from drawing import photo, shapes
from PIL import Image as PILImage

from maskwright.data.build import Built
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, import_dataset, init_dataset
from maskwright.data.formats.listing import Options
from maskwright.imageio import write_image
from maskwright.types import Classes, InputError

NAMES = ("background", "disc", "box")
GOOD = 6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six good pairs of photo and index mask."""
    root = tmp_path / "Meine Föten 2" / "src"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(GOOD):
        pair(root, f"good {index}ß", index)
    return root


def bring_in(source: Path, *, strict: bool = False, format: str = "index", workers: int | None = None) -> Built:
    target = source.parent / "new" / "data"
    return import_dataset(format, source, target, options=Options(names=NAMES), strict=strict, workers=workers)


def everything_near(source: Path) -> list[str]:
    return sorted(path.relative_to(source.parent).as_posix() for path in source.parent.rglob("*"))


def refused(source: Path, says: str, act: Callable[[], object]) -> str:
    """The act fails with an InputError that says so, and leaves no trace."""
    before = everything_near(source)
    with pytest.raises(InputError, match=says) as caught:
        act()
    assert everything_near(source) == before
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("harm", BAD, ids=lambda harm: harm.__name__)
def test_one_bad_file_among_many_is_quarantined(source: Path, harm: Callable[[Path], Path]) -> None:
    culprit = harm(source)
    found = bring_in(source)
    assert len(found.dataset.samples) == GOOD
    assert len(found.skipped) == 1
    with pytest.raises(InputError, match=BAD[harm]):
        raise InputError(found.skipped[0].reason)
    assert str(culprit) in found.skipped[0].reason
    assert "bad" in Path(found.skipped[0].file).stem
    on_disk = {path.stem for path in (*found.dataset.path.glob("images/*"), *found.dataset.path.glob("masks/*"))}
    assert on_disk == {sample.id for sample in found.dataset.samples}, "nothing of the bad file is left"


@pytest.mark.parametrize("harm", BAD, ids=lambda harm: harm.__name__)
def test_strict_makes_it_fatal(source: Path, harm: Callable[[Path], Path]) -> None:
    culprit = harm(source)
    assert str(culprit) in refused(source, BAD[harm], lambda: bring_in(source, strict=True))


def test_all_bad_is_fatal_and_names_the_first(source: Path) -> None:
    for path in (source / "images").iterdir():
        path.write_bytes(path.read_bytes()[:300])
    text = refused(source, rf"None of {GOOD} images could be used", lambda: bring_in(source))
    assert "good 0ß.jpg is truncated" in text


def test_a_colour_outside_the_table_is_quarantined(source: Path) -> None:
    table = "background,0,0,0\ndisc,255,0,0\nbox,0,0,255\n"
    (source / "colours.csv").write_text(table)
    for index, path in enumerate(sorted((source / "masks").iterdir())):
        painted = np.zeros((*HW, 3), np.uint8)
        painted[5:9, 5:9] = (255, 0, 0) if index else (1, 2, 3)
        PILImage.fromarray(painted).save(path)
    found = bring_in(source, format="colour")
    assert len(found.dataset.samples) == GOOD - 1
    assert "holds the colour 1,2,3" in found.skipped[0].reason
    assert "--unknown" in found.skipped[0].reason


def test_two_files_of_one_stem_are_both_left_out(source: Path) -> None:
    image, _ = pair(source, "twin")
    write_image(image.with_suffix(".png"), shapes(0, HW)[0])
    found = bring_in(source)
    assert len(found.dataset.samples) == GOOD
    assert {Path(row.file).name for row in found.skipped} == {"twin.jpg", "twin.png"}
    assert all("share one stem" in row.reason and "rename" in row.reason for row in found.skipped)
    refused(source, "share one stem", lambda: import_dataset("index", source, source.parent / "x", strict=True))


def test_cmyk_and_turned_photos_come_in(source: Path) -> None:
    cmyk, _ = pair(source, "cmyk")
    PILImage.fromarray(photo(HW)).convert("CMYK").save(cmyk)
    exif, mask = pair(source, "turned")
    turned(exif)
    PILImage.fromarray(np.zeros(HW[::-1], np.uint8)).save(mask)
    found = bring_in(source, strict=True)
    sizes = {sample.id: sample.size_hw for sample in found.dataset.samples}
    assert sizes["turned"] == HW[::-1]
    assert sizes["cmyk"] == HW
    for sample in found.dataset.samples:
        assert found.dataset.image(sample).shape[:2] == found.dataset.mask(sample).shape == sample.size_hw


def test_names_in_two_unicode_forms_find_each_other(source: Path) -> None:
    image, mask = pair(source, "plain")
    image.rename(image.with_name("Mu\u0308hle.jpg"))
    mask.rename(mask.with_name("M\u00fchle.png"))
    found = bring_in(source, strict=True)
    assert "M\u00fchle" in {sample.id for sample in found.dataset.samples}


@pytest.mark.parametrize(
    ("place", "says"),
    [("none", "does not exist"), ("empty", "has no folder images/"), ("masks", "has no folder images/")],
)
def test_missing_and_empty_sources_are_explained(source: Path, place: str, says: str) -> None:
    (source / "empty").mkdir()
    refused(source, says, lambda: import_dataset("index", source / place, source.parent / "out"))


@pytest.mark.parametrize(
    ("place", "says"), [("none", "does not exist"), ("empty", "holds no images"), ("f", "is a file")]
)
def test_missing_and_empty_photo_folders_are_explained(source: Path, place: str, says: str) -> None:
    (source / "empty").mkdir()
    (source / "f").write_text("x")
    refused(source, says, lambda: init_dataset(source / place, source.parent / "out", Classes.from_names(NAMES)))


def test_init_takes_photos_and_quarantines_the_rest(source: Path) -> None:
    truncated_jpeg(source)
    write_image(source / "images" / "good 0ß.png", photo(HW))
    found = init_dataset(source / "images", source.parent / "out", Classes.from_names(NAMES))
    assert len(found.dataset.samples) == GOOD - 1
    assert {Path(row.file).name for row in found.skipped} == {"bad.jpg", "good 0ß.jpg", "good 0ß.png"}
    assert {sample.status for sample in found.dataset.samples} == {"unlabelled"}
    assert {sample.split for sample in found.dataset.samples} <= {"train", "val", "test"}
    classes = Classes.from_names(NAMES)
    refused(source, "rename one", lambda: init_dataset(source / "images", source.parent / "b", classes, strict=True))


@pytest.mark.parametrize("content", ["file", "folder"])
def test_a_target_that_exists_is_left_alone(source: Path, content: str) -> None:
    target = source.parent / "new" / "data"
    target.parent.mkdir()
    if content == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    refused(source, "exists already; remove it or choose another name", lambda: bring_in(source))


@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "may not be written")])
@pytest.mark.parametrize("after", [0, 3, 7])
def test_a_full_or_read_only_disk_ends_the_import_which_then_goes_on(
    source: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str, after: int
) -> None:
    calls = iter(range(after))

    def failing(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is None:
            raise OSError(number, os.strerror(number))
        return open(*arguments, **options)

    before = everything_near(source)
    with monkeypatch.context() as patch:
        patch.setattr("maskwright.files.open", failing, raising=False)
        with pytest.raises(InputError, match=says) as caught:
            bring_in(source, workers=0)  # threads would open files in an order of their own
    if not after:
        assert everything_near(source) == before
    elif after == 7:
        assert "the same command goes on from there" in caught.value.__notes__[0]
    assert len(bring_in(source).dataset.samples) == GOOD, "afterwards it works"
    assert not list(source.parent.rglob("*.part"))


def test_too_few_images_for_the_shares_are_explained(source: Path) -> None:
    for path in sorted((source / "images").iterdir())[1:]:
        path.unlink()
    refused(source, "1 groups cannot be split 3 ways", lambda: bring_in(source))
    target = source.parent / "out"
    done = import_dataset("index", source, target, options=Options(names=NAMES), shares=Shares(val=0, test=0))
    assert [sample.split for sample in done.dataset.samples] == ["train"]


def test_groups_are_kept_whole_by_an_import(source: Path) -> None:
    for index in range(GOOD):
        for frame in range(3):
            pair(source, f"trip{index}-{frame}", index)
    for path in (*source.glob("*/good*"),):
        path.unlink()
    found = import_dataset(
        "index", source, source.parent / "out", options=Options(names=NAMES), shares=Shares(group=r"^trip\d+")
    )
    sides: dict[str, set[str]] = {}
    for sample in found.dataset.samples:
        sides.setdefault(sample.group, set()).add(sample.split)
    assert set(sides) == {f"trip{index}" for index in range(GOOD)}
    assert all(len(split) == 1 for split in sides.values())
    assert set.union(*sides.values()) == {"train", "val", "test"}


@pytest.mark.parametrize(("own", "val", "expected"), [("test", 0.2, {"test"}), ("train", 0.0, {"train"})])
def test_a_source_with_one_split_only(source: Path, own: str, val: float, expected: set[str]) -> None:
    for kind in ("images", "masks"):
        inside = source / kind / own
        inside.mkdir()
        for path in [path for path in (source / kind).iterdir() if path.is_file()]:
            path.rename(inside / path.name)
    found = import_dataset(
        "index", source, source.parent / "out", options=Options(names=NAMES), shares=Shares(val=val, test=0.2)
    )
    assert {sample.split for sample in found.dataset.samples} == expected
    assert Dataset.open(found.dataset.path).fingerprint == found.dataset.fingerprint
