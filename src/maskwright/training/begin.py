"""Before a training: a new run folder with everything resolved, or an old one that goes on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import torch

from maskwright.config import Recipe
from maskwright.console import Skipped, say
from maskwright.data.dataset import Dataset
from maskwright.data.splits.split import split_hash, with_fold
from maskwright.losses import build_loss
from maskwright.models import find_weights
from maskwright.models.autoencoder import reconstructor
from maskwright.models.budget import on_meta
from maskwright.run import Run, environment
from maskwright.training import processes
from maskwright.training.asking import answers_of, outputs_of, require_fitting_keys
from maskwright.training.freeze import frozen_shares
from maskwright.training.plan import resolve, resolve_sampling, resolve_widths
from maskwright.types import InputError

Begun = tuple[Run, Dataset, list[Skipped]]


def new_run(dataset: Dataset | str | Path, wanted: Recipe, out: Path, strict: bool) -> Begun:
    """A run folder with the resolved recipe, its data set, and the files left out; says what was derived."""
    if processes.count() > 1:
        wanted = wanted.with_values(train__devices=processes.count())
    find_weights(wanted.model)  # before anything that takes time
    data, skipped = opened(dataset, strict)
    resolved, reasons = resolve_all(wanted, data)
    for key, reason in reasons.items():
        say(f"{key} = {reason}")
    about = {"command": shlex.join(sys.argv), "environment": environment(), "derived": reasons}
    return Run.create(out, resolved, data.classes, about), data, skipped


def resolve_all(wanted: Recipe, data: Dataset) -> tuple[Recipe, dict[str, str]]:
    """The recipe with every open key filled for this data set, and key -> value and reason.

    Raises InputError for whatever can be known to fail before there are weights.
    """
    folded = with_fold(data, wanted.data.fold)
    samples, checked = folded.labelled("train"), folded.labelled("val")
    if len(checked) < wanted.train.devices:
        raise InputError(
            f"{data.path} has {len(checked)} validation image{'' if len(checked) == 1 else 's'} for "
            f"train.devices = {wanted.train.devices}; each needs one, so take fewer devices or a larger split."
        )
    require_fitting_keys(wanted)
    outputs = outputs_of(wanted, data.classes)
    resolved, reasons = resolve(wanted, samples)
    resolved, widths = resolve_widths(resolved, outputs)
    build_loss(resolved.loss, answers_of(resolved, data.classes))
    if resolved.train.pretrain.epochs:
        with torch.device("meta"):
            reconstructor(resolved.model)
    frozen_shares(on_meta(resolved.model, outputs), resolved.train.freeze)
    resolved, more = resolve_sampling(resolved, data, samples)
    return resolved, reasons | widths | more


def old_run(run: Run | str | Path, dataset: Dataset | str | Path | None, strict: bool) -> Begun:
    """A run that goes on, with the data set that it was trained on, and the files left out.

    Raises InputError if the data set is gone or has changed since, or torchrun started another number of processes.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    if run.packed:
        raise InputError(f"{run.path} came as a bundle, which holds no checkpoint; go on in the run that was packed.")
    trained_on = run.about.get("data")
    if trained_on is None:
        raise InputError(f"{run.path} stopped before its data were ready; remove it and train again.")
    data, skipped = opened(dataset if dataset is not None else trained_on["path"], strict)
    same_split = trained_on.get("split_hash") in (None, split_hash(data.samples))
    if trained_on["fingerprint"] != data.fingerprint or not same_split:
        raise InputError(
            f"{data.path} is not what {run.path} was trained on (images, masks, splits or classes differ); "
            "start a new run on it."
        )
    if processes.count() not in (1, run.recipe.train.devices):
        raise InputError(
            f"{run.path} was trained in {run.recipe.train.devices} processes; start as many of them with torchrun."
        )
    return run, data, skipped


def opened(dataset: Dataset | str | Path, strict: bool) -> tuple[Dataset, list[Skipped]]:
    """The data set with changed files hashed again, and the files that had to be left out."""
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    return data.refresh(strict=strict)
