"""Samples to batches: order, draw, stack. The only torch file of this package.

A training item is addressed by (epoch, index, shrink, repeat), so that its random draw depends on nothing else: the
same batches come from 0, 2 or 4 workers, and every epoch differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, default_collate
from torch.utils.data import Dataset as TorchDataset

from maskwright.config import Recipe
from maskwright.data.augmenting.augment import draw_generator, draw_sample
from maskwright.data.augmenting.sampling import Balance, draw_images, needs_balance
from maskwright.data.pairs import Pair, Pairs
from maskwright.types import InputError

Address = tuple[int, int, int, int]
Batch = tuple[Tensor, Tensor]
KILLED = "A loader process ended unexpectedly (out of memory, or killed by hand); set data.workers lower, or to 0."


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
        *,
        step: int = 1,
        batch: int = 1,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        assert weight_N is None or len(weight_N) == count
        assert batch % part[1] == 0, "every process takes as many"
        assert step % batch == 0
        self.drawn, self.batch, self.part = count // step * step, batch, part
        self.count, self.seed, self.epoch, self.shrink, self.weight_N = count, seed, 0, shrink, weight_N

    def __len__(self) -> int:
        return self.drawn // self.part[1]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Address]:
        # A stream of its own; the 1 sets it apart from sample 0's, as numpy takes (a, b) and (a, b, 0) for the same.
        rng = np.random.default_rng((self.seed, self.epoch, 0, 1))
        chosen = np.arange(self.count) if self.weight_N is None else draw_images(self.weight_N, rng)
        repeats = np.arange(self.count) - np.searchsorted(chosen, chosen)
        epoch, shrink = self.epoch, self.shrink()
        rank, processes = self.part
        order = rng.permutation(self.count)[: self.drawn].reshape(-1, processes, self.batch // processes)
        for place in order[:, rank].ravel():
            yield epoch, int(chosen[place]), shrink, int(repeats[place])


class Batches(DataLoader[Any]):
    """Batches of images (N, 3, H, W) uint8 and masks (N, H, W); a bad file is one InputError, as without workers."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        return _checked(super().__iter__())


def _checked(batches: Iterator[Any]) -> Iterator[Batch]:
    try:
        for batch in batches:
            if isinstance(batch, InputError):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise InputError(KILLED) from error
        raise


def training_batches(
    pairs: Pairs,
    recipe: Recipe,
    ignore: int,
    shrink: Callable[[], int] = lambda: 1,
    balance: Balance | None = None,
    *,
    part: tuple[int, int] = (0, 1),
) -> Batches:
    """Shuffled, augmented batches; what is left over after the last whole step of an epoch is dropped.

    `shrink` says by what the working size is divided in the epoch that begins. `balance` is needed where
    `needs_balance(recipe)`. `part` is (rank, number of processes) where several share every batch.
    """
    items = TrainingItems(pairs, recipe, ignore, balance)
    weight_N = balance.weight_N if balance is not None and recipe.data.sampling == "balanced" else None
    batch = batch_size(recipe, len(items))
    workers = recipe.data.workers or 0
    sampler = EpochSampler(
        len(items), recipe.train.seed, shrink, weight_N, step=batch * recipe.train.accumulate, batch=batch, part=part
    )
    return Batches(
        _Sentence(items),
        batch_size=batch // part[1],
        sampler=sampler,
        drop_last=True,
        num_workers=workers,
        collate_fn=_collate,
        # Not torch's own stream, which is dropout's: how often a loader draws from it depends on its workers.
        generator=torch.Generator(),
        persistent_workers=workers > 0,
        worker_init_fn=one_thread,
        pin_memory=torch.cuda.is_available(),
        # A forked copy of a process that runs threads (OpenCV, OpenMP) may hang.
        multiprocessing_context="spawn" if workers else None,
    )


def plain_batches(pairs: Pairs, recipe: Recipe, *, part: tuple[int, int] = (0, 1)) -> DataLoader[Batch]:
    """Batches in order, unchanged; of several processes each sees its own share of the images."""
    return DataLoader(
        PlainItems(pairs),
        batch_size=min(recipe.train.batch, len(pairs)),
        sampler=range(part[0], len(pairs), part[1]),
        num_workers=0,
    )


def batch_size(recipe: Recipe, images: int) -> int:
    """Images at a time over all processes: as many as the recipe says, where there are so many."""
    return min(recipe.train.batch, images // recipe.train.devices * recipe.train.devices)


class _Sentence(TorchDataset[Any]):
    """Items, with the InputError in the place of one that cannot be read: a worker would raise a page of text."""

    def __init__(self, items: TrainingItems) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Address) -> tuple[Tensor, Tensor] | InputError:
        try:
            return self.items[key]
        except InputError as error:
            return error


def _collate(items: list[Any]) -> Any:
    return next((item for item in items if isinstance(item, InputError)), None) or default_collate(items)


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
