"""What stands between the encoder and the decoder of a U-Net: bottlenecks, skips and enlargements."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.blocks import Inception, Style, conv_norm_act

DILATIONS = (2, 4, 8)
Joint = Callable[[int, Style], nn.Module]


class SelfAttention(nn.Module):
    """Every pixel attends to every other; a gate that starts at 0 lets the network begin without it.

    Queries and keys have an eighth of the channels, as in SAGAN (Zhang et al., ICML 2019).
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        # One head, as a dimension of its own: ONNX knows attention of four dimensions only.
        query, key, value = (
            layer(x).flatten(2).transpose(1, 2).unsqueeze(1) for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value).squeeze(1).transpose(1, 2).reshape(x.shape)
        y: Tensor = x + self.gate * seen
        return y


class Aspp(nn.Module):
    """Dilated convolutions side by side, and the mean of the image (Chen et al., arXiv 1706.05587).

    Dilations of 2, 4 and 8: the maps at the bottom of a U-Net are small, and the published 6, 12 and 18 reach
    past their borders.
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        inner = max(1, channels // 4)
        self.branches = nn.ModuleList(
            [
                conv_norm_act(channels, inner, style, kernel=1),
                *(conv_norm_act(channels, inner, style, dilation=rate) for rate in DILATIONS),
            ]
        )
        # No norm here: over a batch of one image it would see a single value.
        self.mean = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), conv_norm_act(channels, inner, Style(norm="none", act=style.act), kernel=1)
        )
        self.join = conv_norm_act(5 * inner, channels, style, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        parts.append(self.mean(x).expand(-1, -1, *x.shape[-2:]))
        y: Tensor = self.join(torch.cat(parts, dim=1))
        return y


class Concat(nn.Module):
    """Encoder features beside what comes from below (Ronneberger et al., MICCAI 2015)."""

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        return torch.cat([skip, below], dim=1)


class Gate(nn.Module):
    """Encoder features weighed, pixel by pixel, by what comes from below (Oktay et al., MIDL 2018)."""

    def __init__(self, skip: int, below: int, style: Style) -> None:
        super().__init__()
        inner = max(1, skip // 2)
        self.skip = conv_norm_act(skip, inner, style, kernel=1, act=False)
        self.below = conv_norm_act(below, inner, style, kernel=1, act=False)
        self.weigh = nn.Sequential(nn.ReLU(), nn.Conv2d(inner, 1, 1), nn.Sigmoid())

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        return torch.cat([skip * self.weigh(self.skip(skip) + self.below(below)), below], dim=1)


class InceptionSkip(nn.Module):
    """An inception block on the way from the encoder to the decoder."""

    def __init__(self, skip: int, below: int, style: Style) -> None:
        super().__init__()
        self.block = Inception(skip, skip, style)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        return torch.cat([self.block(skip), below], dim=1)


class NoSkip(nn.Module):
    """Only what comes from below: an autoencoder."""

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        return below


def transposed(channels: int, out: int) -> nn.Module:
    """Learned 2x2 enlargement."""
    return nn.ConvTranspose2d(channels, out, 2, stride=2)


def bilinear(channels: int, out: int) -> nn.Module:
    """1x1 convolution, then bilinear enlargement: cheaper, no checkerboard."""
    return nn.Sequential(nn.Conv2d(channels, out, 1), nn.Upsample(scale_factor=2, mode="bilinear"))


BOTTLENECKS: dict[str, Joint] = {
    "plain": lambda channels, style: nn.Identity(),
    "attention": SelfAttention,
    "aspp": Aspp,
}
SKIPS: dict[str, Callable[[int, int, Style], nn.Module]] = {
    "concat": lambda skip, below, style: Concat(),
    "gate": Gate,
    "inception": InceptionSkip,
    "none": lambda skip, below, style: NoSkip(),
}
UPS: dict[str, Callable[[int, int], nn.Module]] = {"transposed": transposed, "bilinear": bilinear}
