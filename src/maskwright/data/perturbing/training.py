"""Perturbations as augmentation: which kinds a recipe trains with, and one of them at random."""

from __future__ import annotations

import numpy as np

from maskwright.config import AugmentRecipe
from maskwright.data.perturbing import applied, find
from maskwright.data.perturbing.perturbation import Perturbation
from maskwright.types import Image, Mask

# One or two of each family, the cheap ones; their relatives stay unseen, so that robustness to what training did not
# show can be measured: brightness, contrast up, gamma and colour cast; the black square and salt and pepper; defocus
# and pixelate; rain and snow; and all that moves objects, which is geometry's part of the recipe.
ROBUST_KINDS = ("noise", "blur", "contrast_down", "motion_blur", "jpeg", "fog", "low_light")


def kinds_of(recipe: AugmentRecipe) -> tuple[Perturbation, ...]:
    """The perturbations that a recipe trains with, none where it perturbs nothing; raises InputError for a name."""
    kinds = tuple(find(name) for name in (ROBUST_KINDS if recipe.perturb_kinds is None else recipe.perturb_kinds))
    return kinds if recipe.perturb else ()


def spoil(pair: tuple[Image, Mask], recipe: AugmentRecipe, rng: np.random.Generator, ignore: int) -> tuple[Image, Mask]:
    """Image (H, W, 3) and mask (H, W) under one perturbation of the recipe at a level above 1, as often as it says.

    Kind and level are drawn evenly. A recipe that perturbs nothing draws nothing.
    """
    if not recipe.perturb or rng.random() >= recipe.perturb:
        return pair
    kinds = kinds_of(recipe)
    if not kinds:
        return pair
    kind = kinds[int(rng.integers(len(kinds)))]
    return applied(kind, int(rng.integers(2, kind.levels + 1)), *pair, rng, ignore)
