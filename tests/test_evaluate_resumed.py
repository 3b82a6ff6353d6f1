"""An evaluation that was interrupted goes on, and workers score as this process does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import shapes, shapes_classes
from run_folders import random_run

import maskwright
from maskwright.data.dataset import Dataset, Sample
from maskwright.files import JOURNAL
from maskwright.metrics.calibration import Calibration
from maskwright.scoring.evaluating.kept import kept, remembered_as
from maskwright.scoring.evaluating.observe import Observer
from maskwright.scoring.evaluating.score import Evaluation
from maskwright.scoring.stressing.stress_images import one_thread

CPU: dict[str, Any] = {"split": "train", "device": "cpu", "precision": "fp32"}


def same(one: Any, other: Any) -> bool:
    """Whether all fields are, with NaN equal to itself."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if hasattr(one, "__dict__"):
        return type(one) is type(other) and all(same(value, vars(other)[name]) for name, value in vars(one).items())
    return bool(one == other or (one != one and other != other))


@pytest.mark.parametrize("surface_px", [None, 2.0])
def test_what_was_seen_of_an_image_comes_back_as_it_was(surface_px: float | None) -> None:
    image_HW3, truth_HW = shapes(0)
    _, guess_HW = shapes(1)
    sample = Sample(id="ä", image="ä.png", group="g", height=48, width=64, image_hash="")
    scores_KHW = np.random.default_rng(0).dirichlet(np.ones(3), guess_HW.shape).astype(np.float32).transpose(2, 0, 1)
    observer = Observer(classes=shapes_classes(), surface_px=surface_px)
    for scores in (None, scores_KHW):
        observed = observer(sample, image_HW3, truth_HW, np.where(guess_HW == 255, 0, guess_HW), scores)
        assert isinstance(observed.calibration, Calibration) == (scores is not None)
        assert same(remembered_as(kept(observed)), observed)


def test_an_interrupted_evaluation_goes_on(
    tmp_path: Path, shapes_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, seen = random_run(tmp_path / "run", shapes_dataset), list[str]()
    interrupted: int | None = None  # after so many images that are kept
    whole = maskwright.evaluate(run, out=tmp_path / "whole", **CPU)
    look = Observer.__call__

    def watched(self: Observer, sample: Sample, *pixels: Any) -> Any:
        if interrupted is None and len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(sample.id)
        return look(self, sample, *pixels)

    monkeypatch.setattr(Observer, "__call__", watched)
    out = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        maskwright.evaluate(run, out=out, **CPU)
    interrupted = len((out / JOURNAL).read_bytes().splitlines())
    assert interrupted
    found = maskwright.evaluate(run, out=out, **CPU)
    ids = [sample.id for sample in shapes_dataset.labelled("train")]
    assert seen[4:] == ids[interrupted:], "what was done is not done again"
    require_equal(found, whole)
    assert not (out / JOURNAL).exists()


def test_processes_score_as_one_does(tmp_path: Path, shapes_dataset: Dataset) -> None:
    run = random_run(tmp_path / "run", shapes_dataset)
    (shapes_dataset.path / shapes_dataset.labelled("train")[3].mask).write_bytes(b"no mask")
    with one_thread("cpu"):
        alone = maskwright.evaluate(run, out=tmp_path / "alone", **CPU)
    spread = maskwright.evaluate(run, out=tmp_path / "spread", workers=1, **CPU)
    assert spread.skipped == alone.skipped
    require_equal(spread, alone)


def require_equal(one: Evaluation, other: Evaluation) -> None:
    assert (one.confusion_KK == other.confusion_KK).all()
    assert {**one.scores, "time": ""} == {**other.scores, "time": ""}
    assert one.images == other.images
