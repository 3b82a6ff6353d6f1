"""Training networks that answer prompts, from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import write_shapes
from prompt_runs import TINY, prompt_recipe
from quick import quick
from safetensors.torch import load_file
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app
from maskwright.data.dataset import Dataset
from maskwright.imageio import read_image, write_mask
from maskwright.models import PROMPT_MODELS
from maskwright.run import Run
from maskwright.training import prompting
from maskwright.training.task import Batch
from maskwright.types import InputError, Mask

# Without norm and ignored pixels the mean over two halves of a batch is the mean over the batch.
ALONE = ["model.norm=none", "loss.name=bce", "data.fit=stretch", "train.batch=4", "optim.ema=0.9", "augment={flip: 0}"]


def weights(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    return dict(load_file(run.weights(which)))


def unclocked(run: Run) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in run.metrics()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """16 images to train on, 6 to validate on, one of them without a label."""
    return write_shapes(tmp_path_factory.mktemp("prompted") / "shapes", {"train": 16, "val": 6})


@pytest.mark.parametrize("name", PROMPT_MODELS)
def test_what_is_learned_is_better_than_before(data: Dataset, tmp_path: Path, name: str) -> None:
    epochs = {"prompt-unet": 28, "prompt-clicks": 12}[name]
    sets = [f"train.epochs={epochs}", "train.validate_every=4", "train.patience=null", "train.batch=4"]
    sets += ["optim.schedule=cosine", "optim.ema=0.5", "model.widths=[8, 12, 16]"]
    before = maskwright.train(data, prompt_recipe(name, *sets, "train.epochs=4", "optim.lr=1e-9"), out=tmp_path / "one")
    trained = maskwright.train(data, prompt_recipe(name, *sets), out=tmp_path / "run")
    assert trained.prompted
    assert trained.best_score > before.best_score + 0.1
    rows = trained.run.metrics()
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    kinds = {"val_iou_one_prompt", "val_iou_3_clicks"} & rows[-1].keys()
    if name == "prompt-clicks":
        assert kinds == {"val_iou_one_prompt", "val_iou_3_clicks"}
        assert rows[-1]["val_score"] == rows[-1]["val_iou_3_clicks"]
    else:
        assert kinds == {"val_iou_one_prompt"}
        assert rows[-1]["val_score"] == rows[-1]["val_iou_one_prompt"]
    checks = json.loads((trained.run.path / "doctor.json").read_text())["checks"]
    assert len(checks) > 10
    assert [check["name"] for check in checks if not check["ok"]] == []
    assert read_image(trained.run.path / "samples" / "first_batch.png").std() > 10
    assert list((trained.run.path / "samples").glob("epoch-*.jpg"))
    page = maskwright.report(trained.run).read_text("utf-8")
    assert "prompt.sigma" in page
    assert "of what prompts mean" in page
    assert "maskwright clicks run:" in page
    assert "maskwright evaluate" not in page


def test_killed_and_resumed_equals_uninterrupted(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = prompt_recipe("prompt-clicks", "train.epochs=4", "prompt.class_told=0.5")
    whole = maskwright.train(data, recipe, out=tmp_path / "whole").run
    answered = prompting.PromptTask.answered

    class Killed(BaseException):
        pass

    def killed(task: prompting.PromptTask, batch: Batch, batch_idx: int) -> tuple[torch.Tensor, torch.Tensor]:
        if (task.current_epoch, batch_idx) == (2, 3):
            raise Killed
        return answered(task, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(prompting.PromptTask, "answered", killed)
        with pytest.raises(Killed):
            maskwright.train(data, recipe, out=tmp_path / "torn")
    torn = Run.open(tmp_path / "torn")
    assert len(torn.metrics()) == 2
    assert maskwright.resume(torn).prompted
    assert unclocked(torn) == unclocked(whole)
    for which in ("last", "best"):
        for name, value in weights(whole, which).items():
            assert torch.equal(weights(torn, which)[name], value), name


def test_two_processes_ask_what_one_does(tmp_path: Path) -> None:
    whole = write_shapes(tmp_path / "shapes", {"train": 8, "val": 5}, ignored=False)
    recipe = prompt_recipe("prompt-clicks", *ALONE, "train.epochs=2")
    alone = maskwright.train(whole, recipe, out=tmp_path / "alone").run
    two = maskwright.train(whole, recipe.with_values(train__devices=2), out=tmp_path / "two").run
    for shared, single in zip(two.metrics(), alone.metrics(), strict=True):
        for key in ("train_loss", "val_score", "val_iou_one_prompt"):
            assert shared[key] == pytest.approx(single[key], abs=1e-4), key
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(two)[name], value, atol=3e-5, rtol=0, msg=name)


def test_half_precision_keeps_the_gradient_of_what_was_tried_before(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clicks are simulated without gradients; autocast must not go on with those copies of the weights."""
    seen: list[bool] = []
    step = prompting.PromptTask.on_train_batch_end

    def watched(task: prompting.PromptTask, *rest: object) -> None:
        seen.append(all(parameter.grad is not None for parameter in task.network.parameters()))
        step(task, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(prompting.PromptTask, "on_train_batch_end", watched)
    sets = ["train.precision=bf16", "train.deterministic=false", "prompt.clicks=4", "train.epochs=1"]
    run = maskwright.train(data, prompt_recipe("prompt-clicks", *sets), out=tmp_path / "run").run
    assert len(seen) == 8
    assert all(seen)
    assert np.isfinite(run.metrics()[0]["train_loss"])


@pytest.mark.parametrize(
    "sets",
    [
        ["loss.name=binary_focal", "train.freeze={encoder: 0.5}", "optim.parts={prompt: 2}", "train.budget=0.05"],
        ["loss.name=focal_dice", "prompt.class_told=1", "model.deep_supervision=true", "train.small_first=0.6"],
    ],
)
def test_options_of_training_work(data: Dataset, tmp_path: Path, sets: list[str]) -> None:
    trained = maskwright.train(data, prompt_recipe("prompt-clicks", "train.epochs=2", *sets), out=tmp_path / "run")
    assert np.isfinite(trained.run.metrics()[-1]["train_loss"])
    assert 0 <= trained.best_score <= 1


def test_masks_without_a_labelled_pixel_ask_nothing(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 4, "val": 2})
    for sample in (data.labelled("train")[0], data.labelled("val")[0]):
        blank: Mask = np.full(sample.size_hw, 255, np.uint8)
        write_mask(data.path / sample.mask, blank, data.classes)
    run = maskwright.train(data, prompt_recipe("prompt-clicks", "train.epochs=2"), out=tmp_path / "run").run
    assert np.isfinite([row["train_loss"] for row in run.metrics()]).all()


