"""Pairs, letters and verdicts: what may be said, and that it agrees with interval and corrected p."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from compared import tallies
from hypothesis import given
from hypothesis import strategies as st

from maskwright.metrics.intervals import paired_difference, permutation_p
from maskwright.metrics.tally import iou
from maskwright.scoring.comparing.judge import pair_rows, ranked
from maskwright.scoring.comparing.pairs import measure_pairs, scores_of
from maskwright.scoring.comparing.verdict import Pair, Setting, letters, verdict

IMAGES = Setting(metric="mean IoU", units=40, of="images", tests=1)


def pair(difference: float, low: float, high: float, p: float, error: float = 0.01, *, same: bool = False) -> Pair:
    return Pair(first="A", second="B", difference=difference, low=low, high=high, error=error, adjusted=p, same=same)


def test_a_difference_is_called_one_only_where_interval_and_test_agree() -> None:
    found = verdict(pair(0.012, 0.003, 0.02, 0.012), IMAGES)
    assert found.text == "B is better than A by 1.2 points of mean IoU (95 % interval 0.3 to 2.0, p = 0.012)."
    assert found.better == "B"
    assert verdict(pair(0.012, -0.001, 0.02, 0.012), IMAGES).better is None
    assert verdict(pair(0.012, 0.003, 0.02, 0.06), IMAGES).better is None


def test_the_better_one_comes_first_whichever_was_named_first() -> None:
    found = verdict(pair(-0.012, -0.02, -0.003, 0.0004), Setting(metric="mean IoU", units=40, of="images", tests=3))
    assert found.text == (
        "A is better than B by 1.2 points of mean IoU "
        "(95 % interval 0.3 to 2.0, p < 0.001 corrected for 3 comparisons)."
    )
    assert found.better == "A"


def test_what_is_not_shown_comes_with_how_many_more_would_show_it() -> None:
    found = verdict(pair(0.004, -0.01, 0.018, 0.6, error=0.007), IMAGES)
    assert found.better is None
    assert found.text.startswith(
        "No difference can be shown with 40 images: B scores 0.4 points of mean IoU more than A"
    )
    # 40 x (2.80 x 0.007 / 0.004)^2 = 962 in all.
    assert found.text.endswith("; about 930 more would be needed to show one as large as this.")


@pytest.mark.parametrize(
    ("given", "setting", "words"),
    [
        (pair(0, 0, 0, 1, 0, same=True), IMAGES, "A and B predict the same: every count is equal."),
        (
            pair(0.1, 0.05, 0.2, 0.06),
            Setting(metric="mean IoU", units=5, of="groups", tests=1),
            "5 groups: fewer than 6",
        ),
        (
            pair(0.1, 0.05, 0.2, 0.06),
            Setting(metric="mean IoU", units=1, of="images", tests=1),
            "1 image: fewer than 6",
        ),
        (pair(math.nan, math.nan, math.nan, math.nan), IMAGES, "no class has a score"),
        (pair(0.0, -0.01, 0.01, 1.0), IMAGES, "score the same"),
        (pair(1e-6, -0.01, 0.01, 1.0), IMAGES, "over a million more images"),
        (pair(0.05, 0.02, 0.08, 0.08, 0.005), IMAGES, "too close to call"),
    ],
)
def test_words_for_what_is_special(given: Pair, setting: Setting, words: str) -> None:
    found = verdict(given, setting)
    assert words in found.text
    assert found.better is None


@given(st.data())
def test_two_share_a_letter_unless_they_are_shown_to_differ(data: st.DataObject) -> None:
    names = [f"n{i}" for i in range(data.draw(st.integers(1, 7)))]
    pairs = [frozenset(two) for two in combinations(names, 2)]
    different = {two for two in pairs if data.draw(st.booleans())}
    shared = letters(names, different)
    assert all(shared.values())
    for two in pairs:
        a, b = two
        assert (not set(shared[a]) & set(shared[b])) == (two in different)


def test_letters_read_from_the_best_down() -> None:
    different = {frozenset(two) for two in (("best", "last"), ("best", "third"), ("second", "last"))}
    assert letters(["best", "second", "third", "last"], different) == {
        "best": "a", "second": "ab", "third": "bc", "last": "c",
    }  # fmt: skip


def test_many_sources_at_once_give_what_each_pair_gives_alone() -> None:
    tally = tallies([0.8, 0.7, 0.75], 30, 4)
    measured = measure_pairs(tally, "mean_iou_no_background", 0)
    statistic = scores_of("mean_iou_no_background", 0)
    for place, (a, b) in enumerate(measured.pairs):
        alone = paired_difference(tally[a], tally[b], statistic)
        np.testing.assert_allclose(measured.difference_PM[place], alone.estimate_M)
        np.testing.assert_allclose(measured.low_PM[place], alone.low_M)
        np.testing.assert_allclose(measured.high_PM[place], alone.high_M)
        np.testing.assert_allclose(
            measured.p_PM[place], permutation_p(tally[a], tally[b], statistic, draws=measured.draws)
        )
        by_hand = iou(tally[b].sum(0)) - iou(tally[a].sum(0))
        assert measured.difference_PM[place, 0] == pytest.approx(by_hand[1:].mean())
        np.testing.assert_allclose(measured.difference_PM[place, 1:], by_hand)
    assert (measured.adjusted_PM >= measured.p_PM).all()


def test_so_many_permutations_that_a_corrected_p_can_still_be_small() -> None:
    measured = measure_pairs(tallies([0.9, 0.3, 0.6], 40, 110), "mean_iou", None)
    assert measured.draws == 13_200
    assert measured.adjusted_PM.min() < 0.03


def test_groups_are_the_units_where_they_are_given() -> None:
    tally = tallies([0.8, 0.77], 40, 3)
    alone = measure_pairs(tally, "mean_iou", None)
    grouped = measure_pairs(tally, "mean_iou", None, units_N=np.arange(40) // 20)
    assert grouped.difference_PM[0, 0] == alone.difference_PM[0, 0]
    assert grouped.p_PM[0, 0] > 0.3


def test_rows_hold_to_the_verdict_and_the_rank_to_the_score() -> None:
    names = ["weak", "good", "twin"]
    tally = tallies([0.6, 0.8], 40, 3)[[0, 1, 1]]
    measured = measure_pairs(tally, "mean_iou", None)
    pairs = pair_rows(names, ["a", "b", "c"], measured, Setting(metric="mean IoU", units=40, of="images", tests=3))
    rows = ranked(names, ["a", "b", "c"], measured, pairs)
    assert [row["rank"] for row in rows] == [3, 1, 2]
    assert [row["letters"] for row in rows] == ["b", "a", "a"]
    assert [row["with_the_best"] for row in rows] == [False, True, True]
    assert [pair["better"] for pair in pairs] == ["good", "twin", None]
    assert pairs[2]["same"]
    assert pairs[2]["p"] == 1
    assert rows[1]["interval"][0] < rows[1]["score"] < rows[1]["interval"][1]
