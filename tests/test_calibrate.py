"""Temperature scaling: recovered where it is known, never worse, and no prediction changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from drawing import shapes_classes, write_shapes
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from test_predictor import THREE, TWO, make_run

import maskwright
from maskwright.cli.calibrate import calibrate as verb
from maskwright.files import read_yaml, write_yaml
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.infer.temper import tempered
from maskwright.run import Run
from maskwright.scoring.doubting.calibrate import fit_temperature, nll
from maskwright.types import InputError

CPU: Any = {"device": "cpu", "precision": "fp32"}


def drawn(seed: int, classes: int = 4, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits (K, N), and labels drawn from their softmax: calibrated as they are."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (classes, count))
    chosen = (softmax(logits, axis=0).cumsum(0) < rng.random(count)).sum(0)
    return logits, np.minimum(chosen, classes - 1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_a_known_factor_is_recovered(factor: float) -> None:
    logits, labels = drawn(0)
    scores = softmax(factor * logits, axis=0).astype(np.float32)
    assert fit_temperature(scores, labels) == pytest.approx(factor, rel=0.04)


@pytest.mark.parametrize("seed", range(4))
def test_the_temperature_is_that_of_a_general_minimiser_on_logits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, rng.uniform(0.5, 4), (3, 3000))
    labels = np.where(rng.random(3000) < 0.6, logits.argmax(0), rng.integers(0, 3, 3000))

    def loss(log_t: float) -> float:
        return float(-np.take_along_axis(log_softmax(logits / np.exp(log_t), axis=0), labels[None], 0).mean())

    slow = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    found = fit_temperature(softmax(logits, axis=0).astype(np.float32), labels)
    assert found == pytest.approx(slow, rel=0.01)


def test_a_sigmoid_a_class_has_a_temperature_too() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (3, 8000))
    labels = logits.argmax(0)
    labels[:2500] = rng.integers(0, 3, 2500)
    truth = np.arange(3)[:, None] == labels

    def loss(log_t: float) -> float:
        p = np.clip(expit(logits / np.exp(log_t)), 1e-12, 1 - 1e-12)
        return float(-np.where(truth, np.log(p), np.log(1 - p)).sum(0).mean())

    slow = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    scores = expit(logits).astype(np.float32)
    found = fit_temperature(scores, labels, each_class=True)
    assert found == pytest.approx(slow, rel=0.01)
    assert nll(scores, labels, each_class=True) == pytest.approx(loss(0), rel=1e-4)


@pytest.mark.parametrize("each_class", [False, True])
def test_the_loss_never_gets_worse(each_class: bool) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        raw = rng.dirichlet([0.3] * 3, 400).T.astype(np.float32)
        labels = rng.integers(0, 3, 400) if seed % 2 else raw.argmax(0)
        found = fit_temperature(raw, labels, each_class=each_class)
        after = tempered(raw, found, each_class=each_class)
        assert nll(after, labels, each_class=each_class) <= nll(raw, labels, each_class=each_class)


def test_powers_of_probabilities_are_the_softmax_of_divided_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 6, 7))
    scores = softmax(logits, axis=0).astype(np.float32)
    for temperature in (0.3, 1.0, 4.0):
        found = tempered(scores, temperature)
        assert np.allclose(found, softmax(logits / temperature, axis=0), atol=1e-5)
        assert found.dtype == np.float32
    each = tempered(expit(logits).astype(np.float32), 2.0, each_class=True)
    assert np.allclose(each, expit(logits / 2), atol=1e-5)
    assert tempered(scores, 1.0) is scores


@pytest.mark.parametrize("each_class", [False, True])
@pytest.mark.parametrize("temperature", [0.05, 0.7, 3.0, 20.0])
def test_no_prediction_changes_not_even_where_rounding_ties(temperature: float, each_class: bool) -> None:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet([0.05] * 3, (40, 50)).transpose(2, 0, 1).astype(np.float32)
    scores[1, :10] = np.nextafter(scores[0, :10], np.float32(1))  # one step apart
    scores[2, :10] = 0
    scores[:, 10:12] = np.float32(1 / 3)
    scores[:, 12] = np.array([[0], [0], [1]], np.float32)
    found = tempered(scores, temperature, each_class=each_class)
    assert np.array_equal(first_maximum(found, THREE), first_maximum(scores, THREE))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A random network with a class table and images."""
    data = write_shapes(tmp_path / "shapes", {"train": 2, "val": 6, "test": 3})
    run = make_run(tmp_path / "run", shapes_classes())
    run.write_about({"data": {"path": str(data.path), "fingerprint": data.fingerprint}})
    return run


