"""CARLA recordings in the layout of the Lyft-Udacity challenge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import photo
from foreign import ALL, bring_in, put

from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.listing import Options
from maskwright.data.formats.lyft import TAGS
from maskwright.imageio import read_colours
from maskwright.types import Image, InputError, Mask


def frame(folder: Path, name: str, ids: Mask, alpha: bool = False) -> None:
    put(folder / "CameraRGB" / f"{name}.png", photo(ids.shape))
    red: Image = np.stack(
        [ids, np.zeros_like(ids), np.full_like(ids, 7), *([np.full_like(ids, 255)] if alpha else [])], -1
    )
    put(folder / "CameraSeg" / f"{name}.png", red)


def test_lyft_takes_the_red_channel_and_the_folder_as_group(tmp_path: Path) -> None:
    ids = np.arange(13, dtype=np.uint8).repeat(12).reshape(13, 12)
    for letter in "ABCDE":
        for number in range(2):
            frame(tmp_path / "src" / f"data{letter}", str(number), ids, alpha=letter == "B")
    data = bring_in("lyft", tmp_path / "src", shares=Shares(val=0.2, test=0.2)).dataset
    assert data.classes.names == list(TAGS)
    assert data.classes.background == 0
    assert {s.id for s in data.samples} == {f"data{letter}-{n}" for letter in "ABCDE" for n in range(2)}
    assert all(np.array_equal(data.mask(sample), ids) for sample in data.samples)
    sides = {(sample.group, sample.split) for sample in data.samples}
    assert len(sides) == 5, "a drive is on one side"
    assert {split for _, split in sides} == {"train", "val", "test"}


def test_lyft_with_split_folders_inside_drives_and_with_one_folder(tmp_path: Path) -> None:
    ids = np.full((8, 9), 7, np.uint8)
    frame(tmp_path / "src/train/dataA", "0", ids)
    frame(tmp_path / "src/val/dataB", "0", ids)
    data = bring_in("lyft", tmp_path / "src").dataset
    rows = {(s.id, s.split, s.group) for s in data.samples}
    assert rows == {("train-dataA-0", "train", "dataA"), ("val-dataB-0", "val", "dataB")}
    convert_dataset(data, "lyft", tmp_path / "again")
    assert (tmp_path / "again/train/dataA/CameraSeg/train-dataA-0.png").is_file()
    listing = FORMATS["lyft"].read(tmp_path / "src/train/dataA", Options())
    assert [(item.id, item.group) for item in listing.items] == [("0", "")]
    few = FORMATS["lyft"].read(tmp_path / "src/train", Options())
    assert [item.group for item in few.items] == [""]
    assert "near copies" in few.notes[0]


def test_lyft_names_ignored_ids_and_strangers(tmp_path: Path) -> None:
    frame(tmp_path / "src", "a", np.full((8, 9), 10, np.uint8))
    frame(tmp_path / "src", "b", np.full((8, 9), 13, np.uint8))
    frame(tmp_path / "src", "c", np.full((8, 9), 255, np.uint8))
    built = bring_in("lyft", tmp_path / "src", Options(ignore_ids=(10,)))
    assert [row.reason.split("holds ")[1].split(",")[0] for row in built.skipped] == ["id 13"]
    assert [np.unique(built.dataset.mask(s)).tolist() for s in built.dataset.samples] == [[255], [255]]
    with pytest.raises(InputError, match="holds no pairs in CameraRGB/ and CameraSeg/"):
        FORMATS["lyft"].read(tmp_path / "data", Options())
    with pytest.raises(InputError, match="does not exist"):
        FORMATS["lyft"].read(tmp_path / "nowhere", Options())


@pytest.mark.data
def test_the_real_lyft(shared_data: Path, tmp_path: Path) -> None:
    built = import_dataset("lyft", shared_data / "lyft", tmp_path / "lyft", shares=ALL)
    assert built.skipped == []
    assert [(s.id, s.split, s.size_hw) for s in built.dataset.samples] == [
        ("0", "train", (600, 800)),
        ("2", "train", (600, 800)),
        ("train-1", "train", (600, 800)),
        ("val-1", "val", (600, 800)),
    ]
    mask = built.dataset.mask(built.dataset.samples[0])
    assert np.array_equal(mask, read_colours(shared_data / "lyft/train/CameraSeg/0.png")[..., 0])
