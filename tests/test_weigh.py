"""Class weights measured on masks, and the background left out of loss and score by one key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from quick import quick

import maskwright
from maskwright.config import LossRecipe, Recipe
from maskwright.data.augmenting.sampling import count_pixels
from maskwright.data.dataset import Dataset
from maskwright.data.pairs import Decoded
from maskwright.losses import CLASS_WEIGHTS
from maskwright.metrics.counts import mean_iou, without_labels
from maskwright.run import Run
from maskwright.training.weigh import measure_weights, ratio, weights_text
from maskwright.types import InputError


@pytest.mark.parametrize("rule", CLASS_WEIGHTS)
def test_weights_are_measured_said_and_recorded(
    shapes_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    recipe = quick(f"loss.weights={rule}", "loss.class_power=0.5" if rule == "power" else "loss.class_power=0")
    run = maskwright.train(shapes_dataset, recipe.with_values(train__epochs=1), out=tmp_path / "run").run
    recorded = Run.open(run.path).about["loss"]["weights"]
    assert recorded["rule"] == rule
    assert list(recorded["of"]) == shapes_dataset.classes.names
    assert recorded["of"]["box"] > recorded["of"]["background"]
    assert f"class weights by {rule}: box" in capsys.readouterr().err


def test_the_median_of_frequencies_counts_images_that_hold_a_class(shapes_dataset: Dataset) -> None:
    pairs = Decoded(shapes_dataset, shapes_dataset.labelled("train"), quick())
    masks = [pairs.mask(index) for index in range(len(pairs))]
    frequency = []
    for k in range(3):
        holding = [mask for mask in masks if (mask == k).any()]
        frequency.append(sum((m == k).sum() for m in holding) / sum((m != 255).sum() for m in holding))
    expected = np.median(frequency) / np.array(frequency)
    weight, _ = measure_weights(
        pairs, LossRecipe(weights="median_frequency"), shapes_dataset.classes, count_pixels(pairs, 3)
    )
    assert weight is not None
    np.testing.assert_allclose(weight / weight[0], expected / expected[0], rtol=1e-5)


def test_without_a_rule_nothing_is_measured(shapes_dataset: Dataset) -> None:
    pairs = Decoded(shapes_dataset, shapes_dataset.labelled("train"), quick())
    assert measure_weights(pairs, LossRecipe(), shapes_dataset.classes, np.zeros(3, np.int64)) == (None, {})


def test_an_unknown_rule_leaves_no_run(shapes_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'inverse'"):
        maskwright.train(shapes_dataset, quick("loss.weights=inverze"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_ratio_and_text_leave_out_what_weighs_nothing() -> None:
    assert ratio(torch.tensor([0.5, 0.0, 5.0])) == 10
    assert ratio(torch.zeros(3)) == 1
    assert weights_text({"sky": 0.25, "none": 0.0, "pole": 4.0}) == "pole 4, sky 0.25"


@pytest.mark.parametrize(
    ("sets", "scored", "ignored"),
    [
        ([], True, False),
        (["score.background=false"], False, False),
        (["loss.background=false"], False, True),
        (["loss.background=false", "score.background=true"], True, False),
    ],
)
def test_one_key_leaves_the_background_out_of_loss_and_score(sets: list[str], scored: bool, ignored: bool) -> None:
    recipe = Recipe.load("default", sets)
    assert recipe.background_scored is scored
    assert recipe.background_ignored is ignored


def test_counts_without_labels_keep_misses_and_drop_what_is_said_on_them() -> None:
    counts = np.array([[50, 7, 3], [4, 20, 1], [2, 0, 10]])
    kept = without_labels(counts, 0)
    assert kept.tolist() == [[0, 0, 0], [4, 20, 1], [2, 0, 10]]
    assert counts[0, 0] == 50
    assert without_labels(counts, None) is counts
    assert mean_iou(kept, leave_out=0) == pytest.approx((20 / 25 + 10 / 13) / 2)


def test_background_pixels_enter_no_count_of_such_a_run(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick("loss.background=false", "train.epochs=2")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "run").run
    scores = maskwright.evaluate(run).scores
    assert scores["confusion"][0] == [0, 0, 0]
    assert "neither are pixels labelled background" in scores["definitions"]["ignored"]
    assert scores["classes"][0]["pixels"] == 0
    page = maskwright.report(run).read_text(encoding="utf-8")
    assert "(without background)" in page
