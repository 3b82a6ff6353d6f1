"""Class weights of the loss: measured on the training masks, said, and recorded in the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.config import LossRecipe
from maskwright.console import say
from maskwright.data.augmenting.sampling import CLASSES_SAID, count_classes
from maskwright.data.pairs import Pairs
from maskwright.losses import Frequencies, class_weights, weight_rule
from maskwright.types import Classes


def measure_weights(
    pairs: Pairs, recipe: LossRecipe, classes: Classes, pixels_K: NDArray[np.int64]
) -> tuple[Tensor | None, dict[str, Any]]:
    """Weights (K,) by the recipe's rule, and what the run records of them; nothing where the recipe has no rule.

    `pixels_K` counts the training masks' labelled pixels by class. Only the median of frequencies needs to know what
    each image holds: one more pass over the masks. Raises InputError for an unknown rule.
    """
    rule = weight_rule(recipe)
    if rule is None:
        return None, {}
    shown_K = _shown_pixels(pairs, len(classes)) if rule == "median_frequency" else pixels_K
    found = Frequencies(pixels_K=pixels_K, shown_K=shown_K, images=len(pairs))
    weight_K = class_weights(found, recipe, None if recipe.background else classes.background)
    weights = {name: float(f"{value:.6g}") for name, value in zip(classes.names, weight_K.tolist(), strict=True)}
    say(f"class weights by {rule}: {weights_text(weights)}")
    return weight_K, {"weights": {"rule": rule, "of": weights}}


def weights_text(weights: dict[str, float]) -> str:
    """'sky 0.3, pole 4.1', the heaviest first; classes that weigh nothing are left out."""
    rows = sorted(((name, value) for name, value in weights.items() if value > 0), key=lambda row: -row[1])
    more = f", and {len(rows) - CLASSES_SAID} more" if len(rows) > CLASSES_SAID else ""
    return ", ".join(f"{name} {value:.3g}" for name, value in rows[:CLASSES_SAID]) + more


def _shown_pixels(pairs: Pairs, classes: int) -> NDArray[np.int64]:
    """Labelled pixels of the images that hold a class, shape (K,)."""
    counts = count_classes(pairs, classes)
    whole_N = np.bincount(counts.image_M, counts.pixels_M, minlength=counts.images)
    shown_K = np.bincount(counts.class_M, whole_N[counts.image_M], minlength=classes)
    return shown_K.astype(np.int64)


def ratio(weight_K: Tensor) -> float:
    """The largest weight against the smallest one above 0; 1 where there is none."""
    some = weight_K[weight_K > 0]
    return float(some.max() / some.min()) if torch.numel(some) else 1.0
