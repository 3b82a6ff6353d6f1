"""The report of several runs: ranked on the same images only, their own sections folded, small and stable."""

from __future__ import annotations

import re
from base64 import b64decode
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from pages import Page, text_of
from run_folders import TWELVE, TWO, add_evaluation, make_run, whole_scores
from test_stress_section import result, write

from maskwright.imageio import write_image
from maskwright.reporting.assemble import nested, outline
from maskwright.reporting.page import own_names, report
from maskwright.reporting.pictures import embedded, limited, smaller
from maskwright.run import Run
from maskwright.types import InputError


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Scored on the same test images, with mean IoU as given; the third on validation images too."""
    folder, runs = tmp_path_factory.mktemp("three"), []
    for name, mean in (("low", 0.31), ("high <b>", 0.71), ("middle", 0.51)):
        run = make_run(folder / name, TWELVE, seconds=100 * mean)
        counts = np.eye(12, dtype=np.int64) * 100
        add_evaluation(run, **{**whole_scores(counts, TWELVE), "mean_iou": mean, "confusion": counts.tolist()})
        runs.append(run)
    add_evaluation(runs[2], "val", time="2024-01-01T00:00:00+02:00")
    return runs


def test_runs_are_ranked_on_the_same_images_only(tmp_path: Path, three: list[Run]) -> None:
    other = make_run(tmp_path / "other", TWO)
    add_evaluation(other)
    unscored = make_run(tmp_path / "unscored", TWELVE)
    path = report(*three, other, unscored, out=tmp_path / "all.html")
    words = text_of(path)
    assert "5 runs side by side" in words
    assert "4 of 5 runs are scored" in words
    board = words.split("Leaderboard")[1].split("IoU by class")[0]
    assert [board.index(text) for text in ("high <b>", "middle", "low")] == sorted(
        board.index(text) for text in ("high <b>", "middle", "low")
    )
    assert "0.710 0.611 to 0.722" in board
    assert "other" not in board
    assert words.count("Leaderboard: test images of my data") == 2
    assert words.count("Leaderboard: val images of my data") == 1
    assert "Not scored yet unscored" in words
    assert "maskwright compare" in words


def test_settings_that_differ_and_no_others(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"run {epochs}", TWO, epochs=epochs) for epochs in (2, 4)]
    words = text_of(report(*runs, out=tmp_path / "all.html"))
    section = words.split("What sets the runs apart")[1].split("Model card")[0]
    assert "train.epochs 2 4" in section
    assert "optim.lr" not in section
    same = [make_run(tmp_path / name, TWO) for name in ("a", "b")]
    assert "Nothing: the same settings" in text_of(report(*same, out=tmp_path / "same.html"))


def test_what_is_left_under_stress_is_one_map(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, TWO) for name in ("weak", "strong", "elsewhere", "calm")]
    tests = [result(["noise", "blur"]) for _ in range(3)]
    tests[1] |= {"retention": 0.987}
    tests[2] |= {"seed": 5}
    for run, scores in zip(runs, tests, strict=False):
        write(run, scores, sizes=())
    words = text_of(report(*runs, out=tmp_path / "all.html"))
    first, second = words.split("Percent of the mean IoU that is left under stress")[1:]
    assert first.index("98.7") < first.index("weak")
    assert "elsewhere" not in first.split("Under stress:")[0]
    assert "elsewhere" in second.split("Not scored yet")[0]


def test_the_sections_of_every_run_are_folded_and_apart(tmp_path: Path, three: list[Run]) -> None:
    path = report(*three, out=tmp_path / "all.html")
    raw, page = path.read_text("utf-8"), Page(path)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.all("href")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", raw)) <= set(ids)
    assert sum(tag == "details" and attrs.get("class") == "run" for tag, attrs in page.tags) == 3
    assert "high &lt;b&gt;" in raw
    assert not [tag for tag, attrs in page.tags if tag == "b" and not attrs]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 3 * (3 * 4 + 1) + 3 * 4  # one of each kind a run and evaluation, and one drawn in training
    assert all(attrs.get("loading") == "lazy" for attrs in pictures)


def test_same_bytes_in_any_folder_and_the_order_that_was_asked_for(tmp_path: Path, three: list[Run]) -> None:
    first = report(*three, out=tmp_path / "a.html").read_bytes()
    assert report(*[run.path for run in three], out=tmp_path / "b.html").read_bytes() == first
    assert report(*three[::-1], out=tmp_path / "c.html").read_bytes() != first


def test_without_a_place_the_page_goes_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(tmp_path / name, TWO) for name in "ab"]
    monkeypatch.chdir(tmp_path)
    assert report(*runs) == Path("maskwright-report.html")
    assert (tmp_path / "maskwright-report.html").is_file()


def test_names_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    assert own_names([Path("/x/a/run"), Path("/x/b/run"), Path("/x/c")]) == ["a/run", "b/run", "x/c"]
    assert own_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    run = make_run(tmp_path / "run", TWO)
    with pytest.raises(InputError, match="named twice"):
        report(run, run.path / ".." / "run", out=tmp_path / "x.html")
    with pytest.raises(InputError, match="at least one"):
        report()


def test_pictures_beyond_the_limit_become_words() -> None:
    picture = '<img src="data:image/jpeg;base64,AAAA" alt="x">'
    assert limited(picture * 3, len(picture) * 2).count("<img") == 2
    assert limited(picture * 3, len(picture) * 2).count("see the report of this run alone") == 1
    assert limited(picture, 10_000) == picture


def test_large_pictures_become_small_ones(tmp_path: Path) -> None:
    write_image(tmp_path / "noise.png", np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    page = f'<p>x</p><img loading="lazy" src="{embedded(tmp_path / "noise.png")}" alt="y">'
    small = smaller(page, 30)
    assert len(small) < len(page) / 4
    assert small.startswith('<p>x</p><img loading="lazy" src="data:image/jpeg;base64,')
    assert small.endswith('" alt="y">')
    data = np.frombuffer(b64decode(small.split("base64,")[1].split('"')[0]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (20, 30, 3)
    assert smaller(page, 90) == page
    broken = '<img src="data:image/png;base64,AAAA" alt="">'
    assert smaller(broken, 5) == broken


def test_nothing_that_a_user_wrote_is_taken_for_an_attribute() -> None:
    text = '<section id="x"><h2>A &#34; id=&#34;y</h2><a href="#x">b</a><p>id="z"</p></section>'
    made = nested(text, "r1-")
    assert '<section id="r1-x"><h3>A &#34; id=&#34;y</h3><a href="#r1-x">' in made
    assert outline('<section id="a" data-nav="B"><h2>C <b>d</b></h2><section id="e">\n<h2>C <b>d</b></h2>') == [
        ("a", "B"),
        ("e", "C d"),
    ]
