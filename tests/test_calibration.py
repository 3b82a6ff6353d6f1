"""Calibration agrees with torchmetrics and scikit-learn, streams, and adds up."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torchmetrics.classification import MulticlassCalibrationError

from maskwright.metrics.calibration import SMALLEST, Calibration

K = 4


def image(seed: int, sharpness: float = 2.0, hw: tuple[int, int] = (37, 41)) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of K classes and a label that they half know, with ignored pixels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(K, *hw)) * sharpness
    truth = np.where(rng.random(hw) < 0.6, logits.argmax(0), rng.integers(0, K, hw)).astype(np.uint8)
    truth[rng.random(hw) < 0.1] = 255
    exponential = np.exp(logits - logits.max(0))
    return (exponential / exponential.sum(0)).astype(np.float32), truth


def add(found: Calibration, probabilities: np.ndarray, truth: np.ndarray) -> None:
    """As an evaluation does."""
    label = np.where(truth < K, truth, 0).astype(np.intp)
    true = np.take_along_axis(probabilities, label[None], 0)[0]
    found.add(
        probabilities.max(0),
        probabilities.argmax(0) == label,
        true_probability_HW=true,
        brier_HW=(probabilities**2).sum(0) - 2 * true + 1,
        known_HW=truth < K,
    )


def flat(images: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """All known pixels: probabilities (N, K) and labels (N,)."""
    chosen = [(probabilities[:, truth < K].T, truth[truth < K]) for probabilities, truth in images]
    return np.concatenate([one for one, _ in chosen]), np.concatenate([other for _, other in chosen])


@pytest.mark.parametrize("bins", [1, 10, 15, 100])
@pytest.mark.parametrize("sharpness", [0.3, 2.0, 8.0])
def test_errors_are_those_of_torchmetrics(bins: int, sharpness: float) -> None:
    images = [image(seed, sharpness) for seed in range(3)]
    found = Calibration(bins)
    for probabilities, truth in images:
        # torchmetrics gives a confidence of exactly 1 a bin of its own.
        probabilities[...] = np.clip(probabilities, 0, np.float32(1 - 1e-6))
        add(found, probabilities, truth)
    probabilities, truth = flat(images)
    settings: dict[str, Any] = {"num_classes": K, "n_bins": bins, "validate_args": False}
    for theirs, value in (
        (MulticlassCalibrationError(norm="l1", **settings), found.ece()),
        (MulticlassCalibrationError(norm="max", **settings), found.mce()),
    ):
        expected = theirs(torch.from_numpy(probabilities), torch.from_numpy(truth.astype(np.int64)))
        assert value == pytest.approx(float(expected), abs=1e-5)


def test_proper_scores_are_those_of_scikit_learn_and_of_brier() -> None:
    images = [image(seed) for seed in range(3)]
    found = Calibration()
    for probabilities, truth in images:
        add(found, probabilities, truth)
    probabilities, truth = flat(images)
    exact = probabilities.astype(np.float64)
    assert found.nll() == pytest.approx(log_loss(truth, exact / exact.sum(1, keepdims=True)), abs=1e-5)
    assert found.brier() == pytest.approx(((exact - np.eye(K)[truth]) ** 2).sum(1).mean(), abs=1e-5)


@pytest.mark.parametrize("classes", [1, 2, K])
def test_from_probabilities_it_is_what_it_is_from_planes(classes: int) -> None:
    probabilities, truth = image(5)
    probabilities = probabilities[:classes] / probabilities[:classes].sum(0)
    probabilities[:, :4] = 1 / classes  # equals: the first class is the prediction
    found, expected = Calibration(), Calibration()
    found.add_probabilities(probabilities, truth)
    known = truth < classes
    chosen, label = probabilities[:, known].T, truth[known]
    true = chosen[np.arange(len(label)), label]
    brier = ((chosen - np.eye(classes, dtype=np.float32)[label]) ** 2).sum(1)
    expected.add(chosen.max(1), chosen.argmax(1) == label, true_probability_HW=true, brier_HW=brier)
    assert np.array_equal(found.count, expected.count)
    assert np.array_equal(found.right, expected.right)
    assert found.nll() == pytest.approx(expected.nll(), rel=1e-6)
    assert found.brier() == pytest.approx(expected.brier(), rel=1e-5, abs=1e-7)


def test_an_honest_model_has_no_error_and_a_boaster_has() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random((500, 400), dtype=np.float32)
    honest, boaster = Calibration(), Calibration()
    honest.add(confidence, rng.random(confidence.shape) < confidence)
    boaster.add(np.full((10, 10), 0.99, np.float32), np.arange(100).reshape(10, 10) < 70)
    assert honest.ece() < 0.01
    assert boaster.ece() == boaster.mce() == pytest.approx(0.29, abs=1e-6)
    assert boaster.curve() == [{"confidence": pytest.approx(0.99), "accuracy": 0.7, "share": 1.0}]
    assert sum(point["share"] for point in honest.curve()) == pytest.approx(1)


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 37))
def test_parts_add_up_to_the_whole(seed: int, cut: int) -> None:
    probabilities, truth = image(seed)
    whole, top, bottom = Calibration(), Calibration(), Calibration()
    add(whole, probabilities, truth)
    add(top, probabilities[:, :cut], truth[:cut])
    add(bottom, probabilities[:, cut:], truth[cut:])
    total = top + pickle.loads(pickle.dumps(bottom))
    assert np.array_equal(total.count, whole.count)
    assert np.array_equal(total.right, whole.right)
    for name in ("ece", "mce", "nll", "brier"):
        assert getattr(total, name)() == pytest.approx(getattr(whole, name)(), rel=1e-9)
    assert top.count.sum() + bottom.count.sum() == (truth < K).sum()


def test_it_is_written_and_read_back() -> None:
    found = Calibration(10)
    add(found, *image(1))
    back = Calibration.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back.to_dict() == found.to_dict()
    assert (back + found).ece() == pytest.approx(found.ece())


def test_nothing_seen_is_nothing_known() -> None:
    empty = Calibration()
    assert np.isnan([empty.ece(), empty.mce(), empty.nll(), empty.brier()]).all()
    assert empty.curve() == []
    ignored = Calibration()
    ignored.add(np.full((3, 3), 0.5, np.float32), np.ones((3, 3), bool), known_HW=np.zeros((3, 3), bool))
    assert np.isnan(ignored.ece())


def test_certainty_and_its_opposite_fall_into_the_end_bins() -> None:
    found = Calibration(5)
    sure, right = np.array([0.0, 1.0, 1.00001, -0.00001], np.float32), np.array([True, True, False, False])
    found.add(sure, right, true_probability_HW=np.zeros(4, np.float32))
    assert found.count.tolist() == [2, 0, 0, 0, 2]
    assert found.right.tolist() == [1, 0, 0, 0, 1]
    assert found.nll() == pytest.approx(-np.log(SMALLEST))


@pytest.mark.parametrize("value", [1.5, -0.5, np.nan, np.inf])
def test_what_is_no_probability_is_refused(value: float) -> None:
    plane, right = np.full((2, 2), 0.5, np.float32), np.ones((2, 2), bool)
    bad = np.array([[0.5, 0.5], [0.5, value]], np.float32)
    with pytest.raises(ValueError, match=r"a confidence lies outside 0\.\.1"):
        Calibration().add(bad, right)
    with pytest.raises(ValueError, match=r"a probability lies outside 0\.\.1"):
        Calibration().add(plane, right, true_probability_HW=bad)
    with pytest.raises(ValueError, match=r"a Brier score lies outside 0\.\.2"):
        Calibration().add(plane, right, brier_HW=bad * 2)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        Calibration().add(np.zeros((2, 3), np.float32), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="15 and 10 bins"):
        Calibration(15) + Calibration(10)
    with pytest.raises(ValueError, match="at least one bin"):
        Calibration(0)
