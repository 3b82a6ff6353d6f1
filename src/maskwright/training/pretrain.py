"""The stage before the training: an encoder learns to redraw the training images, which needs no masks.

RUN/weights/encoder.safetensors  the best encoder; where it is, the stage is over
RUN/redrawing.csv                one row an epoch         RUN/samples/redrawn.jpg   validation images, redrawn
"""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import DataLoader

from maskwright.config import Recipe
from maskwright.console import say
from maskwright.files import write_bytes
from maskwright.imageio import write_image
from maskwright.models import Network
from maskwright.models.autoencoder import as_images, reconstruction_error, reconstructor, take_encoder
from maskwright.run import Run, write_csv
from maskwright.training import processes
from maskwright.training.keep import Stopper
from maskwright.training.loop import build_trainer, quiet_lightning
from maskwright.training.task import Batch, Clock
from maskwright.types import Image

EXAMPLES = 4
ENCODER = "encoder"
BUDGET_SHARE = 0.5  # at most, of a training with a budget


def pretrain(
    run: Run, network: Network, batches: DataLoader[Any], val_batches: DataLoader[Batch], clock: Clock
) -> None:
    """Teach the network's encoder to redraw, unless that was done before an interruption; other parts stay.

    Mean squared error on pixels of 0..1, Adam, the epoch with the lowest validation error; the encoder before frozen
    ones as in Hinton and Salakhutdinov (Science 2006). An interrupted stage begins anew. Raises KeyboardInterrupt
    after Ctrl-C, and InputError for a network with a pretrained encoder.
    """
    path, recipe = run.path / "weights" / f"{ENCODER}.safetensors", run.recipe
    if not path.is_file():
        torch.manual_seed(recipe.train.seed)
        learner = Redrawing(reconstructor(recipe.model), recipe)
        if recipe.train.channels_last:
            learner = learner.to(memory_format=torch.channels_last)
        say(f"First stage: the encoder learns to redraw, at most {recipe.train.pretrain.epochs} epochs")
        watch, stopper = Watch(clock), Stopper()
        stage = recipe.with_values(
            train__epochs=recipe.train.pretrain.epochs, train__budget=None, train__validate_every=1
        )
        with quiet_lightning(), stopper.on_interrupt():
            watch.interrupted = stopper.interrupted
            build_trainer(stage, run, [watch]).fit(learner, batches, val_batches)
        if watch.ended == "interrupted":
            raise _interrupted(run)
        learner.network.load_state_dict(watch.best_weights)
        take_encoder(network, learner.network)
        if processes.rank() == 0:
            write_csv(run.path / "redrawing.csv", watch.rows)
            write_image(run.path / "samples" / "redrawn.jpg", draw_redrawn(learner.network, learner.val_examples))
            best = {"epoch": watch.best_epoch, "val_error": watch.best}
            run.write_about({"redrawing": {"ended": watch.ended, "epochs": len(watch.rows), "best": best}})
            state = network.parts()[ENCODER].state_dict()
            # Last, as it says that all of this is there.
            write_bytes(path, save({name: value.contiguous().cpu() for name, value in state.items()}))
        say(f"First stage ended: {watch.ended}; lowest validation error {watch.best:.5f}, epoch {watch.best_epoch + 1}")
    else:
        network.parts()[ENCODER].load_state_dict(load_file(path))
    clock.begun_after = clock.seconds()


class Redrawing(L.LightningModule):
    """Trains a network to give back the image that it sees."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.errors: list[float] = []
        self.val_errors: list[float] = []
        self.val_examples: list[Tensor] = []

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(hash((self.recipe.train.seed, self.current_epoch, -1, processes.rank())) % 2**31)
        self.errors.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        error = reconstruction_error(self.network(batch[0]), batch[0])
        self.errors.append(float(error.detach()))
        return error

    def on_validation_epoch_start(self) -> None:
        processes.align_statistics(self.network)
        self.val_errors.clear()
        self.val_examples.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_errors.append(float(reconstruction_error(self.network(batch[0]), batch[0])))
        if len(self.val_examples) < EXAMPLES:
            self.val_examples += list(batch[0][: EXAMPLES - len(self.val_examples)].cpu())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.recipe.train.pretrain.lr)


class Watch(Callback):
    """Keeps the best weights of the stage, and ends it: patience, half of a budget, Ctrl-C."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.began = clock, time.monotonic()
        self.interrupted = Stopper().interrupted
        self.rows: list[dict[str, Any]] = []
        self.best, self.best_epoch, self.best_weights = float("inf"), -1, dict[str, Tensor]()
        self.ended = "all epochs"

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: Any) -> None:
        if processes.any_of(self.interrupted.is_set()):
            self.ended, trainer.limit_val_batches, trainer.should_stop = "interrupted", 0, True
            return
        budget = self.clock.budget_seconds
        if budget is not None and processes.of_first(self.clock.seconds()) > BUDGET_SHARE * budget:
            self.ended, trainer.should_stop = "half of the budget", True

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, Redrawing)
        error, val_error = processes.mean_of(task.errors), processes.mean_of(task.val_errors)
        seconds = round(time.monotonic() - self.began, 1)
        self.rows.append({"epoch": task.current_epoch, "seconds": seconds, "error": error, "val_error": val_error})
        say(f"redrawing, epoch {task.current_epoch + 1:3d}  {seconds:6.0f} s  error {error:.5f}  val {val_error:.5f}")
        if val_error < self.best:
            self.best, self.best_epoch = val_error, task.current_epoch
            self.best_weights = {name: value.cpu().clone() for name, value in task.network.state_dict().items()}
        elif task.current_epoch - self.best_epoch >= task.recipe.train.pretrain.patience:
            self.ended = f"no gain in {task.recipe.train.pretrain.patience} epochs"
            trainer.should_stop = True


@torch.no_grad()
def draw_redrawn(network: Network, examples: list[Tensor]) -> Image:
    """Rows of image and redrawn image, with white between."""
    image_N3HW = torch.stack(examples).to(next(network.parameters()).device)
    redrawn = as_images(network.eval()(image_N3HW))
    rows = [
        np.hstack([np.pad(part, ((0, 4), (0, 4), (0, 0)), constant_values=255) for part in (photo, drawn)])
        for photo, drawn in zip(image_N3HW.permute(0, 2, 3, 1).cpu().numpy(), redrawn, strict=True)
    ]
    return np.vstack(rows).astype(np.uint8, copy=False)


def _interrupted(run: Run) -> KeyboardInterrupt:
    if processes.rank() == 0:
        run.write_about({"status": "interrupted"})
    interrupt = KeyboardInterrupt()
    interrupt.add_note(f"maskwright train --resume {run.path}   begins the first stage anew.")
    return interrupt
