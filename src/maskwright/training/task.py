"""The Lightning module: one step, one validation, and what they need to know of the training's progress."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from maskwright.config import Recipe
from maskwright.losses import LossFunction
from maskwright.metrics.counts import Confusion, confusion, mean_iou, scores, without_labels
from maskwright.models import Network
from maskwright.training import processes
from maskwright.training.freeze import freeze, frozen_shares
from maskwright.training.optimise import Plateau, build_optimiser, momentum_at, rate_factor, set_rate, update_average
from maskwright.types import Classes

EXAMPLES = 4
Batch = tuple[Tensor, Tensor]


@dataclass(kw_only=True)
class Clock:
    """Time spent on a training, over all its sessions, against its budget."""

    budget_seconds: float | None = None
    spent_before: float = 0.0
    begun_after: float = 0.0
    reserve_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds spent, earlier sessions of a resumed training included."""
        return self.spent_before + time.monotonic() - self.began

    def share(self) -> float:
        """Share of the budget spent, 1 when only the reserve for the last validation is left.

        What went by before the last stage began (`begun_after`) is not a share of it.
        """
        assert self.budget_seconds is not None
        left = self.budget_seconds - self.reserve_seconds - self.begun_after
        return min(1.0, max(0.0, self.seconds() - self.begun_after) / max(1e-6, left))


