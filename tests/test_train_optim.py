"""Optimisers, schedules, rates by part, freezing, accumulation, kept weights; all of it through a crash and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import write_shapes
from quick import quick
from safetensors.torch import load_file
from torch import nn

import maskwright
from maskwright.config import OptimRecipe, Recipe
from maskwright.data.dataset import Dataset
from maskwright.losses import build_loss
from maskwright.models import Network, build
from maskwright.run import Run
from maskwright.training.freeze import freeze, frozen_shares
from maskwright.training.optimise import build_optimiser, momentum_at, rate_factor, set_rate
from maskwright.training.task import Clock, SegmentationTask
from maskwright.types import InputError

# Nothing here looks at other images of the batch, so that batches can be cut in any way.
ALONE = ["model.norm=none", "loss.name=cross_entropy", "optim.lr=0.003"]


def small(*sets: str) -> Network:
    """A tiny U-Net that always starts with the same weights."""
    torch.manual_seed(0)
    return build(quick(*sets).model, 3)


def part_of(run: Run, name: str, which: str = "last") -> dict[str, torch.Tensor]:
    """Weights of one part of a run's network."""
    network = build(run.recipe.model, len(run.classes))
    network.load_state_dict(load_file(run.weights(which)))
    return {key: value.clone() for key, value in network.parts()[name].state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[key]) for key, value in first.items())


def close(first: Run, second: Run, tolerance: float) -> None:
    one, other = load_file(first.weights("last")), load_file(second.weights("last"))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=tolerance, rtol=0, msg=name)


