"""Random changes to a training sample: one warp, one table, seeded by (seed, epoch, index).

All geometry of a draw (flip, rotation, zoom, shift, shear, bending and the crop) is applied at once: one
interpolation, and new borders of the mask are ignore. All changes of tone (brightness, contrast, gamma, colour cast)
are one lookup table. Partners that are mixed in are warped once by draws of their own and share the light and
colour of the sample. Last comes a perturbation, where the recipe wants any. What a draw leaves out is skipped.
"""

from __future__ import annotations

import numpy as np

from maskwright.config import AugmentRecipe, Recipe
from maskwright.data.augmenting.mixing import MIXES, paste
from maskwright.data.augmenting.photometry import recolour
from maskwright.data.augmenting.sampling import Balance, draw_focus, draw_holder, draw_partner
from maskwright.data.augmenting.warp import view
from maskwright.data.pairs import Pair, Pairs
from maskwright.data.perturbing.training import spoil
from maskwright.types import Image, Mask


def draw_generator(seed: int, epoch: int, index: int, repeat: int = 0) -> np.random.Generator:
    """The random stream of one sample in one epoch, and of its n-th repeat: the same for any number of workers."""
    # The 0 sets repeats apart from the order of an epoch, which is (seed, epoch, 0, 1).
    return np.random.default_rng((seed, epoch, index, 0, repeat) if repeat else (seed, epoch, index))


def augment(
    image_HW3: Image,
    mask_HW: Mask,
    recipe: AugmentRecipe,
    rng: np.random.Generator,
    *,
    out_hw: tuple[int, int],
    ignore: int,
    zoom: float = 1.0,
) -> tuple[Image, Mask]:
    """One random version of a single sample, zoomed by `zoom`, at `out_hw` (a crop where that is smaller).

    Returns image (h, w, 3) uint8 and mask (h, w) whose ids are a subset of the ids before, plus ignore.
    """
    image_HW3, mask_HW = view((image_HW3, mask_HW), recipe, rng, out_hw=out_hw, ignore=ignore, zoom=zoom)
    return recolour(image_HW3, recipe, rng), mask_HW


def draw_sample(
    pairs: Pairs,
    index: int,
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    ignore: int,
    balance: Balance | None = None,
    shrink: int = 1,
) -> Pair:
    """One random version of sample `index` as training sees it: cropped, and mixed with others of `pairs`.

    The ids of the mask are a subset of those of the sample and its partners, plus ignore. `shrink` divides the
    working size; the draw does not depend on it. `balance` is needed where `sampling.needs_balance(recipe)`.
    """
    size = recipe.data.crop or recipe.data.size
    assert size is not None
    out_hw, options = (-(-size[0] // shrink), -(-size[1] // shrink)), recipe.augment

    def seen(number: int) -> Pair:
        pair, focus_xy = pairs[number], None
        if recipe.data.crop_focus and rng.random() < recipe.data.crop_focus:
            assert balance is not None
            focus_xy = draw_focus(pair[1], balance.rarity_K, rng)
        return view(pair, options, rng, out_hw=out_hw, ignore=ignore, zoom=1 / shrink, focus_xy=focus_xy)

    mixed = seen(index)
    for key, mix in MIXES.items():
        chance = getattr(options, key)
        if chance and rng.random() < chance:
            mixed = mix(mixed, seen(draw_partner(len(pairs), index, rng)), rng, ignore)
    if options.paste and rng.random() < options.paste:
        assert balance is not None
        if balance.holders:
            class_id, number = draw_holder(balance.holders, rng)
            flip = 0.5 if options.flip else 0.0
            mixed = paste(mixed, pairs[number], class_id, rng, zoom=1 / shrink, flip=flip)
    return spoil((recolour(mixed[0], options, rng), mixed[1]), options, rng, ignore)
