"""The annotator in real Chromium on the real server: the whole story, and what may go wrong in it."""

from __future__ import annotations

import json
import re
import signal
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from annotating import HW, answered, click, discs, goes_to, on_disk, opened, painted, place, saved, stroke, wait_until
from browsing import CONTRASTS, WORDS
from labelling import Discs, spawned, write_unlabelled
from playwright.sync_api import Browser, BrowserContext, Error, Route, expect

from maskwright.data.dataset import Dataset
from maskwright.prompt.prompter import Prompter

# Controls without a name that a screen reader could say.
NAMELESS = """
() => [...document.querySelectorAll("button, input, select, summary, canvas[role], [role=option], [tabindex]")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.getAttribute("aria-label") || element.getAttribute("aria-labelledby")))
  .filter((element) => !(element.labels?.[0]?.textContent.trim() || element.innerText?.trim()))
  .map((element) => element.outerHTML.slice(0, 120))
"""
# Targets that a finger misses.
LOW = """
() => [...document.querySelectorAll("button, select, .choice label, .check, .row")]
  .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 43.5)
  .map((element) => element.outerHTML.slice(0, 100))
"""


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    return write_unlabelled(tmp_path / "photos", 3, hw=HW)


def test_the_whole_story(context: BrowserContext, photos: Dataset) -> None:
    complaints: list[str] = []
    with discs(photos) as url:
        page = opened(context, url, complaints)
        expect(page.locator("#hint")).to_be_visible()
        page.get_by_role("button", name="disc").first.click()
        click(page, 40, 40)
        answered(page)
        assert page.locator(".chip").count() == 2
        small = page.locator(".chip[aria-checked=true]")
        page.keyboard.press("Tab")  # the larger disc
        assert small.get_attribute("aria-label") == "Candidate 2 of 2, score 0.70"
        click(page, 40, 50, off=True)
        answered(page)
        expect(page.locator(".items li")).to_have_count(2)
        click(page, 40, 50)  # on its mark: takes the prompt back
        expect(page.locator(".items li")).to_have_count(1)
        answered(page)
        page.keyboard.press("Tab")
        click(page, 40, 50, off=True)
        answered(page)
        page.keyboard.press("Enter")
        saved(page)
        mask = painted(page)
        disc = int(mask[40, 40])
        assert disc != 255
        assert mask[50, 40] == 255

        click(page, 44, 40)  # on what was accepted: corrects it
        answered(page)
        expect(page.locator("#panel-prompts")).to_contain_text("correct an accepted mask")
        page.get_by_role("button", name="Discard").click()
        assert (painted(page) == mask).all()

        page.keyboard.press("b")
        stroke(page, (100, 20), (140, 30))
        assert painted(page)[20, 100] == disc
        page.keyboard.press("Control+z")
        assert (painted(page) == mask).all()
        page.keyboard.press("Control+Shift+z")
        page.keyboard.press("e")
        stroke(page, (140, 30), (140, 30))
        mask = painted(page)
        assert mask[30, 140] == 255
        saved(page)
        assert (on_disk(photos, "shape-000") == mask).all()

        page.keyboard.press("d")
        goes_to(page, "shape-001.png")
        page.reload()
        page.wait_for_selector("body[data-ready]")
        goes_to(page, "shape-001.png")
        page.keyboard.press("a")
        goes_to(page, "shape-000.png")
        assert (painted(page) == mask).all()
        page.keyboard.press("Control+Enter")
        goes_to(page, "shape-001.png")
        saved(page)
        expect(page.locator("#progress-words")).to_have_text("1 of 3 done")
        expect(page.locator("[data-id=shape-000]")).to_contain_text("done")
    done = on_disk(photos, "shape-000")
    assert set(np.unique(done)) == {0, disc}  # the rest became background
    assert (done[mask != 255] == mask[mask != 255]).all()
    rows = {row.id: row for row in Dataset.open(photos.path).samples}
    assert rows["shape-000"].status == "labelled"
    assert rows["shape-000"].mask
    assert rows["shape-001"].status == "unlabelled"
    assert complaints == []


