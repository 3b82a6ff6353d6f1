from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from maskwright.metrics.intervals import (
    Interval,
    _student,
    bootstrap,
    holm,
    paired_difference,
    permutation_p,
    units_needed,
    units_of,
)
from maskwright.metrics.tally import MEANS, Tally, iou, tally_of

PIXELS = 10_000
# Chance of being in an image, and how much of it then, a class.
PRESENCE = np.array([1, 0.9, 0.4])
AMOUNT = np.array([3.0, 1.5, 0.0])
SKILL = np.array([2.5, 1.5, 1.0])


def drawn_set(seed: tuple[int, ...], images: int, *, models: int = 1, group: int = 1, gain: float = 0.0) -> list[Tally]:
    """The tally (N, 3, 3) of each of `models` models on the same images: clumped areas, images hard and easy.

    Images of a group are alike. Every further model is better by `gain` (log odds of a pixel being right).
    """
    rng = np.random.default_rng(seed)
    owner = np.arange(images) // group
    own, shared = (1.0, 0.0) if group == 1 else (0.3, 1.2)

    def clumped(classes: int, scale: float = 1.0) -> NDArray[np.float64]:
        common = rng.normal(0, shared * scale, (images // group + 1, classes))[owner]
        return common + rng.normal(0, own * scale, (images, classes))

    there = (rng.random((images // group + 1, 3)) < PRESENCE)[owner]
    areas = np.exp(AMOUNT + clumped(3)) * there
    labelled = rng.multinomial(PIXELS, areas / areas.sum(1, keepdims=True))
    ease = clumped(1)
    found = []
    for model in range(models):
        right = 1 / (1 + np.exp(-(SKILL + gain * model + ease + clumped(3, 0.6))))
        counted = np.zeros((images, 3, 3), np.int64)
        for k in range(3):
            counted[:, k, k] = rng.binomial(labelled[:, k], right[:, k])
            wrong = labelled[:, k] - counted[:, k, k]
            counted[:, k, (k + 1) % 3] = rng.binomial(wrong, 0.7)
            counted[:, k, (k + 2) % 3] = wrong - counted[:, k, (k + 1) % 3]
        found.append(tally_of(counted))
    return found


def pair_of(seed: tuple[int, ...], images: int, *, group: int = 1, gain: float = 0.0) -> tuple[Tally, Tally]:
    a, b = drawn_set(seed, images, models=2, group=group, gain=gain)
    return a, b


def scores(tally: Tally) -> NDArray[np.float64]:
    """IoU of the three classes, mean IoU, pixel accuracy."""
    means = np.stack([MEANS["mean_iou"](tally, None), MEANS["pixel_accuracy"](tally, None)], axis=-1)
    return np.concatenate([iou(tally), means], axis=-1)


def share(counts: NDArray[Any]) -> NDArray[np.float64]:
    """The simplest statistic: hits over trials."""
    return np.asarray(counts[:, :1] / counts[:, 1:])


def truth_of(seed: int, **options: Any) -> NDArray[np.float64]:
    totals = [tally.sum(0) for tally in drawn_set((seed,), 200_000, **options)]
    values = scores(np.stack(totals))
    return np.diff(values, axis=0)[0] if len(totals) > 1 else np.asarray(values[0])


def covers(found: Interval, truth: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (found.low_M <= truth) & (truth <= found.high_M)


def test_the_interval_covers_as_often_as_it_says() -> None:
    truth = truth_of(1)
    found = [bootstrap(drawn_set((2, r), 60)[0], scores, draws=800, seed=r) for r in range(500)]
    coverage = np.mean([covers(interval, truth) for interval in found], axis=0)
    assert (coverage >= 0.92).all(), coverage
    assert (coverage <= 0.975).all(), coverage


def test_the_interval_of_another_level_covers_so_often() -> None:
    truth = truth_of(1)
    found = [bootstrap(drawn_set((2, r), 60)[0], scores, draws=500, seed=r, level=0.8) for r in range(400)]
    coverage = np.mean([covers(interval, truth) for interval in found], axis=0)
    assert coverage == pytest.approx(0.8, abs=0.055)


def test_of_frames_of_one_place_only_the_group_interval_covers() -> None:
    truth, places = truth_of(3, group=5), units_of([f"place {n // 5}" for n in range(200)])
    images, groups = [], []
    for r in range(400):
        tally = drawn_set((4, r), 200, group=5)[0]
        images.append(covers(bootstrap(tally, scores, draws=400, seed=r), truth))
        groups.append(covers(bootstrap(tally, scores, units_N=places, draws=800, seed=r), truth))
    assert (np.mean(images, axis=0) < 0.8).all(), np.mean(images, axis=0)
    assert (np.mean(groups, axis=0) >= 0.92).all(), np.mean(groups, axis=0)
    assert (np.mean(groups, axis=0) <= 0.975).all(), np.mean(groups, axis=0)


def test_the_interval_of_a_difference_covers_as_often_as_it_says() -> None:
    truth, found = truth_of(5, models=2, gain=0.3), []
    for r in range(500):
        found.append(paired_difference(*pair_of((6, r), 60, gain=0.3), scores, draws=800, seed=r))
    coverage = np.mean([covers(interval, truth) for interval in found], axis=0)
    assert (coverage >= 0.92).all(), coverage
    assert (coverage <= 0.975).all(), coverage
    errors = np.mean([interval.error_M for interval in found], axis=0)
    assert errors == pytest.approx(np.std([interval.estimate_M for interval in found], axis=0), rel=0.12)


@pytest.mark.parametrize("group", [1, 5])
def test_equal_models_are_told_apart_as_seldom_as_they_should(group: int) -> None:
    images, sets = 40 * group, 600
    places = units_of([f"place {n // group}" for n in range(images)])
    p = [
        permutation_p(*pair_of((7, r), images, group=group), scores, units_N=places, draws=400, seed=r)
        for r in range(sets)
    ]
    slack = 3 * math.sqrt(0.05 * 0.95 / sets)
    assert np.mean(np.array(p) <= 0.05, axis=0) == pytest.approx(0.05, abs=slack)
    assert (np.mean(np.array(p) <= 0.01, axis=0) <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / sets)).all()


def test_frames_of_one_place_taken_for_images_show_differences_that_are_not_there() -> None:
    p = [permutation_p(*pair_of((7, r), 200, group=5), scores, draws=400, seed=r) for r in range(150)]
    assert (np.mean(np.array(p) <= 0.05, axis=0) > 0.12).all()


@pytest.mark.parametrize("gain", [0.2, 0.4])
def test_so_many_units_are_needed(gain: float) -> None:
    known = paired_difference(*pair_of((8,), 5000, gain=gain), scores, draws=800)
    needed = units_needed(float(known.estimate_M[3]), float(known.error_M[3]), 5000)
    assert 10 < needed < 400
    p = [permutation_p(*pair_of((9, r), needed, gain=gain), scores, draws=400, seed=r)[3] for r in range(400)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.8, abs=0.08)


def test_units_needed_by_hand() -> None:
    # (1.960 + 0.842)^2 = 7.849
    assert units_needed(0.01, 0.01, 100) == 785
    assert units_needed(-0.01, 0.01, 100) == 785
    assert units_needed(0.01, 0.01, 100, level=0.99, power=0.9) == 1488
    # Swapped in all 2^n ways, the smallest two-sided p of five units is 0.0625.
    assert units_needed(0.5, 0.01, 100) == 6
    for bad in (0.0, math.nan):
        with pytest.raises(ValueError, match="no number of units"):
            units_needed(bad, 0.01, 100)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_t_quantile_is_that_of_scipy(level: float) -> None:
    for degrees in (1, 1.5, 2, 4.2, 10, 59, 999, 1e6):
        assert _student(level, degrees) == pytest.approx(stats.t.ppf((1 + level) / 2, degrees), rel=2e-3)


def test_with_many_units_the_interval_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    trials = rng.integers(50, 150, 400)
    counts = np.stack([rng.binomial(trials, rng.beta(4, 2, 400)), trials], axis=1)
    ours = bootstrap(counts, share, draws=20_000)
    theirs = stats.bootstrap(
        (counts[:, 0], counts[:, 1]),
        lambda hit, of, axis=-1: hit.sum(axis) / of.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.estimate_M[0] == counts[:, 0].sum() / counts[:, 1].sum()
    assert ours.low_M[0] == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
    assert ours.high_M[0] == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)
    assert ours.error_M[0] == pytest.approx(theirs.standard_error, rel=0.03)


def test_the_p_value_is_that_of_all_swaps() -> None:
    a, b = pair_of((10,), 9, gain=0.8)
    seen = np.abs(scores(b.sum(0)) - scores(a.sum(0)))
    as_extreme = np.zeros(5)
    for swap in itertools.product([False, True], repeat=9):
        swapped = np.array(swap)[:, None, None]
        one, other = np.where(swapped, b, a).sum(0), np.where(swapped, a, b).sum(0)
        as_extreme += np.abs(scores(other) - scores(one)) >= seen - 1e-12
    assert permutation_p(a, b, scores, draws=20_000) == pytest.approx(as_extreme / 2**9, abs=0.012)


def test_the_p_value_does_not_mind_which_is_first() -> None:
    a, b = pair_of((11,), 30, gain=0.3)
    assert np.array_equal(permutation_p(a, b, scores), permutation_p(b, a, scores))
    one, other = paired_difference(a, b, scores), paired_difference(b, a, scores)
    assert one.estimate_M == pytest.approx(-other.estimate_M)
    assert one.low_M == pytest.approx(-other.high_M)


def test_a_model_does_not_differ_from_itself() -> None:
    a = drawn_set((12,), 30)[0]
    assert (permutation_p(a, a, scores) == 1).all()
    found = paired_difference(a, a, scores)
    for ends in (found.low_M, found.high_M, found.error_M):
        assert (ends == 0).all()


def test_the_unit_of_an_image_is_its_group_or_itself() -> None:
    assert units_of(["b", "", "a", "b", "", "a", "c"]).tolist() == [0, 1, 2, 0, 3, 2, 4]
    assert units_of([]).tolist() == []


def test_images_of_a_unit_are_resampled_together() -> None:
    counts = drawn_set((13,), 12)[0]
    places = np.array([7, 7, 2, 2, 2, 0, 9, 9, 4, 4, 5, 5])  # numbers without gaps are not needed
    summed = np.stack([counts[places == unit].sum(0) for unit in np.unique(places)])
    one, other = bootstrap(counts, scores, units_N=places), bootstrap(summed, scores)
    assert np.array_equal(one.low_M, other.low_M)
    assert np.array_equal(one.high_M, other.high_M)


@given(st.integers(0, 10**6), st.integers(1, 8))
def test_any_partition_into_units_has_the_same_estimate(seed: int, parts: int) -> None:
    counts = drawn_set((seed,), 20)[0]
    units = np.random.default_rng(seed).integers(0, parts, 20)
    whole, parted = (bootstrap(counts, scores, units_N=given, draws=20) for given in (None, units))
    assert np.array_equal(whole.estimate_M, parted.estimate_M, equal_nan=True)
    inside = ~np.isnan(parted.low_M)
    assert (parted.low_M <= parted.estimate_M)[inside].all()
    assert (parted.high_M >= parted.estimate_M)[inside].all()


def test_the_seed_decides() -> None:
    counts = drawn_set((14,), 30)[0]
    one, same, other = (bootstrap(counts, scores, draws=300, seed=seed).low_M for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_units_that_do_not_differ_leave_no_width() -> None:
    found = bootstrap(np.tile([[3, 9]], (20, 1)), share)
    assert np.stack([found.low_M, found.estimate_M, found.high_M]) == pytest.approx(1 / 3)


def with_rare_class(images: int, of_them: int) -> Tally:
    counts = drawn_set((15,), images)[0]
    rare = np.zeros((images, 3, 1), np.int64)
    rare[:of_them, :, 0] = np.random.default_rng(0).integers([[40, 60, 50]], [[50, 90, 80]], (of_them, 3))
    return np.concatenate([counts, rare], axis=2)


def test_a_class_that_is_nowhere_has_no_interval_and_hurts_no_other() -> None:
    counts = with_rare_class(40, 0)
    found, without = bootstrap(counts, scores), bootstrap(counts[..., :3], scores)
    for ends in (found.estimate_M, found.low_M, found.high_M, found.error_M):
        assert math.isnan(ends[3])
    assert np.array_equal(np.delete(found.low_M, 3), without.low_M)
    p = permutation_p(counts, counts, scores)
    assert math.isnan(p[3])
    assert not np.isnan(np.delete(p, 3)).any()


def test_a_class_of_one_image_has_a_score_and_no_interval() -> None:
    found = bootstrap(with_rare_class(40, 1), scores)
    assert found.estimate_M[3] > 0
    assert math.isnan(found.low_M[3])
    assert math.isnan(found.high_M[3])
    assert math.isnan(found.error_M[3])
    assert not np.isnan(found.low_M[4])  # the mean has one


def test_a_class_of_two_images_is_judged_by_the_draws_that_have_it() -> None:
    counts = with_rare_class(40, 2)
    low, high = sorted(iou(counts[:2])[:, 3])
    found = bootstrap(counts, scores)
    assert low <= found.low_M[3] < found.estimate_M[3] < found.high_M[3] <= high


@pytest.mark.parametrize("images", [0, 1])
def test_one_image_tells_nothing_about_others(images: int) -> None:
    counts = drawn_set((16,), 5)[0][:images]
    found = bootstrap(counts, scores)
    assert np.isnan(found.low_M).all()
    assert np.isnan(found.high_M).all()
    assert np.isnan(found.estimate_M).all() == (images == 0)
    together = bootstrap(drawn_set((16,), 5)[0], scores, units_N=units_of(["all"] * 5))
    assert np.isnan(together.low_M).all()
    assert not np.isnan(together.estimate_M).any()
    p = permutation_p(counts, counts * 2, scores)
    assert np.isnan(p).all() if images == 0 else ((p == 1) | np.isnan(p)).all()


def test_two_images_give_a_wide_interval() -> None:
    counts = np.array([[1, 10], [9, 10]])
    found = bootstrap(counts, share)
    assert (found.low_M[0], found.high_M[0]) == (0.1, 0.9)


def slow_holm(p: list[float]) -> list[float]:
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, value * (len(known) - rank))
        adjusted[place] = min(1.0, largest)
    return adjusted


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12))
def test_holm_is_that_of_a_slow_loop(p: list[float]) -> None:
    assert np.array_equal(holm(np.array(p)), np.array(slow_holm(p)), equal_nan=True)


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, np.nan, 0.03])) == pytest.approx([0.03, 0.06, np.nan, 0.06], nan_ok=True)


@pytest.mark.parametrize("test", [bootstrap, permutation_p])
def test_memory_does_not_grow_with_the_draws(test: Callable[..., Any]) -> None:
    counts = np.random.default_rng(0).integers(1, 1000, (500, 3, 12))
    arguments = (counts, counts[::-1]) if test is permutation_p else (counts,)
    peaks = []
    for draws in (4_000, 16_000):
        tracemalloc.start()
        test(*arguments, lambda tally: iou(tally)[..., :1], draws=draws)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
    assert peaks[1] < 64 * 2**20
