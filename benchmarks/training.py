"""Training end to end, decoding included: ours against the plain way, in one run on the same machine.

    python benchmarks/training.py DATASET --steps 300 --seeds 3

The plain way: PIL decodes and resizes, numpy flips and scales to float, PyTorch trains in fp32 NCHW with Adam.
Both train the same U-Net (16 channels at the first level, 1.9 M parameters) at 256x256 with batches of 4 and
flips, for the same number of steps, in alternating blocks; both are then scored by the same code.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import chain, count

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from maskwright.config import Recipe
from maskwright.console import track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.loader import training_batches
from maskwright.data.pairs import open_samples
from maskwright.losses import build_loss
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.models import Network, build
from maskwright.training.task import update_average

BLOCK = 20
SIDE = 256
RECIPE = [
    f"data.size=[{SIDE}, {SIDE}]",
    "data.fit=stretch",
    "data.workers=0",
    "model.width=16",
    "augment={flip: 0.5}",
    "train.batch=4",
    "loss.name=cross_entropy",
]
Batch = tuple[Tensor, Tensor]


class PlainItems(TorchDataset[Batch]):
    """Decode, resize, flip and scale with PIL and numpy, every time."""

    def __init__(self, data: Dataset, samples: list[Sample], seed: int) -> None:
        self.data, self.samples, self.rng = data, samples, np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Batch:
        sample = self.samples[index]
        image = Image.open(self.data.path / sample.image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        mask = Image.open(self.data.path / sample.mask).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        pixels, ids = np.asarray(image, np.float32), np.asarray(mask, np.int64)
        if self.rng.random() < 0.5:
            pixels, ids = pixels[:, ::-1], ids[:, ::-1]
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), torch.from_numpy(ids.copy())


def endless(loader: DataLoader[Batch]) -> Iterator[Batch]:
    def epoch(number: int) -> Iterator[Batch]:
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(number)
        return iter(loader)

    return chain.from_iterable(epoch(number) for number in count())


class Plain:
    """fp32, NCHW, Adam, PIL and numpy."""

    def __init__(self, data: Dataset, samples: list[Sample], recipe: Recipe, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = build(recipe.model, len(data.classes))
        self.scored: nn.Module = self.network
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.optim.lr)
        items = PlainItems(data, samples, seed)
        self.batches = endless(DataLoader(items, batch_size=4, shuffle=True, drop_last=True))
        self.ignore = data.classes.ignore

    def step(self, progress: float) -> None:
        image, target = next(self.batches)
        loss = F.cross_entropy(self.network(image), target, ignore_index=self.ignore)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


class Ours:
    """What `maskwright train` does in a step: cached uint8 samples, bf16 where fast, channels last, averaging."""

    def __init__(self, data: Dataset, samples: list[Sample], recipe: Recipe, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = build(recipe.model, len(data.classes)).to(memory_format=torch.channels_last)
        self.scored: nn.Module = build(recipe.model, len(data.classes)).to(memory_format=torch.channels_last)
        self.scored.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.optim.lr)
        self.loss = build_loss(recipe.loss, data.classes)
        pairs = open_samples(data, samples, recipe, track)
        self.batches = endless(training_batches(pairs, recipe, data.classes.ignore))
        self.steps = 0

    def step(self, progress: float) -> None:
        image, target = next(self.batches)
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.loss(self.network(image), target)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.steps += 1
        update_average(self.scored, self.network, min(0.99, (1 + self.steps) / (10 + self.steps)))


def score(network: nn.Module, data: Dataset, samples: list[Sample], recipe: Recipe) -> float:
    assert isinstance(network, Network)
    network.eval()
    pairs = open_samples(data, samples, recipe, track)
    total = np.zeros((len(data.classes),) * 2, np.int64)
    with torch.inference_mode():
        for index in range(len(pairs)):
            image, mask = pairs[index]
            ids = network(torch.from_numpy(image).permute(2, 0, 1)[None]).max(dim=1).indices[0]
            total += confusion(mask, ids.numpy().astype(mask.dtype), len(data.classes))
    return mean_iou(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = Dataset.open(options.dataset)
    train, val = data.labelled("train"), data.labelled("val")
    speeds: dict[str, list[float]] = {"plain": [], "ours": []}
    scores: dict[str, list[float]] = {"plain": [], "ours": []}
    for seed in range(options.seeds):
        recipe = Recipe.load("default", [*RECIPE, f"train.seed={seed}"])
        sides: dict[str, Plain | Ours] = {
            "plain": Plain(data, train, recipe, seed),
            "ours": Ours(data, train, recipe, seed),
        }
        for begin in range(0, options.steps, BLOCK):
            for name, side in sides.items():
                began = time.perf_counter()
                for step in range(begin, min(begin + BLOCK, options.steps)):
                    side.step(step / options.steps)
                speeds[name].append(4 * BLOCK / (time.perf_counter() - began))
        for name, side in sides.items():
            scores[name].append(score(side.scored, data, val, recipe))
        print(f"seed {seed}: val mean IoU plain {scores['plain'][-1]:.4f}, ours {scores['ours'][-1]:.4f}", flush=True)
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    for name, value in medians.items():
        mean, spread = np.mean(scores[name]), np.std(scores[name])
        print(f"{name:6} {value:6.2f} images/s   val mean IoU {mean:.4f} +- {spread:.4f}")
    print(f"ratio  {medians['ours'] / medians['plain']:6.2f}")


if __name__ == "__main__":
    main()
