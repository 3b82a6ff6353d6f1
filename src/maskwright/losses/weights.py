"""What classes weigh in pixel losses, from what was counted on the training masks: plain functions in CLASS_WEIGHTS.

Every rule is scaled so that the mean over labelled pixels is 1; a class without pixels weighs 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.config import LossRecipe
from maskwright.types import unknown_name


@dataclass(frozen=True, kw_only=True)
class Frequencies:
    """Counted on the training masks: pixels of each class, labelled pixels of the images that hold it, and images."""

    pixels_K: NDArray[np.int64]
    shown_K: NDArray[np.int64]
    images: int

    def shares(self) -> NDArray[np.float64]:
        """Share of the labelled pixels by class."""
        return np.asarray(self.pixels_K / max(1, self.pixels_K.sum()), np.float64)


Rule = Callable[[Frequencies, LossRecipe], NDArray[np.float64]]


def inverse(found: Frequencies, recipe: LossRecipe) -> NDArray[np.float64]:
    """1 / pixel share: every class has the same weight in all."""
    return 1 / found.shares()


def inverse_sqrt(found: Frequencies, recipe: LossRecipe) -> NDArray[np.float64]:
    """1 / root of the pixel share: half way, on a log scale, between equal pixels and equal classes."""
    return np.asarray(found.shares() ** -0.5)


def median_frequency(found: Frequencies, recipe: LossRecipe) -> NDArray[np.float64]:
    """Median of the frequencies / frequency, where a class's frequency is taken in images that hold it alone.

    Eigen and Fergus, ICCV 2015: a class that is rare because few images have it weighs less than one that is small.
    """
    frequency_K = found.pixels_K / np.maximum(1, found.shown_K)
    return np.asarray(np.median(frequency_K[found.pixels_K > 0]) / frequency_K)


def effective_number(found: Frequencies, recipe: LossRecipe) -> NDArray[np.float64]:
    """(1 - beta) / (1 - beta^n), n the class's pixels in units of a training image (Cui et al., CVPR 2019).

    The paper counts samples; neighbouring pixels repeat each other, and counted one by one every class would be past
    the point where further ones stop counting.
    """
    n_K, beta = found.shares() * found.images, recipe.effective_beta
    return np.asarray((1 - beta) / (1 - beta**n_K))


def power(found: Frequencies, recipe: LossRecipe) -> NDArray[np.float64]:
    """(1 / pixel share)^class_power."""
    return np.asarray(found.shares() ** -recipe.class_power)


CLASS_WEIGHTS: dict[str, Rule] = {
    "inverse": inverse,
    "inverse_sqrt": inverse_sqrt,
    "median_frequency": median_frequency,
    "effective_number": effective_number,
    "power": power,
}


def weight_rule(recipe: LossRecipe) -> str | None:
    """The rule that a recipe asks for: `weights`, else "power" where `class_power` is above 0, else none."""
    return recipe.weights or ("power" if recipe.class_power > 0 else None)


def require_rule(recipe: LossRecipe) -> None:
    """Raise InputError for an unknown rule."""
    rule = weight_rule(recipe)
    if rule is not None and rule not in CLASS_WEIGHTS:
        raise unknown_name("rule in loss.weights", rule, CLASS_WEIGHTS)


def class_weights(found: Frequencies, recipe: LossRecipe, left_out: int | None = None) -> Tensor:
    """Weights by class, float32 (K,), by the rule that the recipe names; class `left_out` weighs 0.

    Raises InputError for an unknown rule.
    """
    require_rule(recipe)
    rule = weight_rule(recipe) or "power"
    pixels_K = found.pixels_K.copy()
    if left_out is not None:
        pixels_K[left_out] = 0
    counted = Frequencies(pixels_K=pixels_K, shown_K=found.shown_K, images=found.images)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_K = np.where(pixels_K > 0, CLASS_WEIGHTS[rule](counted, recipe), 0.0)
    return torch.from_numpy(weight_K / max(1e-12, float((weight_K * counted.shares()).sum()))).float()
