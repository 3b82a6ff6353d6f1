"""Losses: plain functions in LOSSES, all with one meaning of "ignored" and of "absent".

Each takes logits (N, K, H, W), target ids (N, H, W) and Terms, and returns a scalar, 0 with a zero gradient where
all pixels are ignored. Ignored pixels get a gradient of exactly 0. K = 1 is one logit for class 1 of two.
`regions.py` says what an absent class costs.

To add one: write the function, add a line to LOSSES, and the contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskwright.config import LossRecipe
from maskwright.losses.pixels import (
    bce,
    binary_focal,
    boundary,
    boundary_of,
    cross_entropy,
    cross_entropy_of,
    focal,
    focal_of,
)
from maskwright.losses.regions import dice, dice_of, focal_tversky, iou, lovasz, lovasz_hinge, tversky
from maskwright.losses.terms import Terms, as_multiclass
from maskwright.losses.weights import CLASS_WEIGHTS, Frequencies, class_weights, require_rule, weight_rule
from maskwright.types import Classes, InputError, unknown_name

__all__ = [
    "LOSSES",
    "CLASS_WEIGHTS",
    "LossFunction",
    "Terms",
    "Frequencies",
    "build_loss",
    "outputs_for",
    "scores_each_class",
    "as_multiclass",
    "class_weights",
    "weight_rule",
    "without_effect",
    "describe",
]

LossFunction = Callable[[Tensor, Tensor], Tensor]
Loss = Callable[[Tensor, Tensor, Terms], Tensor]


def _with_dice(pixel_loss_of: Loss) -> Loss:
    """(1 - mix) of a pixel loss + mix of Dice, from one softmax."""

    def mixed(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
        log_probs, mix = as_multiclass(logits_NKHW).log_softmax(dim=1), terms.recipe.mix
        first, second = pixel_loss_of(log_probs, target_NHW, terms), dice_of(log_probs.exp(), target_NHW, terms)
        return (1 - mix) * first + mix * second

    return mixed


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "boundary": boundary,
    "focal": focal,
    "bce": bce,
    "binary_focal": binary_focal,
    "dice": dice,
    "iou": iou,
    "tversky": tversky,
    "focal_tversky": focal_tversky,
    "lovasz": lovasz,
    "lovasz_hinge": lovasz_hinge,
    "cross_entropy_dice": _with_dice(cross_entropy_of),
    "focal_dice": _with_dice(focal_of),
    "boundary_dice": _with_dice(boundary_of),
}
ONE_AGAINST_REST = {"bce", "binary_focal", "lovasz_hinge"}
MIXED = {"cross_entropy_dice", "focal_dice", "boundary_dice"}
PIXEL = {"cross_entropy", "boundary", "focal", "bce", "binary_focal"} | MIXED
REGION = {"dice", "iou", "tversky", "focal_tversky", "lovasz", "lovasz_hinge"} | MIXED
# Which losses an option is for; the options named here change nothing unless they are set.
OPTIONS = {
    "weights": PIXEL,
    "class_power": PIXEL,
    "hard_share": PIXEL,
    "smoothing": {"cross_entropy", "boundary", "bce", "cross_entropy_dice", "boundary_dice"},
    "alpha": {"focal", "binary_focal", "focal_dice"},
    "absent": REGION,
    "foreground_only": REGION,
    "mix": MIXED,
    "gamma": {"focal", "binary_focal", "focal_dice"},
    "tversky_fp": {"tversky", "focal_tversky"},
    "tversky_fn": {"tversky", "focal_tversky"},
    "tversky_gamma": {"focal_tversky"},
    "boundary_px": {"boundary", "boundary_dice"},
    "boundary_weight": {"boundary", "boundary_dice"},
}


def build_loss(recipe: LossRecipe, classes: Classes, weight_K: Tensor | None = None) -> LossFunction:
    """The loss that a recipe names, as a function of logits (N, K, H, W) and target ids (N, H, W).

    It computes in float32, under autocast too. `weight_K` is what `class_weights` found, for recipes with a rule.
    Raises InputError for an unknown name of a loss or a rule, and where nothing is left to tell apart without the
    background.
    """
    if recipe.name not in LOSSES:
        raise unknown_name("loss", recipe.name, LOSSES)
    require_rule(recipe)
    drop = None if recipe.background else classes.background
    if drop is not None and len(classes) == 2:
        raise InputError(
            f"loss.background: false leaves the one class '{classes.names[1 - drop]}', so that there is nothing to "
            "tell apart; set it to true (score.background: false keeps the background out of the mean alone)."
        )
    function = LOSSES[recipe.name]
    terms = Terms(ignore=classes.ignore, recipe=recipe, background=classes.background, weight_K=weight_K)

    def loss(logits_NKHW: Tensor, target_NHW: Tensor) -> Tensor:
        target = target_NHW.long()
        if drop is not None:
            target = torch.where(target == drop, classes.ignore, target)
        # Autocast would take the sums over all pixels in 16 bits.
        with torch.autocast(logits_NKHW.device.type, enabled=False):
            return function(logits_NKHW.float(), target, terms)

    return loss


def without_effect(recipe: LossRecipe, classes: Classes) -> list[str]:
    """Options that are set and change nothing, as 'loss.KEY' with the reason."""
    usual = LossRecipe()
    found = [
        f"loss.{key} changes nothing in '{recipe.name}' (it is for {', '.join(sorted(names))})"
        for key, names in OPTIONS.items()
        if getattr(recipe, key) != getattr(usual, key) and recipe.name in PIXEL | REGION and recipe.name not in names
    ]
    if recipe.class_power > 0 and weight_rule(recipe) != "power":
        found.append(f"loss.class_power changes nothing where loss.weights is '{recipe.weights}'")
    for key in ("background", "foreground_only"):
        if getattr(recipe, key) != getattr(usual, key) and classes.background is None:
            found.append(f"loss.{key} changes nothing, as no class of the table is marked as background")
    return found


def describe(recipe: LossRecipe, classes: Classes) -> str:
    """What a run's loss is a mean of, for a person: 'dice, over the classes that a batch holds'."""
    words = [recipe.name]
    back = None if classes.background is None else classes.names[classes.background]
    if recipe.name in REGION:
        skip = recipe.absent == "skip"
        words.append("over the classes that a batch holds" if skip else "over all classes, absent ones counted near 1")
    if recipe.name in PIXEL and weight_rule(recipe):
        words.append(f"pixels weighed by {weight_rule(recipe)}")
    if back is not None and not recipe.background:
        words.append(f"without pixels labelled {back}")
    elif back is not None and recipe.name in REGION and recipe.foreground_only:
        words.append(f"without a term for {back}")
    return ", ".join(words)


def outputs_for(recipe: LossRecipe, classes: Classes) -> int:
    """Logits a pixel: one where a loss tells a single class from its background, else one a class."""
    one = recipe.name in ONE_AGAINST_REST and len(classes) == 2 and classes.background == 0
    return 1 if one else len(classes)


def scores_each_class(recipe: LossRecipe) -> bool:
    """Whether the loss scores every class against the rest, so that probabilities are sigmoids, not a softmax."""
    return recipe.name in ONE_AGAINST_REST
