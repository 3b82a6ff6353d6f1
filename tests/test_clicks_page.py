"""The page about clicks, and the section in the report of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from drawing import write_shapes
from pages import Page, text_of
from prompters import Knowing, Useless
from run_folders import make_run

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.files import read_json, write_json
from maskwright.prompt.clicking.clicks import clicks
from maskwright.reporting.clicks_section import clicks_page
from maskwright.types import InputError

HOW: Any = {"objects": 8, "min_area": 20, "max_clicks": 6}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_shapes(tmp_path / "shapes", {"train": 2, "test": 8})


def test_the_page_names_every_prompter_and_stands_alone(data: Dataset, tmp_path: Path) -> None:
    prompters = [Knowing(data, "two <clicks>", needs=2), Knowing(data, "one click"), Useless(data, "never")]
    result = clicks(prompters, data, out=tmp_path / "out", **HOW)
    path = clicks_page(result.path)
    page, words = Page(path), text_of(path)
    assert "one click: 1.0 clicks to an IoU of 0.90, which 8 of 8 objects reach" in words
    for name in ("two <clicks>", "one click", "never"):
        assert name in words
    assert "one click needs 1.0 fewer clicks than two <clicks>" in words
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert not [link for link in [*page.all("href"), *page.all("src")] if not link.startswith(("#", "data:"))]
    assert "http" not in words
    assert path.read_text() == clicks_page(result.path).read_text()
    labels = [str(attrs["aria-label"]) for tag, attrs in page.tags if tag == "svg"]
    assert labels == [
        "Mean IoU by click: one click 1.00 to 1.00; two <clicks> 0.00 to 1.00; never 0.00 to 0.00",
        "Objects with an IoU of 0.90 after 6 clicks: one click 100%; two <clicks> 100%; never 0%",
    ]
    assert "unanswered" in words


def test_one_prompter_one_image_and_no_jitter_still_make_a_page(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "one", {"test": 1})
    result = clicks([Knowing(data)], data, out=tmp_path / "out", **{**HOW, "jitter": 0, "max_clicks": 1})
    assert result.facts["prompters"][0]["centre"]["noc"]["90"]["low"] is None
    assert "1.0 " in "\n".join(result.lines())
    words = text_of(clicks_page(result.path, out=tmp_path / "elsewhere.html"))
    assert "knowing: 1.0 clicks" in words
    assert "jittered" not in words.split("What these numbers are")[0]
    assert "nan" not in words.lower()


def test_the_report_of_a_run_has_the_section(data: Dataset, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "Clicks to a good mask" not in text_of(maskwright.report(run))
    clicks([Knowing(data, "run of mine")], data, out=run.path / "clicks" / "test", **HOW)
    page = maskwright.report(run)
    assert "Clicks to a good mask: test" in text_of(page)
    assert "clicks-1" in Page(page).all("id")


def test_a_folder_without_a_result_or_of_another_format_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no clicks\.json"):
        clicks_page(tmp_path)
    result = clicks([Knowing(data)], data, out=tmp_path / "out", **HOW)
    file = result.path / "clicks.json"
    write_json(file, {**read_json(file), "format": 99})
    with pytest.raises(InputError, match="a format this version does not know"):
        clicks_page(result.path)
    shutil.rmtree(result.path)
