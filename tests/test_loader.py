from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import add_sample, shapes
from torch import Tensor

from maskwright.config import Recipe
from maskwright.data.augmenting.augment import draw_generator
from maskwright.data.augmenting.sampling import Balance, measure
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.loader import EpochSampler, plain_batches, training_batches
from maskwright.data.pairs import Cached, Decoded, open_samples
from maskwright.types import Classes

RECIPE = Recipe(name="t").with_values(
    data__size=(32, 48), data__workers=0, train__batch=3, augment__rotate=20, augment__brightness=0.2
)
Epoch = list[tuple[Tensor, Tensor]]


def quiet(samples: Sequence[Sample], label: str) -> Iterator[Sample]:
    assert label
    return iter(samples)


def opened(data: Dataset, recipe: Recipe = RECIPE, split: str = "train") -> Decoded | Cached:
    return open_samples(data, data.labelled(split), recipe, quiet)


def epochs(
    pairs: Decoded | Cached, recipe: Recipe, which: Sequence[int], balance: Balance | None = None
) -> list[Epoch]:
    loader = training_batches(pairs, recipe, 255, balance=balance)
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


EVERYTHING = RECIPE.with_values(
    data__sampling="balanced", data__crop=(24, 24), data__crop_focus=0.5, augment__cutmix=0.5, augment__classmix=0.5,
    augment__paste=0.8, augment__paste_classes=["disc", "box"], augment__noise=0.1, augment__elastic=0.05,
    augment__shadow=0.5, augment__jpeg=0.5, augment__blur=0.5, augment__hue=0.1,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize(
    ("workers", "recipe"), [(2, EVERYTHING), (4, RECIPE.with_values(data__cache=False))], ids=["everything", "decoded"]
)
def test_batches_are_the_same_for_any_number_of_workers(shapes_dataset: Dataset, workers: int, recipe: Recipe) -> None:
    pairs = opened(shapes_dataset, recipe)
    balance, _ = measure(pairs, recipe, shapes_dataset.classes)
    alone = epochs(pairs, recipe, (0, 1), balance)
    shared = epochs(pairs, recipe.with_values(data__workers=workers), (0, 1), balance)
    assert same(alone[0], shared[0])
    assert same(alone[1], shared[1])
    assert not same(alone[0], alone[1])


def test_a_balanced_epoch_has_its_length_and_its_weights() -> None:
    weight_N = np.array([0.1, 0.4, 3.0, 0.5, 1.0])
    sampler = EpochSampler(5, 3, weight_N=weight_N)
    seen: Counter[int] = Counter()
    for epoch in range(200):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(keys) == len(sampler) == 5
        assert len(set(keys)) == 5, "an image that comes twice is not drawn twice alike"
        assert list(sampler) == keys
        assert Counter(key[1] for key in keys)[2] == 3
        seen.update(key[1] for key in keys)
    assert np.allclose([seen[i] / 200 for i in range(5)], weight_N, atol=0.09)


def test_a_repeated_image_is_drawn_anew(shapes_dataset: Dataset) -> None:
    draws = {draw_generator(0, 4, 7, repeat).random() for repeat in range(5)}
    assert len(draws) == 5
    assert draw_generator(0, 4, 7).random() == draw_generator(0, 4, 7, 0).random()
    order = np.random.default_rng((0, 4, 0, 1)).random()
    assert order not in {draw_generator(0, 4, 0, repeat).random() for repeat in range(5)}


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