class SegmentationTask(L.LightningModule):
    """Trains `network`; validates and keeps `average`, its exponential moving average (or itself, with ema 0)."""

    def __init__(self, network: Network, loss: LossFunction, recipe: Recipe, classes: Classes, clock: Clock) -> None:
        super().__init__()
        self.network, self.loss, self.recipe, self.classes, self.clock = network, loss, recipe, classes, clock
        self.frozen = frozen_shares(network, recipe.train.freeze)
        # What learns later must be known from the start to the optimiser and to processes that share gradients.
        freeze(network, self.frozen, progress=1.0)
        self.average = copy.deepcopy(network).requires_grad_(False) if recipe.optim.ema > 0 else network
        self.images_seen, self.total_steps, self.rate, self.agreed = 0, 1, 0.0, 0.0
        self.epoch_losses: list[float] = []
        self.batch_loss = float("nan")
        self.val_confusion: Confusion = np.zeros((len(classes), len(classes)), np.int64)
        self.val_losses: list[float] = []
        self.val_loss = float("nan")
        self.val_examples: list[tuple[Tensor, Tensor, Tensor]] = []
        self.unlabelled = classes.background if recipe.background_ignored else None
        self.plateau = Plateau(recipe.optim)

    def on_train_start(self) -> None:
        steps = int(self.trainer.num_training_batches) // self.recipe.train.accumulate
        self.total_steps = steps * (self.recipe.train.epochs or 1)

    def on_train_epoch_start(self) -> None:
        # Dropout draws the same after a resume as without one, and something else in every process.
        others = [processes.rank()] if processes.rank() else []
        torch.manual_seed(hash((self.recipe.train.seed, self.current_epoch, *others)) % 2**31)
        if self.current_epoch > 0:
            torch.empty((), dtype=torch.int64).random_()  # so that dropout draws as when scores were published
        self.epoch_losses.clear()
        freeze(self.network, self.frozen, self.progress())

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if self.clock.budget_seconds is not None:
            self.agreed = processes.of_first(self.clock.share())
        optim, progress = self.recipe.optim, self.progress()
        self.rate = optim.lr * rate_factor(progress, optim) * self.plateau.factor
        set_rate(self.trainer.optimizers[0], self.rate, momentum_at(progress, optim))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.cost(*self.answered(batch, batch_idx))
        self.images_seen += len(batch[0]) * processes.count()
        self.batch_loss = float(loss.detach())
        self.epoch_losses.append(self.batch_loss)
        return loss

    def answered(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """What the network says of a training batch, and the truth."""
        image_N3HW, target_NHW = batch
        return self.network(image_N3HW), target_NHW

    def cost(self, logits_NKHW: Tensor, target_NHW: Tensor) -> Tensor:
        """The loss of logits, and of the coarser ones that the network left beside them."""
        loss = self.loss(logits_NKHW, target_NHW)
        for depth, logits in enumerate(self.network.auxiliary, start=1):
            loss = loss + self.recipe.train.auxiliary**depth * self.loss(logits, target_NHW)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        stepped = (batch_idx + 1) % self.recipe.train.accumulate == 0
        if stepped and self.average is not self.network:
            # Early on the average follows quickly, so that it forgets the random start.
            decay = min(self.recipe.optim.ema, (1 + self.global_step) / (10 + self.global_step))
            update_average(self.average, self.network, decay)

    def align(self) -> None:
        """Make the processes agree on what is validated and kept; with one process nothing happens."""
        processes.align_statistics(self.network)
        if self.average is not self.network:
            processes.align_statistics(self.average)

    def on_validation_epoch_start(self) -> None:
        self.align()
        self.val_confusion[:] = 0
        self.val_losses.clear()
        self.val_examples.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        image_N3HW, target_NHW = batch
        logits = self.average(image_N3HW)
        self.val_losses.append(float(self.loss(logits, target_NHW)))
        ids_NHW = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.max(dim=1).indices
        dtype = self.classes.dtype
        truth, guess = (plane.cpu().numpy().astype(dtype) for plane in (target_NHW, ids_NHW))
        rows = (-1, truth.shape[-1])
        counts = confusion(truth.reshape(rows), guess.reshape(rows), len(self.classes))
        self.val_confusion += without_labels(counts, self.unlabelled)
        if self.wants_example(batch_idx):
            self.val_examples.append((image_N3HW[0].cpu(), target_NHW[0].cpu(), ids_NHW[0].cpu()))

    def wants_example(self, batch_idx: int) -> bool:
        """Whether the first image of this batch is shown: one from the front of every fourth part."""
        # Neighbours in a video look all the same.
        return batch_idx * EXAMPLES >= len(self.val_examples) * sum(self.trainer.num_val_batches)

    def on_validation_epoch_end(self) -> None:
        self.val_confusion = processes.summed(torch.from_numpy(self.val_confusion)).numpy()
        self.val_loss = processes.mean_of(self.val_losses)
        if not self.trainer.sanity_checking:
            self.plateau.update(self.val_score())

    def val_score(self) -> float:
        """Validation mean IoU, with or without background as the recipe says; picks the best weights."""
        leave_out = None if self.recipe.background_scored else self.classes.background
        value = mean_iou(self.val_confusion, leave_out=leave_out)
        return 0.0 if math.isnan(value) else value

    def val_iou(self) -> dict[str, float]:
        """Validation IoU by class name; NaN where a class has no score."""
        return dict(zip(self.classes.names, scores(self.val_confusion).iou.tolist(), strict=True))

    def val_more(self) -> dict[str, float]:
        """Further columns of `metrics.csv`."""
        return {}

    def progress(self) -> float:
        """Share of the training that is over, by time where there is a budget, by steps otherwise."""
        if self.clock.budget_seconds is not None:
            return self.agreed if processes.count() > 1 else self.clock.share()
        return min(1.0, self.global_step / max(1, self.total_steps))

    def shrink(self) -> int:
        """What the working size is divided by in the epoch that begins: 2 early on, where the recipe says so."""
        return 2 if self.progress() < self.recipe.train.small_first else 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build_optimiser(self.network.parts(), self.recipe.optim)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["maskwright"] = {
            "images_seen": self.images_seen,
            "seconds": self.clock.seconds(),
            "begun_after": self.clock.begun_after,
            "reserve": self.clock.reserve_seconds,
            "plateau": vars(self.plateau).copy(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["maskwright"]
        self.images_seen, self.clock.spent_before = state["images_seen"], state["seconds"]
        self.clock.begun_after, self.clock.reserve_seconds = state["begun_after"], state["reserve"]
        vars(self.plateau).update(state["plateau"])
