"""How weights move: the optimiser, the learning rate over the training, and the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from maskwright.config import OptimRecipe
from maskwright.types import unknown_name

MOMENTUM_RANGE = (0.85, 0.95)
FIRST_RATE, LAST_RATE = 1 / 25, 1 / 25e4  # one cycle: as shares of the highest rate


def build_optimiser(parts: Mapping[str, nn.Module], optim: OptimRecipe) -> Optimizer:
    """The optimiser over all parameters that may learn; a group's `factor` is its part's share of the learning rate.

    Raises InputError where `optim.parts` names a part that the network does not have.
    """
    for name in optim.parts:
        if name not in parts:
            raise unknown_name("part of the network in optim.parts", name, parts)
    groups: list[dict[str, Any]] = []
    for factor in dict.fromkeys(optim.parts.get(name, 1.0) for name in parts):
        alike = [part for name, part in parts.items() if optim.parts.get(name, 1.0) == factor]
        learning = [p for part in alike for p in part.parameters() if p.requires_grad]
        # Weight decay is for kernels; on biases and norms it only shrinks what should be free.
        kernels, others = [p for p in learning if p.dim() > 1], [p for p in learning if p.dim() <= 1]
        for some, decay in ((kernels, optim.weight_decay), (others, 0.0)):
            groups.append({"params": some, "weight_decay": decay, "factor": factor})
    groups = [group for group in groups if group["params"]]
    if optim.name == "sgd":
        return SGD(groups, optim.lr, momentum=optim.momentum, nesterov=optim.nesterov)
    return (AdamW if optim.name == "adamw" else Adam)(groups, lr=optim.lr)


def set_rate(optimiser: Optimizer, rate: float, momentum: float | None) -> None:
    """Give every group its share of `rate`, and the momentum (of Adam: its first beta) where there is one."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum


def rate_factor(progress: float, optim: OptimRecipe) -> float:
    """Learning rate at `progress` (0..1) as a share of the highest one.

    Warm-up, then by `optim.schedule`: half a cosine to 0, a power of what is left (Chen et al., TPAMI 2018), or
    constant. `one_cycle` (Smith & Topin, 2018; in the two halves of a cosine of fastai and torch) has its own rise.
    """
    if optim.schedule == "one_cycle":
        if progress < optim.cycle_rise:
            return _between(FIRST_RATE, 1.0, progress / optim.cycle_rise)
        return _between(1.0, LAST_RATE, (progress - optim.cycle_rise) / (1 - optim.cycle_rise))
    if progress < optim.warmup:
        # Never exactly 0: the first step would teach nothing.
        return max(0.01, progress / optim.warmup)
    gone = (progress - optim.warmup) / max(1e-9, 1 - optim.warmup)
    if optim.schedule == "polynomial":
        return float(max(0.0, 1 - gone) ** optim.power)
    return 0.5 * (1 + math.cos(math.pi * gone)) if optim.schedule == "cosine" else 1.0


def momentum_at(progress: float, optim: OptimRecipe) -> float | None:
    """One cycle lowers the momentum while the rate rises; None leaves it as it is."""
    if optim.schedule != "one_cycle":
        return None
    low, high = MOMENTUM_RANGE
    if progress < optim.cycle_rise:
        return _between(high, low, progress / optim.cycle_rise)
    return _between(low, high, (progress - optim.cycle_rise) / (1 - optim.cycle_rise))


def _between(start: float, end: float, share: float) -> float:
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * share))


class Plateau:
    """A factor on the learning rate that drops when the validation score stops rising; 1 for other schedules."""

    def __init__(self, optim: OptimRecipe) -> None:
        self.active = optim.schedule == "plateau"
        self.patience, self.drop = optim.plateau_patience, optim.plateau_factor
        self.factor, self.best, self.since_best, self.waited = 1.0, -1.0, 0, 0

    def update(self, score: float) -> None:
        """Take one validation score into account."""
        if score > self.best:
            self.best, self.since_best, self.waited = score, 0, 0
            return
        self.since_best += 1
        self.waited += 1
        if self.active and self.waited >= self.patience:
            self.factor, self.waited = self.factor * self.drop, 0


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network, running statistics included."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
