"""Counts of an evaluation against slow loops over pixels, its units, and its intervals."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import add_sample, shapes, shapes_classes

import maskwright
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import write_mask
from maskwright.metrics.tally import tally_of
from maskwright.metrics.units import choose_units
from maskwright.scoring.evaluating.gather import gather
from maskwright.scoring.evaluating.observe import Observer, calibration_of, confusion_by_region
from maskwright.scoring.evaluating.resampling import Resampling
from maskwright.scoring.evaluating.tables import tabulate
from maskwright.types import Classes, InputError, Mask


def guess_of(truth_HW: Mask, seed: int) -> Mask:
    """A prediction that is often right."""
    rng = np.random.default_rng(seed)
    wrong = rng.integers(0, 3, truth_HW.shape).astype(np.uint8)
    return np.where((rng.random(truth_HW.shape) < 0.3) | (truth_HW == 255), wrong, truth_HW)


def write_set(folder: Path, groups: list[str]) -> tuple[Path, Dataset]:
    """A folder of predictions and the data set, one test image a group named."""
    classes, samples = shapes_classes(), []
    (folder / "found").mkdir(parents=True)
    for index, group in enumerate(groups):
        image, mask = shapes(index, (30, 40))
        made = add_sample(folder / "data", f"i{index:02}", image, mask, split="test", classes=classes)
        samples.append(Sample(**{**vars(made), "group": group}))
        write_mask(folder / "found" / f"i{index:02}.png", guess_of(mask, index), classes)
    return folder / "found", Dataset.create(folder / "data", classes, samples, {})


@pytest.mark.parametrize("hw", [(2, 2), (1, 7), (5, 4), (31, 40)])
def test_regions_cover_every_labelled_pixel_once(hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    truth, guess = (rng.choice(np.array([0, 1, 2, 255], np.uint8), hw) for _ in range(2))
    slow = np.zeros((9, 3, 3), np.int64)
    for y in range(hw[0]):
        for x in range(hw[1]):
            row = sum(y >= hw[0] * step // 3 for step in (1, 2))
            column = sum(x >= hw[1] * step // 3 for step in (1, 2))
            if truth[y, x] < 3 and guess[y, x] < 3:
                slow[3 * row + column, truth[y, x], guess[y, x]] += 1
    assert (confusion_by_region(truth, guess, 3) == slow).all()


def test_counts_add_up_and_can_be_sent_to_a_process() -> None:
    image, truth = shapes(3)
    guess = guess_of(truth, 3)
    sample = Sample(id="a", image="images/a.png", height=48, width=64, image_hash="")
    observer = pickle.loads(pickle.dumps(Observer(classes=shapes_classes(), surface_px=2.0)))
    seen = pickle.loads(pickle.dumps(observer(sample, image, truth, guess, None)))
    assert seen.confusion_KK.sum() == (truth != 255).sum()
    assert (seen.regions_R3K.sum(0) == tally_of(seen.confusion_KK)).all()
    assert (seen.sizes_2SK.sum(1) == tally_of(seen.confusion_KK)[[1, 0]]).all()
    assert seen.surface is not None


def test_scores_against_a_loop_over_pixels(tmp_path: Path) -> None:
    found, data = write_set(tmp_path, ["a", "b", "", "b"])
    scores = maskwright.evaluate(found, data, draws=200).scores
    hit, labelled, predicted = (np.zeros(3) for _ in range(3))
    of_images = []
    for seed, sample in enumerate(data.samples):
        truth = data.mask(sample)
        counts = np.zeros((3, 3))
        for t, p in zip(truth.ravel().tolist(), guess_of(truth, seed).ravel().tolist(), strict=True):
            if t != 255:
                counts[:, t] += (t == p, 1, 0)
                counts[2, p] += 1
        hit, labelled, predicted = hit + counts[0], labelled + counts[1], predicted + counts[2]
        of_images.append(np.mean(counts[0] / (counts[1] + counts[2] - counts[0])))
    iou = hit / (labelled + predicted - hit)
    assert [row["iou"] for row in scores["classes"]] == pytest.approx(iou)
    assert [row["dice"] for row in scores["classes"]] == pytest.approx(2 * hit / (labelled + predicted))
    assert [row["pixels"] for row in scores["classes"]] == labelled.tolist()
    negatives = labelled.sum() - labelled
    assert [row["specificity"] for row in scores["classes"]] == pytest.approx(1 - (predicted - hit) / negatives)
    assert scores["mean_iou"] == pytest.approx(iou.mean())
    assert scores["mean_iou_no_background"] == pytest.approx(iou[1:].mean())
    assert scores["frequency_weighted_iou"] == pytest.approx((iou * labelled).sum() / labelled.sum())
    assert scores["pixel_accuracy"] == pytest.approx(hit.sum() / labelled.sum())
    assert scores["image_level"]["mean_iou"]["mean"] == pytest.approx(np.mean(of_images))
    assert scores["image_level"]["mean_iou"]["p10"] == pytest.approx(np.quantile(of_images, 0.1))
    assert {name: group["images"] for name, group in scores["groups"].items()} == {"a": 1, "b": 2}


def test_scores_against_the_rest_are_divided_by_their_sum() -> None:
    _, truth = shapes(1)
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), truth.shape).transpose(2, 0, 1).astype(np.float32)
    guess = shares.argmax(0).astype(np.uint8)
    shares[:, 0, 0] = 0  # sure of nothing
    plain, scaled = (calibration_of(shares * factor, truth, guess) for factor in (1, np.float32(2.5)))
    assert scaled.nll() == pytest.approx(plain.nll(), rel=1e-5)
    assert scaled.brier() == pytest.approx(plain.brier(), rel=1e-5)
    assert scaled.ece() == pytest.approx(plain.ece(), abs=1e-3)


def test_a_network_that_answers_nan_is_named() -> None:
    image, truth = shapes(1)
    sample = Sample(id="a", image="images/a.png", height=48, width=64, image_hash="")
    scores = np.full((3, *truth.shape), np.nan, np.float32)
    with pytest.raises(InputError, match="answers a with NaN"):
        Observer(classes=shapes_classes())(sample, image, truth, truth, scores)


def test_binary_is_everything_but_the_background(tmp_path: Path) -> None:
    found, data = write_set(tmp_path, ["", ""])
    binary = maskwright.evaluate(found, data, draws=200).scores["binary"]
    hit = union = 0
    for seed, sample in enumerate(data.samples):
        truth = data.mask(sample)
        known, front, guessed = truth != 255, truth > 0, guess_of(truth, seed) > 0
        hit += (known & front & guessed).sum()
        union += (known & (front | guessed)).sum()
    assert binary["iou"] == pytest.approx(hit / union)


def every_interval(value: Any) -> list[tuple[float | None, list[float] | None]]:
    """(estimate, interval) of everything in a tree that has one."""
    if isinstance(value, list):
        return [pair for item in value for pair in every_interval(item)]
    if not isinstance(value, dict):
        return []
    own = [(value[key], ends) for key, ends in value.get("intervals", {}).items()]
    inner = [item for key, item in value.items() if key not in ("intervals", "definitions")]
    return own + [pair for item in inner for pair in every_interval(item)]


def test_every_number_has_an_interval_around_it(tmp_path: Path) -> None:
    found, data = write_set(tmp_path, [""] * 12)
    scores = maskwright.evaluate(found, data, draws=500, surface_px=1.0).scores
    pairs = every_interval(scores)
    known = [(value, ends) for value, ends in pairs if ends is not None]
    assert len(known) > 100
    assert all(ends[0] <= value <= ends[1] for value, ends in known if value is not None)
    assert all(ends[0] < ends[1] for _, ends in [(row["iou"], row["intervals"]["iou"]) for row in scores["classes"]])
    assert all(ends is None for value, ends in pairs if value is None)
    assert {"iou", "mean_boundary_f", "ece", "hd95_px", "objects", "intervals"} <= scores["definitions"].keys()


def test_one_image_has_scores_and_no_interval(tmp_path: Path) -> None:
    found, data = write_set(tmp_path, [""])
    result = maskwright.evaluate(found, data, draws=100)
    assert 0 < result.scores["mean_iou"] < 1
    assert all(ends is None for _, ends in every_interval(result.scores))
    assert any(line.split()[:1] == ["disc"] for line in result.table)


def test_units_are_groups_where_there_are_enough() -> None:
    frames = [f"g{i // 3}" for i in range(30)]
    assert (choose_units(frames).of, choose_units(frames).count, choose_units(frames).note) == ("groups", 10, "")
    some = choose_units(frames[:27])
    assert (some.of, some.count) == ("images", 27)
    assert "27 images come from 9 groups" in some.note
    assert choose_units([f"g{i}" for i in range(30)]).note == "", "every image is a group of its own"
    assert choose_units(frames, "images").count == 30
    few = choose_units(frames[:6], "groups")
    assert (few.of, few.count) == ("groups", 2)
    assert "only 2 groups" in few.note
    assert choose_units([""] * 4).units_N.tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="No image here has a group"):
        choose_units([""] * 4, "groups")
    with pytest.raises(InputError, match="Did you mean 'groups'"):
        choose_units(frames, "group")


def test_groups_make_intervals_wider_than_their_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = Classes.from_names(["a", "b"], background=None)
    observer = Observer(classes=classes)
    seen = []
    for group in range(12):
        share = rng.uniform(0.05, 0.5)
        for index in range(8):
            truth = rng.integers(0, 2, (20, 20)).astype(np.uint8)
            guess = np.where(rng.random((20, 20)) < share, 1 - truth, truth).astype(np.uint8)
            name = f"{group}-{index}"
            sample = Sample(id=name, image="x", group=f"g{group}", height=20, width=20, image_hash="")
            seen.append(observer(sample, np.zeros((20, 20, 3), np.uint8), truth, guess, None))
    gathered = gather(seen, classes)
    widths = {}
    for of in ("images", "groups"):
        scores = tabulate(gathered, classes, Resampling(units=choose_units(gathered.groups, of), draws=1000))
        low, high = scores["intervals"]["mean_iou"]
        widths[of] = high - low
    assert widths["groups"] > 2 * widths["images"]
    assert scores["binary"] is None
    assert "mean_iou_no_background" not in scores


def test_an_image_without_a_labelled_pixel_changes_nothing(tmp_path: Path) -> None:
    found, data = write_set(tmp_path / "one", ["", ""])
    before = maskwright.evaluate(found, data, draws=100).scores
    blank = np.full((30, 40), 255, np.uint8)
    made = add_sample(data.path, "blank", shapes(0, (30, 40))[0], blank, split="test", classes=data.classes)
    write_mask(found / "blank.png", blank, data.classes)
    data = Dataset.create(data.path, data.classes, [*data.samples, made], {})
    after = maskwright.evaluate(found, data, draws=100).scores
    assert after["images"] == 3
    for key in ("mean_iou", "pixels", "confusion", "mean_boundary_f"):
        assert after[key] == before[key], key
    assert after["image_level"]["mean_iou"]["mean"] == before["image_level"]["mean_iou"]["mean"]


def test_more_classes_than_a_byte_holds(tmp_path: Path) -> None:
    classes = Classes.from_names([f"c{i}" for i in range(300)])
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 300, (20, 30)).astype(np.uint16)
    sample = add_sample(tmp_path / "data", "a", shapes(0, (20, 30))[0], truth, split="test", classes=classes)
    data = Dataset.create(tmp_path / "data", classes, [sample], {})
    (tmp_path / "found").mkdir()
    write_mask(tmp_path / "found/a.png", truth, classes)
    assert maskwright.evaluate(tmp_path / "found", data, draws=100).scores["mean_iou"] == 1
