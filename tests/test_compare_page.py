"""The page of a comparison: complete in itself, escaped, the same twice, readable with two sources and with twenty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from compared import write_comparison
from playwright.sync_api import Browser, ConsoleMessage

from maskwright.files import read_json, write_json
from maskwright.reporting.compare_page import class_rows, compare_page, points, seen_from, time_text
from maskwright.reporting.compare_plots import colour_of, frontier, labels_beside, pareto, score_curves, short_number
from maskwright.reporting.words import DASH
from maskwright.types import InputError

CLASSES = ("sky", "Straße <b>nass</b> & $x$", "tree", "car")
MANY = [f"run <i>{place}</i> & co" for place in range(9)]


class Balanced(HTMLParser):
    """Every element is closed."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison(tmp_path_factory.mktemp("two"), ["old", "new & <b>"], [0.7, 0.8], class_names=CLASSES)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    qualities = list(np.linspace(0.85, 0.4, len(MANY)))
    return write_comparison(tmp_path_factory.mktemp("many"), MANY, qualities, class_names=CLASSES)


@pytest.mark.parametrize("which", ["two", "many"])
def test_the_page_is_whole_escaped_and_needs_nothing_else(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    page = compare_page(folder)
    text = page.read_text("utf-8")
    assert page == folder / "report.html"
    reader = Balanced()
    reader.feed(text)
    assert not reader.open
    assert len(reader.ids) == len(set(reader.ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(reader.ids)
    assert not re.search("https?:", re.sub(r'xmlns(?::\w+)?="[^"]*"', "", text))
    assert "<b>nass" not in text
    assert "<i>0" not in text
    assert text.count("data:image/jpeg") == 10
    assert compare_page(folder).read_text("utf-8") == text


def test_a_page_without_photos_keeps_the_maps_alone(two: Path, tmp_path: Path) -> None:
    text = compare_page(two, out=tmp_path / "page.html", photos=False).read_text("utf-8")
    assert text.count("data:image/jpeg") == 2
    assert "written without photos" in text
    assert "--no-photos" in text
    assert 'alt="Photo' not in text
    assert 'alt="Label' not in text


def test_two_sources_are_answered_in_the_first_sentence(two: Path) -> None:
    text = compare_page(two).read_text("utf-8")
    verdict = read_json(two / "comparison.json")["pairs"][0]["verdict"]
    assert verdict.startswith("new & <b> is better than old by")
    assert '<p class="headline">new &amp; &lt;b&gt; is better than old by' in text
    assert "3 images of old left out." in text
    assert "Every source against every other" not in text


def test_many_sources_are_ranked_and_set_against_each_other(many: Path) -> None:
    text = compare_page(many).read_text("utf-8")
    assert "Every source against every other" in text
    assert "All 36 pairs" in text
    assert text.count('<tr><th scope="row"><span class="who">') == 9 + 8  # all are ranked, a folder has no costs
    assert "Without a measured time: run &lt;i&gt;5" in text


def test_a_pair_is_seen_from_its_higher_ranked_side(two: Path) -> None:
    found = read_json(two / "comparison.json")
    by_name = {source["name"]: source for source in found["sources"]}
    pair = found["pairs"][0]
    seen = seen_from(pair, by_name)
    turned = seen_from({**pair, "a": pair["b"], "b": pair["a"], **turned_numbers(pair)}, by_name)
    assert seen["better"] == turned["better"] == "new & <b>"
    assert seen["mean"]["difference"] == turned["mean"]["difference"] > 0
    assert seen["mean"]["low"] == turned["mean"]["low"]


def turned_numbers(pair: Mapping[str, float]) -> dict[str, float]:
    return {"difference": -pair["difference"], "low": -pair["high"], "high": -pair["low"]}


def test_the_best_of_each_class_is_marked_and_who_is_shown_to_be_worse(two: Path) -> None:
    found = read_json(two / "comparison.json")
    rows = class_rows(found, found["sources"])
    assert [[cell["best"] for cell in row["cells"]] for row in rows] == [[False, True]] * 4
    shown = [row["p_adjusted"] <= 0.05 and row["low"] > 0 for row in found["pairs"][0]["classes"]]
    assert [row["cells"][0]["worse"] for row in rows] == shown
    assert any(shown)


def test_a_comparison_of_folders_without_scores_or_pictures_has_a_page(two: Path, tmp_path: Path) -> None:
    found = read_json(two / "comparison.json")
    for source in found["sources"]:
        cost = ("parameters", "gflops", "size_hw", "size_bytes", "latency_ms", "latency_quartiles_ms", "precision")
        source |= {"kind": "predictions", "curve": [], "loss": None, **dict.fromkeys(cost)}
        source |= {"score": None, "interval": [None, None]}
        source["classes"] = [row | {"iou": None} for row in source["classes"]]
    for row in [found["pairs"][0], *found["pairs"][0]["classes"]]:
        row |= dict.fromkeys(("difference", "low", "high", "p", "p_adjusted"))
    found |= {"machine": None, "disagreements": [], "notes": [], "left_out": []}
    found["pairs"][0]["better"] = None
    write_json(tmp_path / "comparison.json", found)
    text = compare_page(tmp_path).read_text("utf-8")
    assert "What it costs" not in text
    assert "How the trainings went" not in text
    assert "Where they disagree" not in text


def test_what_is_no_comparison_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="maskwright compare A B"):
        compare_page(tmp_path)
    write_json(tmp_path / "comparison.json", {"format": 99})
    with pytest.raises(InputError, match="compare again"):
        compare_page(tmp_path)


def test_losses_are_drawn_only_where_they_are_the_same(many: Path, tmp_path: Path) -> None:
    found = read_json(many / "comparison.json")
    assert "Training and validation loss" in compare_page(many).read_text("utf-8")
    found["sources"][0]["loss"] = {"name": "dice"}
    found["disagreements"] = []
    write_json(tmp_path / "comparison.json", found)
    text = compare_page(tmp_path).read_text("utf-8")
    assert "Training and validation loss" not in text
    assert "Losses are not drawn" in text


@pytest.mark.parametrize("count", [2, 4, 20])
def test_numbers_in_a_figure_cover_neither_each_other_nor_points(count: int) -> None:
    rng = np.random.default_rng(count)
    points = {rank: (100 + 60 * rng.random(), 100 + 60 * rng.random()) for rank in range(1, count + 1)}
    placed = labels_beside(points, (0, 0, 345, 252))
    for one, other in combinations(placed, 2):
        (x, y), (u, v) = placed[one], placed[other]
        assert abs(x - u) >= 3.2 * (len(str(one)) + len(str(other))) or abs(y - v) >= 9
    for rank, (x, y) in placed.items():
        assert all(abs(x - u) >= 3.2 * len(str(rank)) or abs(y - v) >= 7 for u, v in points.values())


def test_the_frontier_is_what_nothing_beats() -> None:
    assert frontier(np.array([1.0, 2, 3, 2]), np.array([0.5, 0.7, 0.6, 0.65])) == [0, 1]
    assert frontier(np.array([1.0]), np.array([0.1])) == [0]


def test_figures_without_anything_to_draw_are_none() -> None:
    assert score_curves([], "epoch", "title") is None
    assert pareto([{"rank": 1, "latency_ms": None, "score": 0.5}], "latency_ms", "t", "ms", "mean IoU") is None


def test_numbers_as_a_person_reads_them() -> None:
    assert [points(value) for value in (0.012, -0.0312, 0.0001, None)] == ["+1.2", "\N{MINUS SIGN}3.1", "0.0", DASH]
    assert [short_number(value) for value in (0.5, 20, 1500, 31_000_000)] == ["0.5", "20", "1.5k", "31M"]
    assert [time_text(value) for value in (155.3, 41.2, 4.12, 0.412, None)] == ["155", "41", "4.1", "0.41", DASH]
    assert colour_of(1) != colour_of(2)
    assert colour_of(9) == colour_of(20)


def note(wrong: list[str], message: ConsoleMessage) -> None:
    wrong.append(message.text)


def test_nothing_sticks_out_on_a_phone_or_a_desktop(browser: Browser, two: Path, many: Path) -> None:
    for folder in (two, many):
        compare_page(folder)
        for width in (360, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800})
            wrong: list[str] = []
            page.on("console", partial(note, wrong))
            page.goto((folder / "report.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert not wrong
            page.close()
