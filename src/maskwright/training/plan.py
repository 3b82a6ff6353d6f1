"""What a recipe leaves open, derived from the data and the machine; every derived value says why."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import torch

from maskwright.config import Recipe
from maskwright.data.augmenting.sampling import MINORITY, count_pixels, minority_classes
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.loader import batch_size
from maskwright.data.pairs import Decoded
from maskwright.data.perturbing.training import ROBUST_KINDS, kinds_of
from maskwright.infer.device import choose_device, choose_precision
from maskwright.models.budget import FIXED, measured, on_meta, solve
from maskwright.training import processes
from maskwright.types import InputError, unknown_name

WIDTHS = {"tiny": 16, "small": 32, "base": 64}
SIDES = {"tiny": 256, "small": 384, "base": 512}
IMAGES_TO_SEE = 16_000


def resolve(recipe: Recipe, samples: list[Sample], cores: int | None = None) -> tuple[Recipe, dict[str, str]]:
    """Fill every open key of a recipe for these training samples; returns it with key -> value and reason."""
    found: dict[str, tuple[object, str]] = {}
    chosen = (recipe.model.width, recipe.model.widths, recipe.model.params, recipe.model.gflops)
    if chosen == (None,) * 4 and recipe.model.name not in FIXED:
        found["model.width"] = (WIDTHS[recipe.size], f"size is {recipe.size}")
    if recipe.data.size is None:
        found["data.size"] = _working_size(recipe, samples)
    device, why = choose_device(recipe.train.device)
    found["train.device"] = (device.type, why)
    found["train.precision"] = choose_precision(recipe.train.precision, device)
    if recipe.train.channels_last is None:
        found["train.channels_last"] = (device.type != "mps", "faster for convolutions on CPU and CUDA")
    if recipe.data.workers is None:
        found["data.workers"] = _workers(device.type, cores or os.cpu_count() or 1)
    if recipe.train.epochs is None and recipe.train.budget is None:
        epochs = int(np.clip(round(IMAGES_TO_SEE / len(samples)), 20, 1000))
        found["train.epochs"] = (epochs, f"about {IMAGES_TO_SEE:,} images seen, {len(samples)} in training")
    kinds_of(recipe.augment)  # refuses unknown names
    if recipe.augment.perturb and recipe.augment.perturb_kinds is None:
        found["augment.perturb_kinds"] = (list(ROBUST_KINDS), "one of each family; the others are unseen in training")
    _share_batches(recipe, len(samples), device.type)
    batch = batch_size(recipe, len(samples))
    if batch * recipe.train.accumulate > len(samples):
        found["train.accumulate"] = (len(samples) // batch, f"{len(samples)} training images make no step of more")
    values = {key.replace(".", "__"): value for key, (value, _) in found.items()}
    resolved = recipe.with_values(**values)
    reasons = {key: f"{value}: {why}" for key, (value, why) in found.items() if why != "asked for"}
    return resolved, reasons


def resolve_widths(recipe: Recipe, outputs: int) -> tuple[Recipe, dict[str, str]]:
    """Solve `model.params` or `model.gflops` for the widths; the recipe has its working size by now."""
    solved = solve(recipe.model, outputs, recipe.data.size)
    if solved is recipe.model:
        return recipe, {}
    assert solved.widths is not None
    reason = f"{list(solved.widths)}: {measured(recipe.model, solved, outputs, recipe.data.size)}"
    return recipe.model_copy(update={"model": solved}), {"model.widths": reason}


def resolve_sampling(recipe: Recipe, data: Dataset, samples: list[Sample]) -> tuple[Recipe, dict[str, str]]:
    """Name the classes whose objects are pasted, where the recipe pastes; the recipe has its working size by now.

    Raises InputError for a class that is not in the table, and for `data.crop_focus` where nothing is cropped.
    """
    size, named = recipe.data.size, recipe.augment.paste_classes
    assert size is not None
    seen = recipe.data.crop or size
    if recipe.data.crop_focus and all(
        side * recipe.augment.scale[1] <= shown for side, shown in zip(size, seen, strict=True)
    ):
        raise InputError(
            f"data.crop_focus = {recipe.data.crop_focus} has no effect, as nothing is cropped; "
            f"set data.crop below the working size {list(size)}, or let augment.scale zoom in."
        )
    if alien := [name for name in named or () if name not in data.classes.names]:
        raise unknown_name("class in augment.paste_classes", alien[0], data.classes.names)
    if not recipe.augment.paste or named is not None:
        return recipe, {}
    pixels_K = count_pixels(Decoded(data, samples, recipe), len(data.classes))
    names = [data.classes.names[k] for k in minority_classes(pixels_K, data.classes)]
    why = f"less than {MINORITY / len(data.classes):.2%} of the labelled pixels, half of an even share"
    reason = f"[{', '.join(names)}]: {why}" if names else f"[]: nothing is pasted, as no class has {why}"
    return recipe.with_values(augment__paste_classes=names), {"augment.paste_classes": reason}


def _share_batches(recipe: Recipe, images: int, device: str) -> None:
    """Raise InputError where there are fewer devices, or where they or kept weights do not go evenly into the rest."""
    train = recipe.train
    here = {"cpu": train.devices, "cuda": torch.cuda.device_count()}.get(device, 1)
    if min(train.devices, processes.count_here() if processes.count() > 1 else train.devices) > here:
        raise InputError(f"train.devices = {train.devices}, but this machine has {here} of '{device}'; take fewer.")
    if train.batch % train.devices or images < train.devices:
        raise InputError(
            f"train.batch = {train.batch} images cannot be shared evenly by train.devices = {train.devices}, with "
            f"{images} training images; make the batch a multiple of the devices, or take fewer devices."
        )
    if train.keep_every and train.keep_every % train.validate_every:
        raise InputError(
            f"train.keep_every = {train.keep_every} must be a multiple of train.validate_every = "
            f"{train.validate_every}, so that kept weights have a score and a picture."
        )


def _working_size(recipe: Recipe, samples: list[Sample]) -> tuple[tuple[int, int], str]:
    sizes = Counter(sample.size_hw for sample in samples)
    largest = SIDES[recipe.size]
    (rows, columns), _ = sizes.most_common(1)[0]
    if len(sizes) == 1 and max(rows, columns) <= largest:
        return (rows, columns), "every image has this size"
    aspect = float(np.median([sample.height / sample.width for sample in samples]))
    longest = min(largest, int(np.median([max(sample.size_hw) for sample in samples])))
    height, width = (longest, longest / aspect) if aspect > 1 else (longest * aspect, longest)
    step = on_meta(recipe.model.model_copy(update={"params": None, "gflops": None}), 1).body.stride
    fitted = (max(step, round(height / step) * step), max(step, round(width / step) * step))
    return fitted, f"the median aspect, at most {largest} pixels a side for size {recipe.size}"


def _workers(device: str, cores: int) -> tuple[int, str]:
    if device == "cpu":
        return 0, "the CPU is busy with the network, and a cached sample takes under a millisecond"
    return min(8, max(1, cores - 1)), f"{cores} cores feed the {device}"
