"""Samples to batches: order, draw, stack. The only torch file of this package.

A training item is addressed by (epoch, index, shrink, repeat), so that its random draw depends on nothing else: the
same batches come from 0, 2 or 4 workers, and every epoch differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from maskwright.config import Recipe
from maskwright.data.augment import draw_generator, draw_sample
from maskwright.data.pairs import Pair, Pairs
from maskwright.data.sampling import Balance, draw_images, needs_balance

Address = tuple[int, int, int, int]


class TrainingItems(TorchDataset[tuple[Tensor, Tensor]]):
    """Augmented samples, addressed by (epoch, index, shrink, repeat): image (3, H, W) uint8, mask (H, W).

    `shrink` divides the working size; the random draw does not depend on it. `repeat` counts how often the image
    came before in the epoch, so that it never comes twice with the same draw.
    """

    def __init__(self, pairs: Pairs, recipe: Recipe, ignore: int, balance: Balance | None = None) -> None:
        assert balance is not None or not needs_balance(recipe)
        self.pairs, self.recipe, self.ignore, self.balance = pairs, recipe, ignore, balance

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Address) -> tuple[Tensor, Tensor]:
        epoch, index, shrink, repeat = key
        rng = draw_generator(self.recipe.train.seed, epoch, index, repeat)
        pair = draw_sample(self.pairs, index, self.recipe, rng, ignore=self.ignore, balance=self.balance, shrink=shrink)
        return _to_tensors(pair)


class PlainItems(TorchDataset[tuple[Tensor, Tensor]]):
    """Samples as they are, for validation: image (3, H, W) uint8, mask (H, W)."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return _to_tensors(self.pairs[index])


class EpochSampler(Sampler[Address]):
    """Yields (epoch, index, shrink, repeat) in an order seeded by (seed, epoch).

    Without `weight_N` every index comes once an epoch; with it, index i comes weight_i times on average (mean 1),
    and an epoch is as long as without. `set_epoch` is called by the training loop; `shrink` is asked once, when an
    epoch begins.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        shrink: Callable[[], int] = lambda: 1,
        weight_N: NDArray[np.float64] | None = None,
    ) -> None:
        assert weight_N is None or len(weight_N) == count
        self.count, self.seed, self.epoch, self.shrink, self.weight_N = count, seed, 0, shrink, weight_N

    def __len__(self) -> int:
        return self.count

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Address]:
        # A stream of its own; the 1 sets it apart from sample 0's, as numpy takes (a, b) and (a, b, 0) for the same.
        rng = np.random.default_rng((self.seed, self.epoch, 0, 1))
        chosen = np.arange(self.count) if self.weight_N is None else draw_images(self.weight_N, rng)
        repeats = np.arange(self.count) - np.searchsorted(chosen, chosen)
        epoch, shrink = self.epoch, self.shrink()
        for place in rng.permutation(self.count):
            yield epoch, int(chosen[place]), shrink, int(repeats[place])


def training_batches(
    pairs: Pairs,
    recipe: Recipe,
    ignore: int,
    shrink: Callable[[], int] = lambda: 1,
    balance: Balance | None = None,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Shuffled, augmented batches; the last incomplete one of an epoch is dropped.

    `shrink` says by what the working size is divided in the epoch that begins. `balance` is needed where
    `needs_balance(recipe)`.
    """
    items = TrainingItems(pairs, recipe, ignore, balance)
    weight_N = balance.weight_N if balance is not None and recipe.data.sampling == "balanced" else None
    batch = min(recipe.train.batch, len(items))
    workers = recipe.data.workers or 0
    return DataLoader(
        items,
        batch_size=batch,
        sampler=EpochSampler(len(items), recipe.train.seed, shrink, weight_N),
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=one_thread,
        pin_memory=torch.cuda.is_available(),
        # A forked copy of a process that runs threads (OpenCV, OpenMP) may hang.
        multiprocessing_context="spawn" if workers else None,
    )


def plain_batches(pairs: Pairs, recipe: Recipe) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches in order, unchanged."""
    return DataLoader(PlainItems(pairs), batch_size=min(recipe.train.batch, len(pairs)), num_workers=0)


def one_thread(_: int) -> None:
    """Loader processes share the cores with the training: one thread each."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _to_tensors(pair: Pair) -> tuple[Tensor, Tensor]:
    image_HW3, mask_HW = pair
    # torch can hardly compute on uint16; ids beyond 254 classes travel as int32.
    plane = mask_HW if mask_HW.dtype == np.uint8 else mask_HW.astype(np.int32)
    image = torch.from_numpy(np.ascontiguousarray(image_HW3)).permute(2, 0, 1)
    return image, torch.from_numpy(np.ascontiguousarray(plane))
