"""One U-Net with orthogonal options; the defaults are the network of 2015 with batch norm.

Ronneberger, Fischer, Brox: U-Net, MICCAI 2015. With 64 channels at the first level, depth 4, 3 channels in
and 3 logits out it has 31,043,651 parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.config import ModelRecipe
from maskwright.models.blocks import BLOCKS, conv_norm_act
from maskwright.types import InputError


class Body(nn.Module):
    """What `Network` wraps: a fully convolutional module whose input sides divide by `stride`."""

    stride: int
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (63.75, 63.75, 63.75)


class UNet(Body):
    """Encoder, bottleneck and decoder with skips.

    `widths` are channels by level, the last one the bottleneck; `stem` 2 or 4 begins with strided
    convolutions and ends with a bilinear enlargement of the logits.
    """

    def __init__(self, recipe: ModelRecipe, outputs: int) -> None:
        super().__init__()
        widths, blocks = level_widths(recipe), level_blocks(recipe)
        block = BLOCKS[recipe.block]
        self.stride = recipe.stem * 2 ** (len(widths) - 1)
        self.stem, channels = strided_stem(recipe.stem, widths[0])
        self.encoder = nn.ModuleList()
        for width, count in zip(widths, blocks, strict=True):
            level = [block(channels, width), *(block(width, width) for _ in range(count - 1))]
            self.encoder.append(nn.Sequential(*level))
            channels = width
        self.dropout = nn.Dropout2d(recipe.dropout) if recipe.dropout else nn.Identity()
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for width in reversed(widths[:-1]):
            out = min(width, recipe.decoder_width or width)
            self.up.append(UPS[recipe.up](channels, out))
            self.decoder.append(block(out + width, out))
            channels = out
        self.head = nn.Conv2d(channels, outputs, 1)
        self.enlarge = recipe.stem

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips: list[Tensor] = []
        for level in self.encoder:
            x = level(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for up, decode in zip(self.up, self.decoder, strict=True):
            x = decode(torch.cat([skips.pop(), up(x)], dim=1))
        logits: Tensor = self.head(x)
        # Class planes one after the other: what comes after (enlarging, softmax, loss) runs faster on them.
        logits = logits.float().contiguous()
        if self.enlarge > 1:
            logits = F.interpolate(logits, scale_factor=self.enlarge, mode="bilinear")
        return logits


def unet(recipe: ModelRecipe, outputs: int) -> UNet:
    """The U-Net of 2015 with batch norm; every option of `ModelRecipe` applies."""
    return UNet(recipe, outputs)


def level_widths(recipe: ModelRecipe) -> tuple[int, ...]:
    """Channels by level: as given, or doubling from `width`."""
    if recipe.widths is not None:
        if len(recipe.widths) < 2:
            raise InputError("model.widths needs at least two levels, for example [16, 32, 64].")
        return recipe.widths
    assert recipe.width is not None, "derived before a network is built"
    return tuple(recipe.width * 2**level for level in range(recipe.depth + 1))


def level_blocks(recipe: ModelRecipe) -> tuple[int, ...]:
    """Encoder blocks by level: as given, or one each."""
    levels = len(level_widths(recipe))
    blocks = recipe.blocks or (1,) * levels
    if len(blocks) != levels:
        raise InputError(f"model.blocks has {len(blocks)} entries for {levels} levels; give one a level.")
    return blocks


def strided_stem(stride: int, width: int) -> tuple[nn.Module, int]:
    """Convolutions of stride 2 until `stride` is reached, and the channels that leave them."""
    layers: list[nn.Module] = []
    channels = 3
    for _ in range({1: 0, 2: 1, 4: 2}[stride]):
        layers.append(conv_norm_act(channels, width, stride=2))
        channels = width
    return nn.Sequential(*layers), channels


def transposed(channels: int, out: int) -> nn.Module:
    """Learned 2x2 enlargement."""
    return nn.ConvTranspose2d(channels, out, 2, stride=2)


def bilinear(channels: int, out: int) -> nn.Module:
    """1x1 convolution, then bilinear enlargement: cheaper, no checkerboard."""
    return nn.Sequential(nn.Conv2d(channels, out, 1), nn.Upsample(scale_factor=2, mode="bilinear"))


UPS: dict[str, Callable[[int, int], nn.Module]] = {"transposed": transposed, "bilinear": bilinear}
