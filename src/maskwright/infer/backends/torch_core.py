"""The network itself, by torch: the reference that other backends are held against, and what runs on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from maskwright.infer.backends.core import Loaded
from maskwright.infer.device import arithmetic, choose_device, choose_precision
from maskwright.infer.weights import load_network
from maskwright.losses import as_multiclass, outputs_for, scores_each_class
from maskwright.models import Network
from maskwright.run import Run


class TorchCore:
    """A network at rest on its device; takes canvases of any size."""

    def __init__(self, network: Network, device: torch.device, precision: str, *, each_class: bool) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.device, self.precision, self.each_class = device, precision, each_class

    def __call__(self, canvas_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores (N, K, H, W) of canvases (N, H, W, 3)."""
        batch = torch.from_numpy(canvas_NHW3).to(self.device).permute(0, 3, 1, 2)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            logits = self.network(batch)
            scores = logits.sigmoid() if self.each_class else as_multiclass(logits).softmax(dim=1)
            found: NDArray[np.float32] = scores.float().contiguous().cpu().numpy()
        return found


def each_class_of(run: Run) -> bool:
    """Whether a run scores every class against the rest, so that its scores are sigmoids."""
    return scores_each_class(run.recipe.loss) and outputs_for(run.recipe.loss, run.classes) > 1


def load_torch(run: Run, weights: str, device: str, precision: str) -> Loaded:
    """A run's network by torch, with no reason yet; raises InputError where something of it cannot be used."""
    network = load_network(run, weights)
    where, _ = choose_device(device)
    computed = choose_precision(precision, where)[0]
    core = TorchCore(network, where, computed, each_class=each_class_of(run))
    return Loaded(core=core, name="torch", precision=computed, each_class=core.each_class, reason="")
