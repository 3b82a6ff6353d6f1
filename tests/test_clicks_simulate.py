"""The simulated person: clicks where the error is widest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from maskwright.data.clicks.simulate import Click, depth_of, next_click

Flags = NDArray[np.bool_]
PLANES = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda hw: st.tuples(*[arrays(np.bool_, hw) for _ in range(3)])
)


def slow_depth(region_HW: Flags) -> NDArray[np.float64]:
    """By the definition: the nearest pixel outside, with a frame of outside pixels around the image."""
    rows, columns = region_HW.shape
    outside = [
        (row, column)
        for row in range(-1, rows + 1)
        for column in range(-1, columns + 1)
        if not (0 <= row < rows and 0 <= column < columns and region_HW[row, column])
    ]
    depth = np.zeros(region_HW.shape)
    for row, column in np.argwhere(region_HW):
        depth[row, column] = min(np.hypot(row - r, column - c) for r, c in outside)
    return depth


def slow_click(truth_HW: Flags, guess_HW: Flags, ignore_HW: Flags) -> Click | None:
    missed, extra = (slow_depth(side & ~ignore_HW) for side in (truth_HW & ~guess_HW, guess_HW & ~truth_HW))
    if not max(missed.max(), extra.max()):
        return None
    positive = missed.max() > extra.max() + 1e-6
    depth = missed if positive else extra
    row, column = np.argwhere(depth > depth.max() - 1e-6)[0]
    return Click(column + 0.5, row + 0.5, bool(positive))


@given(PLANES)
def test_it_is_the_pixel_that_the_definition_names(planes: tuple[Flags, Flags, Flags]) -> None:
    truth, guess, ignore = planes
    assert next_click(truth, guess, ignore_HW=ignore) == slow_click(truth, guess, ignore)


@given(PLANES, st.integers(0, 1000))
def test_every_click_is_in_an_error_region_and_says_which(planes: tuple[Flags, Flags, Flags], seed: int) -> None:
    truth, guess, ignore = planes
    for jitter in (None, np.random.default_rng(seed)):
        click = next_click(truth, guess, ignore_HW=ignore, jitter=jitter)
        wrong = (truth != guess) & ~ignore
        assert (click is None) == (not wrong.any())
        if click is not None:
            row, column = int(click.y), int(click.x)
            assert (click.x % 1, click.y % 1) == (0.5, 0.5)
            assert wrong[row, column]
            assert truth[row, column] == click.positive


@given(PLANES)
def test_no_pixel_is_clicked_twice_and_then_there_is_nothing_left(planes: tuple[Flags, Flags, Flags]) -> None:
    truth, guess, ignore = planes
    clicked: list[tuple[float, float]] = []
    while click := next_click(truth, guess, ignore_HW=ignore, clicked=clicked):
        assert (click.x, click.y) not in clicked
        clicked.append((click.x, click.y))
    assert len(clicked) == np.count_nonzero((truth != guess) & ~ignore)


def test_the_widest_error_wins_not_the_one_with_most_pixels() -> None:
    truth, guess = np.zeros((2, 30, 60), np.bool_)
    truth[2:4] = True  # 120 pixels, but only two rows
    guess[10:19, 10:19] = True  # 81 pixels
    assert next_click(truth, guess) == (14.5, 14.5, False)


def test_the_border_of_the_image_is_a_border() -> None:
    truth = np.zeros((21, 21), np.bool_)
    truth[:9, :9] = True
    assert next_click(truth, np.zeros_like(truth)) == (4.5, 4.5, True)
    assert depth_of(truth)[0, 0] == 1


def test_ignored_pixels_are_no_error() -> None:
    truth, ignore = np.zeros((2, 20, 40), np.bool_)
    truth[5:15, 5:15] = truth[8:12, 25:29] = True
    ignore[:, :20] = True
    click = next_click(truth, np.zeros_like(truth), ignore_HW=ignore)
    assert click is not None
    assert click.x > 25
    assert next_click(truth, truth) is None


def test_an_unsteady_hand_stays_in_the_region_and_prefers_its_middle() -> None:
    truth = np.zeros((40, 60), np.bool_)
    truth[10:31, 10:31] = True
    truth[10:15, 45:50] = True  # smaller, and not connected
    rng = np.random.default_rng(0)
    found = [next_click(truth, np.zeros_like(truth), jitter=rng) for _ in range(400)]
    x, y = np.array([(click.x, click.y) for click in found if click is not None]).T
    assert ((x > 10) & (x < 31) & (y > 10) & (y < 31)).all()
    assert len(set(zip(x, y, strict=True))) > 100
    # Distances to the border squared: 11 is the largest, so the outermost ring has 1/121 of the middle's weight.
    depth = 11 - np.maximum(np.abs(x - 20.5), np.abs(y - 20.5))
    expected = sum(ring**3 * max(1, 8 * (11 - ring)) for ring in range(1, 12)) / sum(
        ring**2 * max(1, 8 * (11 - ring)) for ring in range(1, 12)
    )
    assert depth.mean() == pytest.approx(expected, abs=0.3)


def test_the_same_seed_is_the_same_click_and_sizes_must_agree() -> None:
    truth = np.ones((30, 30), np.bool_)
    first, second = (next_click(truth, np.zeros_like(truth), jitter=np.random.default_rng(3)) for _ in range(2))
    assert first == second
    with pytest.raises(ValueError, match="different sizes"):
        next_click(truth, truth[:5])
