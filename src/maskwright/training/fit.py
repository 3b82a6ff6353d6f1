"""Train: data, model, optimiser, loop, and what is left, in this order."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback

from maskwright.config import Recipe
from maskwright.console import Skipped, say, track
from maskwright.data.augmenting.sampling import count_pixels, measure
from maskwright.data.dataset import Dataset
from maskwright.data.loader import plain_batches, training_batches
from maskwright.data.pairs import open_samples, remove_stale_caches
from maskwright.data.splits.split import split_hash, with_fold
from maskwright.infer.segmenting.tiling import usual_hw
from maskwright.losses import build_loss, describe
from maskwright.models import initialise, parameter_count
from maskwright.run import Run, now
from maskwright.training import processes
from maskwright.training.asking import answers_of, build_network, is_prompted
from maskwright.training.begin import new_run, old_run
from maskwright.training.doctor import examine
from maskwright.training.freeze import learns_later
from maskwright.training.keep import Keeper, Progress, Stopper, write_weights
from maskwright.training.loop import build_trainer, quiet_lightning
from maskwright.training.pretrain import pretrain
from maskwright.training.prompting import PromptTask, examine_prompts
from maskwright.training.task import Clock, SegmentationTask
from maskwright.training.weigh import measure_weights
from maskwright.types import InputError


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training left: the run, how it ended, the best validation score and what was left out.

    `prompted` says that the run answers prompts, so that its score is the mean IoU of what those of validation mean.
    `first_process` is false in all but one of the processes that torchrun starts: that one tells the user.
    """

    run: Run
    ended: str
    best_score: float
    best_epoch: int
    skipped: list[Skipped] = field(default_factory=list)
    prompted: bool = False
    first_process: bool = True


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
    nothing behind then; with `strict` also for a single file that cannot. Under torchrun every process calls this
    alike and gets the same answer; the first one does the writing.
    """
    clock = Clock()
    wanted = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, sets)
    processes.join_group()
    with processes.only_first_speaks():
        run, data, skipped = processes.shared(lambda: new_run(dataset, wanted, Path(out), strict))
        try:
            return processes.in_processes(run.recipe.train.devices, fit, run, data, skipped, clock)
        except InputError as error:
            if processes.rank() == 0 and run.checkpoint.is_file():
                run.write_about({"status": f"stopped: {error}"})
            elif processes.rank() == 0:
                shutil.rmtree(run.path, ignore_errors=True)
            raise


def resume(run: Run | str | Path, dataset: Dataset | str | Path | None = None, *, strict: bool = False) -> Trained:
    """Continue a training after its last finished epoch; a finished one only writes its ending again.

    Raises InputError if the run's data set is gone or has changed since.
    """
    clock = Clock()
    processes.join_group()
    with processes.only_first_speaks():
        opened_run, data, skipped = processes.shared(lambda: old_run(run, dataset, strict))
        return processes.in_processes(opened_run.recipe.train.devices, fit, opened_run, data, skipped, clock)


def fit(run: Run, data: Dataset, skipped: list[Skipped], clock: Clock) -> Trained:
    """One training of a resolved recipe: what `train` and `resume` share."""
    recipe, classes, part = run.recipe, data.classes, (processes.rank(), processes.count())
    record = run.write_about if processes.rank() == 0 else (lambda _: None)
    prompted, answers = is_prompted(recipe), answers_of(recipe, classes)
    clock.budget_seconds = None if recipe.train.budget is None else 60 * recipe.train.budget

    # Data
    folded = with_fold(data, recipe.data.fold)
    train_samples, val_samples = folded.labelled("train"), folded.labelled("val")
    with processes.first_then_others():
        train_pairs = open_samples(data, train_samples, recipe, track)
        val_pairs = open_samples(data, val_samples, recipe, track)
        remove_stale_caches(data, [train_pairs, val_pairs])
    pixels_K = count_pixels(train_pairs, len(classes))
    balance, measured = measure(train_pairs, recipe, classes)
    facts = {
        "path": str(data.path.resolve()),
        "fingerprint": data.fingerprint,
        "train_images": len(train_samples),
        "val_images": len(val_samples),
        "test_images": sum(bool(sample.mask) and sample.split == "test" for sample in folded.samples),
        "train_pixels": pixels_K.tolist(),
        "image_hw": list(usual_hw(sample.size_hw for sample in train_samples)),
        "split": data.record.get("split", ""),
        "split_hash": split_hash(data.samples),
        "fold": recipe.data.fold,
        **measured,
    }
    record({"data": facts, "status": "running"})

    # Model, loss, optimiser
    torch.manual_seed(recipe.train.seed)
    network = build_network(recipe, classes)
    if not run.checkpoint.is_file():
        initialise(network, recipe.model)
    if recipe.train.channels_last:
        network = network.to(memory_format=torch.channels_last)
    parameters = parameter_count(network)
    say(f"{recipe.model.name} with {parameters:,} parameters, {len(train_samples)} training images")
    record({"parameters": parameters, "prompted": prompted})
    weight_K, weighed = measure_weights(train_pairs, recipe.loss, classes, pixels_K)
    record({"loss": {"says": describe(recipe.loss, answers), **weighed}})
    loss = build_loss(recipe.loss, answers, weight_K)
    val_batches = plain_batches(val_pairs, recipe, part=part)
    if recipe.train.pretrain.epochs and not run.checkpoint.is_file():
        first_batches = training_batches(train_pairs, recipe, classes.ignore, balance=balance, part=part)
        pretrain(run, network, first_batches, val_batches, clock)
    task = (PromptTask if prompted else SegmentationTask)(network, loss, recipe, classes, clock)
    batches = training_batches(train_pairs, recipe, classes.ignore, task.shrink, balance, part=part)
    if not run.checkpoint.is_file() and processes.rank() == 0:
        (examine_prompts if prompted else examine)(run, network, loss, batches, pixels_K, weight_K)

    # Loop
    keeper, stopper = Keeper(run), Stopper()
    callbacks: list[Callback] = [keeper, stopper, *([Progress()] if processes.rank() == 0 else [])]
    with quiet_lightning(), stopper.on_interrupt():
        build_trainer(recipe, run, callbacks, learns_later=learns_later(task.frozen)).fit(
            task,
            batches,
            val_batches,
            ckpt_path=run.checkpoint if run.checkpoint.is_file() else None,
            weights_only=False,
        )

    # What is left
    if processes.rank() == 0 and not (run.path / "weights" / "best.safetensors").is_file():
        write_weights(run, "best", task.average)
    ending = {
        "status": stopper.reason,
        "ended": now(),
        "seconds": round(clock.seconds(), 1),
        "images_seen": task.images_seen,
        "best": {"epoch": keeper.best_epoch, "val_score": keeper.best},
        "skipped": [vars(item) for item in skipped],
    }
    record(ending)
    return Trained(
        run=run,
        ended=stopper.reason,
        best_score=keeper.best,
        best_epoch=keeper.best_epoch,
        skipped=skipped,
        prompted=prompted,
        first_process=processes.rank() == 0,
    )
