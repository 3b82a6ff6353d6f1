"""An evaluation sees images as `predict` does: in tiles, in a mirror, at several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import write_shapes
from test_cli import run as cli
from test_predictor import make_run

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.files import read_json
from maskwright.infer.predictor import Predictor
from maskwright.infer.segmenting.segment import How, Segmenter
from maskwright.metrics.counts import confusion
from maskwright.run import Run
from maskwright.types import InputError


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Run, Dataset]:
    """A random network that learned from photos of 20 x 30, and images twice as large."""
    data = write_shapes(tmp_path / "shapes", {"train": 1, "val": 1, "test": 2})
    run = make_run(tmp_path / "run", data.classes)
    run.write_about({"data": {"path": str(data.path.resolve()), "fingerprint": "", "image_hw": [20, 30]}})
    return run, data


@pytest.mark.parametrize("how", [None, How(tiles="off"), How(tiles=(16, 24), flips=True), How(scales=(0.5,))], ids=str)
def test_counts_are_those_of_the_segmenter(scored: tuple[Run, Dataset], how: How | None) -> None:
    run, data = scored
    result = maskwright.evaluate(run, data, device="cpu", precision="fp32", how=how, draws=100)
    segmenter = Segmenter(Predictor.load(run, device="cpu", precision="fp32"), how)
    by_hand = np.zeros((3, 3), np.int64)
    for sample in data.labelled("test"):
        assert (segmenter.tile_hw(sample.size_hw) is None) == (segmenter.how.tiles == "off")
        by_hand += confusion(data.mask(sample), segmenter.ids(data.image(sample)), 3)
    assert (result.confusion_KK == by_hand).all()
    seen = read_json(result.folder / "scores.json").get("seen")
    assert seen is None if how is None else seen["flips"] == how.flips


def test_the_verb_has_the_options(
    scored: tuple[Run, Dataset], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = scored
    options = ["--tiles", "16x24", "--overlap", "0.5", "--flips", "--scales", "0.5,1.5", "--draws", "100"]
    words = ("evaluate", run.path, data.path, "--out", run.path / "here", "--device", "cpu", *options)
    code, _, error = cli(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0, error
    seen = read_json(run.path / "here" / "scores.json")["seen"]
    assert seen == {"tiles": [16, 24], "overlap": 0.5, "flips": True, "scales": [0.5, 1.5]}


def test_masks_that_were_predicted_already_are_not_cut(scored: tuple[Run, Dataset], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are for runs only"):
        maskwright.evaluate(scored[1].path / "masks", scored[1], how=How(flips=True))
    with pytest.raises(InputError, match="does not exist"):
        maskwright.evaluate(tmp_path / "missing", scored[1], how=How(flips=True))
