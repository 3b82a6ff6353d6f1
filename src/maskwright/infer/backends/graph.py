"""A run's network as one graph of tensors, from canvas to scores: what other runtimes are given."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from maskwright.losses import as_multiclass
from maskwright.models import Network
from maskwright.types import InputError


class CoreGraph(nn.Module):
    """Canvases (N, H, W, 3) uint8 -> scores (N, K, H, W) float32."""

    def __init__(self, network: Network, *, each_class: bool) -> None:
        super().__init__()
        self.network, self.each_class = network, each_class

    def forward(self, canvas_NHW3: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.network(canvas_NHW3.permute(0, 3, 1, 2))
        return logits.sigmoid() if self.each_class else as_multiclass(logits).softmax(dim=1)


def exported(network: Network, size_hw: tuple[int, int], *, each_class: bool) -> torch.export.ExportedProgram:
    """The graph for one canvas at a time, of exactly this size; raises InputError where torch cannot trace it.

    A batch of one is no loss on a CPU, makes an answer independent of its neighbours in a batch, and spares what
    dynamic shapes break: some architectures export without an error and are wrong at any other size.
    """
    graph = CoreGraph(network.to("cpu").to(memory_format=torch.contiguous_format), each_class=each_class).eval()
    example = (torch.zeros(1, *size_hw, 3, dtype=torch.uint8),)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch to itself, on what it will call otherwise one day
        try:
            return torch.export.export(graph, example)
        except Exception as error:  # what is raised depends on the layer that cannot be traced
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"torch cannot export this network ({first}); take --backend torch.") from error
