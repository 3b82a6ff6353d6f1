from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import add_sample, shapes, write_shapes
from torch import Tensor

from maskwright.config import Recipe
from maskwright.data.augment import draw_generator
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.loader import (
    Cached,
    Decoded,
    EpochSampler,
    count_pixels,
    open_samples,
    plain_batches,
    remove_stale_caches,
    training_batches,
)
from maskwright.imageio import write_mask
from maskwright.types import Classes, InputError

RECIPE = Recipe(name="t").with_values(
    data__size=(32, 48), data__workers=0, train__batch=3, augment__rotate=20, augment__brightness=0.2
)
Epoch = list[tuple[Tensor, Tensor]]


def quiet(samples: Sequence[Sample], label: str) -> Iterator[Sample]:
    assert label
    return iter(samples)


def opened(data: Dataset, recipe: Recipe = RECIPE, split: str = "train") -> Decoded | Cached:
    return open_samples(data, data.labelled(split), recipe, quiet)


def epochs(pairs: Decoded | Cached, recipe: Recipe, which: Sequence[int]) -> list[Epoch]:
    loader = training_batches(pairs, recipe, 255)
    found: list[Epoch] = []
    for epoch in which:
        assert isinstance(loader.sampler, EpochSampler)
        loader.sampler.set_epoch(epoch)
        found.append([(image.clone(), mask.clone()) for image, mask in loader])
    return found


def same(first: Epoch, second: Epoch) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("cache", [True, False])
def test_epochs_differ_and_repeat(shapes_dataset: Dataset, cache: bool) -> None:
    pairs = opened(shapes_dataset, RECIPE.with_values(data__cache=cache))
    first, second, again = epochs(pairs, RECIPE, (0, 1, 0))
    assert same(first, again)
    assert not same(first, second)
    assert not same(first, epochs(pairs, RECIPE.with_values(train__seed=1), (0,))[0])
    order = [first[0][1].flatten(1).sum(1).tolist(), second[0][1].flatten(1).sum(1).tolist()]
    assert order[0] != order[1]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize(("workers", "cache"), [(2, True), (4, False)])
def test_batches_are_the_same_for_any_number_of_workers(shapes_dataset: Dataset, workers: int, cache: bool) -> None:
    recipe = RECIPE.with_values(data__cache=cache)
    pairs = opened(shapes_dataset, recipe)
    alone = epochs(pairs, recipe, (0, 1))
    shared = epochs(pairs, recipe.with_values(data__workers=workers), (0, 1))
    assert same(alone[0], shared[0])
    assert same(alone[1], shared[1])


def test_an_incomplete_batch_is_dropped_and_a_small_set_makes_one(shapes_dataset: Dataset) -> None:
    pairs = opened(shapes_dataset)
    batches = epochs(pairs, RECIPE, (0,))[0]
    assert [image.shape for image, _ in batches] == [torch.Size((3, 3, 32, 48))] * 2, "8 samples, batches of 3"
    assert [mask.shape for _, mask in batches] == [torch.Size((3, 32, 48))] * 2
    assert {image.dtype for image, _ in batches} == {torch.uint8}
    few = opened(shapes_dataset, split="val")
    assert [len(image) for image, _ in epochs(few, RECIPE, (0,))[0]] == [2], "2 samples fill no batch of 3"


def test_every_sample_comes_once_an_epoch() -> None:
    sampler = EpochSampler(50, seed=7)
    seen = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert {key[0] for key in keys} == {epoch}
        assert sorted(key[1] for key in keys) == list(range(50))
        seen.append([key[1] for key in keys])
    assert seen[0] != seen[1]


def test_the_order_has_a_random_stream_of_its_own() -> None:
    for index in range(3):
        order = [key[1] for key in EpochSampler(40, seed=0)]
        assert order != draw_generator(0, 0, index).permutation(40).tolist()


def test_an_epoch_may_shrink_what_the_network_sees(shapes_dataset: Dataset) -> None:
    recipe = Recipe.load("default", ["data.size=[32, 41]", "data.cache=false", "train.batch=2", "augment={flip: 0}"])
    pairs = opened(shapes_dataset, recipe)
    whole, half = (next(iter(training_batches(pairs, recipe, 255, lambda s=s: s))) for s in (1, 2))  # type: ignore[misc]
    assert whole[0].shape == (2, 3, 32, 41)
    assert half[0].shape == (2, 3, 16, 21)
    assert half[1].shape == (2, 16, 21)
    small = whole[0][:, :, :, :40].float().reshape(2, 3, 16, 2, 20, 2).mean(dim=(3, 5))
    assert (half[0][:, :, :, :20].float() - small).abs().mean() < 12, "the same view, half as large"


def test_crops_are_what_the_network_sees(shapes_dataset: Dataset) -> None:
    recipe = RECIPE.with_values(data__crop=(16, 20))
    image, mask = epochs(opened(shapes_dataset), recipe, (0,))[0][0]
    assert image.shape == (3, 3, 16, 20)
    assert mask.shape == (3, 16, 20)


