"""How unsure a prediction is, pixel by pixel: from one set of probabilities, or from several that should agree.

Of one: entropy (Shannon 1948), margin between the two best classes (Scheffer et al. 2001), 1 - the highest
probability (Hendrycks and Gimpel, ICLR 2017). Of several: the variance of their probabilities and the mutual
information of class and member (Houlsby et al. 2011). Several come from views of the photo (Wang et al.,
Neurocomputing 2019), from dropout (Gal and Ghahramani, ICML 2016), or from runs that differ in their seed
(Lakshminarayanan et al., NeurIPS 2017). All lie between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskwright.infer.predictor import Predictor
from maskwright.types import Image

Scores = NDArray[np.float32]
Plane = NDArray[np.float32]

SCALES = (0.75, 1.25)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def shares(scores_KHW: Scores) -> Scores:
    """Probabilities that sum to 1; a sigmoid a class does not."""
    total_HW = scores_KHW.sum(0)
    return np.asarray(scores_KHW / np.maximum(total_HW, np.float32(1e-12)))


def entropy(shares_KHW: Scores) -> Plane:
    """-sum p log p, as a share of the largest possible, log K."""
    logs = np.log(np.maximum(shares_KHW, np.float32(1e-12)))
    return _plane(-np.einsum("khw,khw->hw", shares_KHW, logs) / np.log(max(2, len(shares_KHW))))


def margin(shares_KHW: Scores) -> Plane:
    """1 - (highest probability - second highest)."""
    if len(shares_KHW) < 2:
        return np.zeros(shares_KHW.shape[1:], np.float32)
    two = np.partition(shares_KHW, -2, axis=0)[-2:]
    return _plane(1 - (two[1] - two[0]))


def least_confidence(shares_KHW: Scores) -> Plane:
    """1 - highest probability."""
    return _plane(1 - shares_KHW.max(0))


# Of one set of probabilities that sum to 1.
SINGLE: dict[str, Callable[[Scores], Plane]] = {
    "entropy": entropy,
    "margin": margin,
    "confidence": least_confidence,
}


class Members:
    """Several predictions of one image, added up as they come: their mean, how they vary, what they disagree on."""

    def __init__(self, shape_KHW: tuple[int, ...]) -> None:
        self.count = 0
        self.sum_KHW = np.zeros(shape_KHW)
        self.squares_HW, self.entropy_HW = np.zeros(shape_KHW[1:]), np.zeros(shape_KHW[1:])

    def add(self, shares_KHW: Scores) -> None:
        """Take in one member's probabilities (K, H, W), which sum to 1."""
        self.sum_KHW += shares_KHW
        self.squares_HW += np.einsum("khw,khw->hw", shares_KHW, shares_KHW)
        self.entropy_HW += entropy(shares_KHW)
        self.count += 1

    def mean(self) -> Scores:
        """The mean of all members, (K, H, W)."""
        return (self.sum_KHW / self.count).astype(np.float32)

    def variance(self) -> Plane:
        """Variance over members, summed over classes: 0 where all agree, below 1 always."""
        mean = self.sum_KHW / self.count
        return _plane(self.squares_HW / self.count - np.einsum("khw,khw->hw", mean, mean))

    def information(self) -> Plane:
        """Entropy of the mean less the mean entropy, as a share of log K: what knowing the member would tell."""
        return _plane(entropy(self.mean()) - self.entropy_HW / self.count)


def views(predictor: Predictor, image_HW3: Image, flips: Sequence[str]) -> Iterator[Scores]:
    """Probabilities of an image seen flipped and at two other working sizes, each back in its place.

    `flips`: 'horizontal', 'vertical'; those that the training used make sense. The view as it is is not among them.
    """
    for flip in flips:
        axis = {"horizontal": 1, "vertical": 0}[flip]
        flipped = np.ascontiguousarray(np.flip(image_HW3, axis))
        yield np.flip(shares(predictor.probabilities(flipped)), axis + 1)
    for scale in SCALES:
        scaled = copy(predictor)  # shares the network; the predictor given stays as it is
        rows, columns = (max(1, round(side * scale)) for side in predictor.size_hw)
        scaled.size_hw = (rows, columns)
        yield shares(scaled.probabilities(image_HW3))


def dropped(predictor: Predictor, image_HW3: Image, passes: int, seed: Sequence[int]) -> Iterator[Scores]:
    """Probabilities of an image with dropout at work, `passes` times; the draws follow from `seed` alone."""
    for number in range(passes):
        with dropping(predictor, (*seed, number)):
            scores_KHW = predictor.probabilities(image_HW3)
        yield shares(scores_KHW)


def dropout_layers(network: nn.Module) -> list[nn.Module]:
    """Layers that drop something."""
    return [module for module in network.modules() if isinstance(module, DROPOUTS) and module.p > 0]


@contextmanager
def dropping(predictor: Predictor, seed: Sequence[int]) -> Iterator[None]:
    """Dropout at work, everything else at rest (batch norm keeps its statistics); before and after, all rests.

    torch's random state is what it was afterwards.
    """
    layers = dropout_layers(predictor.network)
    number = int(np.random.SeedSequence(tuple(seed)).generate_state(1)[0])
    devices = [predictor.device] if predictor.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(number)
        if devices:
            torch.cuda.manual_seed(number)
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            for layer in layers:
                layer.eval()


def _plane(values_HW: NDArray[Any]) -> Plane:
    # Rounding may step over the edges.
    return np.asarray(np.clip(values_HW, 0, 1), np.float32)
