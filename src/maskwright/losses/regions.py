"""Losses that compare the regions of each class as a whole: sums over the batch first, then the mean over classes.

A class without a label in the batch has no term where `absent` is "skip": predicting it still costs the classes
that are there. Where `absent` is "count" its term is P / (P + 1), P the sum of its probabilities in pixels: 0 only
where hardly a pixel goes to it, near 1 elsewhere, and as good as without a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskwright.losses.terms import Terms, as_multiclass, one_against_rest


def dice(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """1 - 2 I / (P + T), the mean over classes (Milletari et al., 3DV 2016)."""
    return dice_of(as_multiclass(logits_NKHW).softmax(dim=1), target_NHW, terms)


def iou(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """1 - I / (P + T - I), the mean over classes: the soft Jaccard loss (Rahman and Wang, ISVC 2016)."""
    sums = region_sums(as_multiclass(logits_NKHW).softmax(dim=1), target_NHW, terms)
    union_K = sums.truth_K + sums.guess_K - sums.overlap_K
    return _over_classes(1 - sums.overlap_K / union_K.clamp_min(1e-6), sums, terms)


def tversky(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """1 - I / (I + a FP + b FN), the mean over classes, a `tversky_fp`, b `tversky_fn` (Salehi et al., MLMI 2017).

    a = b = 0.5 is Dice, a = b = 1 IoU; b above a finds more of small classes and is wrong more often.
    """
    sums = region_sums(as_multiclass(logits_NKHW).softmax(dim=1), target_NHW, terms)
    return _over_classes(_tversky_losses(sums, terms), sums, terms)


def focal_tversky(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """The Tversky loss of each class to the power 1 / `tversky_gamma`, then the mean (Abraham and Khan, ISBI 2019)."""
    sums = region_sums(as_multiclass(logits_NKHW).softmax(dim=1), target_NHW, terms)
    # The floor keeps the gradient finite where a class is found exactly.
    losses_K = _tversky_losses(sums, terms).clamp_min(1e-8) ** (1 / terms.recipe.tversky_gamma)
    return _over_classes(losses_K, sums, terms)


def lovasz(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Lovász-Softmax: the Lovász extension of each class's Jaccard loss at |1[label] - p| (Berman et al., CVPR 2018).

    Over the whole batch, which is closer to the mean IoU of a data set than image by image.
    """
    probs = as_multiclass(logits_NKHW).softmax(dim=1)
    truth = one_against_rest(probs, target_NHW)
    return _lovasz_mean((truth - probs).abs(), truth, target_NHW, terms)


def lovasz_hinge(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Lovász hinge: the same at max(0, 1 - z), z the signed logit, each class against the rest.

    Yu and Blaschko, ICML 2015; with K = 1, class 1 against class 0, it is what Berman et al. do with two classes.
    """
    truth = one_against_rest(logits_NKHW, target_NHW)
    return _lovasz_mean((1 - logits_NKHW * (2 * truth - 1)).relu(), truth, target_NHW, terms)


def dice_of(probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Dice loss from probabilities."""
    sums = region_sums(probs_NKHW, target_NHW, terms)
    return _over_classes(1 - 2 * sums.overlap_K / (sums.truth_K + sums.guess_K).clamp_min(1e-6), sums, terms)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """By class over the batch, ignored pixels left out: hits I, labelled pixels T and predicted ones P."""

    overlap_K: Tensor
    truth_K: Tensor
    guess_K: Tensor


def region_sums(probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Sums:
    """Sums of probabilities (N, K, H, W) and labels (N, H, W), each of shape (K,)."""
    classes = probs_NKHW.shape[1]
    valid_NHW = target_NHW != terms.ignore
    ids_NHW = torch.where(valid_NHW, target_NHW, 0)
    weight_NHW = valid_NHW.to(probs_NKHW.dtype)
    hit_NHW = probs_NKHW.gather(1, ids_NHW.unsqueeze(1)).squeeze(1) * weight_NHW
    # Sums by row first: pixel by pixel, a float32 sum of millions loses what is added (and takes longer).
    rows_NHK = probs_NKHW.new_zeros(*ids_NHW.shape[:2], classes)
    return Sums(
        overlap_K=rows_NHK.scatter_add(2, ids_NHW, hit_NHW).sum(dim=(0, 1)),
        truth_K=rows_NHK.scatter_add(2, ids_NHW, weight_NHW).sum(dim=(0, 1)),
        # A product of matrices sums the valid pixels without a second array of the size of the logits.
        guess_K=(probs_NKHW.flatten(2) @ weight_NHW.flatten(1).unsqueeze(2)).sum(dim=(0, 2)),
    )


def _tversky_losses(sums: Sums, terms: Terms) -> Tensor:
    false_positive_K, false_negative_K = sums.guess_K - sums.overlap_K, sums.truth_K - sums.overlap_K
    wrong_K = terms.recipe.tversky_fp * false_positive_K + terms.recipe.tversky_fn * false_negative_K
    # Not 1 - I / (I + wrong): that rounds the last, small errors away.
    return wrong_K.clamp_min(0) / (sums.overlap_K + wrong_K).clamp_min(1e-6)


def _over_classes(losses_K: Tensor, sums: Sums, terms: Terms) -> Tensor:
    present_K = sums.truth_K > 0
    counted_K = torch.ones_like(present_K) if terms.recipe.absent == "count" else present_K
    if terms.left_out is not None:
        counted_K = counted_K & (torch.arange(len(counted_K), device=counted_K.device) != terms.left_out)
    if terms.recipe.absent == "count":
        losses_K = torch.where(present_K, losses_K, sums.guess_K / (sums.guess_K + 1))
    return (losses_K * counted_K).sum() / counted_K.sum().clamp_min(1)


def _lovasz_mean(errors_NKHW: Tensor, truth_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    valid_NHW = target_NHW != terms.ignore
    errors_KP, truth_KP = (values.movedim(1, 0)[:, valid_NHW] for values in (errors_NKHW, truth_NKHW))
    ids_K = range(len(errors_KP)) if len(errors_KP) > 1 else range(1, 2)
    # A single logit has no second class from which a batch without class 1 could learn.
    counts = terms.recipe.absent == "count" or len(errors_KP) == 1
    losses = [
        _lovasz_extension(errors_P, truth_P)
        for k, errors_P, truth_P in zip(ids_K, errors_KP, truth_KP, strict=True)
        if k != terms.left_out and errors_P.numel() and (counts or truth_P.any())
    ]
    # The sum of no pixels is 0 with a gradient of 0.
    return torch.stack(losses).mean() if losses else errors_KP[:, :0].sum()


def _lovasz_extension(errors_P: Tensor, truth_P: Tensor) -> Tensor:
    ordered_P, order_P = errors_P.sort(descending=True)
    wanted_P = truth_P[order_P] > 0
    places_P = torch.arange(1, len(wanted_P) + 1, device=wanted_P.device)
    found_P = wanted_P.long().cumsum(0)
    left_P, union_P = found_P[-1] - found_P, found_P[-1] + places_P - found_P
    # How much the Jaccard loss rises with each pixel that turns wrong; as differences of the loss itself, which is
    # near 1, single precision would lose them among millions of pixels.
    rise_P = torch.where(wanted_P, 1 / union_P, left_P / (union_P * (union_P - 1)).clamp_min(1))
    if found_P[-1] == 0:
        rise_P[0] = 1.0
    return (ordered_P * rise_P).sum()
