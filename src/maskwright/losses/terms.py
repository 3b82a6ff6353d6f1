"""What every loss is given beside logits and target, and the means that they share."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskwright.config import LossRecipe


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a loss needs to know: the ignore id, the background's id, its options, and what pixels weigh by class.

    `weight_K` multiplies pixels by the class of their label.
    """

    ignore: int
    recipe: LossRecipe = field(default_factory=LossRecipe)
    background: int | None = None
    weight_K: Tensor | None = None

    @property
    def left_out(self) -> int | None:
        """The class that has no term of its own in a mean over classes."""
        return self.background if self.recipe.foreground_only or not self.recipe.background else None


def as_multiclass(logits_NKHW: Tensor) -> Tensor:
    """One logit z for class 1 of two -> the logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z))."""
    if logits_NKHW.shape[1] > 1:
        return logits_NKHW
    return torch.cat([torch.zeros_like(logits_NKHW), logits_NKHW], dim=1)


def one_against_rest(logits_NKHW: Tensor, target_NHW: Tensor) -> Tensor:
    """1 where a channel's class is the label and 0 elsewhere, shape (N, K, H, W); with K = 1 the channel is class 1."""
    count = logits_NKHW.shape[1]
    ids_K = torch.arange(count, device=target_NHW.device) if count > 1 else torch.ones(1, device=target_NHW.device)
    return (target_NHW.unsqueeze(1) == ids_K.view(1, -1, 1, 1)).to(logits_NKHW.dtype)


def pixel_mean(losses_NHW: Tensor, target_NHW: Tensor, terms: Terms, weight_NHW: Tensor | None = None) -> Tensor:
    """Mean over the pixels that are not ignored, each with the weight of its class and its own, hard ones alone.

    With `hard_share` below 1 only that share of the batch's labelled pixels counts: those with the largest
    weighted loss, and all that tie with the last of them (Shrivastava et al., CVPR 2016; for pixels Wu et al.,
    arXiv 1604.04339).
    """
    valid_NHW = target_NHW != terms.ignore
    weight = valid_NHW.to(losses_NHW.dtype)
    if terms.weight_K is not None:
        table = terms.weight_K.to(losses_NHW)
        weight = weight * table[torch.where(valid_NHW, target_NHW, 0)]
    if weight_NHW is not None:
        weight = weight * weight_NHW
    costs = losses_NHW * weight
    if terms.recipe.hard_share < 1:
        chosen = _hardest(costs.detach(), valid_NHW, terms.recipe.hard_share)
        costs, weight = costs * chosen, weight * chosen
    return costs.sum() / weight.sum().clamp_min(1e-12)


def _hardest(costs_NHW: Tensor, valid_NHW: Tensor, share: float) -> Tensor:
    costs_P = costs_NHW[valid_NHW]
    if not costs_P.numel():
        return valid_NHW
    keep = max(1, round(share * costs_P.numel()))
    # Above the last one kept, ties included: which of two equal pixels counts may not depend on their order.
    return valid_NHW & (costs_NHW >= costs_P.topk(keep, sorted=False).values.min())
