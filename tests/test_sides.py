"""Groups, near-copies, hold-outs, folds and memory: who goes where, in whatever order the rows come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskwright.data.dataset import Sample
from maskwright.data.splits.holdout import SplitRule, read_ids
from maskwright.data.splits.sides import Decision, decide
from maskwright.data.splits.split import assign_splits, joined, split_hash
from maskwright.types import InputError

NAMES = ("ground", "rock", "pole")
Counts = dict[str, NDArray[np.int64]]


def rows(count: int, *, per_group: int = 1, start: int = 0) -> list[Sample]:
    """Labelled rows; with `per_group` above 1 their group is named."""
    return [
        Sample(
            id=f"img-{number:06}",
            image=f"images/img-{number:06}.png",
            mask=f"masks/img-{number:06}.png",
            group=f"place-{number // per_group:05}" if per_group > 1 else "",
            height=10,
            width=10,
            image_hash=f"{number:032x}",
            status="labelled",
        )
        for number in range(start, start + count)
    ]


def pixels(samples: Sequence[Sample], seed: int = 0) -> Counts:
    """Ground everywhere, rock on half the images, pole on one of twelve; the same for an id whatever else there is."""
    found = {}
    for sample in samples:
        rng = np.random.default_rng((seed, int(sample.id.rpartition("-")[2])))
        has = rng.random(3) < (1, 0.5, 1 / 12)
        found[sample.id] = (has * rng.integers(100, 1000, 3)).astype(np.int64)
    return found


def split(samples: Sequence[Sample], rule: SplitRule | None = None, **given: Any) -> Decision:
    return decide(samples, rule or SplitRule(), NAMES, **{"counts": pixels(samples), "tolerance": 0.25, **given})


def kept(samples: Sequence[Sample], decision: Decision) -> list[Sample]:
    """The rows as the split writes them."""
    return [
        replace(s, split=decision.split[s.id], group=decision.group[s.id], extra={"fold": decision.fold[s.id]})
        for s in samples
    ]


def sizes(decision: Decision) -> Counter[str]:
    return Counter(decision.split.values())


@given(st.integers(3, 60), st.integers(1, 4), st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(count: int, per_group: int, seed: int, random: Any) -> None:
    samples = rows(count * per_group, per_group=per_group)
    shuffled = samples.copy()
    random.shuffle(shuffled)
    twins = [(samples[0].id, samples[-1].id)]
    for rule in (SplitRule(seed=seed), SplitRule(seed=seed, val=0.3, test=0.0, group=r"\d$")):
        if len({*split_keys(samples, rule)}) < 6:
            continue
        first, second = split(samples, rule, twins=twins), split(shuffled, rule, twins=twins[::-1])
        assert (first.split, first.moves, first.linked) == (second.split, second.moves, second.linked)
        assert split_hash(kept(samples, first)) == split_hash(kept(shuffled, second))


def split_keys(samples: Sequence[Sample], rule: SplitRule) -> set[str]:
    return {sample.id[-1] if rule.group else sample.group or sample.id for sample in samples}


@given(st.integers(20, 80), st.integers(1, 30), st.integers(1, 3), st.integers(0, 2**40))
def test_adding_images_moves_none_by_hash_alone(count: int, more: int, per_group: int, seed: int) -> None:
    before, after = rows(count * per_group, per_group=per_group), rows((count + more) * per_group, per_group=per_group)
    rule = SplitRule(seed=seed)
    # Without labels nothing is repaired: what is left is the hash.
    old, new = split(before, rule, counts={}), split(after, rule, counts={})
    assert {id: new.split[id] for id in old.split} == old.split


@given(st.integers(8, 60), st.integers(1, 40), st.integers(1, 3), st.sampled_from([None, 3]), st.integers(0, 2**40))
def test_adding_images_moves_none_where_the_split_is_remembered(
    count: int, more: int, per_group: int, folds: int | None, seed: int
) -> None:
    rule = SplitRule(seed=seed, folds=folds)
    before = rows(count * per_group, per_group=per_group)
    old = split(before, rule)
    # New rows carry on in the last group, and copy the first image.
    new_rows = [
        replace(sample, group=before[-1].group) if number == 0 and per_group > 1 else sample
        for number, sample in enumerate(rows(more, per_group=per_group, start=count * per_group))
    ]
    after = [*kept(before, old), *new_rows]
    new = split(after, rule, known=set(old.split), twins=[(before[0].id, new_rows[-1].id)])
    assert {id: new.split[id] for id in old.split} == old.split
    assert {id: new.fold[id] for id in old.fold} == old.fold
    assert set(new.split.values()) <= {"train", "val", "test"}
    assert new.split[new_rows[-1].id] == new.split[before[0].id] or new.notes
    assert {move.unit for move in new.moves}.isdisjoint(new.unit[id] for id in old.split)
    again = split(kept(after, new), rule, known=set(new.split))
    assert (again.split, again.fold, again.moves) == (new.split, new.fold, ())


def test_the_hash_is_the_one_of_import() -> None:
    samples = rows(400)
    sides = split(samples, counts={})
    assert sides.split == assign_splits([sample.id for sample in samples])


def test_groups_and_near_copies_are_never_torn() -> None:
    samples = rows(120, per_group=3)
    twins = [(samples[0].id, samples[100].id), (samples[101].id, samples[55].id), (samples[7].id, "elsewhere")]
    decision = split(samples, twins=twins)
    side_of_group = {(decision.group[id], side) for id, side in decision.split.items()}
    assert len(side_of_group) == 40
    assert decision.linked == (("place-00000", "place-00018", "place-00033"),)
    for a, b in twins[:2]:
        assert decision.split[a] == decision.split[b]


def test_units_are_named_by_their_first_key() -> None:
    keys = {"1": "b", "2": "c", "3": "a", "4": "d"}
    assert joined(keys, [("1", "2"), ("2", "3")]) == {"1": "a", "2": "a", "3": "a", "4": "d"}
    assert joined(keys, [("2", "3"), ("1", "2"), ("4",)]) == joined(keys, [("3", "2", "1")])


def test_groups_by_pattern_by_column_and_none() -> None:
    samples = [replace(s, extra={"camera": f"cam{n % 7}"}) for n, s in enumerate(rows(70, per_group=2))]
    assert set(split(samples, SplitRule(column="camera")).group.values()) == {f"cam{n}" for n in range(7)}
    assert set(split(samples, SplitRule(group=r"(\d)$")).group.values()) == set("0123456789")
    assert set(split(samples, SplitRule(group="")).group.values()) == {""}
    assert split(samples).group == {sample.id: sample.group for sample in samples}
    for rule, says in [
        (SplitRule(column="camra"), "Unknown column of samples.csv 'camra'. Did you mean 'camera'"),
        (SplitRule(group=r"scene\d"), "does not match the name 'img-000000'"),
        (SplitRule(group="("), "not a regular expression"),
    ]:
        with pytest.raises(InputError, match=says.replace("(", r"\(")):
            split(samples, rule)


@pytest.mark.parametrize("count", [1, 10])
def test_exactly_so_many_are_held_out_and_few_change_when_images_come(count: int) -> None:
    samples = rows(60)
    rule = SplitRule(hold_out=count, hold_out_test=5, test=0.5)
    decision = split(samples, rule)
    assert sizes(decision) == {"val": count, "test": 5, "train": 55 - count}
    held = {id for id, side in decision.split.items() if side == "val"}
    more = split(rows(61), rule)
    held_now = {id for id, side in more.split.items() if side == "val"}
    assert len(held_now - held) <= 1
    remembered = split([*kept(samples, decision), *rows(30, start=60)], rule, known=set(decision.split))
    assert {id for id, side in remembered.split.items() if side == "val"} == held
    assert sizes(remembered) == {"val": count, "test": 5, "train": 85 - count}


def test_hold_outs_count_labelled_images_of_whole_groups() -> None:
    samples = rows(60, per_group=4)
    counts = {id: pixels_K for id, pixels_K in pixels(samples).items() if int(id[-1]) % 2}
    decision = split(samples, SplitRule(hold_out=6, test=0), counts=counts)
    held = {id for id, side in decision.split.items() if side == "val"}
    assert len(held & set(counts)) == 6
    assert len({decision.group[id] for id in held}) * 4 == len(held)
    odd = split(samples, SplitRule(hold_out=5, test=0), counts=counts)
    assert odd.notes == ("Only 4 of the 5 images wanted for val are held out: no whole group fits in.",)
    with pytest.raises(InputError, match="the smallest group has 2; hold out more"):
        split(samples, SplitRule(hold_out=1, test=0), counts=counts)


def test_named_images_are_held_out_with_their_groups() -> None:
    samples = rows(60, per_group=3)
    decision = split(samples, SplitRule(hold_out=("img-000000", "img-000001"), hold_out_test=("img-000030",)))
    assert {id for id, side in decision.split.items() if side == "val"} == {f"img-{n:06}" for n in range(3)}
    assert {id for id, side in decision.split.items() if side == "test"} == {f"img-{n:06}" for n in range(30, 33)}
    assert decision.notes == (
        "With the groups of those held out, test takes 2 more images.",
        "With the groups of those held out, val takes 1 more image.",
    )
    with pytest.raises(InputError, match=r"'img-00001' is to be held out, but .* did you mean 'img-0000"):
        split(samples, SplitRule(hold_out=("img-00001",)))
    with pytest.raises(InputError, match="'img-000001' or its group is held out for test and for validation"):
        split(samples, SplitRule(hold_out=("img-000001",), hold_out_test=("img-000000",)))


def test_ids_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("# held out\n\nimages/a.b.JPG\nplain\n c.1 # why\nplain\n", "utf-8")
    assert read_ids(path) == ("a.b", "plain", "c.1")
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="lists no ids"):
        read_ids(path)


def test_the_test_that_there_is_can_be_kept() -> None:
    samples = [replace(sample, split="test" if number < 20 else "train") for number, sample in enumerate(rows(100))]
    for rule in (SplitRule(keep_test=True), SplitRule(keep_test=True, folds=4)):
        decision = split(samples, rule)
        assert {id for id, side in decision.split.items() if side == "test"} == {s.id for s in samples[:20]}
        assert 5 < sizes(decision)["val"] < 30
    with pytest.raises(InputError, match="finds no test images"):
        split(rows(10), SplitRule(keep_test=True))


@given(st.integers(2, 6), st.integers(0, 2**40))
def test_folds_are_even_whole_and_leave_the_test_out(folds: int, seed: int) -> None:
    samples = rows(150, per_group=2)
    decision = split(samples, SplitRule(folds=folds, seed=seed))
    in_fold = Counter(decision.fold[id] for id, side in decision.split.items() if side != "test")
    assert set(in_fold) == {str(fold) for fold in range(folds)}
    whole = in_fold.total()
    assert all(abs(count / whole * folds - 1) < 0.5 for count in in_fold.values())
    assert {decision.fold[id] for id, side in decision.split.items() if side == "test"} == {""}
    assert {id for id, fold in decision.fold.items() if fold == "0"} == {
        id for id, side in decision.split.items() if side == "val"
    }
    assert len({(decision.group[id], fold) for id, fold in decision.fold.items()}) == 75


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"val": 0.5, "test": 0.5}, "below 1"),
        ({"val": -0.1}, "below 1"),
        ({"test": float("nan")}, "below 1"),
        ({"group": "x", "column": "y"}, "give one of them"),
        ({"folds": 1}, "2 or more"),
        ({"folds": 5, "hold_out": 3}, "leave out --hold-out"),
        ({"keep_test": True, "hold_out_test": 3}, "leave out --hold-out-test"),
        ({"hold_out": 0}, "0 images cannot be held out"),
        ({"hold_out_test": -4}, "-4 images cannot be held out"),
    ],
)
def test_rules_that_contradict_themselves(values: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        SplitRule(**values)


@pytest.mark.parametrize(
    ("count", "per_group", "rule", "says"),
    [
        (1, 1, SplitRule(), "1 group .* cannot be split 3 ways"),
        (8, 4, SplitRule(), "2 groups .* cannot be split 3 ways"),
        (8, 8, SplitRule(test=0), "1 group .* cannot be split 2 ways"),
        (8, 2, SplitRule(test=0, folds=5), "4 groups .* cannot be split 5 ways"),
        (8, 2, SplitRule(hold_out=8, test=0), "8 labelled images cannot be held out for val: only 8 are free"),
    ],
)
def test_too_few_groups_are_refused(count: int, per_group: int, rule: SplitRule, says: str) -> None:
    with pytest.raises(InputError, match=says):
        split(rows(count, per_group=per_group), rule)


def test_small_sets_that_can_be_split() -> None:
    assert sizes(split(rows(1), SplitRule(val=0, test=0))) == {"train": 1}
    assert sizes(split(rows(8, per_group=4), SplitRule(val=0.2, test=0))) == {"train": 4, "val": 4}
    assert sizes(split(rows(3))) == {"train": 1, "val": 1, "test": 1}
    assert sizes(split(rows(50), SplitRule(val=0)))["val"] == 0


def test_unlabelled_images_follow_the_hash_and_are_not_counted() -> None:
    samples = rows(200)
    counts = pixels(samples[:30])
    decision = split(samples, counts=counts)
    by_hash = split(samples, counts={}).split
    moved = {id for id, side in decision.split.items() if side != by_hash[id]}
    assert moved <= set(counts)
    labelled = Counter(decision.split[id] for id in counts)
    assert 3 <= labelled["val"] <= 6
    assert 3 <= labelled["test"] <= 6


def test_a_torn_group_is_named_and_can_be_mended() -> None:
    samples = rows(40, per_group=2)
    old = split(samples, SplitRule(group=""))
    torn = [replace(s, split=old.split[s.id]) for s in samples]
    remembered = split(torn, known=set(old.split))
    assert "on more than one side since before" in remembered.notes[0]
    assert remembered.split == old.split
    mended = split(torn)
    assert mended.notes == ()
    assert len({(mended.group[id], side) for id, side in mended.split.items()}) == 20


def test_a_hundred_thousand_rows_take_seconds() -> None:
    samples = rows(100_000, per_group=5)
    one = np.array([50, 40, 10])
    counts = {sample.id: one for sample in samples}
    twins: list[Collection[str]] = [(samples[n].id, samples[n + 7].id) for n in range(0, 90_000, 900)]
    decision = split(samples, counts=counts, twins=twins)
    assert len(decision.linked) == 100
    assert abs(sizes(decision)["val"] / 100_000 - 0.15) < 0.01
