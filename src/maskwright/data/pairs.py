"""Samples at the working size, image and mask: decoded on every access, or once into a memory-mapped cache."""

from __future__ import annotations

import hashlib
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset, Sample
from maskwright.files import hold, is_held, write_through
from maskwright.geometry import Letterbox
from maskwright.types import Image, InputError, Mask

Pair = tuple[Image, Mask]
Progress = Callable[[Sequence[Sample], str], Iterator[Sample]]


class Pairs(Protocol):
    """Images (H, W, 3) uint8 with their masks (H, W), by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pair: ...

    def mask(self, index: int) -> Mask:
        """The mask alone."""


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
        return box.forward_image(self.dataset.image(sample)), self.mask(index)

    def mask(self, index: int) -> Mask:
        """The mask alone, without decoding the image."""
        sample = self.samples[index]
        box = Letterbox.fit(sample.size_hw, self.size_hw, self.fit)
        return box.forward_mask(self.dataset.mask(sample), self.dataset.classes.ignore)


class Cached:
    """The same samples from two memory-mapped uint8 files, made on first use.

    The files' name is a hash of the working size and of every sample's content hashes, so a changed image or
    mask makes a new cache; caches that no longer fit and that no other training holds are removed.
    """

    def __init__(self, source: Decoded, folder: Path, progress: Progress) -> None:
        self.count, self.size_hw = len(source), source.size_hw
        self.mask_dtype = source.dataset.classes.dtype
        key = _cache_key(source)
        self.images_path, self.masks_path = folder / f"{key}.images", folder / f"{key}.masks"
        if not (self.images_path.is_file() and self.masks_path.is_file()):
            _build_cache(self, source, progress)
        # Until this object goes, so that no other training takes the files for stale.
        weakref.finalize(self, hold(self.images_path).close)
        self._maps: tuple[NDArray[np.uint8], Mask] | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        images, masks = self._opened()
        return np.array(images[index]), np.array(masks[index])

    def mask(self, index: int) -> Mask:
        """The mask alone; the image's pages are not touched."""
        return np.array(self._opened()[1][index])

    def __getstate__(self) -> dict[str, object]:
        # A worker opens the maps itself instead of receiving their content.
        return {**self.__dict__, "_maps": None}

    def open_maps(self, images_path: Path, masks_path: Path, how: str) -> tuple[NDArray[np.uint8], Mask]:
        """Memory maps of shape (N, H, W, 3) and (N, H, W)."""
        shape = (self.count, *self.size_hw)
        images: NDArray[np.uint8] = np.memmap(images_path, np.uint8, how, shape=(*shape, 3))  # type: ignore[call-overload]
        masks: Mask = np.memmap(masks_path, self.mask_dtype, how, shape=shape)  # type: ignore[call-overload]
        return images, masks

    def _opened(self) -> tuple[NDArray[np.uint8], Mask]:
        if self._maps is None:
            self._maps = self.open_maps(self.images_path, self.masks_path, "r")
        return self._maps


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
    """Delete cache files of this data set that none of `keep` uses, and no other training that runs now."""
    used = {item.images_path for item in keep if isinstance(item, Cached)}
    for images_path in (dataset.path / ".cache").glob("*.images"):
        if images_path not in used and not is_held(images_path):
            images_path.unlink(missing_ok=True)
            images_path.with_suffix(".masks").unlink(missing_ok=True)
