"""The wrapper that every network of the zoo gets: pixels of any size in, logits of that size out."""

from __future__ import annotations

from collections.abc import Sequence
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
        return self.cropped(self.body(self.prepared(image_N3HW)), image_N3HW.shape[-2:])

    def prepared(self, image_N3HW: Tensor) -> Tensor:
        """Pixels as the body wants them: normalised, the border repeated until the sides divide by its stride."""
        pixels = (image_N3HW.to(self.mean.dtype) - self.mean) / self.std
        return self.padded(pixels, "replicate")

    def padded(self, x: Tensor, mode: str) -> Tensor:
        """Planes with sides that the body takes, in the memory layout of its weights."""
        rows, columns = x.shape[-2:]
        stride, smallest = self.body.stride, self.body.smallest
        down = max(-rows % stride, smallest - rows)
        right = max(-columns % stride, smallest - columns)
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode=mode)
        return x.contiguous(memory_format=_layout(self))

    def cropped(self, logits_NKHW: Tensor, size_hw: Sequence[int]) -> Tensor:
        """Logits at the size of the image, in float32; so are coarser ones, which move here from the body."""
        rows, columns = size_hw
        self.auxiliary = [coarse[..., :rows, :columns].float() for coarse in self.body.auxiliary]
        self.body.auxiliary = []
        return logits_NKHW[..., :rows, :columns].float()

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
