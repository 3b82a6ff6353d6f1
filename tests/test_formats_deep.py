"""Photos of more than 8 bits a channel: all of a folder by one rule, or left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import photo

from maskwright.data.doors import init_dataset
from maskwright.data.formats.deep import scale_of
from maskwright.types import Classes, InputError

CLASSES = Classes.from_names(["background", "object"])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three 12-bit photos in 16 bits (one grey, two in colour), of which one is darker, and an ordinary one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = photo((40, 60)).astype(np.uint16)
    cv2.imwrite(str(folder / "grey.png"), pixels[..., 0] * 16)
    cv2.imwrite(str(folder / "colour.tif"), pixels[..., ::-1] * 16)
    cv2.imwrite(str(folder / "dark.png"), pixels[..., ::-1] * 4)
    cv2.imwrite(str(folder / "plain.png"), pixels.astype(np.uint8))
    return folder


def test_they_are_left_out_unless_asked(photos: Path, tmp_path: Path) -> None:
    built = init_dataset(photos, tmp_path / "data", CLASSES)
    assert sorted(Path(row.file).name for row in built.skipped) == ["colour.tif", "dark.png", "grey.png"]
    assert all("scale all images to 8 bits by one rule" in row.reason for row in built.skipped)


def test_one_rule_for_all_keeps_them_comparable(photos: Path, tmp_path: Path) -> None:
    built = init_dataset(photos, tmp_path / "data", CLASSES, scale_deep=True)
    assert not built.skipped
    data = built.dataset
    images = {sample.id: data.image(sample).astype(int) for sample in data.samples}
    plain = photo((40, 60)).astype(int)
    assert np.abs(images["colour"] - plain).max() <= 3
    assert np.abs(images["grey"] - plain[..., :1]).max() <= 3
    assert np.abs(images["dark"] - plain / 4).max() <= 3, "a darker photo stays darker"
    assert np.array_equal(images["plain"], plain[..., ::-1]), "8 bits stay as they are"
    (rule,) = data.record["deep_photos"]
    assert rule["kind"] == "uint16"
    assert 3900 < rule["white"] <= 4080


def test_a_hot_pixel_does_not_darken_the_rest(photos: Path) -> None:
    pixels = np.full((100, 100), 1000, np.uint16)
    pixels[:50] = 2000
    pixels[0, 0] = 65535
    cv2.imwrite(str(photos / "hot.png"), pixels)
    rule = scale_of([photos / "hot.png"])
    assert rule is not None
    assert rule.ends == (("uint16", 1000.0, 2000.0),)


def test_other_numbers_have_a_rule_of_their_own(photos: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cv2.imwrite(str(photos / "float.tif"), rng.random((40, 60)).astype(np.float32))
    cv2.imwrite(str(photos / "flat.tif"), np.full((40, 60), 0.5, np.float32))
    bad = rng.random((40, 60)).astype(np.float32)
    bad[3, 3] = np.nan
    cv2.imwrite(str(photos / "nan.tif"), bad)
    built = init_dataset(photos, tmp_path / "data", CLASSES, scale_deep=True)
    assert [Path(row.file).name for row in built.skipped] == ["nan.tif"]
    assert "cannot be scaled" in built.skipped[0].reason
    assert [row["kind"] for row in built.dataset.record["deep_photos"]] == ["float32", "uint16"]
    mean = {sample.id: built.dataset.image(sample).mean() for sample in built.dataset.samples}
    assert 100 < mean["float"] < 155


def test_a_folder_of_ordinary_photos_needs_no_rule(photos: Path, tmp_path: Path) -> None:
    assert scale_of([photos / "plain.png", photos / "nothing.png"]) is None
    for name in ("grey.png", "colour.tif", "dark.png"):
        (photos / name).write_bytes(b"no picture")
    built = init_dataset(photos, tmp_path / "data", CLASSES, scale_deep=True)
    assert "deep_photos" not in built.dataset.record
    assert len(built.skipped) == 3


def test_a_cut_file_is_left_out_with_its_reason(photos: Path, tmp_path: Path) -> None:
    data = (photos / "grey.png").read_bytes()
    (photos / "grey.png").write_bytes(data[: len(data) // 2])
    built = init_dataset(photos, tmp_path / "data", CLASSES, scale_deep=True)
    assert [Path(row.file).name for row in built.skipped] == ["grey.png"]
    with pytest.raises(InputError, match=r"grey\.png"):
        init_dataset(photos, tmp_path / "strict", CLASSES, scale_deep=True, strict=True)
