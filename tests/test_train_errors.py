"""A file that goes bad while a training runs: one sentence with its name, at once, and a run that can go on."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
import torch
from quick import QUICK, quick
from torch.utils.data import DataLoader

import maskwright
from maskwright.cli import main
from maskwright.data.dataset import Dataset
from maskwright.run import Run
from maskwright.training.task import SegmentationTask
from maskwright.types import InputError


def damage_after_an_epoch(path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Cut `path` short when the first epoch of a training has ended; returns what it held."""
    whole = path.read_bytes()
    begin = SegmentationTask.on_train_epoch_start

    def spoil(task: SegmentationTask) -> None:
        begin(task)
        if task.current_epoch == 1:
            path.write_bytes(whole[:40])

    monkeypatch.setattr(SegmentationTask, "on_train_epoch_start", spoil)
    return whole


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_that_goes_bad_ends_the_training_with_its_name(
    shapes_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    workers: int,
) -> None:
    sample = shapes_dataset.labelled("train")[3]
    mask = shapes_dataset.path / sample.mask
    whole = damage_after_an_epoch(mask, monkeypatch)
    sets = [word for text in [*QUICK, f"data.workers={workers}"] for word in ("--set", text)]
    words = ["train", str(shapes_dataset.path), "--out", str(tmp_path / "run"), *sets]
    monkeypatch.setattr(sys, "argv", ["maskwright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    err = capfd.readouterr().err
    assert ended.value.code == 2
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert mask.name in last
    run = Run.open(tmp_path / "run")
    assert run.about["status"].startswith("stopped: ")
    assert mask.name in run.about["status"]

    # The file repaired, the training goes on.
    monkeypatch.undo()
    mask.write_bytes(whole)
    assert maskwright.resume(run).ended == "finished"
    assert [row["epoch"] for row in run.metrics()] == [0, 1, 2]


def test_a_validation_mask_that_goes_bad_is_named_too(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = shapes_dataset.path / shapes_dataset.labelled("val")[0].mask
    damage_after_an_epoch(mask, monkeypatch)
    with pytest.raises(InputError, match=mask.name):
        maskwright.train(shapes_dataset, quick(), out=tmp_path / "run")


def test_a_failed_training_gives_ctrl_c_back(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def fail(*_: object) -> None:
        raise InputError("a file went bad")

    monkeypatch.setattr(SegmentationTask, "training_step", fail)
    with pytest.raises(InputError, match="went bad"):
        maskwright.train(shapes_dataset, quick(), out=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "run").exists(), "nothing was learned yet"


def test_a_worker_that_is_killed_is_a_sentence(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> object:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(DataLoader, "__iter__", lambda self: iter(killed, None))
    with pytest.raises(InputError, match="loader process ended unexpectedly"):
        maskwright.train(shapes_dataset, quick("loss.check=false"), out=tmp_path / "run")


def test_other_errors_keep_their_traceback(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(SegmentationTask, "training_step", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        maskwright.train(shapes_dataset, quick(), out=tmp_path / "run")