def test_the_threshold_redraws_without_asking_again(context: BrowserContext, photos: Dataset) -> None:
    class Soft(Discs):
        def predict(self, prompt):  # type: ignore[no-untyped-def]
            found = super().predict(prompt)
            found.soft_NHW[1][found.soft_NHW[1] > 0] = 100
            return found

    with discs(photos, lambda _: Soft()) as url:
        page = opened(context, url)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/prompt") else None)
        click(page, 60, 60)
        answered(page)
        page.locator(".chip").nth(1).click()
        for _ in range(4):
            page.keyboard.press(",")
        expect(page.get_by_label("Threshold")).to_have_value("0.3")
        page.locator("#accept").click()
        assert (painted(page) != 255).sum() > 300
        assert len(asked) == 1


def test_each_prompt_its_own_object(context: BrowserContext, photos: Dataset) -> None:
    with discs(photos) as url:
        page = opened(context, url)
        page.get_by_role("radio", name="each its own").check()
        for x in (20, 80, 140):
            click(page, x, 60)
        answered(page)
        page.keyboard.press("Enter")
        labelled = painted(page) != 255
        assert labelled[60, [20, 80, 140]].all()
        assert not labelled[60, 50]


def test_by_keyboard_alone(context: BrowserContext, photos: Dataset) -> None:
    with discs(photos) as url:
        page = opened(context, url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "stage"
        page.keyboard.press("2")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press(" ")
        answered(page)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert (painted(page) == 1).sum() > 300
        page.keyboard.press("Shift+Delete")
        assert (painted(page) == 255).all()
        page.keyboard.press("Control+z")
        page.keyboard.press("g")
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Done: finish")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.keyboard.press("/")
        page.keyboard.type("002")
        expect(page.locator(".row")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator(".row")).to_have_count(3)
        page.keyboard.press("Control+Enter")
        goes_to(page, "shape-001.png")
        page.keyboard.press("Shift+S")
        goes_to(page, "shape-002.png")
        saved(page)
    assert [row.status for row in Dataset.open(photos.path).samples] == ["labelled", "skipped", "unlabelled"]


def test_while_a_prompter_loads_the_page_says_so_and_the_answer_comes_by_itself(
    context: BrowserContext, photos: Dataset
) -> None:
    may = threading.Event()

    def slow(_: str) -> Prompter:
        may.wait(20)
        return Discs()

    with discs(photos, slow) as url:
        page = opened(context, url)
        expect(page.locator(".state")).to_contain_text("loading")
        click(page, 40, 40)
        expect(page.locator("#candidate-words")).to_contain_text("by itself")
        assert page.locator(".chip").count() == 0
        may.set()
        answered(page)
        assert page.locator(".chip").count() == 2
        expect(page.locator(".state")).to_have_text("ready")


def test_a_prompter_that_failed_says_why(context: BrowserContext, photos: Dataset) -> None:
    def broken(_: str) -> Prompter:
        raise OSError("no weights here")

    with discs(photos, broken) as url:
        page = opened(context, url)
        expect(page.locator(".state")).to_contain_text("failed because")
        expect(page.locator(".state")).to_contain_text("no weights here")
        click(page, 40, 40)
        expect(page.locator("#candidate-words")).to_contain_text("no weights here")


def test_two_windows_the_second_is_told_and_nothing_is_overwritten(context: BrowserContext, photos: Dataset) -> None:
    with discs(photos) as url:
        first, second = opened(context, url), opened(context, url)
        for page in (first, second):
            page.keyboard.press("b")
            page.wait_for_load_state("networkidle")
            page.evaluate("maskwright.app.refresh = async () => {}")  # as if it did not look again
        first.bring_to_front()
        stroke(first, (30, 30), (60, 30))
        saved(first)
        theirs = painted(first)
        assert (theirs != 255).any()
        second.bring_to_front()
        second.keyboard.press("3")
        stroke(second, (30, 90), (60, 90))
        mine = painted(second)
        dialog = second.get_by_role("dialog")
        expect(dialog).to_contain_text("changed in another window")
        assert (on_disk(photos, "shape-000") == theirs).all()
        dialog.get_by_role("button", name="Use both").click()
        saved(second)
        both = painted(second)
        assert (both[mine != 255] == mine[mine != 255]).all()
        alone = (theirs != 255) & (mine == 255)
        assert alone.any()
        assert (both[alone] == theirs[alone]).all()
        assert (on_disk(photos, "shape-000") == both).all()

        first.bring_to_front()
        stroke(first, (100, 30), (120, 30))
        dialog = first.get_by_role("dialog")
        dialog.get_by_role("button", name="Show theirs").click()
        saved(first)
        assert (painted(first) == both).all()
        first.keyboard.press("Control+z")  # mine is not gone either
        assert painted(first)[30, 110] != 255


def test_a_full_disk_is_said_at_once_and_nothing_is_lost(context: BrowserContext, photos: Dataset) -> None:
    with discs(photos) as url:
        page = opened(context, url)
        full = json.dumps({"error": "The disk is full; make room."})

        def refuse(route: Route) -> None:
            if route.request.method == "PATCH":
                route.fulfill(status=507, content_type="application/json", body=full)
            else:
                route.continue_()

        page.route("**/mask*", refuse)
        page.keyboard.press("b")
        stroke(page, (30, 30), (60, 30))
        expect(page.locator("#save")).to_contain_text("Not saved: the disk is full; make room. Kept in this browser")
        mask = painted(page)
        page.keyboard.press("d")
        goes_to(page, "shape-001.png")
        page.keyboard.press("a")
        goes_to(page, "shape-000.png")
        assert (painted(page) == mask).all()
        page.unroute("**/mask*")
        page.evaluate("maskwright.app.saver.retry()")
        saved(page)
        assert (on_disk(photos, "shape-000") == mask).all()


def test_kill_the_server_in_mid_stroke_and_go_on(context: BrowserContext, photos: Dataset, tmp_path: Path) -> None:
    with spawned(str(photos.path), cache=tmp_path) as (process, url):
        page = opened(context, url)
        page.keyboard.press("b")
        stroke(page, (20, 20), (60, 20))
        saved(page)
        stroke(page, (20, 60), (60, 60), lift=False)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        page.mouse.move(*place(page, 120, 60), steps=5)
        page.mouse.up()
    expect(page.locator("#banner")).to_contain_text("does not answer")
    expect(page.locator("#save")).to_contain_text("Kept in this browser")
    stroke(page, (20, 100), (60, 100))
    mask = painted(page)
    with spawned(str(photos.path), cache=tmp_path) as (_, again):
        assert again == url
        expect(page.locator("#banner")).to_be_hidden()
        saved(page)
        assert (on_disk(photos, "shape-000") == mask).all()
        # Now the browser goes, with something unsaved in it.
        context.route("**/mask*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
        stroke(page, (100, 100), (130, 100))
        expect(page.locator("#save")).to_contain_text("Kept in this browser")
        mask = painted(page)
        page.close()
        context.unroute("**/mask*")
        page = opened(context, again)
        saved(page)
        assert (painted(page) == mask).all()
        assert (on_disk(photos, "shape-000") == mask).all()


def test_the_photo_is_there_before_its_labels_and_nothing_is_painted_meanwhile(
    context: BrowserContext, photos: Dataset
) -> None:
    may: list[Route] = []
    with discs(photos) as url:
        context.route("**/shape-002/mask", lambda route: may.append(route))
        page = opened(context, url)
        page.keyboard.press("b")
        stroke(page, (30, 30), (60, 30))
        mine = painted(page)
        page.locator("[data-id=shape-002]").click()
        wait_until(page, "maskwright.app.pictured.id === 'shape-002'")
        assert page.evaluate("maskwright.app.painter.plane === null && maskwright.app.loaded === null")
        stroke(page, (30, 90), (60, 90))  # moves the picture, for now
        page.locator("[data-id=shape-000]").click()
        goes_to(page, "shape-000.png")
        assert (painted(page) == mine).all()
        page.locator("[data-id=shape-002]").click()
        wait_until(page, "maskwright.app.pictured.id === 'shape-002'")
        context.unroute("**/shape-002/mask")
        for route in may:
            with suppress(Error):  # the first one was given up when its image was left
                route.continue_()
        goes_to(page, "shape-002.png")
        assert (painted(page) == 255).all()
        saved(page)
        assert (on_disk(photos, "shape-000") == mine).all()


def test_a_run_proposes_and_a_person_decides(context: BrowserContext, photos: Dataset) -> None:
    labels = np.full(HW, 255, np.uint8)
    labels[10:50, 10:50] = 1
    labels[60:100, 60:100] = 2
    doubt = np.zeros(HW, np.uint8)
    body = zlib.compress(labels.tobytes() + doubt.tobytes())
    size = {"X-Width": str(HW[1]), "X-Height": str(HW[0])}
    with discs(photos) as url:

        def about(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, json=answer.json() | {"suggestion": "best-run"})

        context.route("**/api/project", about)
        context.route("**/suggestion", lambda route: route.fulfill(status=200, headers=size, body=body))
        page = opened(context, url)
        bar = page.locator("#proposal")
        expect(bar).to_contain_text("best-run proposes a mask")
        assert (painted(page) == 255).all()  # seen, not painted
        page.keyboard.press("2")
        bar.get_by_role("button", name=re.compile("^Accept (?!all)")).click()
        assert set(np.unique(painted(page))) == {1, 255}
        bar.get_by_role("button", name="Accept all").click()
        assert (painted(page) == labels).all()
        page.keyboard.press("Control+z")
        bar.get_by_role("button", name="Unsure regions").click()
        expect(bar.get_by_role("button", name="Unsure regions")).to_have_attribute("aria-pressed", "true")
        saved(page)


def test_ten_thousand_images_in_the_list(context: BrowserContext, photos: Dataset) -> None:
    def many(route: Route) -> None:
        answer = route.fetch().json()
        if answer["images"]:
            first = answer["images"][0]
            answer["images"] += [first | {"id": f"more-{n}", "name": f"more-{n}.png"} for n in range(9_997)]
        route.fulfill(json=answer)

    with discs(photos) as url:
        context.route("**/thumb", lambda route: route.fulfill(status=204))
        context.route("**/api/images", many)
        page = opened(context, url)
        rows = page.locator(".row")
        assert rows.count() < 40
        page.evaluate("document.querySelector('#list').scrollTop = 1e9")
        expect(rows.last).to_have_attribute("aria-posinset", "10000")
        assert rows.count() < 40
        page.fill("#search", "more-9")
        expect(page.locator("#progress-words")).to_contain_text("shown")
        expect(rows.first).to_contain_text("more-9")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(browser: Browser, photos: Dataset, scheme: str) -> None:
    with discs(photos) as url:
        context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=scheme)  # type: ignore[arg-type]
        page = opened(context, url)
        click(page, 40, 40)
        answered(page)
        for tab in ("prompts", "mask", "view", "progress"):
            page.click(f"#tab-{tab}")
            assert page.evaluate(NAMELESS) == []
            assert page.evaluate(CONTRASTS, WORDS + ", span, b, legend, option, output, select") == []
        assert page.evaluate(
            "document.documentElement.scrollHeight <= 720 && document.documentElement.scrollWidth <= 1280"
        )
        page.keyboard.press("?")
        assert page.evaluate(CONTRASTS, "dialog dt, dialog dd, dialog h2, dialog h3, dialog kbd") == []
        context.close()


def test_on_a_tablet_every_target_is_large_enough(browser: Browser, photos: Dataset) -> None:
    with discs(photos) as url:
        context = browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True)
        page = opened(context, url)
        page.touchscreen.tap(*place(page, 40, 40))
        answered(page)
        for tab in ("prompts", "mask", "view", "progress"):
            page.click(f"#tab-{tab}")
            low = page.evaluate(LOW)
            assert low == []
        assert page.evaluate("document.documentElement.scrollWidth <= 1024")
        context.close()
