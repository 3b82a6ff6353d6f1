"""Slices: a planted one is found, noise is not, and nothing is said twice."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import photo

from maskwright.metrics.tally import Tally
from maskwright.scoring.doubting import slices
from maskwright.scoring.doubting.attributes import OF_THE_CLASS, OF_THE_IMAGE, Attributes, attributes_of
from maskwright.scoring.doubting.slices import candidates, corrected_p, effect, find_slices, iou_of
from maskwright.types import Classes

CLASSES = Classes.from_names(["road", "bicycle", "tree"])
COUNT = 90


def attributes(rng: np.random.Generator, count: int = COUNT) -> list[Attributes]:
    return [
        Attributes(
            image={name: float(rng.random()) for name in OF_THE_IMAGE},
            share_K=rng.random(3),
            part_px_K=rng.random(3) * 100,
        )
        for _ in range(count)
    ]


def tallies(rng: np.random.Generator, right_NK: np.ndarray) -> Tally:
    """Hits, labelled and predicted pixels where the share `right_NK` of each class is found."""
    labelled = rng.integers(200, 2000, right_NK.shape)
    hit = (labelled * np.clip(right_NK + rng.normal(0, 0.05, right_NK.shape), 0, 1)).astype(np.int64)
    return np.stack([hit, labelled, labelled], axis=1)


def test_a_planted_slice_is_found_and_comes_first() -> None:
    rng = np.random.default_rng(0)
    seen = attributes(rng)
    dark = np.array([one.image["brightness"] for one in seen])
    right = np.full((COUNT, 3), 0.8)
    right[dark < np.quantile(dark, 1 / 3), 1] = 0.3
    found = find_slices(tallies(rng, right), seen, [""] * COUNT, CLASSES)
    first = found[0]
    assert (first["class"], first["attribute"], first["range"]) == ("bicycle", "brightness", "darkest third")
    assert first["iou"] < 0.3 < 0.6 < first["elsewhere"]
    assert first["low"] <= first["difference"] <= first["high"]
    assert first["p"] <= 0.01
    assert first["says"].startswith("bicycle, darkest third (mean grey up to 0.")
    assert first["images"] + first["images_elsewhere"] == COUNT
    others = {(row["class"], row["attribute"]) for row in found[1:]}
    assert others <= {(None, "brightness")}, "the mean over classes suffers too, and nothing else"


def test_a_weak_group_is_found() -> None:
    rng = np.random.default_rng(1)
    groups = [f"sequence {number % 3}" for number in range(COUNT)]
    right = np.full((COUNT, 3), 0.8)
    right[::3] = 0.5
    found = find_slices(tallies(rng, right), attributes(rng), groups, CLASSES)
    assert {row["range"] for row in found} == {"sequence 0"}
    assert len(found) <= slices.MOST_ALIKE, "the same images for every class are the same news"


def test_noise_has_no_slices() -> None:
    quiet = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        right = np.full((60, 3), 0.7) + rng.normal(0, 0.1, (60, 1))
        groups = [f"g{number % 4}" for number in range(60)]
        quiet += not find_slices(tallies(rng, right), attributes(rng, 60), groups, CLASSES, seed=seed)
    assert quiet >= 27, f"{30 - quiet} of 30 sets of noise gave a slice"


def test_p_agrees_with_permutations_one_by_one() -> None:
    rng = np.random.default_rng(3)
    right = np.full((30, 3), 0.7)
    right[:9, 0] = 0.6
    counts = tallies(rng, right)
    seen = attributes(rng, 30)
    for number, one in enumerate(seen):
        one.image["brightness"] = float(number)
    tried = [c for c in candidates(counts, seen, [""] * 30, CLASSES) if (c.class_id, c.range) == (0, "darkest third")]
    assert len(tried) == 1
    inside = tried[0].inside_N

    def gap(order: np.ndarray) -> float:
        shuffled = counts[order]
        return float(iou_of(shuffled[~inside].sum(0), 0) - iou_of(shuffled[inside].sum(0), 0))

    drawn = np.array([gap(rng.permutation(30)) for _ in range(2000)])
    slow = (1 + (drawn >= gap(np.arange(30))).sum()) / 2001
    assert corrected_p(counts, tried, 0)[0] == pytest.approx(slow, abs=0.03)


def test_the_interval_of_the_effect_agrees_with_a_slow_bootstrap() -> None:
    rng = np.random.default_rng(4)
    right = np.full((60, 3), 0.7) + rng.normal(0, 0.1, (60, 3))
    counts, seen = tallies(rng, right), attributes(rng, 60)
    candidate = next(candidates(counts, seen, [""] * 60, CLASSES))
    inside, outside, low, high = effect(counts, candidate, 0)
    parts = [np.flatnonzero(candidate.inside_N), np.flatnonzero(~candidate.inside_N)]
    drawn = []
    for _ in range(1500):
        a, b = (float(iou_of(counts[rng.choice(part, part.size)].sum(0), None)) for part in parts)
        drawn.append(b - a)
    assert inside == pytest.approx(float(iou_of(counts[parts[0]].sum(0), None)))
    assert outside == pytest.approx(float(iou_of(counts[parts[1]].sum(0), None)))
    assert [low, high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.006)


def test_small_slices_and_absent_classes_are_not_tried() -> None:
    rng = np.random.default_rng(5)
    counts = tallies(rng, np.full((40, 3), 0.7))
    counts[4:, :, 2] = 0  # tree is in four images only
    seen = attributes(rng, 40)
    tried = list(candidates(counts, seen, ["a"] * 37 + ["b"] * 3, CLASSES))
    assert {candidate.class_id for candidate in tried} == {None, 0, 1}
    assert not any(candidate.attribute == "group" for candidate in tried)
    assert all(candidate.inside_N.sum() >= slices.LEAST_IMAGES for candidate in tried)
    assert find_slices(counts[:3], seen[:3], [""] * 3, CLASSES) == []


def test_images_of_one_size_give_no_slices_by_size() -> None:
    rng = np.random.default_rng(6)
    seen = attributes(rng)
    for one in seen:
        one.image["image size"] = 0.3
    tried = candidates(tallies(rng, np.full((COUNT, 3), 0.7)), seen, [""] * COUNT, CLASSES)
    assert "image size" not in {candidate.attribute for candidate in tried}


def test_the_same_seed_gives_the_same_slices() -> None:
    rng = np.random.default_rng(7)
    seen, right = attributes(rng), np.full((COUNT, 3), 0.8)
    right[:30, 0] = 0.4
    counts = tallies(rng, right)
    groups = ["first"] * 30 + ["rest"] * 60
    one, two = (find_slices(counts, seen, groups, CLASSES, seed=5) for _ in range(2))
    assert one == two
    assert one


def test_attributes_are_what_they_say() -> None:
    image = photo((60, 80))
    mask = np.zeros((60, 80), np.uint8)
    mask[:10, :10] = 1
    mask[20:24, 20:25] = 1
    mask[50:] = 255
    dark, blurred = image // 2, np.full_like(image, 128)
    found, darker, flat = (attributes_of(one, mask, CLASSES) for one in (image, dark, blurred))
    assert set(found.image) == set(OF_THE_IMAGE)
    assert darker.image["brightness"] < found.image["brightness"]
    assert (flat.image["contrast"], flat.image["saturation"], flat.image["sharpness"]) == (0, 0, 0)
    assert found.image["image size"] == pytest.approx(0.0048)
    assert found.share_K[1] == pytest.approx(120 / 4000)
    assert found.part_px_K[1] == np.median([100, 20])
    assert np.isnan([found.share_K[2], found.part_px_K[2]]).all()
    assert len(OF_THE_CLASS) == 2
