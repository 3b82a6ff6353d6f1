"""Losses that are means over pixels. Options: class weights, hard pixels, label smoothing, a band along boundaries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.losses.terms import Terms, as_multiclass, one_against_rest, pixel_mean

RETINANET_ALPHA = 0.25


def cross_entropy(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Mean negative log-likelihood of the true class, with `smoothing` of the labels (Szegedy et al., CVPR 2016)."""
    return cross_entropy_of(as_multiclass(logits_NKHW).log_softmax(dim=1), target_NHW, terms)


def boundary(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Cross entropy in which a pixel near another class weighs `boundary_weight` times.

    Near is a label of another class at most `boundary_px` rows and columns away: the border weights of the U-Net
    (Ronneberger et al., MICCAI 2015) with a band in place of their Gaussian, so that neither distance maps nor a
    trip to the CPU are needed.
    """
    return boundary_of(as_multiclass(logits_NKHW).log_softmax(dim=1), target_NHW, terms)


def focal(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Cross entropy damped by (1 - p)^gamma, p of the true class (Lin et al., ICCV 2017, for several classes).

    With `alpha`, labels of the foreground weigh alpha and those of the background 1 - alpha.
    """
    return focal_of(as_multiclass(logits_NKHW).log_softmax(dim=1), target_NHW, terms)


def bce(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Binary cross entropy, each class against the rest; with K = 1, class 1 against class 0."""
    share = terms.recipe.smoothing
    truth = one_against_rest(logits_NKHW, target_NHW) * (1 - share) + share / 2
    losses = F.binary_cross_entropy_with_logits(logits_NKHW, truth, reduction="none").mean(dim=1)
    return pixel_mean(losses, target_NHW, terms)


def binary_focal(logits_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Binary cross entropy, each class against the rest, damped by (1 - p)^gamma (Lin et al., ICCV 2017).

    What belongs to a class weighs `alpha` (0.25 where it is null), the rest 1 - alpha.
    """
    truth = one_against_rest(logits_NKHW, target_NHW)
    alpha = RETINANET_ALPHA if terms.recipe.alpha is None else terms.recipe.alpha
    nll = F.binary_cross_entropy_with_logits(logits_NKHW, truth, reduction="none")
    losses = _damped(nll, terms.recipe.gamma) * torch.where(truth > 0, alpha, 1 - alpha)
    return pixel_mean(losses.mean(dim=1), target_NHW, terms)


def cross_entropy_of(
    log_probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms, weight_NHW: Tensor | None = None
) -> Tensor:
    """Cross entropy from log-probabilities."""
    losses = _nll(log_probs_NKHW, target_NHW, terms)
    if share := terms.recipe.smoothing:
        ids = [k for k in range(log_probs_NKHW.shape[1]) if terms.recipe.background or k != terms.background]
        losses = (1 - share) * losses - share * log_probs_NKHW[:, ids].mean(dim=1)
    return pixel_mean(losses, target_NHW, terms, weight_NHW)


def boundary_of(log_probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Boundary-weighted cross entropy from log-probabilities."""
    near_NHW = near_boundary(target_NHW, terms.ignore, terms.recipe.boundary_px)
    weight_NHW = 1 + (terms.recipe.boundary_weight - 1) * near_NHW.to(log_probs_NKHW.dtype)
    return cross_entropy_of(log_probs_NKHW, target_NHW, terms, weight_NHW)


def focal_of(log_probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    """Focal loss from log-probabilities."""
    losses = _damped(_nll(log_probs_NKHW, target_NHW, terms), terms.recipe.gamma)
    if (alpha := terms.recipe.alpha) is not None:
        back = 0 if terms.background is None else terms.background
        losses = losses * torch.where(target_NHW == back, 1 - alpha, alpha)
    return pixel_mean(losses, target_NHW, terms)


def near_boundary(target_NHW: Tensor, ignore: int, reach_px: int) -> Tensor:
    """Where a label of another class is at most `reach_px` rows and columns away, bool (N, H, W).

    Ignored pixels are near nothing, and nothing is near them.
    """
    valid_NHW = target_NHW != ignore
    ids = target_NHW.float()
    highest = _window_maximum(ids.where(valid_NHW, -1.0), reach_px)
    lowest = -_window_maximum((-ids).where(valid_NHW, -float(ignore)), reach_px)
    return valid_NHW & (highest != lowest)


def _window_maximum(values_NHW: Tensor, reach_px: int) -> Tensor:
    # Rows, then columns: 2 (2 r + 1) comparisons a pixel in place of (2 r + 1)^2.
    size = 2 * reach_px + 1
    by_rows = F.max_pool2d(values_NHW.unsqueeze(1), (size, 1), 1, (reach_px, 0))
    return F.max_pool2d(by_rows, (1, size), 1, (0, reach_px)).squeeze(1)


def _nll(log_probs_NKHW: Tensor, target_NHW: Tensor, terms: Terms) -> Tensor:
    return F.nll_loss(log_probs_NKHW, target_NHW, ignore_index=terms.ignore, reduction="none")


def _damped(nll: Tensor, gamma: float) -> Tensor:
    # 1 - p = -expm1(-nll); the floor keeps the gradient finite at p = 1 for gamma below 1.
    return (-torch.expm1(-nll)).clamp_min(1e-8) ** gamma * nll
