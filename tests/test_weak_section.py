"""What a page says of weak spots and of doubt."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from drawing import write_shapes
from test_predictor import make_run

import maskwright
from maskwright.files import read_json, write_json
from maskwright.reporting.uncertainty_plots import reliability_pair, risk_coverage
from maskwright.reporting.uncertainty_section import uncertainty_sections
from maskwright.reporting.weak_section import LISTED, weak_sections
from maskwright.run import Run

CPU: Any = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was calibrated, evaluated and doubted."""
    folder = tmp_path_factory.mktemp("weak")
    data = write_shapes(folder / "shapes", {"train": 8, "val": 3, "test": 14})
    run = make_run(folder / "run", data.classes)
    facts = {"path": str(data.path), "fingerprint": data.fingerprint, "split": "drawn"}
    run.write_about({"data": {**facts, "train_images": 8, "val_images": 3}, "status": "finished"})
    maskwright.calibrate(run, **CPU)
    maskwright.evaluate(run, **CPU)
    maskwright.uncertainty([run], maps=2, **CPU)
    return run


class Words(HTMLParser):
    """The text of a page, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img", "br", "link", "use", "path", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in ("use", "path"):
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words(page: Path) -> str:
    parser = Words()
    parser.feed(page.read_text("utf-8"))
    assert parser.open == []
    return re.sub(r"\s+", " ", " ".join(parser.text))


def test_the_report_has_both_sections(run: Run) -> None:
    page = maskwright.report(run)
    text = words(page)
    assert "Weak spots: test" in text
    assert "Uncertainty: test" in text
    assert "With the temperature" in text
    assert "Risk against coverage" in text
    html = page.read_text("utf-8")
    assert html.count('id="weak-1"') == html.count('id="uncertainty-1"') == 1
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert maskwright.report(run).read_text("utf-8") == html


def test_a_run_without_either_has_no_section(tmp_path: Path, run: Run) -> None:
    bare = Run.create(tmp_path / "bare", run.recipe, run.classes, {})
    assert weak_sections(bare) == []
    assert uncertainty_sections(bare) == []


def test_few_has_no_pictures(run: Run) -> None:
    assert all(not section["shown"] for section in weak_sections(run, few=True))
    found = uncertainty_sections(run, few=True)[0]
    assert (found["shown"], found["curves"], found["reliability"]) == ([], "", "")
    assert uncertainty_sections(run)[0]["shown"][0]["panels"][0]["uri"].startswith("data:image/jpeg")


def test_verdicts_slices_and_hostile_names_are_shown_as_text(run: Run, tmp_path: Path) -> None:
    path = run.evaluation_folder("test") / "weak.json"
    before = read_json(path)
    row = {"mean_iou": 0.2, "loss": 1.5, "suspicion": 9.04, "why": "<i>why</i>"}
    labels = [{**row, "id": f"<b>{n}</b>", "verdict": "label"} for n in range(LISTED + 2)]
    model = {**row, "id": "model-one", "verdict": "model", "mean_iou": None, "pictures": 77}
    slices = [
        {"class": None, "attribute": "group", "range": "<u>dusk</u>", "limits": "", "images": 7, "images_elsewhere": 9,
         "iou": 0.21, "elsewhere": 0.63, "difference": 0.42, "low": 0.3, "high": 0.5, "p": 0.001, "says": ""},
        {"class": "disc", "attribute": "brightness", "range": "darkest third", "limits": "mean grey up to 71",
         "images": 7, "images_elsewhere": 9, "iou": 0.1, "elsewhere": 0.9, "difference": 0.8, "low": 0.7, "high": 0.85,
         "p": 0.001, "says": ""},
    ]  # fmt: skip
    try:
        write_json(path, {**before, "images": [*labels, model], "slices": slices, "note": "A note."})
        section = weak_sections(run)[0]
        assert (len(section["labels"]), section["more_labels"]) == (LISTED, 2)
        assert section["shown"] == [], "pictures that are gone are left out"
        html = maskwright.report(run, out=tmp_path / "page.html").read_text("utf-8")
    finally:
        write_json(path, before)
    assert "&lt;b&gt;0&lt;/b&gt;" in html
    assert "<b>0</b>" not in html
    assert "<u>" not in html
    assert "<i>why" not in html
    text = words(tmp_path / "page.html")
    assert "12 have a label to look at" in text
    assert "disc: darkest third (mean grey up to 71)" in text
    assert "0.70 to 0.85" in text
    assert "2 more in weak.json" in text
    assert "A note." in text


def test_figures_say_in_words_what_they_show() -> None:
    curve = {"coverage": [0.1, 0.5, 1.0], "risk": [0.0, 0.05, 0.2]}
    rows = [{"name": name, "risk": 0.2, "aurc": 0.0712, "curve": curve} for name in "abcdef"]
    svg = risk_coverage(rows, "here")
    assert 'aria-label="Risk against coverage: a area 0.0712; b' in svg
    assert svg == risk_coverage(rows, "here")
    assert risk_coverage([{**rows[0], "risk": 0.0}], "none").startswith("<svg")
    counted = {"ece": 0.1, "curve": [{"confidence": 0.5, "accuracy": 0.4, "share": 1.0}]}
    assert "calibration error 0.100" in reliability_pair(counted, None, "one")
    assert "with the temperature 0.100" in reliability_pair(counted, counted, "two")
