"""The image trunk of CLIP, frozen, under a decoder (Radford et al., ICML 2021)."""

from __future__ import annotations

from torch import Tensor, nn

from maskwright.config import ModelRecipe
from maskwright.models.blocks import Style
from maskwright.models.body import Body, pixel_scale, require_only
from maskwright.models.decoders import LIGHT_WIDTHS, PYRAMID_WIDTH, LightDecoder, PyramidDecoder
from maskwright.models.timm_trunk import timm_settings, timm_trunk
from maskwright.models.unet import enlarged
from maskwright.models.weights import ENCODERS
from maskwright.types import InputError

OPTIONS = frozenset({"encoder", "decoder", "weights", "download", "norm", "act", "bias"})


class Clip(Body):
    """A trunk of timm and a decoder of its features; `widths` are the decoder's channels."""

    frozen = ("encoder",)

    def __init__(self, recipe: ModelRecipe, outputs: int) -> None:
        super().__init__()
        require_only(recipe, OPTIONS)
        name = recipe.encoder or ENCODERS["clip"]
        self.trunk, channels, strides = timm_trunk(name)
        self.mean, self.std = pixel_scale(*timm_settings(name))
        self.stride = max(strides)
        style = Style(norm=recipe.norm or "batch", act=recipe.act or "relu", bias=recipe.bias is not False)
        if recipe.decoder == "fpn":
            self.widths = recipe.widths or (recipe.width or PYRAMID_WIDTH,)
            self.decoder: nn.Module = PyramidDecoder(channels, one(self.widths), style)
            self.enlarge = strides[0]
        else:
            self.widths = recipe.widths or (
                LIGHT_WIDTHS if recipe.width is None else (16 * recipe.width, 8 * recipe.width, recipe.width)
            )
            self.decoder = LightDecoder(channels, three(self.widths), style)
            self.enlarge = self.stride // 4
        self.head = nn.Conv2d(self.widths[-1], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return enlarged(self.head(self.decoder(self.trunk(x))), self.enlarge)

    def parts(self) -> dict[str, nn.Module]:
        return {"encoder": self.trunk, "decoder": self.decoder, "head": self.head}


def clip(recipe: ModelRecipe, outputs: int) -> Body:
    """A frozen CLIP RN50 image trunk and a light or a pyramid decoder (Radford et al., ICML 2021)."""
    return Clip(recipe, outputs)


def one(widths: tuple[int, ...]) -> int:
    """The width of a pyramid."""
    if len(widths) != 1:
        raise InputError("model.widths of the fpn decoder is one number of channels, for example [128].")
    return widths[0]


def three(widths: tuple[int, ...]) -> tuple[int, int, int]:
    """The widths of the light decoder."""
    if len(widths) != 3:
        raise InputError(f"model.widths of the light decoder are three numbers, for example {list(LIGHT_WIDTHS)}.")
    return widths[0], widths[1], widths[2]
