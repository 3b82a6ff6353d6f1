"""Convolution blocks that networks are made of; every block keeps the image size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Style:
    """What follows every convolution, and whether the convolution itself adds a bias."""

    norm: str = "batch"
    act: str = "relu"
    bias: bool = True


class GroupNorm(nn.GroupNorm):
    """Group norm that also takes a map of one pixel, where torch's refuses a batch of one image."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def group_norm(channels: int) -> nn.Module:
    """Up to 8 groups (Wu and He, ECCV 2018): the same for any batch size."""
    return GroupNorm(math.gcd(channels, 8), channels)


def instance_norm(channels: int) -> nn.Module:
    """A group a channel (Ulyanov et al., arXiv 1607.08022)."""
    return GroupNorm(channels, channels)


NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "batch": nn.BatchNorm2d,
    "group": group_norm,
    "instance": instance_norm,
    "none": None,
}
ACTS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "gelu": nn.GELU,
    "silu": lambda: nn.SiLU(inplace=True),
}


def conv_norm_act(
    channels: int, out: int, style: Style, *, kernel: int = 3, stride: int = 1, dilation: int = 1, act: bool = True
) -> nn.Sequential:
    """Convolution that keeps the size (but for `stride`), norm and, unless told otherwise, activation."""
    norm = NORMS[style.norm]
    padding = dilation * (kernel // 2)
    bias = style.bias or norm is None
    layers: list[nn.Module] = [nn.Conv2d(channels, out, kernel, stride, padding, dilation, bias=bias)]
    if norm is not None:
        layers.append(norm(out))
    if act:
        layers.append(ACTS[style.act]())
    return nn.Sequential(*layers)


def double(channels: int, out: int, style: Style) -> nn.Module:
    """Two 3x3 convolutions, each with norm and activation."""
    return nn.Sequential(conv_norm_act(channels, out, style), conv_norm_act(out, out, style))


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int, out: int, style: Style) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv_norm_act(channels, out, style), conv_norm_act(out, out, style, act=False))
        self.shortcut: nn.Module = nn.Identity()
        if channels != out:
            plain = Style(norm=style.norm, act=style.act, bias=False)
            self.shortcut = conv_norm_act(channels, out, plain, kernel=1, act=False)
        self.act = ACTS[style.act]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.convs(x) + self.shortcut(x))
        return y


class SqueezeExcite(nn.Module):
    """Two 3x3 convolutions, then a weight for every channel from the mean of all (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, out: int, style: Style) -> None:
        super().__init__()
        inner = max(4, out // 16)
        self.convs = double(channels, out, style)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(out, inner, 1),
            nn.SiLU(),  # all of a few ReLUs may be dead from the start
            nn.Conv2d(inner, out, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.convs(x)
        y: Tensor = x * self.weigh(x)
        return y


class Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3, 5x5 as two 3x3, and pooling (Szegedy et al., CVPR 2015 and 2016)."""

    def __init__(self, channels: int, out: int, style: Style) -> None:
        super().__init__()
        # The wide branches come first, so that a block of two channels still sees its surroundings.
        three, five, pool, one = (out // 4 + (index < out % 4) for index in range(4))
        branches: list[nn.Module] = []
        if three:
            branches.append(
                nn.Sequential(conv_norm_act(channels, three, style, kernel=1), conv_norm_act(three, three, style))
            )
        if five:
            branches.append(
                nn.Sequential(
                    conv_norm_act(channels, five, style, kernel=1),
                    conv_norm_act(five, five, style),
                    conv_norm_act(five, five, style),
                )
            )
        if pool:
            branches.append(
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv_norm_act(channels, pool, style, kernel=1))
            )
        if one:
            branches.append(conv_norm_act(channels, one, style, kernel=1))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


BLOCKS: dict[str, Callable[[int, int, Style], nn.Module]] = {
    "double": double,
    "residual": Residual,
    "se": SqueezeExcite,
    "inception": Inception,
}