def test_plain_batches_are_in_order_and_unchanged(shapes_dataset: Dataset) -> None:
    pairs = opened(shapes_dataset)
    images = torch.cat([image for image, _ in plain_batches(pairs, RECIPE)])
    masks = torch.cat([mask for _, mask in plain_batches(pairs, RECIPE)])
    assert len(images) == 8
    for index in range(8):
        image, mask = pairs[index]
        assert np.array_equal(images[index].permute(1, 2, 0).numpy(), image)
        assert np.array_equal(masks[index].numpy(), mask)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_the_cache_equals_direct_decoding(shapes_dataset: Dataset, fit: str) -> None:
    recipe = RECIPE.with_values(data__fit=fit)
    cached, direct = opened(shapes_dataset, recipe), opened(shapes_dataset, recipe.with_values(data__cache=False))
    assert isinstance(cached, Cached)
    assert isinstance(direct, Decoded)
    for index in range(8):
        for one, other in zip(cached[index], direct[index], strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


def cache_files(data: Dataset) -> set[str]:
    return {path.name for path in (data.path / ".cache").iterdir()}


def test_a_changed_mask_makes_a_new_cache_and_the_stale_one_goes(shapes_dataset: Dataset) -> None:
    old = opened(shapes_dataset)
    before = cache_files(shapes_dataset)
    assert len(before) == 2
    assert isinstance(opened(shapes_dataset), Cached)
    assert cache_files(shapes_dataset) == before, "an unchanged data set uses the cache it has"
    sample = shapes_dataset.labelled("train")[0]
    path = shapes_dataset.path / sample.mask
    write_mask(path, np.full(sample.size_hw, 2, np.uint8), shapes_dataset.classes)
    os.utime(path, (path.stat().st_mtime + 5,) * 2)
    data, _ = shapes_dataset.refresh()
    new, val = opened(data), opened(data, split="val")
    assert not np.array_equal(new[0][1], old[0][1])
    assert (new[0][1] != 1).all()
    assert len(cache_files(data)) == 6
    remove_stale_caches(data, [new, val])
    assert len(cache_files(data)) == 4
    assert not cache_files(data) & before


@pytest.mark.parametrize("key", ["data__size", "data__fit"])
def test_another_working_size_makes_another_cache(shapes_dataset: Dataset, key: str) -> None:
    opened(shapes_dataset)
    opened(shapes_dataset, RECIPE.with_values(**{key: (16, 16) if key == "data__size" else "stretch"}))
    assert len(cache_files(shapes_dataset)) == 4


def test_a_read_only_data_set_is_decoded_every_time(shapes_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        assert isinstance(opened(shapes_dataset), Decoded)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        assert isinstance(opened(shapes_dataset), Decoded)
    assert cache_files(shapes_dataset) == set(), "nothing half-written stays"
    assert isinstance(opened(shapes_dataset), Cached)


def test_a_nearly_full_disk_gets_no_cache(shapes_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert isinstance(opened(shapes_dataset), Decoded)
    assert cache_files(shapes_dataset) == set()


@pytest.mark.parametrize("cache", [True, False])
def test_a_broken_file_is_named_and_leaves_no_half_cache(shapes_dataset: Dataset, cache: bool) -> None:
    victim = shapes_dataset.labelled("train")[2]
    path = shapes_dataset.path / victim.image
    path.write_bytes(path.read_bytes()[:100])
    pairs = opened(shapes_dataset, RECIPE.with_values(data__cache=cache))
    with pytest.raises(InputError, match="truncated") as caught:
        list(plain_batches(pairs, RECIPE))
    assert str(path) in str(caught.value)
    assert not cache or cache_files(shapes_dataset) == set()


def test_pixels_are_counted_by_class_without_ignore(shapes_dataset: Dataset) -> None:
    pairs = opened(shapes_dataset)
    counts = count_pixels(pairs, 3)
    masks = np.stack([pairs[index][1] for index in range(8)])
    assert counts.tolist() == [int((masks == k).sum()) for k in range(3)]
    assert counts.sum() < masks.size


def test_ids_beyond_8_bits_reach_the_batches(tmp_path: Path) -> None:
    classes = Classes.from_names([f"c{i}" for i in range(300)])
    image, mask = shapes(0, ignored=False)
    wide = mask.astype(np.uint16) * 140
    wide[0] = 65535
    sample = add_sample(tmp_path, "a", image, wide, classes=classes)
    data = Dataset.create(tmp_path, classes, [sample], {})
    recipe = RECIPE.with_values(data__size=(48, 64))
    for _, batch in plain_batches(opened(data, recipe), recipe):
        assert set(batch.unique().tolist()) == {0, 140, 280, 65535}


def test_samples_keep_their_order_in_a_larger_set(tmp_path: Path) -> None:
    data = write_shapes(tmp_path, {"train": 5, "val": 1})
    pairs = opened(data)
    assert len(pairs) == 5
    with pytest.raises(InputError, match="no labelled images in split 'test'"):
        opened(data, split="test")
