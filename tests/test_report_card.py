"""The model card: limits that follow from what was measured, words that only a person can write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pages import text_of
from run_folders import FINGERPRINT, TWELVE, TWO, add_evaluation, make_run, whole_scores

from maskwright.files import read_json, write_json, write_text
from maskwright.reporting.model_card import model_card, of_slices, of_stress
from maskwright.reporting.page import contents, report
from maskwright.run import Run
from maskwright.types import InputError


def limits(run: Run) -> str:
    card: dict[str, Any] = contents(run)["card"]
    return " ".join(card["limits"])


def test_a_run_that_was_not_scored_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TWO, status="interrupted")
    found = limits(run)
    assert "did not end as planned" in found
    assert "has not been scored on images held back" in found
    assert "'maskwright stress'" in found
    assert "'maskwright audit'" in found


def test_weak_absent_rare_and_confused_classes_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    counts = add_evaluation(run)
    counts[3] = 0
    counts[3, 3], counts[3, 5] = 300, 700
    scores = {**read_json(run.evaluation_folder("test") / "scores.json"), **whole_scores(counts, TWELVE)}
    scores |= {"confusion": counts.tolist(), "images": 12}
    scores["groups"] = {
        "a": {**scores, "mean_iou": 0.2},
        "b": {**scores, "mean_iou": 0.6},
        "c": {**scores, "mean_iou": 0.9, "images": 2},
    }
    write_json(run.evaluation_folder("test") / "scores.json", scores)
    about = run.about
    run.write_about({"data": {**about["data"], "train_pixels": [10_000, 1, *[10_000] * 10]}})
    found = limits(run)
    assert "on 12 images only" in found
    assert "Nothing is known about class k" in found
    assert "Classes with an IoU below 0.5: class c (" in found
    assert "class a." in found.split("Seldom seen")[1]
    assert "70.0\u202f% of the pixels of class c are taken for class e." in found
    assert "mean IoU 0.20 in group a, 0.60 in group b" in found
    assert "confidence is off by 0.08" in found


def test_the_audit_is_looked_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run = make_run(tmp_path / "run", TWO)
    run.write_about({"data": {**run.about["data"], "path": str(data)}})
    (data / "audit").mkdir(parents=True)
    finding = {"severity": "error", "kind": "size"}
    record = {
        "format": 1, "dataset": {"fingerprint": FINGERPRINT}, "counts": {"error": 2, "warning": 0, "note": 1},
        "kinds": {"size": {"title": "Mask of another <size>"}}, "findings": [finding, finding],
    }  # fmt: skip
    write_json(data / "audit" / "audit.json", record)
    found = limits(run)
    assert "The audit found 2 errors" in found
    words = text_of(report(run))
    assert "Audit 2 errors, 1 note: Mask of another <size> (error)" in words
    write_text(data / "audit" / "audit.json", "{broken")
    assert "not found beside the data set" in text_of(report(run))


def test_what_stress_showed_is_a_limit() -> None:
    kinds = [
        {"title": "Fog", "retention": 0.55},
        {"title": "Noise", "retention": 0.95},
        {"title": "x", "retention": None},
    ]
    found = " ".join(of_stress([{"kinds": kinds}]))
    assert "under Fog (45.0\u202f%)." in found
    assert "Noise" not in found


def test_weak_slices_are_limits() -> None:
    row = {"class": "car", "attribute": "brightness", "range": "darkest third", "iou": 0.214, "elsewhere": 0.63}
    further = [
        {**row, "attribute": "share", "range": "third with the least of it"},
        {**row, "class": None, "attribute": "contrast", "range": "third with the least contrast"},
        {**row, "attribute": "group", "range": "north"},
    ]
    assert list(of_slices([{"slices": [row, *further]}, {"slices": [row]}])) == [
        "The IoU of car is 0.21 in the darkest third of the images, 0.63 elsewhere.",
        "The mean IoU is 0.21 in the third of the images with the least contrast, 0.63 elsewhere.",
        "The IoU of car is 0.21 in group north, 0.63 elsewhere.",
    ]
    assert list(of_slices([])) == []


def test_a_person_has_the_last_word(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TWO)
    write_text(run.path / "card.yaml", "licence: CC BY 4.0 <i>\nauthors: [Ada, Grace]\nintended_use: Road <scenes>\n")
    words = text_of(report(run))
    assert "Intended use Road <scenes>" in words
    assert "Licence CC BY 4.0 <i>" in words
    assert "Authors Ada and Grace" in words
    assert "write not_for:, data_licence: into card.yaml" in words


@pytest.mark.parametrize(("text", "match"), [("license: MIT", "Did you mean 'licence'"), ("- a", "must be a table")])
def test_a_card_that_cannot_be_read_is_a_sentence(tmp_path: Path, text: str, match: str) -> None:
    run = make_run(tmp_path / "run", TWO)
    write_text(run.path / "card.yaml", text)
    with pytest.raises(InputError, match=match):
        model_card(run, run.about, [])
