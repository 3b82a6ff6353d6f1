"""Decoders for encoders of others: from their coarsest features, or from all levels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.blocks import Style, conv_norm_act

# On a trunk with 2048 channels and with 3 classes: 7,115,651 parameters, head included.
LIGHT_WIDTHS = (1024, 512, 64)
PYRAMID_WIDTH = 128


class LightDecoder(nn.Module):
    """Three convolutions on the coarsest features, doubling the size between them: cheap, and blind to detail."""

    def __init__(self, channels: Sequence[int], widths: tuple[int, int, int], style: Style) -> None:
        super().__init__()
        first, second, third = widths
        self.layers = nn.Sequential(
            conv_norm_act(channels[-1], first, style, kernel=1),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv_norm_act(first, second, style),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv_norm_act(second, third, style),
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        y: Tensor = self.layers(levels[-1])
        return y


class PyramidDecoder(nn.Module):
    """From the coarsest level to the finest: enlarge, add the next level, convolve (Lin et al., FPN, CVPR 2017)."""

    def __init__(self, channels: Sequence[int], width: int, style: Style) -> None:
        super().__init__()
        coarse_first = list(reversed(channels))
        self.lateral = nn.ModuleList(conv_norm_act(level, width, style, kernel=1) for level in coarse_first)
        self.merge = nn.ModuleList(conv_norm_act(width, width, style) for _ in coarse_first)

    def forward(self, levels: list[Tensor]) -> Tensor:
        x: Tensor | None = None
        for level, lateral, merge in zip(reversed(levels), self.lateral, self.merge, strict=True):
            side = lateral(level)
            if x is not None:
                side = side + F.interpolate(x, size=side.shape[-2:], mode="bilinear")
            x = merge(side)
        assert x is not None
        return x
