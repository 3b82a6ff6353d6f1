"""One U-Net with orthogonal options, and the names under which papers combine them.

The defaults are the network of 2015 (Ronneberger, Fischer, Brox: U-Net, MICCAI 2015) with batch norm. With 64
channels at the first level, depth 4, 3 channels in and 3 logits out it has 31,043,651 parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.config import ModelRecipe
from maskwright.models.blocks import BLOCKS, Style, conv_norm_act
from maskwright.models.body import Body, filled, require_only
from maskwright.models.joints import BOTTLENECKS, SKIPS, UPS
from maskwright.types import InputError

WIDTH = 16
FOREIGN = frozenset({"architecture", "encoder", "decoder", "weights", "download"})


class UNet(Body):
    """Encoder, bottleneck and decoder with skips.

    `widths` are channels by level, the last one the bottleneck; `stem` 2 or 4 begins with strided
    convolutions and ends with a bilinear enlargement of the logits.
    """

    def __init__(self, recipe: ModelRecipe, outputs: int) -> None:
        super().__init__()
        require_only(recipe, frozenset(ModelRecipe.model_fields) - FOREIGN)
        recipe = filled(recipe, block="double", norm="batch", act="relu", bias=True)
        recipe = filled(recipe, bottleneck="plain", skip="concat", up="transposed")
        self.widths, blocks = level_widths(recipe), level_blocks(recipe)
        self.style = style = Style(norm=str(recipe.norm), act=str(recipe.act), bias=bool(recipe.bias))
        block, join, up = BLOCKS[str(recipe.block)], SKIPS[str(recipe.skip)], UPS[str(recipe.up)]
        self.stride = recipe.stem * 2 ** (len(self.widths) - 1)
        self.stem, channels = strided_stem(recipe.stem, self.widths[0], style)
        self.encoder = nn.ModuleList()
        for width, count in zip(self.widths, blocks, strict=True):
            level = [block(channels, width, style), *(block(width, width, style) for _ in range(count - 1))]
            self.encoder.append(nn.Sequential(*level, *dropouts(recipe)))
            channels = width
        self.bottleneck = BOTTLENECKS[str(recipe.bottleneck)](channels, style)
        self.dropout = nn.Dropout2d(recipe.dropout) if recipe.dropout else nn.Identity()
        self.up, self.skip, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        outs: list[int] = []
        for width in reversed(self.widths[:-1]):
            out = min(width, recipe.decoder_width or width)
            self.up.append(up(channels, out))
            self.skip.append(join(width, out, style))
            decode = block(out if recipe.skip == "none" else out + width, out, style)
            self.decoder.append(nn.Sequential(decode, *extra) if (extra := dropouts(recipe)) else decode)
            outs.append(channels := out)
        self.head = nn.Conv2d(channels, outputs, 1)
        coarse = outs[:-1] if recipe.deep_supervision else []
        self.side_heads = nn.ModuleList(nn.Conv2d(out, outputs, 1) for out in coarse)
        self.enlarge = recipe.stem

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features by level, finest first; the last ones have been through the bottleneck."""
        x = self.stem(x)
        features: list[Tensor] = []
        for level in self.encoder:
            x = level(F.max_pool2d(x, 2) if features else x)
            features.append(x)
        features[-1] = self.dropout(self.bottleneck(x))
        return features

    def decode(self, features: list[Tensor], hints: Sequence[Tensor] = ()) -> Tensor:
        """Logits from features by level, which are taken off the list as they are used, so that they can be freed.

        `hints`, coarsest first, are added to what each level of the decoder has enlarged.
        """
        x = features.pop()
        self.auxiliary = []
        for index, (up, skip, decode) in enumerate(zip(self.up, self.skip, self.decoder, strict=True)):
            x = up(x) + hints[index] if hints else up(x)
            x = decode(skip(features.pop(), x))
            if self.training and index < len(self.side_heads):
                scale = self.enlarge * 2 ** (len(self.up) - 1 - index)
                self.auxiliary.insert(0, enlarged(self.side_heads[index](x), scale))
        return enlarged(self.head(x), self.enlarge)

    def parts(self) -> dict[str, nn.Module]:
        encoder = nn.ModuleList([self.stem, self.encoder, self.bottleneck])
        decoder = nn.ModuleList([self.up, self.skip, self.decoder])
        return {"encoder": encoder, "decoder": decoder, "head": nn.ModuleList([self.head, self.side_heads])}


