"""Callbacks around the loop: keep weights and numbers, stop in time, show progress."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save
from torch import Tensor, nn

from maskwright.console import progress_bar, say
from maskwright.files import write_bytes, write_through
from maskwright.imageio import colourise, write_image
from maskwright.run import Run
from maskwright.training import processes
from maskwright.training.task import Clock, SegmentationTask
from maskwright.types import Classes, Image

PICTURES = 10
CLOSING_SHARE, CLOSING_SECONDS = 0.04, 20.0  # at most, for start-up, the last checkpoint and the report


class Keeper(Callback):
    """After every epoch: metrics, last weights, best weights, a checkpoint; now and then a picture."""

    def __init__(self, run: Run) -> None:
        self.run, self.rows = run, run.metrics()
        self.best, self.best_epoch, self.pictures = -1.0, -1, 0
        self.validated = False

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, SegmentationTask)
        self.validated = True
        every = task.recipe.train.keep_every
        if task.progress() * PICTURES >= self.pictures or (every and (task.current_epoch + 1) % every == 0):
            self.pictures = int(task.progress() * PICTURES) + 1
            if processes.rank() == 0:
                write_image(
                    self.run.path / "samples" / f"epoch-{task.current_epoch:04d}.jpg",
                    draw_examples(task.val_examples, task.classes),
                )

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, SegmentationTask)
        task.align()
        epoch_loss = processes.mean_of(task.epoch_losses)
        row: dict[str, Any] = {
            "epoch": task.current_epoch,
            "images_seen": task.images_seen,
            "seconds": round(task.clock.seconds(), 1),
            "lr": task.rate,
            "train_loss": "" if math.isnan(epoch_loss) else epoch_loss,
        }
        if self.validated:
            row |= {"val_loss": task.val_loss, "val_score": task.val_score()}
            row |= {f"val_iou/{name}": "" if np.isnan(v) else v for name, v in task.val_iou().items()}
            row |= task.val_more()
        self.rows = [old for old in self.rows if old["epoch"] < task.current_epoch] + [row]
        for name, value in row.items():
            if isinstance(value, float):
                task.log(name, value, logger=True)
        kept = ["last"]
        if self.validated and task.val_score() > self.best:
            self.best, self.best_epoch = task.val_score(), task.current_epoch
            kept.append("best")
        if task.recipe.train.keep_every and (task.current_epoch + 1) % task.recipe.train.keep_every == 0:
            kept.append(f"epoch-{task.current_epoch:04d}")
        self.validated = False
        # The checkpoint comes last: what it says has been kept is on disk already.
        if processes.rank() > 0:
            trainer.save_checkpoint(self.run.checkpoint)  # gives its part; process 0 writes
            return
        self.run.write_metrics(self.rows)
        for which in kept:
            write_weights(self.run, which, task.average)
        write_through(self.run.checkpoint, lambda path: trainer.save_checkpoint(path))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "pictures": self.pictures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)


class Stopper(Callback):
    """Stops cleanly: when the budget is used up, when patience is, or on Ctrl-C after the batch under way."""

    def __init__(self) -> None:
        self.reason = "finished"
        self.interrupted = threading.Event()
        self._began, self._validation_began = 0.0, 0.0
        self._batches, self._validated = 0, False

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._began = time.monotonic()
        # A resumed training brings the time of an earlier validation along.
        assert isinstance(task, SegmentationTask)
        self._validated = task.clock.reserve_seconds > 0

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Within the block the first Ctrl-C asks for an end, the second one ends."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted.is_set():
            raise KeyboardInterrupt
        self.interrupted.set()
        say("\nStopping after this batch; the run stays usable. Press Ctrl-C again to stop at once.")

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: Any) -> None:
        assert isinstance(task, SegmentationTask)
        if processes.any_of(self.interrupted.is_set()):
            self.reason = "interrupted"
            trainer.limit_val_batches = 0
            trainer.should_stop = True
            return
        self._batches += 1
        if not self._validated:
            # Until one validation has been timed: a batch of it takes at most half as long as one of training.
            seconds_a_batch = (time.monotonic() - self._began) / self._batches
            task.clock.reserve_seconds = 0.5 * seconds_a_batch * sum(trainer.num_val_batches) + closing_seconds(
                task.clock
            )
        if task.clock.budget_seconds is not None and processes.of_first(task.clock.share()) >= 1:
            self.reason = "budget used up"
            trainer.check_val_every_n_epoch = 1
            trainer.should_stop = True

    def on_validation_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._validation_began = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, SegmentationTask)
        self._validated = True
        task.clock.reserve_seconds = 1.2 * (time.monotonic() - self._validation_began) + closing_seconds(task.clock)
        patience = task.recipe.train.patience
        if patience is not None and task.plateau.since_best >= patience:
            self.reason = f"no gain in {patience} validations"
            trainer.should_stop = True


class Progress(Callback):
    """A bar with ETA, loss of the batch and of the epoch; a line with scores after each validation."""

    def __init__(self) -> None:
        self.bar = progress_bar()
        self.task_id = self.bar.add_task("training", total=1000)

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: Any) -> None:
        assert isinstance(task, SegmentationTask)
        epoch_loss = float(np.mean(task.epoch_losses))
        text = f"epoch {task.current_epoch + 1}  batch loss {task.batch_loss:.3f}  epoch loss {epoch_loss:.3f}"
        self.bar.update(self.task_id, description=text, completed=1000 * task.progress())

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, SegmentationTask)
        classes = "  ".join(f"{name} {value:.3f}" for name, value in task.val_iou().items() if not np.isnan(value))
        epoch_loss = float(np.mean(task.epoch_losses)) if task.epoch_losses else float("nan")
        over = "" if task.recipe.background_scored else " without background"
        line = f"epoch {task.current_epoch + 1:3d}  {task.clock.seconds():6.0f} s  loss {epoch_loss:.3f}"
        self.bar.console.print(
            f"{line}  val loss {task.val_loss:.3f}  val mean IoU{over} {task.val_score():.4f}  |  {classes}",
            markup=False,
        )

    def teardown(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> None:
        self.bar.stop()

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        self.bar.stop()


def closing_seconds(clock: Clock) -> float:
    """What a budget keeps back beside the last validation."""
    return min(CLOSING_SECONDS, CLOSING_SHARE * (clock.budget_seconds or 0))


def write_weights(run: Run, which: str, network: nn.Module) -> None:
    """Weights as safetensors, atomically."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_bytes(run.path / "weights" / f"{which}.safetensors", save(state))


def draw_examples(examples: list[tuple[Tensor, Tensor, Tensor]], classes: Classes) -> Image:
    """Rows of photo, label and prediction, separated by white lines."""
    rows = []
    for image, truth, guess in examples:
        photo = image.permute(1, 2, 0).numpy()
        masks = [colourise(plane.numpy().astype(classes.dtype), classes) for plane in (truth, guess)]
        rows.append(
            np.hstack([np.pad(part, ((0, 4), (0, 4), (0, 0)), constant_values=255) for part in (photo, *masks)])
        )
    return np.vstack(rows).astype(np.uint8, copy=False)
