"""The demo in small: everything but the length of the training."""

from __future__ import annotations

from pathlib import Path

import pytest

import maskwright
from maskwright import story
from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.types import InputError

SMALL = [
    "data.size=[32, 32]",
    "model.widths=[4, 8]",
    "model.blocks=null",
    "train.epochs=1",
    "train.precision=fp32",
    "train.device=cpu",
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Recipe.load
    monkeypatch.setattr(story, "PER_PHOTO", 2)
    monkeypatch.setattr(story, "SIDE", 48)
    monkeypatch.setattr(Recipe, "load", lambda name, sets=(): load(name, [*sets, *SMALL]))


@pytest.mark.usefixtures("small")
def test_the_demo_tells_the_whole_story_twice_the_same(tmp_path: Path) -> None:
    first, second = (maskwright.demo(tmp_path / name, seed=1) for name in ("one", "two"))
    assert first.drop_iou == second.drop_iou
    assert first.mean_iou == second.mean_iou
    data = Dataset.open(tmp_path / "one" / "data")
    sides = {split: {s.group for s in data.samples if s.split == split} for split in ("train", "val", "test")}
    assert all(sides.values())
    assert not sides["test"] & (sides["train"] | sides["val"])
    assert set(first.test_photos) == sides["test"]
    assert first.report.is_file()
    assert list((tmp_path / "one/predictions/overlay").glob("*.jpg"))
    told = "\n".join(first.story())
    assert f"{first.drop_iou:.3f}" in told
    assert str(first.report) in told
    assert told.count("  maskwright ") == 3


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        maskwright.demo(tmp_path)
