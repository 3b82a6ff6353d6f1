"""Convolution blocks that networks are made of; every block keeps the image size."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def conv_norm_act(channels: int, out: int, *, stride: int = 1, act: bool = True) -> nn.Sequential:
    """3x3 convolution, batch norm and, unless told otherwise, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(channels, out, 3, stride, 1), nn.BatchNorm2d(out)]
    if act:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def double(channels: int, out: int) -> nn.Module:
    """Two 3x3 convolutions with batch norm and ReLU."""
    return nn.Sequential(conv_norm_act(channels, out), conv_norm_act(out, out))


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv_norm_act(channels, out), conv_norm_act(out, out, act=False))
        self.shortcut: nn.Module = nn.Identity()
        if channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.convs(x) + self.shortcut(x))
        return y


BLOCKS: dict[str, Callable[[int, int], nn.Module]] = {"double": double, "residual": Residual}
