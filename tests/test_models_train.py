"""Models in a whole training: weights that go missing afterwards, a budget, and what stays frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from quick import quick
from safetensors.torch import load_file, save_file

from maskwright.data.dataset import Dataset
from maskwright.infer.predictor import Predictor
from maskwright.models import build
from maskwright.training.fit import train
from maskwright.types import InputError

CLIP = ("model.widths=[8, 8, 4]", "model.name=clip", "model.encoder=test_resnet", "train.epochs=1")


def test_a_run_on_a_pretrained_trunk_keeps_it_and_predicts_without_its_file(
    shapes_dataset: Dataset, tmp_path: Path
) -> None:
    weights = tmp_path / "trunk.safetensors"
    torch.manual_seed(7)
    donor = build(quick(*CLIP).model, 3).parts()["encoder"].state_dict()
    save_file(donor, weights)
    run = train(shapes_dataset, quick(*CLIP, f"model.weights={weights}"), out=tmp_path / "run").run
    weights.unlink()
    kept = load_file(run.weights())
    for name, value in donor.items():
        assert torch.equal(kept[f"body.trunk.{name}"], value), f"{name} was not frozen"
    assert Predictor.load(run).ids(np.zeros((30, 41, 3), np.uint8)).shape == (30, 41)


def test_missing_weights_end_a_training_before_it_begins(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"get model.safetensors of timm/resnet50_clip.openai"):
        train(shapes_dataset, quick("model.widths=null", "model.name=clip"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_budget_becomes_widths_in_the_run(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick("model.widths=null", "model.depth=2", "model.params=20k", "train.epochs=1")
    run = train(shapes_dataset, recipe, out=tmp_path / "run").run
    assert run.recipe.model.params is None
    assert run.recipe.model.widths is not None
    assert abs(run.about["parameters"] / 20_000 - 1) <= 0.02
    assert "20,000 asked for" in run.about["derived"]["model.widths"]
    assert "model.width" not in run.about["derived"]
