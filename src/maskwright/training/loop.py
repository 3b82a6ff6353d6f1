"""Lightning's trainer, with everything that would speak, save or guess by itself turned off."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from maskwright.config import Recipe
from maskwright.run import Run
from maskwright.training import processes

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}


def build_trainer(recipe: Recipe, run: Run, callbacks: list[Callback], *, learns_later: bool = False) -> L.Trainer:
    """The loop of one resolved recipe; `learns_later` says that some parameters are without a gradient at first."""
    on_cpu = recipe.train.device == "cpu"
    return L.Trainer(
        accelerator=ACCELERATORS[recipe.train.device],
        devices=processes.count_here(),
        num_nodes=processes.count() // processes.count_here(),
        # Sampler and task see to batches and running statistics themselves.
        strategy=DDPStrategy(find_unused_parameters=learns_later, broadcast_buffers=False)
        if processes.count() > 1
        else "auto",
        use_distributed_sampler=False,
        sync_batchnorm=processes.count() > 1 and recipe.train.device == "cuda",
        precision=PRECISIONS[recipe.train.precision],
        max_epochs=-1 if recipe.train.budget is not None else recipe.train.epochs,
        check_val_every_n_epoch=recipe.train.validate_every,
        gradient_clip_val=recipe.optim.clip,
        accumulate_grad_batches=recipe.train.accumulate,
        # Some CUDA kernels have no deterministic form: there it is asked for, not enforced.
        deterministic=(True if on_cpu else "warn") if recipe.train.deterministic else None,
        logger=TensorBoardLogger(run.path, name="", version="tensorboard"),
        callbacks=callbacks,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's hints and advertising are not for our users; its errors still are."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in (r"lightning\.", r"torch\.", r"tensorboard\."):
                warnings.filterwarnings("ignore", module=module)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