@pytest.mark.parametrize(
    ("model", "sets", "says"),
    [
        ("unet", ["prompt.sigma=5"], r"prompt\.sigma means nothing to the model 'unet'; set it back to 10\.0"),
        ("unet", ["prompt.clicks=2"], r"model that answers prompts \(prompt-unet, prompt-clicks\)"),
        ("prompt-unet", ["prompt.clicks=2"], "negative clicks, which 'prompt-unet' does not see"),
        ("prompt-clicks", ["loss.background=false"], r"set loss\.background to true"),
        ("prompt-clicks", ["loss.class_power=0.5"], r"loss\.class_power to 0"),
        ("prompt-clicks", ["score.background=false"], r"set score\.background to null"),
        ("prompt-clicks", ["train.pretrain.epochs=2"], r"set train\.pretrain\.epochs to 0"),
        ("prompt-clicks", ["prompt.sigmaa=2"], "did you mean 'prompt.sigma'"),
        ("prompt-clicks", ["prompt.target=thing"], "'prompt.target' is 'thing'"),
        ("prompt-clicks", ["prompt.sigma=0"], "greater than 0"),
        ("prompt-clicks", ["prompt=5"], "'prompt' is 5"),
    ],
)
def test_keys_that_do_not_fit_are_refused(
    shapes_dataset: Dataset, tmp_path: Path, model: str, sets: list[str], says: str
) -> None:
    make = quick if model == "unet" else partial(prompt_recipe, model)
    with pytest.raises(InputError, match=says):
        maskwright.train(shapes_dataset, make(*sets), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_verbs_that_need_no_prompt_refuse_and_say_what_to_do(data: Dataset, tmp_path: Path) -> None:
    run = maskwright.train(data, prompt_recipe("prompt-unet", "train.epochs=1"), out=tmp_path / "run").run
    verbs: list[Callable[[], object]] = [
        lambda: maskwright.evaluate(run, data, split="val"),
        lambda: maskwright.predict(run, [data.path / "images"], tmp_path / "out"),
        lambda: maskwright.stress(run, data, split="val"),
        lambda: maskwright.Predictor.load(run),
    ]
    for verb in verbs:
        with pytest.raises(InputError, match=r"maskwright clicks run:.*maskwright label DATASET --prompter run:"):
            verb()
    assert not (tmp_path / "out").exists()
    assert not list((run.path / "evaluation").iterdir())


def test_the_command_line_says_what_such_a_run_is_for(data: Dataset, tmp_path: Path) -> None:
    sets = [word for text in ["model.width=null", *TINY, "train.epochs=1"] for word in ("--set", text)]
    words = ["train", str(data.path), "--recipe", "prompt-unet", "--out", str(tmp_path / "run"), *sets]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert f"maskwright clicks run:{tmp_path / 'run'} DATASET" in done.stderr
    assert f"maskwright label DATASET --prompter run:{tmp_path / 'run'}" in done.stderr
    assert "maskwright evaluate" not in done.stderr
