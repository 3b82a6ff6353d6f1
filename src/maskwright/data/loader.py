"""Samples to batches: decode, fit, cache, augment, stack. The only torch file of this package.

A training item is addressed by (epoch, index), so that its random draw depends on nothing else: the same
batches come from 0, 2 or 4 workers, and every epoch differs.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from maskwright.config import Recipe
from maskwright.data.augment import augment, draw_generator
from maskwright.data.dataset import Dataset, Sample
from maskwright.files import write_through
from maskwright.geometry import Letterbox
from maskwright.types import Image, InputError, Mask

Pair = tuple[Image, Mask]
Address = tuple[int, int, int]
MASKS_TO_COUNT = 2000
Progress = Callable[[Sequence[Sample], str], Iterator[Sample]]


class Decoded:
    """Samples decoded and fitted to the working size, on every access."""

    def __init__(self, dataset: Dataset, samples: Sequence[Sample], recipe: Recipe) -> None:
        assert recipe.data.size is not None
        self.dataset, self.samples = dataset, list(samples)
        self.size_hw, self.fit = recipe.data.size, recipe.data.fit

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pair:
        sample = self.samples[index]
        box = Letterbox.fit(sample.size_hw, self.size_hw, self.fit)
        mask_HW = self.dataset.mask(sample)
        return (
            box.forward_image(self.dataset.image(sample)),
            box.forward_mask(mask_HW, self.dataset.classes.ignore),
        )


class Cached:
    """The same samples from two memory-mapped uint8 files, made on first use.

    The files' name is a hash of the working size and of every sample's content hashes, so a changed image or
    mask makes a new cache; caches that no longer fit are removed.
    """

    def __init__(self, source: Decoded, folder: Path, progress: Progress) -> None:
        self.count, self.size_hw = len(source), source.size_hw
        self.mask_dtype = source.dataset.classes.dtype
        key = _cache_key(source)
        self.images_path, self.masks_path = folder / f"{key}.images", folder / f"{key}.masks"
        if not (self.images_path.is_file() and self.masks_path.is_file()):
            _build_cache(self, source, progress)
        self._maps: tuple[NDArray[np.uint8], Mask] | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        if self._maps is None:
            self._maps = self.open_maps(self.images_path, self.masks_path, "r")
        images, masks = self._maps
        return np.array(images[index]), np.array(masks[index])

    def __getstate__(self) -> dict[str, object]:
        # A worker opens the maps itself instead of receiving their content.
        return {**self.__dict__, "_maps": None}

    def open_maps(self, images_path: Path, masks_path: Path, how: str) -> tuple[NDArray[np.uint8], Mask]:
        """Memory maps of shape (N, H, W, 3) and (N, H, W)."""
        shape = (self.count, *self.size_hw)
        images: NDArray[np.uint8] = np.memmap(images_path, np.uint8, how, shape=(*shape, 3))  # type: ignore[call-overload]
        masks: Mask = np.memmap(masks_path, self.mask_dtype, how, shape=shape)  # type: ignore[call-overload]
        return images, masks


def _cache_key(source: Decoded) -> str:
    digest = hashlib.blake2b(f"1 {source.size_hw} {source.fit}\n".encode(), digest_size=8)
    for sample in source.samples:
        digest.update(f"{sample.image_hash}{sample.mask_hash}\n".encode())
    return digest.hexdigest()


def _build_cache(cache: Cached, source: Decoded, progress: Progress) -> None:
    def fill(images_path: Path) -> None:
        def fill_masks(masks_path: Path) -> None:
            images, masks = cache.open_maps(images_path, masks_path, "w+")
            for index, _ in enumerate(progress(source.samples, "decoding once")):
                images[index], masks[index] = source[index]

        write_through(cache.masks_path, fill_masks)

    write_through(cache.images_path, fill)


def open_samples(dataset: Dataset, samples: Sequence[Sample], recipe: Recipe, progress: Progress) -> Decoded | Cached:
    """Samples at the working size, from the cache where the recipe wants it and the disk has room for it."""
    decoded = Decoded(dataset, samples, recipe)
    if not recipe.data.cache:
        return decoded
    folder = dataset.path / ".cache"
    rows, columns = decoded.size_hw
    need_bytes = len(decoded) * rows * columns * (3 + np.dtype(dataset.classes.dtype).itemsize)
    try:
        folder.mkdir(exist_ok=True)
        if need_bytes > 0.5 * shutil.disk_usage(folder).free:
            return decoded
        return Cached(decoded, folder, progress)
    except (OSError, InputError):
        # A read-only data set or a full disk: decoding every time is slower, not wrong; a bad file raises again.
        return decoded


def remove_stale_caches(dataset: Dataset, keep: Sequence[Decoded | Cached]) -> None:
    """Delete cache files of this data set that none of `keep` uses."""
    used = {path for item in keep if isinstance(item, Cached) for path in (item.images_path, item.masks_path)}
    for path in (dataset.path / ".cache").glob("*.*s"):
        if path not in used:
            path.unlink(missing_ok=True)


def count_pixels(pairs: Decoded | Cached, classes: int) -> NDArray[np.int64]:
    """Labelled pixels by class, shape (K,), at the working size, over at most 2000 masks that are evenly spaced."""
    total = np.zeros(classes, np.int64)
    for index in range(0, len(pairs), -(-len(pairs) // MASKS_TO_COUNT)):
        total += np.bincount(pairs[index][1].ravel(), minlength=classes)[:classes]
    return total


class TrainingItems(TorchDataset[tuple[Tensor, Tensor]]):
    """Augmented samples, addressed by (epoch, index, shrink): image (3, H, W) uint8, mask (H, W).

    `shrink` divides the working size; the random draw does not depend on it.
    """

    def __init__(self, pairs: Decoded | Cached, recipe: Recipe, ignore: int) -> None:
        self.pairs, self.recipe, self.ignore = pairs, recipe, ignore
        size = recipe.data.crop or recipe.data.size
        assert size is not None
        self.out_hw = size

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Address) -> tuple[Tensor, Tensor]:
        epoch, index, shrink = key
        rng = draw_generator(self.recipe.train.seed, epoch, index)
        image, mask = self.pairs[index]
        out_hw = (-(-self.out_hw[0] // shrink), -(-self.out_hw[1] // shrink))
        pair = augment(image, mask, self.recipe.augment, rng, out_hw=out_hw, ignore=self.ignore, zoom=1 / shrink)
        return _to_tensors(pair)


class PlainItems(TorchDataset[tuple[Tensor, Tensor]]):
    """Samples as they are, for validation: image (3, H, W) uint8, mask (H, W)."""

    def __init__(self, pairs: Decoded | Cached) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return _to_tensors(self.pairs[index])


class EpochSampler(Sampler[Address]):
    """Yields (epoch, index, shrink) in an order seeded by (seed, epoch).

    `set_epoch` is called by the training loop; `shrink` is asked once, when an epoch begins.
    """

    def __init__(self, count: int, seed: int, shrink: Callable[[], int] = lambda: 1) -> None:
        self.count, self.seed, self.epoch, self.shrink = count, seed, 0, shrink

    def __len__(self) -> int:
        return self.count

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Address]:
        # A stream of its own; the 1 sets it apart from sample 0's, as numpy takes (a, b) and (a, b, 0) for the same.
        order = np.random.default_rng((self.seed, self.epoch, 0, 1)).permutation(self.count)
        epoch, shrink = self.epoch, self.shrink()
        yield from ((epoch, int(index), shrink) for index in order)


def training_batches(
    pairs: Decoded | Cached, recipe: Recipe, ignore: int, shrink: Callable[[], int] = lambda: 1
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Shuffled, augmented batches; the last incomplete one of an epoch is dropped.

    `shrink` says by what the working size is divided in the epoch that begins.
    """
    items = TrainingItems(pairs, recipe, ignore)
    batch = min(recipe.train.batch, len(items))
    workers = recipe.data.workers or 0
    return DataLoader(
        items,
        batch_size=batch,
        sampler=EpochSampler(len(items), recipe.train.seed, shrink),
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=one_thread,
        pin_memory=torch.cuda.is_available(),
        # A forked copy of a process that runs threads (OpenCV, OpenMP) may hang.
        multiprocessing_context="spawn" if workers else None,
    )


def plain_batches(pairs: Decoded | Cached, recipe: Recipe) -> DataLoader[tuple[Tensor, Tensor]]:
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