def crash_in_epoch(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first training that reaches the second batch of `epoch` end as by a power cut."""
    step = SegmentationTask.training_step

    def fragile(task: SegmentationTask, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        if task.current_epoch == epoch and batch_idx == 1:
            monkeypatch.undo()
            raise RuntimeError("power cut")
        return step(task, batch, batch_idx)

    monkeypatch.setattr(SegmentationTask, "training_step", fragile)


def test_one_cycle_is_that_of_torch() -> None:
    optim, steps = OptimRecipe(name="sgd", schedule="one_cycle", lr=0.4), 50
    weights = [nn.Parameter(torch.zeros(1))]
    theirs = torch.optim.SGD(weights, lr=0.4, momentum=0.9)
    # Torch counts from the first step to the last, both included, and its rise ends a step before pct_start.
    cycle = torch.optim.lr_scheduler.OneCycleLR(theirs, max_lr=0.4, total_steps=steps + 1, pct_start=16 / 51)
    ours = build_optimiser({"all": nn.ParameterList(weights)}, optim)
    for step in range(steps + 1):
        set_rate(ours, optim.lr * rate_factor(step / steps, optim), momentum_at(step / steps, optim))
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-6)
        assert ours.param_groups[0]["momentum"] == pytest.approx(theirs.param_groups[0]["momentum"], rel=1e-6)
        theirs.step()
        if step < steps:
            cycle.step()


def test_polynomial_falls_from_one_to_nothing() -> None:
    optim = OptimRecipe(schedule="polynomial", warmup=0.0, power=2.0)
    assert [rate_factor(p, optim) for p in (0.0, 0.5, 1.0)] == [1.0, 0.25, 0.0]


def test_adam_gets_the_momentum_of_one_cycle_and_other_schedules_leave_it() -> None:
    optimiser = build_optimiser(small().parts(), OptimRecipe(name="adam"))
    set_rate(optimiser, 0.1, momentum_at(0.3, OptimRecipe(schedule="one_cycle")))
    assert optimiser.param_groups[0]["betas"] == (0.85, 0.999)
    assert momentum_at(0.3, OptimRecipe(schedule="cosine")) is None


def test_parts_have_rates_of_their_own_and_kernels_alone_decay() -> None:
    network = small()
    optimiser = build_optimiser(network.parts(), OptimRecipe(parts={"encoder": 0.1}, weight_decay=0.3))
    set_rate(optimiser, 2.0, None)
    rate = {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    decay = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert len(rate) == len(list(network.parameters()))
    for name, part in network.parts().items():
        for parameter in part.parameters():
            assert rate[id(parameter)] == pytest.approx(0.2 if name == "encoder" else 2.0)
            assert decay[id(parameter)] == (0.3 if parameter.dim() > 1 else 0.0)


def test_sgd_takes_momentum_and_nesterov() -> None:
    group = build_optimiser(small().parts(), OptimRecipe(name="sgd", momentum=0.8, nesterov=True)).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.8, True)


@pytest.mark.parametrize("key", ["optim.parts={encodr: 0.1}", "train.freeze={encodr: 1}"])
def test_a_part_that_is_not_there_is_named(shapes_dataset: Dataset, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=rf"part of the network in {key.partition('=')[0]} 'encodr'.*'encoder'"):
        maskwright.train(shapes_dataset, quick(key), out=tmp_path / "run")


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(InputError, match="leave one that can learn"):
        frozen_shares(small(), {"encoder": 1.0, "decoder": 1.0, "head": 1.0})


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(InputError, match="nesterov"):
        quick("optim.nesterov=true", "optim.momentum=0")


def test_a_part_is_frozen_for_its_share_of_the_training() -> None:
    network = small()
    shares = frozen_shares(network, {"encoder": 0.5, "decoder": 1.0})
    encoder, decoder, head = (network.parts()[name] for name in ("encoder", "decoder", "head"))
    for progress, learns in ((0.0, False), (0.49, False), (0.5, True), (1.0, True)):
        freeze(network, shares, progress)
        assert {p.requires_grad for p in encoder.parameters()} == {learns}
        assert {m.training for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)} == {learns}
        assert not any(p.requires_grad for p in decoder.parameters())
        assert all(p.requires_grad for p in head.parameters())


@pytest.mark.parametrize(("share", "moves"), [(1.0, False), (0.5, True)])
def test_a_frozen_encoder_stays_as_it_was(shapes_dataset: Dataset, tmp_path: Path, share: float, moves: bool) -> None:
    recipe = quick(f"train.freeze={{encoder: {share}}}", "train.keep_every=1", "train.epochs=2", "optim.ema=0")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    begun = {key: value.clone() for key, value in small().parts()["encoder"].state_dict().items()}
    assert same(part_of(run, "encoder", "epoch-0000"), begun), "batch norm's statistics included"
    assert same(part_of(run, "encoder", "epoch-0001"), begun) != moves
    assert not same(part_of(run, "decoder"), dict(small().parts()["decoder"].state_dict()))


@pytest.mark.parametrize("optim", ["optim.name=sgd", "optim.name=adam"])
def test_accumulated_gradients_equal_the_larger_batch(tmp_path: Path, optim: str) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 9, "val": 2}, ignored=False)
    sets = [*ALONE, optim, "augment={flip: 0.5}", "optim.weight_decay=0", "data.fit=stretch"]
    whole = maskwright.train(data, quick(*sets, "train.batch=4"), out=tmp_path / "whole").run
    cut = maskwright.train(data, quick(*sets, "train.batch=2", "train.accumulate=2"), out=tmp_path / "cut").run
    close(whole, cut, 2e-5)
    assert [row["lr"] for row in whole.metrics()] == [row["lr"] for row in cut.metrics()]
    assert [row["images_seen"] for row in cut.metrics()] == [8, 16, 24], "the ninth image makes no step"
    for one, other in zip(whole.metrics(), cut.metrics(), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-5)


def test_accumulating_more_than_there_is_becomes_all_there_is(shapes_dataset: Dataset, tmp_path: Path) -> None:
    run = maskwright.train(shapes_dataset, quick("train.accumulate=100", "train.epochs=1"), out=tmp_path / "run").run
    assert run.recipe.train.accumulate == 4
    assert "8 training images" in run.about["derived"]["train.accumulate"]


def test_kept_weights_come_with_a_picture_and_can_be_scored(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick("train.epochs=25", "train.keep_every=12", "train.validate_every=6", "train.batch=8")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    kept = sorted(path.name for path in (run.path / "weights").glob("epoch-*"))
    assert kept == ["epoch-0011.safetensors", "epoch-0023.safetensors"]
    assert {"epoch-0011.jpg", "epoch-0023.jpg"} <= {path.name for path in (run.path / "samples").iterdir()}
    assert 0 <= maskwright.evaluate(run, split="test", weights="epoch-0011").scores["mean_iou"] <= 1
    with pytest.raises(InputError, match=r"multiple of train\.validate_every"):
        maskwright.train(shapes_dataset, quick("train.keep_every=3", "train.validate_every=2"), out=tmp_path / "no")


def test_coarser_outputs_enter_the_loss_with_their_weights(shapes_dataset: Dataset) -> None:
    recipe = quick("model.deep_supervision=true", "train.auxiliary=0.4", "loss.name=cross_entropy")
    network, classes = build(recipe.model, 3), shapes_dataset.classes
    loss = build_loss(recipe.loss, classes)
    task = SegmentationTask(network, loss, recipe, classes, Clock())
    batch = (torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8), torch.randint(0, 3, (2, 32, 40)))
    task.train()
    found = task.training_step(batch, 0)
    coarser = [0.4**depth * loss(logits, batch[1]) for depth, logits in enumerate(network.auxiliary, 1)]
    assert coarser, "the network has coarser outputs"
    main = loss(network(batch[0]), batch[1])
    torch.testing.assert_close(found, main + torch.stack(coarser).sum())


EVERYTHING = [
    "optim.name=sgd", "optim.nesterov=true", "optim.schedule=one_cycle", "optim.parts={encoder: 0.3}",
    "train.freeze={encoder: 0.3}", "train.accumulate=2", "train.keep_every=2", "train.small_first=0.4",
    "model.deep_supervision=true", "model.dropout=0.2", "train.epochs=4", "data.sampling=balanced",
]  # fmt: skip
PLATEAU = ["optim.schedule=plateau", "optim.plateau_patience=1", "optim.lr=0.3", "train.epochs=4", "train.patience=9"]


@pytest.mark.parametrize("sets", [EVERYTHING, PLATEAU], ids=["everything", "plateau"])
def test_a_power_cut_changes_nothing(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: list[str]
) -> None:
    recipe: Recipe = quick(*sets)
    whole = maskwright.train(shapes_dataset, recipe, out=tmp_path / "whole").run
    crash_in_epoch(2, monkeypatch)
    with pytest.raises(RuntimeError, match="power cut"):
        maskwright.train(shapes_dataset, recipe, out=tmp_path / "torn")
    torn = Run.open(tmp_path / "torn")
    assert len(torn.metrics()) == 2
    maskwright.resume(torn)
    for which in sorted(path.stem for path in (whole.path / "weights").iterdir()):
        assert same(load_file(whole.weights(which)), load_file(torn.weights(which))), which
    rows: Callable[[Run], object] = lambda run: [  # noqa: E731
        {key: value for key, value in row.items() if key != "seconds"} for row in run.metrics()
    ]
    assert rows(whole) == rows(torn)


def test_two_runs_with_everything_are_bit_equal_for_any_number_of_workers(
    shapes_dataset: Dataset, tmp_path: Path
) -> None:
    sets = [*EVERYTHING, "augment={flip: 0.5, rotate: 20, cutmix: 0.5, noise: 0.05}", "train.epochs=2"]
    runs = [
        maskwright.train(shapes_dataset, quick(*sets, f"data.workers={workers}"), out=tmp_path / f"{workers}").run
        for workers in (0, 1, 2)
    ]
    for run in runs[1:]:
        assert same(load_file(runs[0].weights("last")), load_file(run.weights("last")))
        assert [row["train_loss"] for row in run.metrics()] == [row["train_loss"] for row in runs[0].metrics()]


@pytest.mark.parametrize(
    "sets",
    [
        ["optim.name=sgd", "optim.schedule=polynomial"],
        ["optim.name=adam", "optim.schedule=one_cycle", "optim.clip=null"],
        ["optim.name=adamw", "optim.schedule=constant", "optim.ema=0"],
    ],
)
def test_every_optimiser_and_schedule_learns(shapes_dataset: Dataset, tmp_path: Path, sets: list[str]) -> None:
    run = maskwright.train(shapes_dataset, quick(*sets, "train.epochs=6"), out=tmp_path / "run").run
    found = [row["train_loss"] for row in run.metrics()]
    assert np.mean(found[-2:]) < found[0]
