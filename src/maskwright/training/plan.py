"""What a recipe leaves open, derived from the data and the machine; every derived value says why."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np

from maskwright.config import Recipe
from maskwright.data.dataset import Sample
from maskwright.infer.device import choose_device, choose_precision
from maskwright.models.unet import level_widths

WIDTHS = {"tiny": 16, "small": 32, "base": 64}
SIDES = {"tiny": 256, "small": 384, "base": 512}
IMAGES_TO_SEE = 16_000


def resolve(recipe: Recipe, samples: list[Sample], cores: int | None = None) -> tuple[Recipe, dict[str, str]]:
    """Fill every open key of a recipe for these training samples; returns it with key -> value and reason."""
    found: dict[str, tuple[object, str]] = {}
    if recipe.model.width is None and recipe.model.widths is None:
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
    values = {key.replace(".", "__"): value for key, (value, _) in found.items()}
    resolved = recipe.with_values(**values)
    reasons = {key: f"{value}: {why}" for key, (value, why) in found.items() if why != "asked for"}
    return resolved, reasons


def _working_size(recipe: Recipe, samples: list[Sample]) -> tuple[tuple[int, int], str]:
    sizes = Counter(sample.size_hw for sample in samples)
    largest = SIDES[recipe.size]
    (rows, columns), _ = sizes.most_common(1)[0]
    if len(sizes) == 1 and max(rows, columns) <= largest:
        return (rows, columns), "every image has this size"
    aspect = float(np.median([sample.height / sample.width for sample in samples]))
    longest = min(largest, int(np.median([max(sample.size_hw) for sample in samples])))
    height, width = (longest, longest / aspect) if aspect > 1 else (longest * aspect, longest)
    step = 2 ** (len(level_widths(recipe.with_values(model__width=1).model)) - 1) * recipe.model.stem
    fitted = (max(step, round(height / step) * step), max(step, round(width / step) * step))
    return fitted, f"the median aspect, at most {largest} pixels a side for size {recipe.size}"


def _workers(device: str, cores: int) -> tuple[int, str]:
    if device == "cpu":
        return 0, "the CPU is busy with the network, and a cached sample takes under a millisecond"
    return min(8, max(1, cores - 1)), f"{cores} cores feed the {device}"
