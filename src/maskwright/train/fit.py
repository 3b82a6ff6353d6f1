"""Train: data, model, optimiser, loop, evaluation, report, in this order."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from maskwright.config import Recipe
from maskwright.console import Skipped, say, track
from maskwright.data.dataset import Dataset
from maskwright.data.loader import (
    Cached,
    Decoded,
    open_samples,
    plain_batches,
    remove_stale_caches,
    training_batches,
)
from maskwright.losses import build_loss, outputs_for
from maskwright.models import build, parameter_count
from maskwright.run import Run, environment, now
from maskwright.train.keep import Keeper, Progress, Stopper, write_weights
from maskwright.train.plan import resolve
from maskwright.train.task import Clock, SegmentationTask
from maskwright.types import InputError

MASKS_TO_COUNT = 2000


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

    Ctrl-C ends it after the batch under way and leaves a usable run. Raises InputError for a recipe, data set
    or target that cannot be used; with `strict` also for a single file that cannot.
    """
    clock = Clock()
    wanted = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, sets)
    data, skipped = opened(dataset, strict)
    resolved, reasons = resolve(wanted, data.labelled("train"))
    for key, reason in reasons.items():
        say(f"{key} = {reason}")
    about = {"command": " ".join(sys.argv), "environment": environment(), "derived": reasons}
    run = Run.create(Path(out), resolved, data.classes, about)
    return fit(run, data, skipped, clock)


def resume(run: Run | str | Path, dataset: Dataset | str | Path | None = None, *, strict: bool = False) -> Trained:
    """Continue a training from its last finished epoch; a finished one is left as it is.

    Raises InputError if the run has no checkpoint, or its data set is gone or has changed since.
    """
    clock = Clock()
    run = run if isinstance(run, Run) else Run.open(run)
    about = run.about
    if dataset is None and "data" not in about:
        raise InputError(f"{run.path} stopped before its data were ready; remove it and train again.")
    data, skipped = opened(dataset if dataset is not None else about["data"]["path"], strict)
    if "data" in about and about["data"]["fingerprint"] != data.fingerprint:
        raise InputError(
            f"{data.path} is not what {run.path} was trained on (images, masks, splits or classes differ); "
            "start a new run on it."
        )
    return fit(run, data, skipped, clock)


def fit(run: Run, data: Dataset, skipped: list[Skipped], clock: Clock) -> Trained:
    """One training from a resolved recipe: what `train` and `resume` share."""
    recipe = run.recipe
    clock.budget_seconds = None if recipe.train.budget is None else 60 * recipe.train.budget
    clock.reserve_seconds = 0.05 * (clock.budget_seconds or 0)

    # Data
    train_samples, val_samples = data.labelled("train"), data.labelled("val")
    train_pairs = open_samples(data, train_samples, recipe, track)
    val_pairs = open_samples(data, val_samples, recipe, track)
    remove_stale_caches(data, [train_pairs, val_pairs])
    pixels_K = count_pixels(train_pairs, len(data.classes))
    run.write_about({"data": describe(data, train_samples, val_samples, pixels_K), "status": "running"})

    # Model
    torch.manual_seed(recipe.train.seed)
    network = build(recipe.model, outputs_for(recipe.loss, data.classes))
    if recipe.train.channels_last:
        network = network.to(memory_format=torch.channels_last)
    parameters = parameter_count(network)
    say(f"{recipe.model.name} with {parameters:,} parameters, {len(train_samples)} training images")

    # Loss and optimiser
    loss = build_loss(recipe.loss, data.classes, torch.from_numpy(pixels_K))
    task = SegmentationTask(network, loss, recipe, data.classes, clock)

    # Loop
    keeper, stopper = Keeper(run), Stopper()
    trainer = build_trainer(recipe, run, [keeper, stopper, Progress()])
    with quiet_lightning():
        trainer.fit(
            task,
            training_batches(train_pairs, recipe, data.classes.ignore),
            plain_batches(val_pairs, recipe),
            ckpt_path=run.checkpoint if run.checkpoint.is_file() else None,
            weights_only=False,
        )

    # What is left
    if not (run.path / "weights" / "best.safetensors").is_file():
        write_weights(run, "best", task.average)
    ended = {
        "status": stopper.reason,
        "ended": now(),
        "seconds": round(clock.seconds(), 1),
        "images_seen": task.images_seen,
        "parameters": parameters,
        "best": {"epoch": keeper.best_epoch, "val_score": keeper.best},
        "skipped": [vars(item) for item in skipped],
    }
    run.write_about(ended)
    return Trained(
        run=run, ended=stopper.reason, best_score=keeper.best, best_epoch=keeper.best_epoch, skipped=skipped
    )


def opened(dataset: Dataset | str | Path, strict: bool) -> tuple[Dataset, list[Skipped]]:
    """The data set with changed files hashed again, and the files that had to be left out."""
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    return data.refresh(strict=strict)


def build_trainer(recipe: Recipe, run: Run, callbacks: list[Any]) -> L.Trainer:
    """Lightning's trainer with everything that would speak, save or guess by itself turned off."""
    precision = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[recipe.train.precision]
    on_cpu = recipe.train.device == "cpu"
    return L.Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[recipe.train.device],
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=-1 if recipe.train.budget is not None else recipe.train.epochs,
        check_val_every_n_epoch=recipe.train.validate_every,
        gradient_clip_val=recipe.optim.clip,
        deterministic=(True if on_cpu else "warn") if recipe.train.deterministic else None,
        logger=TensorBoardLogger(run.path, name="", version="tensorboard"),
        callbacks=callbacks,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class quiet_lightning:
    """Lightning's hints and advertising are not for our users; its errors still are."""

    def __enter__(self) -> None:
        self.logger = logging.getLogger("lightning.pytorch")
        self.level = self.logger.level
        self.logger.setLevel(logging.ERROR)
        self.catcher = warnings.catch_warnings()
        self.catcher.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*")

    def __exit__(self, *exception: object) -> None:
        self.catcher.__exit__(None, None, None)
        self.logger.setLevel(self.level)


def count_pixels(pairs: Decoded | Cached, classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Labelled pixels by class over the training masks (at most 2000 of them, evenly spaced), at the working size."""
    total = np.zeros(classes, np.int64)
    for index in range(0, len(pairs), -(-len(pairs) // MASKS_TO_COUNT)):
        counts = np.bincount(pairs[index][1].ravel(), minlength=classes)
        total += counts[:classes]
    return total


def describe(data: Dataset, train: Sequence[Any], val: Sequence[Any], pixels_K: Any) -> dict[str, Any]:
    """The data's part of `run.yaml`."""
    return {
        "path": str(data.path.resolve()),
        "fingerprint": data.fingerprint,
        "train_images": len(train),
        "val_images": len(val),
        "train_pixels": [int(count) for count in pixels_K],
        "split": data.record.get("split", ""),
        "opencv_threads": cv2.getNumThreads(),
    }