def test_the_run_keeps_the_temperature_and_its_predictions(run: Run) -> None:
    image = maskwright.Dataset.open(run.about["data"]["path"]).image(
        maskwright.Dataset.open(run.about["data"]["path"]).labelled("test")[0]
    )
    plain = Predictor.load(run, **CPU)
    before = {key: value for key, value in run.about.items() if key != "calibration"}
    found = maskwright.calibrate(run, **CPU).found
    kept = run.about["calibration"]
    assert kept == found
    assert {key: value for key, value in run.about.items() if key != "calibration"} == before
    assert kept["nll"][1] <= kept["nll"][0]
    assert kept["images"] == 6
    assert (kept["split"], kept["weights"]) == ("val", "best")
    warm = Predictor.load(run, **CPU)
    assert warm.temperature == kept["temperature"] != 1
    assert np.array_equal(warm.ids(image), plain.ids(image))
    assert np.array_equal(first_maximum(warm.probabilities(image), warm.classes), plain.ids(image))
    wanted = tempered(plain.probabilities(image), kept["temperature"])
    assert np.array_equal(warm.probabilities(image), wanted)
    assert np.allclose(wanted.sum(0), 1, atol=1e-5)


def test_calibrating_twice_changes_nothing(run: Run) -> None:
    first = maskwright.calibrate(run, **CPU).found
    second = maskwright.calibrate(run, **CPU).found
    assert {**first, "time": ""} == {**second, "time": ""}


def test_other_weights_have_no_temperature(run: Run) -> None:
    maskwright.calibrate(run, **CPU)
    last = run.path / "weights" / "last.safetensors"
    best = run.path / "weights" / "best.safetensors"
    assert Predictor.load(run, **CPU).temperature != 1
    other = make_run(run.path.parent / "other", shapes_classes(), fit="stretch").weights().read_bytes()
    changed = bytearray(other)
    changed[-4:] = b"\0\0\0\0"
    last.write_bytes(bytes(changed))
    assert Predictor.load(run, weights="last", **CPU).temperature == 1
    best.write_bytes(bytes(changed))  # as if it had been trained further
    assert Predictor.load(run, **CPU).temperature == 1


def test_a_temperature_that_is_none_is_refused(run: Run) -> None:
    maskwright.calibrate(run, **CPU)
    about = read_yaml(run.path / "run.yaml")
    for value in (0, -1, "hot", float("nan")):
        about["calibration"]["temperature"] = value
        write_yaml(run.path / "run.yaml", about)
        with pytest.raises(InputError, match=r"calibrate' again"):
            Predictor.load(run, **CPU)


def test_one_logit_and_one_against_the_rest(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"val": 3})
    run = make_run(tmp_path / "rest", shapes_classes(), loss="bce")
    found = maskwright.calibrate(run, data, **CPU).found
    assert found["nll"][1] <= found["nll"][0]
    assert Predictor.load(run, **CPU).each_class
    assert not Predictor.load(make_run(tmp_path / "two", TWO, loss="bce"), **CPU).each_class


def test_what_cannot_be_calibrated_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labelled images in split 'nowhere'"):
        maskwright.calibrate(run, split="nowhere", **CPU)
    other = write_shapes(tmp_path / "other", {"val": 2})
    record = other.path / "dataset.yaml"
    record.write_text(record.read_text().replace("name: disc", "name: ring"))
    with pytest.raises(InputError, match="has classes"):
        maskwright.calibrate(run, other.path, **CPU)
    assert "calibration" not in run.about


def test_a_broken_photo_is_left_out(run: Run) -> None:
    data = maskwright.Dataset.open(run.about["data"]["path"])
    broken = data.path / data.labelled("val")[0].image
    broken.write_bytes(broken.read_bytes()[:100])
    result = maskwright.calibrate(run, **CPU)
    assert result.found["images"] == 5
    assert len(result.skipped) == 1
    with pytest.raises(InputError, match=broken.name):
        maskwright.calibrate(run, strict=True, **CPU)


def test_the_verb_says_what_it_did(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        verb(run=run.path, device="cpu", precision="fp32")
    assert end.value.exit_code == 0
    said = capsys.readouterr().err
    assert "Temperature" in said
    assert "run.yaml" in said
