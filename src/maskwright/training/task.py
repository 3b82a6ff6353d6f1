"""The Lightning module: one step, one validation, the learning rate and the averaged weights."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from maskwright.config import OptimRecipe, Recipe
from maskwright.losses import LossFunction
from maskwright.metrics import Confusion, confusion, mean_iou, scores
from maskwright.types import Classes

EXAMPLES = 4
Batch = tuple[Tensor, Tensor]


@dataclass(kw_only=True)
class Clock:
    """Time spent on a training, over all its sessions, against its budget."""

    budget_seconds: float | None = None
    spent_before: float = 0.0
    reserve_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds spent, earlier sessions of a resumed training included."""
        return self.spent_before + time.monotonic() - self.began

    def share(self) -> float:
        """Share of the budget spent, 1 when only the reserve for the last validation is left."""
        assert self.budget_seconds is not None
        return min(1.0, self.seconds() / max(1e-6, self.budget_seconds - self.reserve_seconds))


class SegmentationTask(L.LightningModule):
    """Trains `network`; validates and keeps `average`, its exponential moving average (or itself, with ema 0)."""

    def __init__(self, network: nn.Module, loss: LossFunction, recipe: Recipe, classes: Classes, clock: Clock) -> None:
        super().__init__()
        self.network, self.loss, self.recipe, self.classes, self.clock = network, loss, recipe, classes, clock
        self.average = copy.deepcopy(network).requires_grad_(False) if recipe.optim.ema > 0 else network
        self.images_seen, self.total_steps = 0, 1
        self.epoch_losses: list[float] = []
        self.batch_loss = float("nan")
        self.val_confusion: Confusion = np.zeros((len(classes), len(classes)), np.int64)
        self.val_losses: list[float] = []
        self.val_examples: list[tuple[Tensor, Tensor, Tensor]] = []
        self.plateau = Plateau(recipe.optim)

    def on_train_start(self) -> None:
        self.total_steps = int(self.trainer.num_training_batches) * (self.recipe.train.epochs or 1)

    def on_train_epoch_start(self) -> None:
        # Dropout draws the same after a resume as without one.
        torch.manual_seed(hash((self.recipe.train.seed, self.current_epoch)) % 2**31)
        self.epoch_losses.clear()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        factor = rate_factor(self.progress(), self.recipe.optim) * self.plateau.factor
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.recipe.optim.lr * factor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        image_N3HW, target_NHW = batch
        loss = self.loss(self.network(image_N3HW), target_NHW)
        self.images_seen += len(image_N3HW)
        self.batch_loss = float(loss.detach())
        self.epoch_losses.append(self.batch_loss)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.average is not self.network:
            # Early on the average follows quickly, so that it forgets the random start.
            decay = min(self.recipe.optim.ema, (1 + self.global_step) / (10 + self.global_step))
            update_average(self.average, self.network, decay)

    def on_validation_epoch_start(self) -> None:
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
        self.val_confusion += confusion(truth.reshape(rows), guess.reshape(rows), len(self.classes))
        # One from the front of every fourth part: neighbours in a video look all the same.
        if batch_idx * EXAMPLES >= len(self.val_examples) * sum(self.trainer.num_val_batches):
            self.val_examples.append((image_N3HW[0].cpu(), target_NHW[0].cpu(), ids_NHW[0].cpu()))

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.plateau.update(self.val_score())

    def val_score(self) -> float:
        """Validation mean IoU, with or without background as the recipe says; picks the best weights."""
        leave_out = None if self.recipe.score.background else self.classes.background
        value = mean_iou(self.val_confusion, leave_out=leave_out)
        return 0.0 if math.isnan(value) else value

    def val_iou(self) -> dict[str, float]:
        """Validation IoU by class name; NaN where a class has no score."""
        return dict(zip(self.classes.names, scores(self.val_confusion).iou.tolist(), strict=True))

    def progress(self) -> float:
        """Share of the training that is over, by time where there is a budget, by steps otherwise."""
        if self.clock.budget_seconds is not None:
            return self.clock.share()
        return min(1.0, self.global_step / max(1, self.total_steps))

    def shrink(self) -> int:
        """What the working size is divided by in the epoch that begins: 2 early on, where the recipe says so."""
        return 2 if self.progress() < self.recipe.train.small_first else 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optim = self.recipe.optim
        kind = torch.optim.AdamW if optim.name == "adamw" else torch.optim.Adam
        # Weight decay is for kernels; on biases and norms it only shrinks what should be free.
        kernels = [p for p in self.network.parameters() if p.requires_grad and p.dim() > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.dim() <= 1]
        groups = [{"params": kernels, "weight_decay": optim.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return kind(groups, lr=optim.lr)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["maskwright"] = {
            "images_seen": self.images_seen,
            "seconds": self.clock.seconds(),
            "reserve": self.clock.reserve_seconds,
            "plateau": vars(self.plateau).copy(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["maskwright"]
        self.images_seen, self.clock.spent_before = state["images_seen"], state["seconds"]
        self.clock.reserve_seconds = state["reserve"]
        vars(self.plateau).update(state["plateau"])


class Plateau:
    """A factor on the learning rate that drops when the validation score stops rising; 1 for other schedules."""

    def __init__(self, optim: OptimRecipe) -> None:
        self.active = optim.schedule == "plateau"
        self.patience, self.drop = optim.plateau_patience, optim.plateau_factor
        self.factor, self.best, self.since_best, self.waited = 1.0, -1.0, 0, 0

    def update(self, score: float) -> None:
        """Take one validation score into account."""
        if score > self.best:
            self.best, self.since_best, self.waited = score, 0, 0
            return
        self.since_best += 1
        self.waited += 1
        if self.active and self.waited >= self.patience:
            self.factor, self.waited = self.factor * self.drop, 0


def rate_factor(progress: float, optim: OptimRecipe) -> float:
    """Learning rate at `progress` (0..1) as a share of the full rate: warm-up, then cosine to 0 or constant."""
    if progress < optim.warmup:
        # Never exactly 0: the first step would teach nothing.
        return max(0.01, progress / optim.warmup)
    if optim.schedule != "cosine":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - optim.warmup) / max(1e-9, 1 - optim.warmup)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network, running statistics included."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
