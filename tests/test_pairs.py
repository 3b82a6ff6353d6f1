from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from drawing import write_shapes

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.pairs import Cached, Decoded, open_samples, remove_stale_caches
from maskwright.imageio import write_mask
from maskwright.types import InputError

RECIPE = Recipe(name="t").with_values(data__size=(32, 48))


def quiet(samples: Sequence[Sample], label: str) -> Iterator[Sample]:
    assert label
    return iter(samples)


def opened(data: Dataset, recipe: Recipe = RECIPE, split: str = "train") -> Decoded | Cached:
    return open_samples(data, data.labelled(split), recipe, quiet)


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
    assert len(cache_files(data)) == 6, "another training may be using it"
    del old
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
        [pairs[index] for index in range(len(pairs))]
    assert str(path) in str(caught.value)
    assert not cache or cache_files(shapes_dataset) == set()


@pytest.mark.parametrize("cache", [True, False])
def test_the_mask_alone_is_the_mask_of_the_pair(shapes_dataset: Dataset, cache: bool) -> None:
    pairs = opened(shapes_dataset, RECIPE.with_values(data__cache=cache))
    for index in range(len(pairs)):
        assert np.array_equal(pairs.mask(index), pairs[index][1])


def test_samples_keep_their_order_in_a_larger_set(tmp_path: Path) -> None:
    data = write_shapes(tmp_path, {"train": 5, "val": 1})
    pairs = opened(data)
    assert len(pairs) == 5
    with pytest.raises(InputError, match="no labelled images in split 'test'"):
        opened(data, split="test")
