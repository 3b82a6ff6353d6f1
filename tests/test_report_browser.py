"""The report in real Chromium: whole at every width, with and without its script, by keyboard, on paper, as files."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from browsing import CONTRASTS, WORDS
from playwright.sync_api import Browser, Page
from run_folders import TWELVE, TWO, add_evaluation, make_run, whole_scores

from maskwright.reporting.page import report

LONG = ("x" * 90, *(f"class number {i}" for i in range(24)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one run with everything on it."""
    run = make_run(tmp_path_factory.mktemp("whole") / ("run-" + "ä" * 50), TWELVE)
    counts = np.random.default_rng(0).integers(1, 900, (12, 12)) + np.eye(12, dtype=np.int64) * 2000
    add_evaluation(run, **whole_scores(counts, TWELVE), confusion=counts.tolist())
    return report(run)


def opened(browser: Browser, path: Path, width: int = 1280, **options: bool | str) -> tuple[Page, list[str]]:
    """The page, and what it complained of or asked the network for."""
    page = browser.new_page(viewport={"width": width, "height": 800}, **options)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if asks(request.url, path) else None)
    page.goto(path.as_uri())
    return page, complaints


def asks(url: str, path: Path) -> bool:
    return not url.startswith(("data:", "blob:")) and url.partition("#")[0] != path.as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("names", [TWO, LONG])
def test_every_width_and_name(tmp_path: Path, browser: Browser, names: tuple[str, ...], width: int) -> None:
    run = make_run(tmp_path / ("run-" + "ä" * 50), names)
    add_evaluation(run)
    path = report(run)
    page, complaints = opened(browser, path, width)
    assert complaints == []
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images.length") == 3 + 6 * 4
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_word_can_be_read(browser: Browser, whole: Path, scheme: str, width: int) -> None:
    page, complaints = opened(browser, whole, width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.evaluate(CONTRASTS, WORDS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints == []
    page.close()


def test_by_keyboard(browser: Browser, whole: Path) -> None:
    page, _ = opened(browser, whole)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    slider = page.locator(".wipe").first
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    panels = page.locator(".panels").first
    assert panels.evaluate("panels => panels.style.getPropertyValue('--at')") == "1%"
    assert slider.get_attribute("aria-valuetext") == "1 % label, the rest prediction"
    assert panels.evaluate("panels => getComputedStyle(panels.querySelector('.over')).clipPath") != "none"
    page.locator(".look input").first.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "1 % photo, the rest label"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # round to the last choice
    assert not page.locator(".stacked").count()
    assert page.locator(".shot").first.locator("img:visible").count() == 4
    page.close()


def test_the_divider_follows_the_pointer(browser: Browser, whole: Path) -> None:
    page, _ = opened(browser, whole, 390)
    slider = page.locator(".wipe").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    page.mouse.up()
    handle = page.locator(".handle").first.bounding_box()
    assert handle
    assert abs(handle["x"] + handle["width"] / 2 - box["x"] - box["width"] * 0.8) < 3
    page.close()


@pytest.mark.parametrize("what", [".plot + .save", ".wide + .save", ".shot > .save"])
def test_figures_are_saved_as_png(tmp_path: Path, browser: Browser, whole: Path, what: str) -> None:
    page, complaints = opened(browser, whole, color_scheme="dark")
    button = page.locator(what).first.get_by_text("PNG")
    button.focus()
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "saved.png")
    assert re.fullmatch(r"[a-z0-9-]+\.png", waiting.value.suggested_filename)
    image = cv2.imread(str(tmp_path / "saved.png"))
    assert image is not None
    assert image.shape[1] >= 700
    assert image[2, 2].min() > 240  # white ground, also when the page is dark
    assert image.std() > 10
    assert complaints == []
    page.close()


def test_figures_are_saved_as_svg(tmp_path: Path, browser: Browser, whole: Path) -> None:
    page, complaints = opened(browser, whole, color_scheme="dark")
    with page.expect_download() as waiting:
        page.locator("#curves .save").first.get_by_text("SVG").click()
    waiting.value.save_as(tmp_path / "saved.svg")
    assert waiting.value.suggested_filename.endswith("curves-by-epoch.svg")
    root = ET.parse(tmp_path / "saved.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.get("width", 0)) > 200
    assert complaints == []
    page.close()


@pytest.mark.parametrize("what", [".plot + .save", ".wide + .save", ".shot > .save"])
def test_figures_are_printed_alone(browser: Browser, whole: Path, what: str) -> None:
    page, _ = opened(browser, whole)
    page.evaluate("() => { window.print = () => { window.printed = (window.printed || 0) + 1; }; }")
    page.locator(what).first.get_by_text("PDF").click()
    page.emulate_media(media="print")
    assert page.evaluate("window.printed") == 1
    assert page.locator("main").is_hidden()
    assert page.locator("#only svg, #only table, #only img").first.is_visible()
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main").is_visible()
    assert page.locator("#only").count() == 0
    page.close()


def test_on_paper_everything_is_open_and_no_button_is_left(browser: Browser, whole: Path) -> None:
    page, _ = opened(browser, whole, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("details dl").first.is_visible()
    for gone in ("nav", ".save", ".look", ".skip", ".wipe", ".handle"):
        assert page.locator(gone).first.is_hidden(), gone
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".shot").first.locator("img:visible").count() == 4
    page.close()


def test_whole_without_its_script(browser: Browser, whole: Path) -> None:
    page, _ = opened(browser, whole, java_script_enabled=False)
    assert page.locator(".shot").first.locator("img:visible").count() == 4
    assert page.locator("button, input").count() == 0
    page.get_by_text("What these numbers are").click()
    assert page.locator("details dl").first.is_visible()
    page.close()


def test_twenty_runs_on_one_page(tmp_path: Path, browser: Browser) -> None:
    run = make_run(tmp_path / "run-00", TWO)
    add_evaluation(run)
    copies = [shutil.copytree(run.path, tmp_path / f"run-{i:02d}") for i in range(1, 20)]
    path = report(run, *copies, out=tmp_path / "all.html")
    page, complaints = opened(browser, path, 390)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator(".wipe").count() == 0  # a folded run costs nothing before it is opened
    page.locator(".toc a", has_text="run-03").click()
    page.wait_for_selector("#run-4[open] .wipe")
    page.locator("#r4-evaluation-1 .shot").first.scroll_into_view_if_needed()
    picture = page.locator("#run-4 .shot img").first
    assert picture.evaluate("async (picture) => { await picture.decode(); return picture.naturalWidth; }") == 36
    page.goto(path.as_uri() + "#r7-evaluation-1")
    page.reload()
    page.wait_for_selector("#run-7[open]")
    assert complaints == []
    page.close()
