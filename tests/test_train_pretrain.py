"""The stage before: an encoder that redraws, then stays; its own early stopping, and an interruption in between."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from quick import QUICK, quick
from safetensors.torch import load_file

import maskwright
from maskwright.cli import main
from maskwright.data.dataset import Dataset
from maskwright.imageio import read_image
from maskwright.models import build
from maskwright.run import Run, read_csv
from maskwright.training.pretrain import Redrawing, Watch
from maskwright.training.task import SegmentationTask
from maskwright.types import InputError

STAGES = ["model.name=autoencoder", "train.pretrain.epochs=3", "train.freeze={encoder: 1}", "train.epochs=2"]


def encoder_of(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    network = build(run.recipe.model, len(run.classes))
    network.load_state_dict(load_file(run.weights(which)))
    return dict(network.parts()["encoder"].state_dict())


def test_the_encoder_learns_to_redraw_and_then_stays(shapes_dataset: Dataset, tmp_path: Path) -> None:
    run = maskwright.train(shapes_dataset, quick(*STAGES, "train.pretrain.epochs=8"), out=tmp_path / "run").run
    rows = read_csv(run.path / "redrawing.csv")
    assert float(rows[-1]["val_error"]) < float(rows[0]["val_error"])
    learned = load_file(run.path / "weights/encoder.safetensors")
    for which in ("last", "best"):
        kept = encoder_of(run, which)
        assert all(torch.equal(value, kept[name]) for name, value in learned.items())
    best = run.about["redrawing"]["best"]
    assert best["val_error"] == pytest.approx(min(float(row["val_error"]) for row in rows), abs=1e-6)
    assert "images, redrawn" in maskwright.report(run).read_text()
    assert read_image(run.path / "samples/redrawn.jpg").shape[:2] == (2 * (32 + 4), 2 * (40 + 4))


def test_a_share_of_the_training_later_the_encoder_learns_too(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick(*STAGES, "train.freeze={encoder: 0.5}")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    learned, kept = load_file(run.path / "weights/encoder.safetensors"), encoder_of(run)
    assert not all(torch.equal(value, kept[name]) for name, value in learned.items())


def test_the_stage_stops_after_its_own_patience(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Redrawing, "validation_step", lambda task, batch, _: task.val_errors.append(1.0))
    monkeypatch.setattr("maskwright.training.pretrain.draw_redrawn", lambda *_: read_image(a_photo(shapes_dataset)))
    recipe = quick(*STAGES, "train.pretrain={epochs: 50, patience: 2}", "train.epochs=1")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    assert run.about["redrawing"]["ended"] == "no gain in 2 epochs"
    assert run.about["redrawing"]["epochs"] == 3
    assert run.about["redrawing"]["best"]["epoch"] == 0


def a_photo(data: Dataset) -> Path:
    return data.path / data.samples[0].image


def test_a_power_cut_after_the_stage_does_not_repeat_it(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = maskwright.train(shapes_dataset, quick(*STAGES), out=tmp_path / "whole").run

    def cut(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(SegmentationTask, "training_step", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        maskwright.train(shapes_dataset, quick(*STAGES), out=tmp_path / "torn")
    monkeypatch.undo()
    monkeypatch.setattr(Redrawing, "training_step", cut)
    torn = maskwright.resume(tmp_path / "torn").run
    one, other = load_file(whole.weights("last")), load_file(torn.weights("last"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_ctrl_c_in_the_stage_says_how_to_go_on(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = Watch.on_validation_end

    def interrupt(watch: Watch, *arguments: object) -> None:
        started(watch, *arguments)  # type: ignore[arg-type]
        watch.interrupted.set()

    monkeypatch.setattr(Watch, "on_validation_end", interrupt)
    sets = [word for text in [*QUICK, *STAGES] for word in ("--set", text)]
    words = ["train", str(shapes_dataset.path), *sets, "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["maskwright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "--resume" in capsys.readouterr().err
    assert Run.open(tmp_path / "run").about["status"] == "interrupted"
    monkeypatch.undo()
    assert maskwright.resume(tmp_path / "run").ended == "finished"


def test_a_model_with_an_encoder_of_its_own_cannot_redraw(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick("model={name: unet-resnet34, weights: random}", "train.pretrain.epochs=1")
    with pytest.raises(InputError, match="pretrained encoder"):
        maskwright.train(shapes_dataset, recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
