"""Patches: from each region, of each class, with little overlap, and never across splits."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, photo, shapes_classes
from hypothesis import given
from hypothesis import strategies as st

from maskwright.data.crops.patches import cut_patches
from maskwright.data.crops.places import Patch, PatchPlan, choose
from maskwright.data.dataset import Dataset, Sample
from maskwright.types import InputError

HW = (60, 90)


@pytest.fixture
def scenes(tmp_path: Path) -> Dataset:
    """Six images in three splits; class 2 is a small square that only two training images have."""
    samples: list[Sample] = []
    for index, split in enumerate(["train", "train", "train", "train", "val", "test"]):
        mask = np.zeros(HW, np.uint8)
        mask[30:] = 1
        if index < 2:
            mask[40:46, 60:66] = 2
        image = photo(HW, seed=index)
        samples.append(add_sample(tmp_path / "data", f"s{index}", image, mask, split=split, classes=shapes_classes()))
    return Dataset.create(tmp_path / "data", shapes_classes(), samples, {})


def where(sample: Sample) -> tuple[int, int]:
    return int(sample.extra["top"]), int(sample.extra["left"])


def cut_ones(data: Dataset) -> list[Sample]:
    return [sample for sample in data.samples if sample.extra.get("parent")]


def test_a_patch_is_its_place_in_its_parent(scenes: Dataset, tmp_path: Path) -> None:
    made = cut_patches(scenes, tmp_path / "out", plan=PatchPlan(size=(24, 32), count=12)).dataset
    parents = {sample.id: sample for sample in scenes.samples}
    assert len(cut_ones(made)) == 12
    for sample in cut_ones(made):
        parent, (top, left) = parents[sample.extra["parent"]], where(sample)
        at = np.s_[top : top + 24, left : left + 32]
        assert np.array_equal(made.image(sample), scenes.image(parent)[at])
        assert np.array_equal(made.mask(sample), scenes.mask(parent)[at])
        assert (sample.split, sample.group, sample.source) == (parent.split, parent.id, parent.source)


def test_held_out_images_stay_whole_and_out_of_reach(scenes: Dataset, tmp_path: Path) -> None:
    made = cut_patches(scenes, tmp_path / "out", plan=PatchPlan(size=(16, 16), count=40)).dataset
    held_out = {sample.id for sample in scenes.samples if sample.split != "train"}
    assert {sample.extra["parent"] for sample in cut_ones(made)}.isdisjoint(held_out)
    whole = [sample for sample in made.samples if sample not in cut_ones(made)]
    assert {(s.id, s.split, s.image_hash) for s in whole} == {
        (s.id, s.split, s.image_hash) for s in scenes.samples if s.id in held_out
    }
    every = cut_patches(scenes, tmp_path / "all", plan=PatchPlan(size=(16, 16), splits=("train", "val", "test")))
    sides = {sample.id: sample.split for sample in scenes.samples}
    assert all(sides[sample.extra["parent"]] == sample.split for sample in cut_ones(every.dataset))
    assert len(every.dataset.samples) == 6 * 8


@pytest.mark.parametrize("horizon", [24, 0.4, "file"])
def test_regions_have_their_quotas_and_their_place(scenes: Dataset, tmp_path: Path, horizon: float | str) -> None:
    table = tmp_path / "horizon.csv"
    table.write_text("name,row\n" + "".join(f"{s.id},{24 if i % 2 else 0.4}\n" for i, s in enumerate(scenes.samples)))
    plan = PatchPlan(
        size=(16, 16), count=20, horizon=table if isinstance(horizon, str) else horizon, quota={"above": 1, "below": 3}
    )
    made = cut_patches(scenes, tmp_path / "out", plan=plan).dataset
    assert Counter(sample.extra["region"] for sample in cut_ones(made)) == {"above": 5, "below": 15}
    for sample in cut_ones(made):
        assert (where(sample)[0] + 8 <= 24) == (sample.extra["region"] == "above")


def test_a_rare_class_is_drawn_as_often_as_the_others(scenes: Dataset, tmp_path: Path) -> None:
    made = cut_patches(
        scenes, tmp_path / "out", plan=PatchPlan(size=(20, 20), count=18, balance=True, max_overlap=0.6)
    ).dataset
    with_square = sum(bool((made.mask(sample) == 2).any()) for sample in cut_ones(made))
    plain = cut_patches(scenes, tmp_path / "plain", plan=PatchPlan(size=(20, 20), count=18, max_overlap=0.6)).dataset
    assert with_square >= 6 > sum(bool((plain.mask(sample) == 2).any()) for sample in cut_ones(plain))


@pytest.mark.parametrize("limit", [0.0, 0.2])
def test_patches_of_an_image_overlap_no_more_than_is_allowed(scenes: Dataset, tmp_path: Path, limit: float) -> None:
    plan = PatchPlan(size=(16, 16), count=60, max_overlap=limit)
    made = cut_patches(scenes, tmp_path / "out", plan=plan).dataset
    by_parent: dict[str, list[tuple[int, int]]] = {}
    for sample in cut_ones(made):
        by_parent.setdefault(sample.extra["parent"], []).append(where(sample))
    assert max(map(len, by_parent.values())) > 1
    for places in by_parent.values():
        for (top, left), (other_top, other_left) in combinations(places, 2):
            shared = max(0, 16 - abs(top - other_top)) * max(0, 16 - abs(left - other_left))
            assert shared <= limit * 256


def test_a_grid_covers_every_pixel(scenes: Dataset, tmp_path: Path) -> None:
    made = cut_patches(scenes, tmp_path / "out", plan=PatchPlan(size=(25, 40), grid=True)).dataset
    seen = np.zeros(HW, bool)
    tiles = [sample for sample in cut_ones(made) if sample.extra["parent"] == "s0"]
    for sample in tiles:
        top, left = where(sample)
        seen[top : top + 25, left : left + 40] = True
    assert seen.all()
    assert len(tiles) == 3 * 3


def test_the_draw_depends_on_seed_and_image_alone(scenes: Dataset, tmp_path: Path) -> None:
    def places(name: str, data: Dataset, seed: int, workers: int) -> set[tuple[str, int, int]]:
        plan = PatchPlan(size=(16, 16), splits=("train",))
        made = cut_patches(data, tmp_path / name, plan=plan, seed=seed, workers=workers).dataset
        return {(sample.extra["parent"], *where(sample)) for sample in cut_ones(made)}

    fewer = Dataset.open(scenes.path)
    fewer = Dataset(path=fewer.path, classes=fewer.classes, samples=fewer.samples[1:], record=fewer.record)
    one = places("one", scenes, 0, 0)
    assert one == places("two", scenes, 0, 1)
    assert one != places("three", scenes, 1, 0)
    assert {place for place in one if place[0] != "s0"} == places("four", fewer, 0, 0)


def test_unlabelled_images_give_unlabelled_patches(tmp_path: Path) -> None:
    bare = add_sample(tmp_path / "data", "bare", photo(HW), None, classes=shapes_classes())
    data = Dataset.create(tmp_path / "data", shapes_classes(), [bare], {})
    made = cut_patches(data, tmp_path / "out", plan=PatchPlan(size=(16, 16), balance=True)).dataset
    assert {sample.status for sample in made.samples} == {"unlabelled"}
    assert len(made.samples) == 8


def test_what_does_not_fit_is_said(scenes: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_patches(scenes, tmp_path / "few", plan=PatchPlan(size=(50, 80), count=50, max_overlap=0.0))
    assert "Only 4 of 50 patches fit" in capsys.readouterr().err
    plan = PatchPlan(size=(16, 50), horizon=10, count=8, max_overlap=0.0, quota={"above": 3, "below": 1})
    cut_patches(scenes, tmp_path / "sky", plan=plan)
    assert "Region 'above' has 4 of 6 patches, no more fit" in capsys.readouterr().err
    small = add_sample(scenes.path, "small", photo((10, 10)), None, classes=scenes.classes)
    more = Dataset.create(scenes.path, scenes.classes, [*scenes.samples, small], {})
    built = cut_patches(more, tmp_path / "more", plan=PatchPlan(size=(16, 16)))
    assert [row.file for row in built.skipped] == ["small"]
    assert "10x10, smaller than a patch of 16x16" in built.skipped[0].reason
    with pytest.raises(InputError, match="smaller than a patch"):
        cut_patches(more, tmp_path / "strict", plan=PatchPlan(size=(16, 16)), strict=True)
    assert not (tmp_path / "strict").exists()


def test_nonsense_is_refused(scenes: Dataset, tmp_path: Path) -> None:
    for says, wrong in (
        ("side from 8", {"size": (4, 4)}),
        ("overlap", {"max_overlap": 1.0}),
        ("Did you mean 'above'", {"horizon": 20, "quota": {"abov": 1}}),
        ("Known: image", {"quota": {"above": 1}}),
        ("All quotas are 0", {"horizon": 20, "quota": {"above": 0}}),
        ("Unknown split 'tran'", {"splits": ("tran",)}),
    ):
        with pytest.raises(InputError, match=says):
            PatchPlan(**wrong)
    (tmp_path / "h.csv").write_text("name,row\ns0,12\n")
    with pytest.raises(InputError, match="has no horizon for 's1'"):
        cut_patches(scenes, tmp_path / "out", plan=PatchPlan(size=(16, 16), horizon=tmp_path / "h.csv"))
    (tmp_path / "h.csv").write_text("file,y\ns0,12\n")
    with pytest.raises(InputError, match="needs the columns name and row"):
        cut_patches(scenes, tmp_path / "out", plan=PatchPlan(size=(16, 16), horizon=tmp_path / "h.csv"))
    assert not (tmp_path / "out").exists()


@given(st.lists(st.lists(st.sampled_from(["above", "below"]), max_size=6), min_size=1, max_size=5), st.integers(1, 20))
def test_the_choice_meets_the_count_and_lets_images_take_turns(images: list[list[str]], wanted: int) -> None:
    proposals = {
        f"i{n}": [Patch(region, "", place, n) for place, region in enumerate(regions)]
        for n, regions in enumerate(images)
    }
    chosen = choose(proposals, PatchPlan(horizon=1), wanted)
    total = sum(map(len, images))
    assert sum(map(len, chosen.values())) == min(wanted, total)
    for id, patches in chosen.items():
        assert set(patches) <= set(proposals[id])
        assert len(set(patches)) == len(patches)
