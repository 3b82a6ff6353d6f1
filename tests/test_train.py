"""Training from the outside: curves, determinism, budget, early stopping, what the run folder holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from quick import quick
from safetensors.torch import load_file

import maskwright
from maskwright.config import OptimRecipe
from maskwright.data.dataset import Dataset
from maskwright.run import Run
from maskwright.training.optimise import Plateau, rate_factor, update_average
from maskwright.types import InputError

GOLDEN_LOSSES = [0.8506, 0.6996, 0.6772]


def losses(run: Run) -> list[float]:
    return [row["train_loss"] for row in run.metrics()]


def weights(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    return dict(load_file(run.weights(which)))


def assert_equal_weights(first: Run, second: Run) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_the_curve_is_the_golden_one(shapes_dataset: Dataset, tmp_path: Path) -> None:
    run = maskwright.train(shapes_dataset, quick(), out=tmp_path / "run").run
    np.testing.assert_allclose(losses(run), GOLDEN_LOSSES, rtol=0.02)


def test_two_runs_and_two_worker_counts_are_bit_equal(shapes_dataset: Dataset, tmp_path: Path) -> None:
    plain = maskwright.train(shapes_dataset, quick(), out=tmp_path / "plain").run
    again = maskwright.train(shapes_dataset, quick("data.workers=2", "data.cache=true"), out=tmp_path / "again").run
    assert losses(plain) == losses(again)
    assert_equal_weights(plain, again)


def test_another_seed_gives_another_model(shapes_dataset: Dataset, tmp_path: Path) -> None:
    plain = maskwright.train(shapes_dataset, quick("train.epochs=1"), out=tmp_path / "plain").run
    other = maskwright.train(shapes_dataset, quick("train.epochs=1", "train.seed=1"), out=tmp_path / "other").run
    assert losses(plain) != losses(other)


def test_the_run_folder_describes_itself(shapes_dataset: Dataset, tmp_path: Path) -> None:
    trained = maskwright.train(shapes_dataset, quick(), out=tmp_path / "run")
    run = Run.open(tmp_path / "run")
    about = run.about
    assert trained.ended == about["status"] == "finished"
    assert about["data"]["fingerprint"] == shapes_dataset.fingerprint
    assert sum(about["data"]["train_pixels"]) > 0
    heights, widths = zip(*(sample.size_hw for sample in shapes_dataset.labelled("train")), strict=True)
    assert about["data"]["image_hw"] == [max(heights), max(widths)], "of so few photos all count"
    assert about["environment"]["torch"]
    assert run.recipe.model.widths == (4, 8, 8)
    assert run.classes == shapes_dataset.classes
    assert [row["epoch"] for row in run.metrics()] == [0, 1, 2]
    assert {"train_loss", "val_loss", "val_score", "lr", "images_seen"} <= run.metrics()[0].keys()
    assert list((run.path / "samples").glob("epoch-*.jpg"))
    assert list((run.path / "tensorboard").glob("events*"))
    assert (run.path / "recipe.schema.json").is_file()
    assert about["best"]["val_score"] == max(row["val_score"] for row in run.metrics())


def test_early_stopping_ends_after_patience(shapes_dataset: Dataset, tmp_path: Path) -> None:
    # With a rate of almost nothing and no averaging, the score cannot rise.
    still = quick("optim.lr=1e-12", "optim.ema=0", "train.epochs=50", "train.patience=2")
    trained = maskwright.train(shapes_dataset, still, out=tmp_path / "run")
    assert trained.ended == "no gain in 2 validations"
    assert len(trained.run.metrics()) < 50


def test_a_budget_replaces_epochs_and_the_schedule_fits_it(shapes_dataset: Dataset, tmp_path: Path) -> None:
    trained = maskwright.train(shapes_dataset, quick("train.budget=0.15"), out=tmp_path / "run")
    rows = trained.run.metrics()
    assert trained.ended == "budget used up"
    assert rows[-1]["lr"] < 0.2 * max(row["lr"] for row in rows)
    assert trained.run.weights("best").is_file()


@pytest.mark.parametrize("loss", ["dice", "focal", "focal_dice", "bce"])
@pytest.mark.parametrize("optim", ["adam", "adamw"])
def test_losses_and_optimisers_train(shapes_dataset: Dataset, tmp_path: Path, loss: str, optim: str) -> None:
    recipe = quick(f"loss.name={loss}", f"optim.name={optim}", "train.epochs=2")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    assert np.isfinite(losses(run)).all()


def test_bf16_and_class_weights_train(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick(
        "train.precision=bf16", "loss.class_power=0.5", "optim.schedule=plateau", "train.deterministic=false"
    )
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    assert np.isfinite(losses(run)).all()


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["model.name=unett"], "Did you mean 'unet'"),
        (["loss.name=dise"], "Did you mean 'dice'"),
        (["train.device=mps"], "not available"),
        (["train.precision=fp16"], "far slower"),
    ],
)
def test_a_recipe_that_cannot_run_leaves_nothing(
    shapes_dataset: Dataset, tmp_path: Path, sets: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        maskwright.train(shapes_dataset, quick(*sets), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_used_run_folder_is_not_overwritten(shapes_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        maskwright.train(shapes_dataset, quick(), out=tmp_path / "run")
    assert (tmp_path / "run" / "precious").read_text() == "mine"


def test_resuming_on_changed_data_is_refused(shapes_dataset: Dataset, tmp_path: Path) -> None:
    run = maskwright.train(shapes_dataset, quick("train.epochs=1"), out=tmp_path / "run").run
    table = shapes_dataset.path / "samples.csv"
    table.write_text(table.read_text().replace(",test,", ",train,", 1))
    with pytest.raises(InputError, match=r"not what .* was trained on"):
        maskwright.resume(run)


def test_rate_rises_then_falls_to_nothing() -> None:
    optim = OptimRecipe(warmup=0.1)
    factors = [rate_factor(progress, optim) for progress in np.linspace(0, 1, 101)]
    assert 0 < factors[0] < 0.02
    assert max(factors) == pytest.approx(1)
    assert factors.index(max(factors)) == 10
    assert factors[-1] == pytest.approx(0, abs=1e-9)
    assert rate_factor(0.7, OptimRecipe(schedule="constant")) == 1


def test_plateau_drops_the_rate_after_its_patience() -> None:
    plateau = Plateau(OptimRecipe(schedule="plateau", plateau_patience=2, plateau_factor=0.5))
    factors = []
    for score in (0.1, 0.2, 0.2, 0.1, 0.3, 0.3, 0.3):
        plateau.update(score)
        factors.append(plateau.factor)
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_the_average_follows_weights_and_running_statistics() -> None:
    torch.manual_seed(0)
    network, average = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    network(torch.randn(4, 2, 3, 3) + 5)
    update_average(average, network, decay=0.75)
    assert network.running_mean is not None
    assert average.running_mean is not None
    torch.testing.assert_close(average.running_mean, 0.25 * network.running_mean)
    assert average.num_batches_tracked == network.num_batches_tracked
