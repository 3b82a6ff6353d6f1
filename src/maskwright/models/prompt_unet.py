"""Networks that are asked by prompts: the U-Net with a second, small encoder that reads where a person pointed.

What depends on the image alone is computed once (`encode_image`); a prompt then costs its own encoder and the decoder
(`answer`). Prompts come as planes of the image's size, drawn by `data.clicks.heat`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from maskwright.config import ModelRecipe
from maskwright.models.blocks import conv_norm_act
from maskwright.models.network import Network
from maskwright.models.unet import UNet, level_widths, strided_stem

ONE_PLANE = ("wanted",)
FOUR_PLANES = ("positive", "negative", "box", "previous")


class PromptUNet(UNet):
    """A U-Net of one logit, 'belongs to what the prompt means', whose bottleneck also sees the prompt.

    `planes` names what the prompt is drawn as. With `hinted` every level of the decoder gets the prompt's features
    of its own resolution too. `classes` above 0 adds an embedding of the class that is meant, and one for 'not told'.
    """

    def __init__(self, recipe: ModelRecipe, classes: int, planes: tuple[str, ...], *, hinted: bool) -> None:
        super().__init__(recipe, 1)
        widths, style = level_widths(recipe), self.style
        self.planes, self.classes = planes, classes
        stem, channels = strided_stem(recipe.stem, widths[0], style, len(planes))
        first = nn.Sequential(stem, conv_norm_act(channels, widths[0], style))
        pairs = pairwise(widths)
        self.prompt = nn.ModuleList([first, *(conv_norm_act(wide, out, style, stride=2) for wide, out in pairs)])
        self.join = conv_norm_act(2 * widths[-1], widths[-1], style)
        levels = list(reversed(widths[:-1])) if hinted else []
        outs = [min(width, recipe.decoder_width or width) for width in levels]
        self.hints = nn.ModuleList(nn.Conv2d(width, out, 1) for width, out in zip(levels, outs, strict=True))
        self.class_embedding = nn.Embedding(classes + 1, widths[-1]) if classes else None

    def forward(self, x: Tensor) -> Tensor:
        nothing = x.new_zeros(len(x), len(self.planes), *x.shape[-2:])
        return self.answer(self.encode(x), nothing)

    def answer(self, features: Sequence[Tensor], planes_NPHW: Tensor, class_N: Tensor | None = None) -> Tensor:
        """Logits (N, 1, H, W) from what `encode` returned; sides of the planes divide by `stride`."""
        found: list[Tensor] = []
        x = planes_NPHW
        for level in self.prompt:
            found.append(x := level(x))
        if self.class_embedding is not None:
            told = torch.full((len(x),), self.classes, device=x.device) if class_N is None else class_N
            x = x + self.class_embedding(told)[:, :, None, None].to(x.dtype)
        joined = self.join(torch.cat([features[-1], x], dim=1))
        coarse_first = found[-2::-1]
        hints = [hint(seen) for hint, seen in zip(self.hints, coarse_first, strict=False)]
        return self.decode([*features[:-1], joined], hints)

    def parts(self) -> dict[str, nn.Module]:
        parts = super().parts()
        prompt = nn.ModuleList([self.prompt, self.join, self.hints])
        if self.class_embedding is not None:
            prompt.append(self.class_embedding)
        return {"encoder": parts["encoder"], "prompt": prompt, "decoder": parts["decoder"], "head": parts["head"]}


class PromptNetwork(Network):
    """A `Network` that is asked: images (N, 3, H, W) and planes (N, P, H, W) in, logits (N, 1, H, W) out, any size.

    `class_N` are class ids, or the number of classes where none is told. Without planes, nothing is pointed at.
    """

    body: PromptUNet

    def forward(self, image_N3HW: Tensor, planes_NPHW: Tensor | None = None, class_N: Tensor | None = None) -> Tensor:
        if planes_NPHW is None:
            rows, columns = image_N3HW.shape[-2:]
            planes_NPHW = self.mean.new_zeros(len(image_N3HW), len(self.body.planes), rows, columns)
        return self.answer(self.encode_image(image_N3HW), planes_NPHW, class_N)

    def encode_image(self, image_N3HW: Tensor) -> list[Tensor]:
        """What a click need not compute again: the image's features by level, finest first."""
        return self.body.encode(self.prepared(image_N3HW))

    def answer(self, features: Sequence[Tensor], planes_NPHW: Tensor, class_N: Tensor | None = None) -> Tensor:
        """Logits (N, 1, H, W) in float32 for prompts on encoded images; planes are of the images' size."""
        planes = self.padded(planes_NPHW.to(self.mean.dtype), "constant")
        return self.cropped(self.body.answer(features, planes, class_N), planes_NPHW.shape[-2:])


def prompt_unet(recipe: ModelRecipe, classes: int) -> PromptUNet:
    """A U-Net asked by one heat map, joined at the bottleneck (after Xu et al., Deep Interactive, CVPR 2016)."""
    return PromptUNet(recipe, classes, ONE_PLANE, hinted=False)


def prompt_clicks(recipe: ModelRecipe, classes: int) -> PromptUNet:
    """A U-Net asked by clicks, boxes and the mask so far, at every level (after Sofiiuk et al., RITM, ICIP 2022)."""
    return PromptUNet(recipe, classes, FOUR_PLANES, hinted=True)
