"""Train: data, model, optimiser, loop, and what is left, in this order."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from maskwright.config import Recipe
from maskwright.console import Skipped, say, track
from maskwright.data.dataset import Dataset
from maskwright.data.loader import count_pixels, open_samples, plain_batches, remove_stale_caches, training_batches
from maskwright.losses import build_loss, outputs_for
from maskwright.models import build, parameter_count
from maskwright.run import Run, environment, now
from maskwright.training.keep import Keeper, Progress, Stopper, write_weights
from maskwright.training.loop import build_trainer, quiet_lightning
from maskwright.training.plan import resolve
from maskwright.training.task import Clock, SegmentationTask
from maskwright.types import InputError


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training left: the run, how it ended, the best validation score and what was left out."""

    run: Run
    ended: str
    best_score: float
    best_epoch: int
    skipped: list[Skipped] = field(default_factory=list)


def train(
    dataset: Dataset | str | Path,
    recipe: Recipe | str = "default",
    *,
    out: str | Path,
    sets: Sequence[str] = (),
    strict: bool = False,
) -> Trained:
    """Train a recipe on a data set's 'train' split, validate on 'val', write the run folder `out`.

    `sets` are `a.b=c` changes to a recipe given by name. Ctrl-C ends the training after the batch under way
    and leaves a usable run. Raises InputError for a recipe, data set or target that cannot be used, and leaves
    nothing behind then; with `strict` also for a single file that cannot.
    """
    clock = Clock()
    wanted = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, sets)
    data, skipped = opened(dataset, strict)
    resolved, reasons = resolve(wanted, data.labelled("train"))
    for key, reason in reasons.items():
        say(f"{key} = {reason}")
    about = {"command": shlex.join(sys.argv), "environment": environment(), "derived": reasons}
    run = Run.create(Path(out), resolved, data.classes, about)
    try:
        return fit(run, data, skipped, clock)
    except InputError:
        if not run.checkpoint.is_file():
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def resume(run: Run | str | Path, dataset: Dataset | str | Path | None = None, *, strict: bool = False) -> Trained:
    """Continue a training after its last finished epoch; a finished one only writes its ending again.

    Raises InputError if the run's data set is gone or has changed since.
    """
    clock = Clock()
    run = run if isinstance(run, Run) else Run.open(run)
    trained_on = run.about.get("data")
    if trained_on is None:
        raise InputError(f"{run.path} stopped before its data were ready; remove it and train again.")
    data, skipped = opened(dataset if dataset is not None else trained_on["path"], strict)
    if trained_on["fingerprint"] != data.fingerprint:
        raise InputError(
            f"{data.path} is not what {run.path} was trained on (images, masks, splits or classes differ); "
            "start a new run on it."
        )
    return fit(run, data, skipped, clock)


def fit(run: Run, data: Dataset, skipped: list[Skipped], clock: Clock) -> Trained:
    """One training of a resolved recipe: what `train` and `resume` share."""
    recipe, classes = run.recipe, data.classes
    clock.budget_seconds = None if recipe.train.budget is None else 60 * recipe.train.budget

    # Data
    train_samples, val_samples = data.labelled("train"), data.labelled("val")
    train_pairs = open_samples(data, train_samples, recipe, track)
    val_pairs = open_samples(data, val_samples, recipe, track)
    remove_stale_caches(data, [train_pairs, val_pairs])
    pixels_K = count_pixels(train_pairs, len(classes))
    facts = {
        "path": str(data.path.resolve()),
        "fingerprint": data.fingerprint,
        "train_images": len(train_samples),
        "val_images": len(val_samples),
        "test_images": sum(bool(sample.mask) and sample.split == "test" for sample in data.samples),
        "train_pixels": pixels_K.tolist(),
        "split": data.record.get("split", ""),
    }
    run.write_about({"data": facts, "status": "running"})

    # Model, loss, optimiser
    torch.manual_seed(recipe.train.seed)
    network = build(recipe.model, outputs_for(recipe.loss, classes))
    if recipe.train.channels_last:
        network = network.to(memory_format=torch.channels_last)
    parameters = parameter_count(network)
    say(f"{recipe.model.name} with {parameters:,} parameters, {len(train_samples)} training images")
    run.write_about({"parameters": parameters})
    loss = build_loss(recipe.loss, classes, torch.from_numpy(pixels_K))
    task = SegmentationTask(network, loss, recipe, classes, clock)

    # Loop
    keeper, stopper = Keeper(run), Stopper()
    with quiet_lightning():
        build_trainer(recipe, run, [keeper, stopper, Progress()]).fit(
            task,
            training_batches(train_pairs, recipe, classes.ignore, task.shrink),
            plain_batches(val_pairs, recipe),
            ckpt_path=run.checkpoint if run.checkpoint.is_file() else None,
            weights_only=False,
        )

    # What is left
    if not (run.path / "weights" / "best.safetensors").is_file():
        write_weights(run, "best", task.average)
    ending = {
        "status": stopper.reason,
        "ended": now(),
        "seconds": round(clock.seconds(), 1),
        "images_seen": task.images_seen,
        "best": {"epoch": keeper.best_epoch, "val_score": keeper.best},
        "skipped": [vars(item) for item in skipped],
    }
    run.write_about(ending)
    return Trained(run=run, ended=stopper.reason, best_score=keeper.best, best_epoch=keeper.best_epoch, skipped=skipped)


def opened(dataset: Dataset | str | Path, strict: bool) -> tuple[Dataset, list[Skipped]]:
    """The data set with changed files hashed again, and the files that had to be left out."""
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    return data.refresh(strict=strict)
