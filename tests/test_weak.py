"""Weak spots: evidence against labels, verdicts in words, and the files that an evaluation leaves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import shapes, shapes_classes

from maskwright.files import read_json
from maskwright.imageio import read_image
from maskwright.metrics.counts import confusion
from maskwright.metrics.tally import tally_of
from maskwright.scoring.doubting import suspicion
from maskwright.scoring.doubting.suspicion import REACH, contradicted, moved
from maskwright.scoring.doubting.weak import (
    SUSPECT,
    Look,
    direction,
    look,
    suspicions,
    to_draw,
    weak_spots,
    weakest,
    write_weak,
)
from maskwright.scoring.doubting.weak_pictures import RAMP, ramp, unlikely
from maskwright.types import Classes, Image, Mask

CLASSES = shapes_classes()
Scores = np.ndarray


def believe(truth_HW: Mask, seed: int = 0, sure: float = 0.9) -> Scores:
    """Probabilities of a model that knows the truth but for a pixel or two, soft outlines and some noise."""
    rng = np.random.default_rng(seed)
    known = np.roll(np.where(truth_HW == 255, 0, truth_HW), rng.integers(-2, 3, 2), (0, 1))
    scores = np.full((3, *truth_HW.shape), (1 - sure) / 2)
    np.put_along_axis(scores, known[None].astype(int), sure, axis=0)
    soft = np.stack([cv2.GaussianBlur(plane, (0, 0), 3) for plane in scores])
    soft *= np.exp(rng.normal(0, 0.3 * rng.random(), soft.shape))
    return np.asarray(soft / soft.sum(0), np.float32)


def seen(number: int, label: Mask | None = None, hw: tuple[int, int] = (96, 128)) -> tuple[Image, Mask, Mask, Scores]:
    """Photo, label (the true one unless given), prediction and probabilities of one drawn image."""
    image, truth = shapes(number, hw)
    scores = believe(truth, number)
    return image, truth if label is None else label, scores.argmax(0).astype(np.uint8), scores


def test_the_best_move_agrees_with_trying_every_one() -> None:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet([0.5] * 3, (30, 40)).transpose(2, 0, 1).astype(np.float32)
    label = rng.integers(0, 4, (30, 40)).astype(np.uint8)
    label[label == 3] = 255
    logs = np.log(np.maximum(scores, suspicion.SMALLEST))
    known = [(y, x) for y in range(30) for x in range(40) if label[y, x] < 3]
    means = {}
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            values = [
                logs[label[y, x], y + dy, x + dx] - logs[label[y + dy, x + dx], y + dy, x + dx]
                for y, x in known
                if 0 <= y + dy < 30 and 0 <= x + dx < 40 and label[y + dy, x + dx] < 3
            ]
            if (dy or dx) and len(values) >= max(suspicion.LEAST_PX, len(known) / 2):
                means[dy, dx] = np.mean(values)
    loss = -np.mean([logs[label[y, x], y, x] for y, x in known])
    best = max(means, key=lambda move: means[move])
    gain, move = moved(scores, label)
    assert move == best
    assert gain == pytest.approx(max(-0.05, means[best] / (loss + 0.3)), abs=1e-4)


def test_a_shifted_label_gains_by_going_back() -> None:
    truth = np.zeros((100, 200), np.uint8)
    truth[30:70, 60:120] = 1
    truth[10:20, 150:190] = 2
    scores = believe(truth)
    label = np.full_like(truth, 255)
    label[8:, :-11] = truth[:-8, 11:]  # down by 8, left by 11
    gain, move = moved(scores, label)
    assert gain > 0.1
    assert move == pytest.approx((-8, 11), abs=2)
    assert suspicion.FIRM <= moved(scores, truth)[0] < 0.05
    assert moved(scores, np.full_like(truth, 255)) == (0.0, (0, 0))
    assert direction(move) == f"{-move[0]} px further up and {move[1]} px further right"


def test_softmin_agrees_with_the_published_formula_written_out() -> None:
    quality = np.random.default_rng(0).random(200).astype(np.float32)
    weights = np.exp((1 - quality.astype(float)) / 0.1)
    assert contradicted(1 - quality) == pytest.approx(1 - float((quality * weights).sum() / weights.sum()), abs=1e-5)
    assert contradicted(np.zeros(5, np.float32)) == 0
    assert contradicted(np.zeros(0, np.float32)) == 0


def test_the_loss_is_the_mean_over_labelled_pixels() -> None:
    image, truth, guess, scores = seen(3)
    by_hand = [-np.log(scores[truth[y, x], y, x]) for y, x in np.argwhere(truth != 255)]
    found = look(image, truth, guess, scores, CLASSES)
    assert found.loss == pytest.approx(np.mean(by_hand), rel=1e-4)
    wrong = [(truth[y, x], guess[y, x]) for y, x in np.argwhere((truth != 255) & (truth != guess))]
    if wrong:
        assert found.dispute in wrong
    nothing = look(image, np.full_like(truth, 255), guess, scores, CLASSES)
    assert (nothing.loss, nothing.doubt) == (None, None)
    assert look(image, truth, guess, None, CLASSES).loss is None


def spoiled_set(count: int = 40) -> tuple[list[str], list[Look], np.ndarray, dict[str, str]]:
    """Drawn images of which one label was shifted, one exchanged, and one photo misread by the model."""
    ids = [f"image-{number:02}" for number in range(count)]
    looks, tallies = [], []
    for number in range(count):
        image, label, guess, scores = seen(number)
        if number == 7:
            label = np.roll(label, (6, 7), (0, 1))
        if number == 11:
            label = seen(12)[1]
        if number == 20:  # the model fails: it knows next to nothing, and guesses the background
            scores = np.broadcast_to(np.array([[[0.4]], [[0.3]], [[0.3]]], np.float32), scores.shape)
            guess = np.zeros_like(guess)
        looks.append(look(image, label, guess, scores, CLASSES))
        tallies.append(tally_of(confusion(label, guess, 3)))
    return ids, looks, np.stack(tallies), {"image-07": "label", "image-11": "label", "image-20": "model"}


def test_label_errors_and_model_errors_are_told_apart() -> None:
    ids, looks, tallies, wanted = spoiled_set()
    weak = weak_spots(ids, [""] * len(ids), looks, tallies, CLASSES)
    verdicts = {row["id"]: row["verdict"] for row in weak["images"]}
    assert {key: verdicts[key] for key in wanted} == wanted
    assert sum(verdict == "label" for verdict in verdicts.values()) <= 3
    assert [row["suspicion"] for row in weak["images"]] == sorted(
        (r["suspicion"] for r in weak["images"]), reverse=True
    )
    why = {row["id"]: row["why"] for row in weak["images"]}
    assert "further up and" in why["image-07"]
    assert "further left" in why["image-07"]
    assert all(why[key] for key in wanted)
    assert not any(why[key] for key in ids if verdicts[key] == "fine")


def test_the_order_of_images_changes_no_verdict() -> None:
    ids, looks, tallies, _ = spoiled_set(20)
    order = np.random.default_rng(0).permutation(20)
    one = weak_spots(ids, [""] * 20, looks, tallies, CLASSES)["images"]
    two = weak_spots([ids[i] for i in order], [""] * 20, [looks[i] for i in order], tallies[order], CLASSES)["images"]
    assert one == two


def test_few_images_and_foreign_masks_accuse_nobody() -> None:
    ids, looks, tallies, _ = spoiled_set(12)
    few = weak_spots(ids[4:12], [""] * 8, looks[4:12], tallies[4:12], CLASSES)
    assert "label" not in {row["verdict"] for row in few["images"]}
    assert "too few" in few["note"]
    image, truth, guess, _ = seen(0)
    foreign = [look(image, truth, guess, None, CLASSES)] * 12
    found = weak_spots(ids, [""] * 12, foreign, tallies, CLASSES)
    assert found["images"] == []
    assert "probabilities" in found["note"]


def test_equal_images_are_not_suspect_and_none_is_no_error() -> None:
    assert suspicions(np.full(20, 0.4)).max() == 0
    assert suspicions(np.append(np.full(20, 0.4), 0.405)).max() < SUSPECT, "noise is no evidence"
    assert suspicions(np.zeros(0)).size == 0
    assert not weakest(np.full(10, 0.5)).any()
    assert weakest(np.array([0.1] * 9 + [1.0])).tolist() == [False] * 9 + [True]
    assert weakest(np.zeros(0)).size == 0


def test_files_and_pictures(tmp_path: Path) -> None:
    ids, looks, tallies, wanted = spoiled_set()
    weak = weak_spots(ids, [""] * len(ids), looks, tallies, CLASSES)
    (tmp_path / "weak").mkdir()
    (tmp_path / "weak" / "9-photo.jpg").write_bytes(b"of an earlier evaluation")
    write_weak(tmp_path, weak, lambda key: seen(ids.index(key)), CLASSES)
    found = read_json(tmp_path / "weak.json")
    drawn = {row["id"]: row["pictures"] for row in found["images"] if "pictures" in row}
    assert set(wanted) <= set(drawn)
    assert len(drawn) <= 6
    pictures = {path.name for path in (tmp_path / "weak").iterdir()}
    assert pictures == {f"{n}-{p}.jpg" for n in drawn.values() for p in ("photo", "label", "prediction", "suspicion")}
    assert read_image(tmp_path / "weak" / "0-suspicion.jpg").shape == (96, 128, 3)


def test_half_of_the_pictures_is_for_each_kind() -> None:
    labels = [{"verdict": "label", "loss": 1.0, "id": f"l{n}"} for n in range(9)]
    models = [{"verdict": "model", "loss": float(n), "id": f"m{n}"} for n in range(9)]
    assert [row["id"] for row in to_draw([*labels, *models])] == ["l0", "l1", "l2", "m8", "m7", "m6"]
    assert [row["id"] for row in to_draw([*labels[:1], *models])] == ["l0", "m8", "m7", "m6", "m5", "m4"]
    assert [row["id"] for row in to_draw(labels)] == [f"l{n}" for n in range(6)]
    assert to_draw([]) == []


def test_the_ramp_gets_lighter_all_the_way() -> None:
    colours = ramp(np.linspace(0, 1, 64)[None])[0].astype(float)
    light = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    assert colours[0].tolist() == RAMP[0].tolist()
    assert colours[-1].tolist() == RAMP[-1].tolist()
    assert ramp(np.array([[np.nan, -1, 2]])).shape == (1, 3, 3)


def test_ignored_pixels_are_white_and_unlikely_ones_light() -> None:
    truth = np.array([[0, 0, 255]], np.uint8)
    scores = np.array([[[1.0, 1e-6, 0.5]], [[0.0, 1.0, 0.5]]], np.float32)
    picture = unlikely(truth, scores, Classes.from_names(["a", "b"]))
    assert picture[0, 2].tolist() == [255, 255, 255]
    assert picture[0, 0].tolist() == RAMP[0].tolist()
    assert picture[0, 1].tolist() == RAMP[-1].tolist()
