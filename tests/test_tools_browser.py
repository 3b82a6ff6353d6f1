"""Each tool of the annotator in real Chromium on the real server, one short story a tool; from labels to a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotating import HW, answered, click, discs, goes_to, on_disk, opened, painted, place, saved, stroke, wait_until
from labelling import write_unlabelled
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from quick import quick

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    return write_unlabelled(tmp_path / "photos", 3, hw=HW)


@pytest.fixture
def page(context: BrowserContext, photos: Dataset) -> Iterator[Page]:
    """The first image with class 1 chosen; discs of radius 6 and 12 answer clicks, boxes and strokes as they are."""
    with discs(photos) as url:
        complaints: list[str] = []
        shown = opened(context, url, complaints)
        shown.keyboard.press("2")
        yield shown
        shown.close()  # before the server: what the page still asks ends with it
        assert complaints == []


def pen(page: Page, *points: tuple[float, float], force: float = 1.0) -> None:
    """A stroke with a pen that is pressed with `force`, 0 to 1."""
    client = page.context.new_cdp_session(page)
    events = [("mousePressed", points[0]), *(("mouseMoved", at) for at in points[1:]), ("mouseReleased", points[-1])]
    for kind, at in events:
        x, y = place(page, *at)
        more: dict[str, Any] = {"force": 0.0 if kind == "mouseReleased" else force, "clickCount": 1}
        buttons = 0 if kind == "mouseReleased" else 1
        client.send(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "pointerType": "pen", **more},
        )
    client.detach()


def test_a_box_is_asked_and_its_answer_becomes_the_class(page: Page, photos: Dataset) -> None:
    page.keyboard.press("x")
    stroke(page, (80, 70), (30, 20))  # from any corner
    answered(page)
    expect(page.locator(".items li")).to_have_text("Box 30, 20, 80, 70")
    page.keyboard.press("Enter")
    mask = painted(page)
    assert (mask[20:70, 30:80] == 1).all()
    assert (mask == 1).sum() == 50 * 50
    stroke(page, (120, 20), (120, 20))  # no box at all
    expect(page.locator(".items li")).to_have_count(0)
    saved(page)
    assert (on_disk(photos, "shape-000") == mask).all()


def test_scribbles_add_and_the_right_button_takes_away(page: Page) -> None:
    page.keyboard.press("c")
    stroke(page, (30, 60), (120, 60))
    answered(page)
    page.mouse.move(*place(page, 75, 60))
    page.mouse.down(button="right")
    page.mouse.move(*place(page, 100, 60), steps=4)
    page.mouse.up(button="right")
    expect(page.locator(".items li")).to_have_count(2)
    answered(page)
    page.keyboard.press("Enter")
    assert painted(page)[60, [40, 118]].tolist() == [1, 1]
    assert painted(page)[60, 88] == 255
    page.keyboard.press("Control+z")
    assert (painted(page) == 255).all()


def test_a_polygon_takes_corners_back_and_closes_by_enter_or_its_first_corner(page: Page) -> None:
    page.keyboard.press("p")
    for corner in ((20, 20), (60, 20), (140, 110), (60, 60), (20, 60)):
        click(page, *corner)
        if corner == (140, 110):
            page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    mask = painted(page)
    assert (mask[20:60, 20:60] == 1).all()
    assert (mask == 1).sum() == 40 * 40
    page.keyboard.press("3")
    for corner in ((100, 20), (140, 20), (140, 60), (100, 20)):
        click(page, *corner)
    assert 700 < (painted(page) == 2).sum() < 900
    click(page, 20, 100)
    click(page, 60, 100)
    page.keyboard.press("Escape")  # dropped, and nothing else with it
    page.keyboard.press("Enter")
    assert (painted(page)[80:] == 255).all()


def test_a_pen_draws_by_its_pressure_and_a_palm_beside_it_does_not(page: Page) -> None:
    page.evaluate("maskwright.app.settings.set('pressure', true)")
    page.evaluate("maskwright.app.settings.set('radius', 8)")
    page.keyboard.press("b")
    pen(page, (20, 30), (80, 30), (140, 30))
    pen(page, (20, 80), (80, 80), (140, 80), force=0.4)
    firm, light = ((painted(page)[rows, 80] == 1).sum() for rows in (slice(0, 55), slice(55, 120)))
    assert firm == 16
    assert 2 <= light < 12
    before, mask = page.evaluate("maskwright.app.painter.view"), painted(page)
    client = page.context.new_cdp_session(page)
    x, y = place(page, 80, 55)
    for kind, points in (("touchStart", [(x, y)]), ("touchMove", [(x + 40, y)]), ("touchEnd", [])):
        places = [{"x": a, "y": b} for a, b in points]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
    assert (painted(page) == mask).all()  # once there is a pen, a finger moves the picture
    assert page.evaluate("maskwright.app.painter.view.tx") > before["tx"] + 20


def test_a_finger_has_no_right_button_but_can_take_away(browser: Browser, photos: Dataset) -> None:
    with discs(photos) as url:
        context = browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True)
        page = opened(context, url)
        page.touchscreen.tap(*place(page, 60, 60))
        answered(page)
        page.get_by_role("radio", name="remove").tap()
        page.touchscreen.tap(*place(page, 66, 60))
        expect(page.locator(".items li").nth(1)).to_have_text("Off the object at 66, 60")
        answered(page)
        page.get_by_role("button", name="Accept").tap()
        assert painted(page)[60, [56, 66]].tolist() == [1, 255]
        expect(page.get_by_role("radio", name="+ add")).to_be_checked()  # the next object begins with a click on it
        context.close()


def test_smoothing_is_seen_before_it_is_painted(page: Page) -> None:
    page.keyboard.press("p")
    for corner in ((40, 20), (120, 20), (120, 100), (40, 100)):
        click(page, *corner)
    page.keyboard.press("Enter")
    square = painted(page)
    page.click("#tab-mask")
    box = page.get_by_label("Preview")
    previews = "maskwright.app.painter.scene.previews.length"
    box.check()
    wait_until(page, f"{previews} === 1")
    page.keyboard.press("Escape")
    expect(box).not_to_be_checked()
    assert page.evaluate(previews) == 0
    assert (painted(page) == square).all()
    page.get_by_label("Sigma").fill("6")
    box.check()
    wait_until(page, f"{previews} === 1")
    page.locator("#stage").focus()
    page.keyboard.press("Enter")
    expect(box).not_to_be_checked()
    smooth = painted(page)
    assert page.evaluate(previews) == 0
    assert smooth[20, 40] == 255  # its corners are round now
    assert (smooth[60, :] == square[60, :]).all()
    page.keyboard.press("Control+z")
    assert (painted(page) == square).all()


def test_work_on_a_large_mask_leaves_the_page_free_and_can_be_stopped(context: BrowserContext, tmp_path: Path) -> None:
    photos = write_unlabelled(tmp_path / "large", 2, hw=(1400, 1450))
    with discs(photos) as url:
        page = opened(context, url)
        page.keyboard.press("2")
        page.keyboard.press("f")
        click(page, 700, 700)  # everything is one label: a fill of all
        wait_until(page, "!maskwright.app.painter.working && maskwright.app.painter.canUndo")
        assert page.evaluate("maskwright.app.painter.count().then((counts) => counts.get(1))") == 1400 * 1450
        saved(page)
        page.keyboard.press("3")
        click(page, 700, 700)
        assert (
            page.evaluate("maskwright.app.painter.working") or page.evaluate("maskwright.app.painter.idAt(1, 1)") == 2
        )
        page.keyboard.press("d")  # what is under way is finished before the image is left
        goes_to(page, "shape-001.png")
        saved(page)
        assert (on_disk(photos, "shape-000") == 2).all()
        click(page, 700, 700)
        page.evaluate("maskwright.app.painter.smooth(3)")
        page.evaluate("maskwright.app.painter.grow(3); maskwright.app.painter.cancel()")
        assert page.evaluate("maskwright.app.painter.working") is False
        page.close()


def test_the_mask_of_the_image_before_is_copied(page: Page, photos: Dataset) -> None:
    page.keyboard.press("b")
    stroke(page, (30, 30), (120, 80))
    mask = painted(page)
    page.keyboard.press("d")
    goes_to(page, "shape-001.png")
    page.click("#tab-mask")
    page.get_by_role("button", name="Copy previous").click()
    expect(page.locator("#said")).to_contain_text("Copied the mask of shape-000.png")
    assert (painted(page) == mask).all()
    page.keyboard.press("Control+z")
    assert (painted(page) == 255).all()
    page.keyboard.press("Control+Shift+z")
    saved(page)
    assert (on_disk(photos, "shape-001") == mask).all()


def test_what_was_labelled_here_is_exported_and_a_model_of_it_proposes_and_ranks(
    context: BrowserContext, tmp_path: Path
) -> None:
    photos = write_unlabelled(tmp_path / "photos", 6, hw=HW)
    with discs(photos) as url:
        page = opened(context, url)
        for n in range(3):
            goes_to(page, f"shape-{n:03}.png")
            page.keyboard.press("2")
            page.keyboard.press("x")
            stroke(page, (30 + 10 * n, 30), (100, 90))
            answered(page)
            page.keyboard.press("Control+Enter")  # the open candidate is accepted with it
        goes_to(page, "shape-003.png")
        saved(page)
        while len(Dataset.open(photos.path).labelled()) < 3:  # the table follows within a second
            page.wait_for_timeout(50)
        coco = maskwright.convert_dataset(photos.path, "coco", tmp_path / "coco")
        back = maskwright.import_dataset("coco", coco, tmp_path / "back", shares=Shares(val=0.34, test=0)).dataset
        assert len(back.labelled()) == 3
        run = maskwright.train(back, quick("train.epochs=1"), out=tmp_path / "first-run")
        page.click("#tab-progress")
        page.get_by_label("Run that proposes masks").fill(str(run.run.path))
        page.get_by_role("button", name="Use").click()
        page.get_by_role("button", name="Accept all").click()
        assert (painted(page) != 255).all()
        page.keyboard.press("Control+Enter")
        saved(page)
        page.get_by_role("button", name="Suggest an order").click()
        expect(page.locator("#panel-progress")).to_contain_text(
            "2 images are suggested, by what first-run is unsure of"
        )
        first, second = (page.locator(f".row[aria-posinset='{n}']").get_attribute("data-id") for n in (1, 2))
        assert {first, second} == {"shape-004", "shape-005"}
        page.close()
    expected = np.zeros(HW, np.uint8)
    expected[30:90, 30:100] = 1
    rows = {row.id: row for row in back.samples}
    assert (back.mask(rows["shape-000"]) == expected).all()
    assert len(Dataset.open(photos.path).labelled()) == 4


def test_a_training_from_the_page_is_watched_and_stopped(page: Page) -> None:
    states = ["idle", "running", "running", "failed"]
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.method)
        state = states[min(len(asked) - 1, len(states) - 1)]
        about = {"epoch": 2, "epochs": 5, "share": 0.4, "score": 0.5, "message": "", "log": ["epoch 2"], "run": None}
        route.fulfill(json={**about, "state": state} | ({"message": "It was stopped."} if state == "failed" else {}))

    page.route("**/api/train", answer)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.click("#tab-progress")
    panel = page.locator("#panel-progress")
    page.get_by_role("button", name="Train").click()
    expect(panel).to_contain_text("Running: epoch 2 of 5, mean IoU 0.50")
    expect(panel.get_by_role("progressbar", name="Training")).to_have_js_property("value", 0.4)
    page.get_by_role("button", name="Stop").click()
    expect(panel).to_contain_text("Failed: It was stopped.")
    assert asked[:2] == ["GET", "POST"]
    assert "DELETE" in asked
