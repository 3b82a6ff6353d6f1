"""Losses: plain functions in LOSSES, all with one meaning of "ignored" and of "absent".

Each takes logits (N, K, H, W), target ids (N, H, W) and Terms, and returns a scalar: the mean over pixels
that are not ignored, 0 with a zero gradient where all are. Ignored pixels get a gradient of exactly 0.
Dice averages over the classes that the batch's target holds; a class that is absent has no term of its own
(predicting it still costs the classes that are there). K = 1 is one logit for class 1 of two.

To add one: write the function, add a line to LOSSES, and the contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.config import LossRecipe
from maskwright.types import Classes, unknown_name

LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a loss needs to know beside logits and target.

    `weight_K` multiplies pixels by their class; `alpha` is for focal losses the weight of all classes but
    `background`, which gets the complement.
    """

    ignore: int
    background: int | None = None
    weight_K: Tensor | None = None
    gamma: float = 2.0
    alpha: float | None = None
    mix: float = 0.5


def cross_entropy(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Mean negative log-likelihood of the true class (weighted mean with class weights)."""
    return _cross_entropy(as_multiclass(logits_NKHW).log_softmax(dim=1), target_NHW, terms)


def focal(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Cross entropy damped by (1 - p)^gamma (Lin et al., ICCV 2017)."""
    return _focal(as_multiclass(logits_NKHW).log_softmax(dim=1), target_NHW, terms)


def dice(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """1 - mean over present classes of 2 I / (P + T), sums over the whole batch (Milletari et al., 2016)."""
    return _dice(as_multiclass(logits_NKHW).softmax(dim=1), target_NHW, terms)


def focal_dice(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """(1 - mix) focal + mix Dice."""
    log_probs = as_multiclass(logits_NKHW).log_softmax(dim=1)
    first, second = _focal(log_probs, target_NHW, terms), _dice(log_probs.exp(), target_NHW, terms)
    return (1 - terms.mix) * first + terms.mix * second


def cross_entropy_dice(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """(1 - mix) cross entropy + mix Dice."""
    log_probs = as_multiclass(logits_NKHW).log_softmax(dim=1)
    first, second = _cross_entropy(log_probs, target_NHW, terms), _dice(log_probs.exp(), target_NHW, terms)
    return (1 - terms.mix) * first + terms.mix * second


def bce(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Binary cross entropy, each class against the rest; with K = 1, class 1 against class 0."""
    count = logits_NKHW.shape[1]
    ids = torch.arange(count, device=target_NHW.device) if count > 1 else torch.ones(1, device=target_NHW.device)
    truth = (target_NHW.unsqueeze(1) == ids.view(1, -1, 1, 1)).to(logits_NKHW.dtype)
    losses = F.binary_cross_entropy_with_logits(logits_NKHW, truth, reduction="none").mean(dim=1)
    return _weighted_mean(losses, target_NHW, terms)


LOSSES: dict[str, Callable[[Tensor, Tensor, Terms], Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "cross_entropy_dice": cross_entropy_dice,
    "focal": focal,
    "focal_dice": focal_dice,
    "bce": bce,
}


def build_loss(recipe: LossRecipe, classes: Classes, pixels_K: Tensor | None = None) -> LossFunction:
    """The loss that a recipe names, as a function of logits (N, K, H, W) and target ids (N, H, W).

    `pixels_K` counts the training set's pixels by class and is needed where `class_power` is above 0.
    Raises InputError for an unknown name.
    """
    if recipe.name not in LOSSES:
        raise unknown_name("loss", recipe.name, LOSSES)
    function = LOSSES[recipe.name]
    weight_K = None
    if recipe.class_power > 0:
        assert pixels_K is not None, "class weights are measured on the training masks"
        weight_K = class_weights(pixels_K, recipe.class_power)
    terms = Terms(
        ignore=classes.ignore,
        background=classes.background,
        weight_K=weight_K,
        gamma=recipe.gamma,
        alpha=recipe.alpha,
        mix=recipe.mix,
    )

    def loss(logits_NKHW: Tensor, target_NHW: Tensor) -> Tensor:
        target = target_NHW.long()
        if not recipe.background and classes.background is not None:
            target = torch.where(target == classes.background, classes.ignore, target)
        return function(logits_NKHW.float(), target, terms)

    return loss


def outputs_for(recipe: LossRecipe, classes: Classes) -> int:
    """Logits a pixel: one where BCE tells a single class from its background, else one a class."""
    return 1 if recipe.name == "bce" and len(classes) == 2 and classes.background == 0 else len(classes)


def as_multiclass(logits_NKHW: Tensor) -> Tensor:
    """One logit z for class 1 of two -> the logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z))."""
    if logits_NKHW.shape[1] > 1:
        return logits_NKHW
    return torch.cat([torch.zeros_like(logits_NKHW), logits_NKHW], dim=1)


def class_weights(pixels_K: Tensor, power: float) -> Tensor:
    """(1 / pixel share)^power, scaled so that the mean over pixels is 1; classes without pixels get 0."""
    share = pixels_K.double() / pixels_K.sum().clamp_min(1)
    weight = torch.where(share > 0, share.clamp_min(1e-12) ** -power, 0.0)
    return (weight / (weight * share).sum().clamp_min(1e-12)).float()


def _cross_entropy(log_probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    nll = F.nll_loss(log_probs_NKHW, target_NHW, ignore_index=terms.ignore, reduction="none")
    return _weighted_mean(nll, target_NHW, terms)


def _focal(log_probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    nll = F.nll_loss(log_probs_NKHW, target_NHW, ignore_index=terms.ignore, reduction="none")
    # 1 - p = -expm1(-nll); the floor keeps the gradient finite at p = 1 for gamma below 1.
    damped = (-torch.expm1(-nll)).clamp_min(1e-8) ** terms.gamma * nll
    if terms.alpha is not None:
        back = 0 if terms.background is None else terms.background
        damped = damped * torch.where(target_NHW == back, 1 - terms.alpha, terms.alpha)
    return _weighted_mean(damped, target_NHW, terms)


def _dice(probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    classes = probs_NKHW.shape[1]
    valid_NHW = target_NHW != terms.ignore
    ids_NHW = torch.where(valid_NHW, target_NHW, 0)
    weight_NHW = valid_NHW.to(probs_NKHW.dtype)
    hit_NHW = probs_NKHW.gather(1, ids_NHW.unsqueeze(1)).squeeze(1) * weight_NHW
    # Sums by row first: pixel by pixel, a float32 sum of millions loses what is added (and takes longer).
    rows_NHK = probs_NKHW.new_zeros(*ids_NHW.shape[:2], classes)
    overlap_K = rows_NHK.scatter_add(2, ids_NHW, hit_NHW).sum(dim=(0, 1))
    truth_K = rows_NHK.scatter_add(2, ids_NHW, weight_NHW).sum(dim=(0, 1))
    # A product of matrices sums the valid pixels without a second array of the size of the logits.
    guess_K = (probs_NKHW.flatten(2) @ weight_NHW.flatten(1).unsqueeze(2)).sum(dim=(0, 2))
    present_K = truth_K > 0
    dice_K = 2 * overlap_K / (truth_K + guess_K).clamp_min(1e-6)
    return ((1 - dice_K) * present_K).sum() / present_K.sum().clamp_min(1)


def _weighted_mean(losses_NHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    weight = (target_NHW != terms.ignore).to(losses_NHW.dtype)
    if terms.weight_K is not None:
        table = terms.weight_K.to(losses_NHW)
        weight = weight * table[torch.where(target_NHW == terms.ignore, 0, target_NHW)]
    return (losses_NHW * weight).sum() / weight.sum().clamp_min(1e-12)
