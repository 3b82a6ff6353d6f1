from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.data.splits.split import assign_splits, group_of
from maskwright.types import InputError

keys = st.lists(st.text("abcdef0123456789_", min_size=1, max_size=8), min_size=3, max_size=60, unique=True)
seeds = st.integers(0, 2**40)
shares = st.sampled_from([(0.15, 0.15), (0.0, 0.2), (0.2, 0.0), (0.0, 0.0), (0.45, 0.45), (0.05, 0.9), (0.49, 0.5)])


@given(keys, seeds, shares, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(
    names: list[str], seed: int, share: tuple[float, float], random: object
) -> None:
    val, test = share
    shuffled = sorted(names, key=lambda name: name[::-1]) + names[:2]
    assert assign_splits(shuffled, val=val, test=test, seed=seed) == assign_splits(names, val=val, test=test, seed=seed)


@given(keys, seeds, shares)
def test_every_side_that_is_wanted_gets_a_group_however_few(
    names: list[str], seed: int, share: tuple[float, float]
) -> None:
    val, test = share
    for some in (names, names[:3]):
        sides = Counter(assign_splits(some, val=val, test=test, seed=seed).values())
        assert sides.keys() == {"train", *(["val"] if val else []), *(["test"] if test else [])}
        assert sides.total() == len(some)


@given(keys, keys, seeds, shares)
def test_adding_groups_moves_none_where_every_side_has_one(
    old: list[str], new: list[str], seed: int, share: tuple[float, float]
) -> None:
    val, test = share
    before = assign_splits([f"{name}-{i}" for name in old for i in range(400)], val=val, test=test, seed=seed)
    after = assign_splits([*before, *new], val=val, test=test, seed=seed)
    assert {key: after[key] for key in before} == before


def test_shares_are_met_on_average_and_the_seed_matters() -> None:
    names = [f"photo-{i}" for i in range(4000)]
    first = assign_splits(names, val=0.2, test=0.1, seed=0)
    sides = Counter(first.values())
    assert abs(sides["val"] / 4000 - 0.2) < 0.02
    assert abs(sides["test"] / 4000 - 0.1) < 0.02
    assert first != assign_splits(names, val=0.2, test=0.1, seed=1)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.2, -0.1), (1.0, 0.0), (float("nan"), 0.1)])
def test_shares_that_leave_nothing_are_refused(val: float, test: float) -> None:
    with pytest.raises(InputError, match="below 1"):
        assign_splits(["a", "b", "c", "d"], val=val, test=test)


@pytest.mark.parametrize(("names", "val", "test"), [([], 0.0, 0.0), (["a"], 0.1, 0.0), (["a", "b"], 0.1, 0.1)])
def test_too_few_groups_are_refused(names: list[str], val: float, test: float) -> None:
    with pytest.raises(InputError, match="cannot be split"):
        assign_splits(names, val=val, test=test)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("0001TP_006690", r"^[^_]+", "0001TP"),
        ("trip7-cam2-001", r"trip(\d+)-", "7"),
        ("anything", None, ""),
        ("anything", "", ""),
    ],
)
def test_groups_come_from_names(name: str, pattern: str | None, expected: str) -> None:
    assert group_of(name, pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "not a regular expression"),
        (r"\d{9}", "does not match the name 'a1'"),
        ("(z)?a", "does not match"),
        ("x*", "does not match"),
    ],
)
def test_a_pattern_that_gives_no_group_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        group_of("a1", pattern)
