"""What the deepest layer of a network makes of an image: a few numbers by which images can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskwright.infer.predictor import Predictor
from maskwright.types import Image

Vector = NDArray[np.float32]


def probabilities_and_features(predictor: Predictor, image_HW3: Image) -> tuple[NDArray[np.float32], Vector]:
    """Class probabilities (K, H, W) of an image, and mean and deviation of every channel of the deepest features.

    The deepest features are the last output of the encoder with the fewest places (but more than one: weights of
    channels have one), whatever the network is. Empty where an encoder has no such output.
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
            if outputs and outputs[0].shape[2:].numel() < output.shape[2:].numel():
                return
            outputs[:] = [output]

    leaves = [module for module in predictor.network.parts()["encoder"].modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(keep) for leaf in leaves]
    try:
        scores_KHW = predictor.probabilities(image_HW3)
    finally:
        for hook in hooks:
            hook.remove()
    if not outputs:
        return scores_KHW, np.zeros(0, np.float32)
    channels = outputs[0][0].float().flatten(1)
    features = torch.cat([channels.mean(1), channels.std(1)])
    return scores_KHW, features.cpu().numpy()
