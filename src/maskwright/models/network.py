"""The wrapper that every network of the zoo gets: pixels of any size in, logits of that size out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.body import Body


class Network(nn.Module):
    """Pixels in, logits out, at any size: normalises, pads to the body's stride, and crops back.

    `forward` takes images (N, 3, H, W) of 0..255 (uint8 or float) and returns logits (N, K, H, W) in float32;
    K = 1 means one logit for class 1 of two. With deep supervision, a forward pass in training also leaves logits
    (N, K, H, W) of coarser levels in `auxiliary`, finest first; otherwise that list is empty.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.auxiliary: list[Tensor] = []
        self.register_buffer("mean", torch.tensor(body.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, 3, 1, 1), persistent=False)
        for name in body.frozen:
            body.parts()[name].requires_grad_(False)
        self.train()

    def forward(self, image_N3HW: Tensor) -> Tensor:
        rows, columns = image_N3HW.shape[-2:]
        pixels = (image_N3HW.to(self.mean.dtype) - self.mean) / self.std
        stride, smallest = self.body.stride, self.body.smallest
        down = max(-rows % stride, smallest - rows)
        right = max(-columns % stride, smallest - columns)
        if down or right:
            pixels = F.pad(pixels, (0, right, 0, down), mode="replicate")
        logits: Tensor = self.body(pixels.contiguous(memory_format=_layout(self)))
        self.auxiliary = [coarse[..., :rows, :columns].float() for coarse in self.body.auxiliary]
        self.body.auxiliary = []
        return logits[..., :rows, :columns].float()

    def parts(self) -> dict[str, nn.Module]:
        """Every parameter in exactly one named part, in the order that the image meets them: encoder, decoder, head."""
        return self.body.parts()

    def train(self, mode: bool = True) -> Network:
        """As in torch, but parts that do not learn rest in evaluation mode: their statistics stay as they are."""
        super().train(mode)
        for part in self.parts().values():
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    def __getstate__(self) -> dict[str, Any]:
        # A copy needs no logits, and those of a training step cannot be copied.
        return {**self.__dict__, "auxiliary": []}


def parameter_count(module: nn.Module) -> int:
    """All parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in module.parameters())


def _layout(module: nn.Module) -> torch.memory_format:
    first = next(p for p in module.parameters() if p.dim() == 4)
    wants = first.is_contiguous(memory_format=torch.channels_last) and not first.is_contiguous()
    return torch.channels_last if wants else torch.contiguous_format