def unet(recipe: ModelRecipe, outputs: int) -> Body:
    """The U-Net with batch norm, and every option of it (Ronneberger et al., MICCAI 2015)."""
    return UNet(recipe, outputs)


def unet_residual_attention(recipe: ModelRecipe, outputs: int) -> Body:
    """Residual blocks with SiLU, self-attention at the bottleneck (Zhang et al., GRSL 2018; ICML 2019)."""
    return UNet(filled(recipe, block="residual", act="silu", bias=False, bottleneck="attention"), outputs)


def unet_se(recipe: ModelRecipe, outputs: int) -> Body:
    """Blocks that weigh their channels, squeeze-and-excitation (Hu et al., CVPR 2018)."""
    return UNet(filled(recipe, block="se"), outputs)


def unet_aspp(recipe: ModelRecipe, outputs: int) -> Body:
    """Several dilations at the bottleneck, atrous spatial pyramid pooling (Chen et al., arXiv 1706.05587)."""
    return UNet(filled(recipe, bottleneck="aspp"), outputs)


def unet_inception(recipe: ModelRecipe, outputs: int) -> Body:
    """Inception blocks in encoder, bottleneck, decoder and skips (Szegedy et al., CVPR 2015)."""
    return UNet(filled(recipe, block="inception", skip="inception"), outputs)


def unet_gated(recipe: ModelRecipe, outputs: int) -> Body:
    """Attention gates on the skips (Oktay et al., MIDL 2018)."""
    return UNet(filled(recipe, skip="gate"), outputs)


def autoencoder(recipe: ModelRecipe, outputs: int) -> Body:
    """The U-Net without skips, for two stages (Hinton and Salakhutdinov, Science 2006)."""
    return UNet(filled(recipe, skip="none"), outputs)


def level_widths(recipe: ModelRecipe) -> tuple[int, ...]:
    """Channels by level: as given, or doubling from `width`."""
    if recipe.widths is not None:
        if len(recipe.widths) < 2:
            raise InputError("model.widths needs at least two levels, for example [16, 32, 64].")
        return recipe.widths
    return tuple((recipe.width or WIDTH) * 2**level for level in range(recipe.depth + 1))


def level_blocks(recipe: ModelRecipe) -> tuple[int, ...]:
    """Encoder blocks by level: as given, or one each."""
    levels = len(level_widths(recipe))
    blocks = recipe.blocks or (1,) * levels
    if len(blocks) != levels:
        raise InputError(f"model.blocks has {len(blocks)} entries for {levels} levels; give one a level.")
    return blocks


def strided_stem(stride: int, width: int, style: Style, channels: int = 3) -> tuple[nn.Module, int]:
    """Convolutions of stride 2 until `stride` is reached, and the channels that leave them."""
    layers: list[nn.Module] = []
    for _ in range({1: 0, 2: 1, 4: 2}[stride]):
        layers.append(conv_norm_act(channels, width, style, stride=2))
        channels = width
    return nn.Sequential(*layers), channels


def dropouts(recipe: ModelRecipe) -> list[nn.Module]:
    """What follows every block: dropout of values, of channels, or nothing."""
    layers: list[nn.Module] = []
    if recipe.block_dropout:
        layers.append(nn.Dropout(recipe.block_dropout))
    if recipe.spatial_dropout:
        layers.append(nn.Dropout2d(recipe.spatial_dropout))
    return layers


def enlarged(logits: Tensor, scale: int) -> Tensor:
    """Logits in float32, `scale` times as large."""
    # Class planes one after the other: what comes after (enlarging, softmax, loss) runs faster on them.
    logits = logits.float().contiguous()
    return F.interpolate(logits, scale_factor=scale, mode="bilinear") if scale > 1 else logits
