"""Risk against coverage agrees with sorting all pixels, streams, and adds up."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.metrics.selective import RiskCoverage


def pixels(seed: int, count: int = 20_000, power: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Uncertainty, nearly all of it small as that of a trained network, and whether the class is right."""
    rng = np.random.default_rng(seed)
    uncertainty = (rng.random(count) ** power).astype(np.float32)
    return uncertainty, rng.random(count) > 0.9 * uncertainty


def by_sorting(uncertainty: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coverage, risk and the area, pixel by pixel."""
    wrong = ~right[np.argsort(uncertainty, kind="stable")]
    kept = np.arange(1, len(wrong) + 1)
    risk = np.cumsum(wrong) / kept
    return kept / len(wrong), risk, float(risk.mean())


def counted(*parts: tuple[np.ndarray, np.ndarray]) -> RiskCoverage:
    found = RiskCoverage()
    for uncertainty, right in parts:
        found.add(uncertainty, right)
    return found


@pytest.mark.parametrize("power", [1.0, 6.0, 40.0])
def test_area_and_curve_are_those_of_sorting_every_pixel(power: float) -> None:
    uncertainty, right = pixels(0, power=power)
    found = counted((uncertainty, right))
    coverage, risk, area = by_sorting(uncertainty, right)
    assert found.aurc() == pytest.approx(area, rel=2e-3, abs=1e-6)
    at, curve = found.curve(50)
    assert at[-1] == 1
    assert curve == pytest.approx(np.interp(at, coverage, risk), abs=2e-3)
    assert found.risk() == curve[-1] == pytest.approx((~right).mean())


@given(
    values=st.lists(
        st.tuples(st.sampled_from([0.0, 1e-30, 1e-6, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=40
    )
)
def test_equals_count_as_the_mean_over_their_orders(values: list[tuple[float, bool]]) -> None:
    uncertainty, right = np.array([v for v, _ in values], np.float32), np.array([r for _, r in values])
    # Drawn again and again, which is slow; or each equal given the mean of its equals, which is the same.
    order = np.argsort(uncertainty, kind="stable")
    mean_wrong = np.array([(~right[uncertainty == value]).mean() for value in uncertainty])[order]
    kept = np.arange(1, len(values) + 1)
    assert counted((uncertainty, right)).aurc() == pytest.approx((np.cumsum(mean_wrong) / kept).mean(), abs=1e-9)


def test_the_mean_over_orders_is_what_random_orders_give() -> None:
    rng = np.random.default_rng(0)
    right = np.arange(60) < 45
    drawn = [by_sorting(np.zeros(60), rng.permutation(right))[2] for _ in range(4000)]
    assert counted((np.zeros(60, np.float32), right)).aurc() == pytest.approx(np.mean(drawn), abs=0.004)


def test_the_best_order_has_no_excess_and_the_worst_has_most() -> None:
    right = np.arange(1000) % 5 > 0
    best, random, worst = (
        counted((values.astype(np.float32), right)) for values in (~right * 0.5, np.full(1000, 0.3), right * 0.5)
    )
    assert best.excess() == pytest.approx(0, abs=1e-12)
    assert 0 < random.excess() < worst.excess()
    assert random.aurc() == pytest.approx(0.2)
    assert best.risk() == worst.risk() == pytest.approx(0.2)
    coverage, risk = best.curve(10)
    assert risk == pytest.approx([0] * 8 + [1 / 9, 0.2])
    assert coverage == pytest.approx(np.arange(1, 11) / 10)


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 500))
def test_parts_add_up_to_the_whole(seed: int, cut: int) -> None:
    uncertainty, right = pixels(seed, 500)
    whole = counted((uncertainty, right))
    parts = [counted((uncertainty[:cut], right[:cut])), counted((uncertainty[cut:], right[cut:]))]
    total = parts[0] + pickle.loads(pickle.dumps(parts[1]))
    assert np.array_equal(total.count, whole.count)
    assert np.array_equal(total.wrong, whole.wrong)
    assert total.aurc() == whole.aurc()


def test_it_is_written_and_read_back() -> None:
    found = counted(pixels(3, 300))
    back = RiskCoverage.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back.aurc() == found.aurc()
    assert back.to_dict() == found.to_dict()


def test_only_known_pixels_count_and_planes_may_have_any_shape() -> None:
    uncertainty, right = pixels(4, 600)
    known = np.random.default_rng(0).random(600) < 0.5
    found = RiskCoverage()
    found.add(
        uncertainty.reshape(20, 30).astype(np.float64),
        right.reshape(20, 30).astype(np.uint8),
        known_HW=known.reshape(20, 30),
    )
    assert found.to_dict() == counted((uncertainty[known], right[known])).to_dict()


def test_both_zeros_and_rounding_are_taken_as_they_are_meant() -> None:
    found = counted((np.array([-0.0, 0.0, -1e-7, 1.0, 1 + 1e-6], np.float32), np.ones(5, bool)))
    assert (found.count[0], found.count[-1]) == (3, 2)


def test_nothing_seen_is_nothing_known() -> None:
    empty = RiskCoverage()
    assert np.isnan([empty.aurc(), empty.excess(), empty.risk()]).all()
    assert [len(part) for part in empty.curve()] == [0, 0]
    one = counted((np.array([0.5], np.float32), np.array([False])))
    assert one.aurc() == one.risk() == 1
    assert one.excess() == 0


@pytest.mark.parametrize("value", [1.5, -0.5, np.nan, np.inf])
def test_what_is_no_uncertainty_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        RiskCoverage().add(np.array([0.5, value], np.float32), np.ones(2, bool))


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        RiskCoverage().add(np.zeros((2, 3), np.float32), np.zeros((3, 2), bool))
