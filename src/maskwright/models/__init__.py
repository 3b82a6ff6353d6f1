"""The zoo: every network is a plain function in MODELS, wrapped so that any image size goes in.

To add one: write `def mine(recipe: ModelRecipe, outputs: int) -> Body`, add a line to MODELS, and the
contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.config import ModelRecipe
from maskwright.models.unet import Body, unet
from maskwright.types import unknown_name

MODELS: dict[str, Callable[[ModelRecipe, int], Body]] = {
    "unet": unet,
}


class Network(nn.Module):
    """Pixels in, logits out, at any size: normalises, pads to the body's stride, and crops back.

    `forward` takes images (N, 3, H, W) of 0..255 (uint8 or float) and returns logits (N, K, H, W) in float32;
    K = 1 means one logit for class 1 of two.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.tensor(body.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image_N3HW: Tensor) -> Tensor:
        rows, columns = image_N3HW.shape[-2:]
        pixels = (image_N3HW.to(self.mean.dtype) - self.mean) / self.std
        down, right = -rows % self.body.stride, -columns % self.body.stride
        if down or right:
            pixels = F.pad(pixels, (0, right, 0, down), mode="replicate")
        logits: Tensor = self.body(pixels.contiguous(memory_format=_layout(self)))
        return logits[..., :rows, :columns].float()


def build(recipe: ModelRecipe, outputs: int) -> Network:
    """The network that a recipe names, with `outputs` logits a pixel; raises InputError for an unknown name."""
    if recipe.name not in MODELS:
        raise unknown_name("model", recipe.name, MODELS)
    return Network(MODELS[recipe.name](recipe, outputs))


def parameter_count(module: nn.Module) -> int:
    """All parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in module.parameters())


def _layout(module: nn.Module) -> torch.memory_format:
    first = next(p for p in module.parameters() if p.dim() == 4)
    wants = first.is_contiguous(memory_format=torch.channels_last) and not first.is_contiguous()
    return torch.channels_last if wants else torch.contiguous_format
