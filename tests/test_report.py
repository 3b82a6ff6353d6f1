"""The report of one run: complete, self-contained, escaped, stable, and honest about what there is not."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import Page, text_of
from run_folders import FINGERPRINT, IDS, TWELVE, TWO, add_evaluation, make_run, whole_scores

from maskwright.config import Recipe
from maskwright.files import read_json, write_json
from maskwright.metrics.counts import DEFINITIONS, mean_iou, scores, summary
from maskwright.reporting.page import report
from maskwright.reporting.words import cell_text, duration, percent, score_text, value_text
from maskwright.run import Run, read_csv
from maskwright.types import Classes, InputError

DASH = "\N{EN DASH}"


@pytest.mark.parametrize("names", [TWO, TWELVE, tuple(f"thing {i}" for i in range(30))])
def test_every_name_and_number_is_there(tmp_path: Path, names: tuple[str, ...]) -> None:
    run = make_run(tmp_path / "run", names)
    counts = add_evaluation(run)
    words = text_of(report(run))
    ratios = scores(counts)
    for name in names:
        assert name in words
    for values in (ratios.iou, ratios.dice, ratios.precision, ratios.recall):
        assert all(score_text(value) in words for value in values)
    for key, text in DEFINITIONS.items():
        assert text in words or (key.endswith("_no_background") and run.classes.background is None)
    for text in (
        score_text(mean_iou(counts)),
        score_text(mean_iou(counts, leave_out=run.classes.background)),
        percent(ratios.pixel_accuracy),
    ):
        assert re.sub(r"\s+", " ", text) in words
    for text in (
        "7 train · 3 val · 12 test",
        "1.9 million",
        "13 min",
        "5 of 6",
        FINGERPRINT,
        "2.12.0",
        "my data",
        "<left>",
    ):
        assert text in words
    assert "train.epochs 6 none passes over the training images; derived: about 16,000 images seen" in words
    assert "/some/where" not in words
    assert "maskwright train 'my data' --out 'a run'" in words
    for image in (*IDS[:2], *IDS[4:6], *IDS[9:11]):
        assert image in words


def test_headline_says_exactly_what_the_number_is(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    counts = add_evaluation(run)
    where = "over 11 of 12 classes (background included) on 12 test images never seen in training."
    headline = f"Mean IoU {mean_iou(counts):.2f} {where}"
    assert headline in text_of(report(run))
    add_evaluation(run, "val", time="2026-05-02T13:00:00+02:00")
    words = text_of(report(run))
    assert headline in words
    assert "on 12 validation images: not trained on, but used to choose the best epoch" in words


def test_headline_leaves_out_the_background_when_the_recipe_does(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    recipe = made.recipe.with_values(score__background=False)
    run = Run(path=made.path, recipe=recipe, classes=made.classes)
    counts = add_evaluation(run)
    assert f"Mean IoU {mean_iou(counts, leave_out=0):.2f} over 10 of 11 classes (without background)" in text_of(
        report(run)
    )


def test_another_data_set_is_not_called_unseen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_evaluation(run, dataset={"path": "/x/other", "fingerprint": "f" * 32})
    words = text_of(report(run))
    assert "12 test images of a data set that is not the one trained on" in words
    assert "never seen in training" not in words


def test_self_contained_and_escaped(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a run <u> ü", TWO)
    add_evaluation(run)
    path = report(run)
    raw, page = path.read_text(encoding="utf-8"), Page(path)
    assert "http:" not in raw
    assert "https:" not in raw
    assert raw.count("<script") == 1
    assert "@import" not in raw
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.all("src"))
    assert all(link.startswith("#") for link in page.all("href"))
    assert not re.search(r"url\((?!#)", raw)
    assert not {"u", "b"} & {tag for tag, attrs in page.tags if attrs.get("class") != "number"}
    assert "<i>&" not in raw
    assert html.escape(TWO[1]) in raw
    assert "<b>nass" not in raw
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.all("href")} <= set(ids)
    assert re.search(r"url\(#([^)]+)\)", raw)
    assert set(re.findall(r"url\(#([^)]+)\)", raw)) <= set(ids)


def test_headings_are_in_order_and_pictures_described(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_evaluation(run)
    tags = Page(report(run)).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag == "svg")
    assert sum(tag == "main" for tag, _ in tags) == 1


def test_without_evaluation_the_page_names_the_command(tmp_path: Path) -> None:
    run = make_run(tmp_path / "my run")
    words = text_of(report(run.path))
    assert "has not been evaluated yet" in words
    assert f"maskwright evaluate '{run.path}' --split test" in words
    assert "Mean IoU 0.40 on the validation images, which also chose the best epoch (5)" in words


def test_interrupted_before_the_first_epoch(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=0, status="interrupted", best={"epoch": -1, "val_score": -1.0}, seconds=2.0)
    words = text_of(report(run))
    assert "The training was interrupted" in words
    assert f"maskwright train --resume {run.path}" in words
    assert "no curves" in words
    assert "No score yet" in words
    assert "Best epoch" not in words


def test_stopped_by_force_before_the_data_were_ready(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Recipe(), Classes.from_names(TWO), {})
    words = text_of(report(run))
    assert "had not ended" in words
    assert "stopped before its data were ready" in words


def test_one_epoch_without_validation(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=2, status="running", best=None)
    rows: list[dict[str, Any]] = [
        {"epoch": 0, "images_seen": 7, "seconds": 3.0, "lr": 1e-3, "train_loss": float("nan")}
    ]
    run.write_metrics(rows)
    assert "No validation was reached" in text_of(report(run))


def test_several_evaluations_newest_first(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_evaluation(run, "test", time="2026-05-03T13:00:00+02:00")
    add_evaluation(run, "val", time="2026-05-02T13:00:00+02:00")
    path = report(run)
    words = text_of(path)
    assert words.index("Evaluation: test Mean") < words.index("Evaluation: val Mean")
    assert "Evaluations, the most recent first" in words
    ids = Page(path).all("id")
    assert len(ids) == len(set(ids))


def test_absent_scores_are_dashes_with_the_policy(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_evaluation(run)
    words = text_of(report(run))
    assert f"class k {DASH} {DASH} {DASH} {DASH} 0.0 %" in words.replace("\u202f", " ")
    assert f"{DASH} : {DEFINITIONS['absent']}." in words
    assert "not in these labels" in words


def test_evaluation_without_pictures_or_scored_images(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TWO)
    empty = summary(np.zeros((2, 2), np.int64), run.classes)
    add_evaluation(run, **empty, confusion=[[0, 0], [0, 0]], groups={})
    folder = run.evaluation_folder("test")
    (folder / "gallery" / "gallery.json").unlink()
    (folder / "images.csv").write_text("id,group,mean_iou,pixel_accuracy\nx,,,\n", encoding="utf-8")
    words = text_of(report(run))
    assert f"Mean IoU {DASH} over 0 of 2 classes" in words
    assert "Worst" not in words
    assert "How the images differ" not in words
    assert read_csv(folder / "images.csv")


def test_same_bytes_twice_also_in_another_process(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_evaluation(run)
    first = report(run).read_bytes()
    other = report(run.path, out=tmp_path / "other.html")
    assert other == tmp_path / "other.html"
    assert other.read_bytes() == first
    code = "import sys; from maskwright.reporting.page import report; report(sys.argv[1])"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(run.path)], check=True, env=environment)
    assert (run.path / "report.html").read_bytes() == first


def test_imports_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, maskwright.reporting.page; print([n for n in ('torch', 'matplotlib.pyplot') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_no_run_and_no_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        report(tmp_path)
    run = make_run(tmp_path / "run", TWO)
    with pytest.raises(InputError, match=r"missing/report\.html"):
        report(run, out=tmp_path / "missing" / "report.html")


@pytest.mark.parametrize(
    ("share", "classes", "text"),
    [
        (0.0, 2, "0"),
        (1.0, 2, "100.0"),
        (0.9999, 2, ">99.9"),
        (1e-6, 2, "<0.1"),
        (0.4567, 12, "45.7"),
        (0.4567, 20, "46"),
        (0.999, 20, ">99"),
        (0.001, 20, "<1"),
    ],
)
def test_matrix_cells_do_not_round_mistakes_away(share: float, classes: int, text: str) -> None:
    assert cell_text(share, classes) == text


def test_words() -> None:
    assert [duration(s) for s in (48.2, 754, 12_060)] == ["48 s", "13 min", "3 h 21 min"]
    assert [value_text(v) for v in (None, True, 0.30000001, [360, 480], {"a": None})] == [
        "none",
        "yes",
        "0.3",
        "360, 480",
        "a none",
    ]
    assert percent(0.00001).startswith("<")
    assert percent(0.99999).startswith(">")
    assert percent(None) == score_text(float("nan")) == DASH


def test_a_whole_evaluation_shows_everything_it_measured(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    counts = add_evaluation(run)
    add_evaluation(run, "val", time="2025-01-01T13:00:00+02:00")
    place = run.evaluation_folder("test") / "scores.json"
    write_json(place, {**read_json(place), **whole_scores(counts, TWELVE)})
    path = report(run)
    words = text_of(path)
    assert f"Mean IoU {mean_iou(counts):.2f} (0.61 to 0.72) over 11 of 12 classes" in words
    assert "95 % bootstrap intervals over 2 groups (10 000 draws); frames are not independent." in words.replace(
        "\u202f", " "
    )
    first = summary(counts, run.classes)["classes"][0]["iou"]
    assert f"{first:.3f} {first - 0.03:.2f} to {first + 0.02:.2f}" in words
    for text in ("0.987", "0.456", "0.567", "0.654", "0.543", "0.553", "0.333", "0.811", "0.855"):
        assert text in words
    assert "75.0 % of 8 50.0 % of 10" in words.replace("\u202f", " ")
    assert "small 12.3 %, large 92.3 %" in words.replace("\u202f", " ")
    assert "12.5 10.1 to 14.9 0.765 9 2" in words
    assert "Expected calibration error 0.077" in words
    labels = [attrs.get("aria-label") or "" for tag, attrs in Page(path).tags if tag == "svg"]
    assert any(label.startswith("Reliability diagram, 12 bins") for label in labels)
    ids = Page(path).all("id")
    assert len(ids) == len(set(ids))


def test_what_a_prediction_costs_where_it_was_measured(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TWO)
    assert "What a prediction costs" not in text_of(report(run))
    machine = {"name": "A <processor>", "device": "cpu", "threads": 1, "warm_up": 3, "repeats": 20}
    measured = {
        "time": "2026-05-02T10:11:12+02:00", "parameters": 1_941_234, "gflops": 12.345, "size_hw": [32, 40],
        "size_bytes": 7_800_000, "latency_ms": 61.26, "latency_quartiles_ms": [58.0, 66.4], "precision": "fp32",
    }  # fmt: skip
    write_json(run.path / "cost.json", measured | {"machine": machine})
    words = text_of(report(run))
    assert "61.3 ms from photo to mask at its original size (median of 20; half of them took 58 to 66.4 ms)" in words
    assert "12.3 · 10⁹ at 32 \N{MULTIPLICATION SIGN} 40" in words
    assert "A <processor>, cpu, 1 thread, fp32" in words


def test_a_folder_of_predictions_or_an_old_evaluation_leaves_the_rest_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_evaluation(run, calibration=None, objects=[], regions=[], binary=None)
    words = text_of(report(run))
    for text in ("interval", "Where in the image", "Objects: found", "confidence", "Specificity", "Boundary IoU"):
        assert text not in words.split("Scores by class")[1].split("Largest mistakes")[0]
