"""Objects agree with scipy's and scikit-image's components, and sizes with the pixels they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_pairs import blobs, disc, every_pair, known_ids
from scipy import ndimage
from skimage.measure import label as components

from maskwright.imageio import read_plane
from maskwright.metrics.counts import confusion
from maskwright.metrics.objects import LEAST_PX, SIZES, count_objects
from maskwright.metrics.tally import tally_of
from maskwright.types import Mask


def size_of(area: int) -> int:
    return 0 if area < 32 * 32 else 1 if area < 96 * 96 else 2


def slow_counts(truth: Mask, guess: Mask, classes: int, least_px: int) -> tuple[np.ndarray, np.ndarray]:
    objects, pixels = np.zeros((4, 3, classes), np.int64), np.zeros((2, 3, classes), np.int64)
    label, found = known_ids(truth, guess, classes)
    for row, own, other in ((0, label, found), (2, found, label)):
        for k in range(classes):
            region, count = ndimage.label(own == k, np.ones((3, 3)))
            for index in range(1, count + 1):
                area, hit = (region == index).sum(), ((region == index) & (other == k)).sum()
                if area >= least_px:
                    objects[row, size_of(area), k] += 1
                    objects[row + 1, size_of(area), k] += 2 * hit >= area
                if row == 0:
                    pixels[:, size_of(area), k] += [area, hit]
    return objects, pixels


@every_pair
@pytest.mark.parametrize("least_px", [1, 5, LEAST_PX])
def test_objects_agree_with_scipy(truth: Mask, guess: Mask, classes: int, least_px: int) -> None:
    objects, pixels = slow_counts(truth, guess, classes, least_px)
    assert np.array_equal(count_objects(truth, guess, classes, least_px=least_px)[0], objects)
    assert np.array_equal(count_objects(truth, guess, classes)[1], pixels)


@given(seed=st.integers(0, 10_000), classes=st.integers(1, 9), sigma=st.floats(0, 4))
def test_one_pass_over_all_classes_finds_the_regions_of_scikit_image(seed: int, classes: int, sigma: float) -> None:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(60, 70, classes)), (sigma, sigma, 0))
    mask = field.argmax(-1).astype(np.uint8)
    region = components(mask, background=-1, connectivity=2)  # type: ignore[no-untyped-call]
    counts = count_objects(mask, mask, classes, least_px=1)[0]
    expected = [len(np.unique(region[mask == k])) for k in range(classes)]
    assert counts[:, :, :].sum(1).tolist() == [expected] * 4


def test_snakes_and_spirals_are_one_object_each() -> None:
    # The worst case for joining runs: each one meets its like only far away.
    comb = np.zeros((101, 200), np.uint8)
    comb[:, ::2] = 1
    comb[-1] = 1
    snake = np.zeros((101, 200), np.uint8)
    snake[::2] = 1
    snake[1::4, -1] = snake[3::4, 0] = 1
    for mask in (comb, comb[::-1], comb.T, snake, snake.T, snake[::-1, ::-1]):
        assert count_objects(mask, mask, 2)[0][0, :, 1].sum() == 1


def test_found_is_half_of_its_pixels_and_sizes_are_those_of_coco() -> None:
    truth = np.zeros((200, 300), np.uint8)
    truth[:10, :10] = 1  # small
    truth[20:52, :32] = 1  # 32 x 32 is medium
    truth[60:156, 100:196] = 1  # 96 x 96 is large
    guess = np.zeros_like(truth)
    guess[:10, :5] = 1  # exactly half: found
    guess[20:52, :15] = 1  # less than half: not found, but what is predicted is true
    guess[60:156, 100:260] = 1  # found; 96 of 160 columns are true
    counts = count_objects(truth, guess, 2)[0]
    assert SIZES == ("small", "medium", "large")
    assert counts[:, :, 1].tolist() == [[1, 1, 1], [1, 0, 1], [2, 0, 1], [2, 0, 1]]
    assert count_objects(truth, guess, 2)[1][:, :, 1].tolist() == [[100, 1024, 9216], [50, 15 * 32, 9216]]


def test_specks_count_nowhere_but_their_pixels_do() -> None:
    truth = disc((50, 60), (20, 20), 8)
    truth[45:48, 50:55] = 1  # 15 pixels
    guess = truth.copy()
    guess[2, 2] = 1
    counts, pixels = count_objects(truth, guess, 2)
    assert counts[:, :, 1].sum(1).tolist() == [1, 1, 1, 1]
    assert count_objects(truth, guess, 2, least_px=1)[0][:, :, 1].sum(1).tolist() == [2, 2, 3, 2]
    assert pixels[0, 0, 1] == (truth == 1).sum()


@given(seed=st.integers(0, 10_000))
def test_pixels_by_size_sum_to_the_tally_and_ignored_ones_are_in_none(seed: int) -> None:
    truth, guess = blobs(seed), blobs(seed + 1)
    objects, pixels = count_objects(truth, guess, 5)
    hit, labelled, _ = tally_of(confusion(truth, guess, 5))
    assert np.array_equal(pixels.sum(1), [labelled, hit])
    elsewhere = np.where(truth < 5, guess, blobs(seed + 2))
    elsewhere[(truth < 5) & (guess == 255)] = 255
    for mine, theirs in zip(count_objects(truth, elsewhere, 5), (objects, pixels), strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(count_objects(guess, truth, 5)[0], objects[[2, 3, 0, 1]])
    assert np.array_equal(count_objects(truth.T, guess.T, 5)[0], objects)


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        count_objects(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)[0]


@pytest.mark.data
def test_street_scenes_agree_with_scipy(shared_data: Path) -> None:
    for path in sorted((shared_data / "camvid" / "testannot").glob("*.png"))[::60]:
        truth = read_plane(path)
        guess = np.roll(truth, (3, 5), (0, 1))
        for mine, slow in zip(count_objects(truth, guess, 11), slow_counts(truth, guess, 11, LEAST_PX), strict=True):
            assert np.array_equal(mine, slow)
