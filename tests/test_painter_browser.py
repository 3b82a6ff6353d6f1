"""The painter in real Chromium: mouse, pen and fingers become labels, marks and views; only the page's own files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

STATIC = Path(__file__).parents[1] / "src" / "maskwright" / "web" / "static"
PAGE = b"""<!doctype html><title>t</title><style>body { margin: 0 } #stage { position: absolute; inset: 0 }</style>
<div id="stage"></div>"""
SETUP = """
async () => {
  const { Painter } = await import("/js/painter.js");
  const { Photo } = await import("/js/photo.js");
  const classes = [0, 1, 2].map(id => ({ id, name: "class " + id, colour: [200, 90 * id, 40], priority: 1 }));
  window.painter = new Painter(document.getElementById("stage"), { classes, ignore: 255, wide: false });
  window.log = [];
  for (const name of ["edit", "prompt", "mark", "notice", "hover", "view"])
    painter.addEventListener(name, event => log.push([name, event.detail]));
  const canvas = new OffscreenCanvas(400, 300);
  canvas.getContext("2d").fillRect(0, 0, 400, 300);
  painter.setImage(new Photo([await createImageBitmap(canvas)], 400, 300));
  painter.setPlane(new Uint8Array(400 * 300).fill(255), 400, 300);
  painter.zoomTo(1, { x: 200, y: 150 });
  painter.setClass(1);
}
"""


class Quiet(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)
        return None

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(STATIC)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A stage of 600 x 400 with a black photo of 400 x 300 in its middle, one screen pixel a pixel."""
    opened = browser.new_page(viewport={"width": 600, "height": 400})
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(address)
    opened.evaluate(SETUP)
    yield opened
    opened.close()
    assert complaints == []


def labels(page: Page) -> np.ndarray[Any, np.dtype[np.uint8]]:
    flat = page.evaluate("Array.from(painter.plane.data)")
    return np.array(flat, np.uint8).reshape(300, 400)


def told(page: Page, name: str) -> list[Any]:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return list(page.evaluate("name => log.filter(entry => entry[0] === name).map(entry => entry[1])", name))


def drag(page: Page, *points: tuple[float, float], button: Any = "left") -> None:
    page.mouse.move(*points[0])
    page.mouse.down(button=button)
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up(button=button)


def canvas_pixel(page: Page, layer: str, x: int, y: int) -> list[int]:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    code = """([layer, x, y]) => Array.from(document.querySelector(`[data-layer=${layer}]`)
        .getContext("2d").getImageData(x, y, 1, 1).data)"""
    return list(page.evaluate(code, [layer, x, y]))


def test_a_stroke_paints_what_it_covers_and_undo_takes_it_back(page: Page) -> None:
    page.evaluate("painter.setTool('brush'); painter.setRadius(8)")
    drag(page, (200, 200), (400, 200))
    rows, columns = np.indices((300, 400)) + 0.5
    along = np.clip(columns, 100, 300)
    expected = (columns - along) ** 2 + (rows - 150) ** 2 <= 64
    assert np.array_equal(labels(page) == 1, expected)
    assert [edit["final"] for edit in told(page, "edit")][-1] is True
    assert canvas_pixel(page, "labels", 300, 200)[3] > 100
    assert canvas_pixel(page, "labels", 300, 215) == [0, 0, 0, 0]
    assert page.evaluate("painter.takeDirty().reduce((sum, tile) => sum + tile.data.length, 0)") == 400 * 256
    assert page.evaluate("painter.hasDirty") is False
    assert page.evaluate("painter.undo()") == "brush"
    assert (labels(page) == 255).all()
    assert canvas_pixel(page, "labels", 300, 200) == [0, 0, 0, 0]
    assert page.evaluate("painter.hasDirty && painter.canRedo && !painter.canUndo") is True
    page.evaluate("painter.redo()")
    drag(page, (200, 200), (250, 200), button="right")
    assert labels(page)[150, 120] == 255
    assert labels(page)[150, 200] == 1


def test_a_locked_class_says_so_and_keeps_its_pixels(page: Page) -> None:
    page.evaluate("painter.setTool('brush'); painter.setLocks([1])")
    drag(page, (200, 200), (300, 200))
    assert told(page, "notice") == [{"text": "Class 'class 1' is locked; unlock it to change it."}]
    assert (labels(page) == 255).all()
    assert page.evaluate("painter.canUndo || painter.busy") is False


def test_prompts_come_in_image_pixels_and_marks_can_be_clicked(page: Page) -> None:
    page.evaluate("painter.setTool('click')")
    page.mouse.click(200, 200)
    page.mouse.click(250, 200, button="right")
    page.keyboard.down("Alt")
    page.mouse.click(300, 200)
    page.keyboard.up("Alt")
    page.mouse.click(20, 20)  # beside the image
    page.evaluate("painter.setTool('box')")
    drag(page, (300, 300), (150, 220))
    page.evaluate("painter.setTool('scribble')")
    drag(page, (200, 200), (260, 200))
    prompts = told(page, "prompt")
    assert [(p["x"], p["y"], p["positive"]) for p in prompts[:3]] == [
        (100, 150, True), (150, 150, False), (200, 150, False),
    ]  # fmt: skip
    assert prompts[3] == {"kind": "box", "box": [50, 170, 200, 250]}
    assert (prompts[4]["kind"], prompts[4]["points"][0], prompts[4]["points"][-1]) == ("stroke", [100, 150], [160, 150])
    page.evaluate("painter.setMarks([{x: 100, y: 150, positive: true}]); painter.setTool('click')")
    page.mouse.click(203, 198)
    assert told(page, "mark") == [{"what": "point", "index": 0}]
    assert len(told(page, "prompt")) == 5


def test_wheel_zooms_at_the_pointer_and_other_ways_to_pan(page: Page) -> None:
    page.evaluate("painter.setTool('brush')")
    page.mouse.move(250, 220)
    page.mouse.wheel(0, -300)
    told(page, "view")
    view = page.evaluate("painter.view")
    assert view["scale"] > 1.3
    assert view["tx"] + 150 * view["scale"] == pytest.approx(250)
    drag(page, (250, 220), (280, 240), button="middle")
    after = page.evaluate("painter.view")
    assert (after["tx"] - view["tx"], after["ty"] - view["ty"]) == pytest.approx((30, 20))
    page.evaluate("painter.holdPan(true)")
    drag(page, (250, 220), (260, 220))
    assert page.evaluate("painter.view.tx") == pytest.approx(after["tx"] + 10)
    assert (labels(page) == 255).all()


def test_two_fingers_pinch_and_take_back_the_first_ones_dab(page: Page) -> None:
    page.evaluate("painter.setTool('brush')")
    client = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (250, 200))
    touch("touchMove", (255, 200))
    touch("touchStart", (255, 200), (355, 200))
    touch("touchMove", (205, 200), (405, 200))
    touch("touchEnd")
    told(page, "view")
    assert page.evaluate("painter.view.scale") == pytest.approx(2, rel=0.05)
    assert (labels(page) == 255).all()
    assert page.evaluate("painter.canUndo") is False
    touch("touchStart", (250, 200))
    touch("touchMove", (300, 200))
    touch("touchEnd")
    assert (labels(page) == 1).any()  # one finger draws


def test_everything_by_keyboard(page: Page) -> None:
    page.evaluate("painter.setTool('click'); painter.moveCursor(5, -3); painter.pressCursor({alt: true})")
    assert told(page, "prompt") == [{"kind": "point", "x": 205.5, "y": 147.5, "positive": False}]
    assert told(page, "hover")[-1] == {"x": 205, "y": 147, "id": 255, "name": "unlabelled"}
    page.evaluate("painter.setTool('box'); painter.pressCursor(); painter.moveCursor(20, 10); painter.pressCursor()")
    assert told(page, "prompt")[-1] == {"kind": "box", "box": [205.5, 147.5, 225.5, 157.5]}
    page.evaluate("painter.setTool('polygon')")
    for dx, dy in ((0, 0), (40, 0), (0, 40), (-60, 0)):
        page.evaluate("([dx, dy]) => { painter.moveCursor(dx, dy); painter.pressCursor(); }", [dx, dy])
    assert page.evaluate("painter.busy && painter.stepBack() && painter.finish() && !painter.finish()") is True
    assert labels(page)[170, 260] == 1
    page.evaluate("painter.setTool('fill'); painter.setClass(2); painter.pressCursor()")
    assert page.evaluate("painter.canUndo && painter.count().then((counts) => counts.get(2))") > 100
    page.evaluate("painter.moveCursor(1e6, 1e6)")
    assert told(page, "hover")[-1]["x"] == 399


def test_a_candidate_is_shown_and_becomes_its_class(page: Page) -> None:
    candidate = "{x: 50, y: 60, w: 40, h: 20, soft: new Uint8Array(800).fill(180), threshold: 0.5, classId: 2}"
    page.evaluate(f"window.candidate = {candidate}; painter.setPreview(candidate)")
    assert canvas_pixel(page, "preview", 170, 120)[3] > 0
    page.evaluate("painter.setPreview({...candidate, threshold: 0.9})")
    assert canvas_pixel(page, "preview", 170, 120)[3] == 0
    assert page.evaluate("painter.commit(candidate)") == 800
    assert (labels(page)[60:80, 50:90] == 2).all()
    assert page.evaluate("painter.region(2, 60, 70).then((region) => region.area)") == 800
    assert page.evaluate("painter.region(1, 60, 70)") is None
    assert page.evaluate("painter.commit(candidate)") == 0
    assert "Nothing changed" in told(page, "notice")[-1]["text"]


@pytest.mark.parametrize("mode", ["both", "image", "mask", "outline", "difference"])
def test_every_mode_paints_a_part_as_it_paints_all(page: Page, mode: str) -> None:
    page.evaluate("([mode]) => painter.setDisplay({mode, pattern: true})", [mode])
    page.evaluate("painter.setReference(new Uint8Array(120000).fill(255)); painter.setTool('brush')")
    drag(page, (180, 180), (360, 240), (300, 120))
    take = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
        const canvas = document.querySelector("[data-layer=labels]");
        done(canvas.style.visibility + canvas.toDataURL());
    })))"""
    part = page.evaluate(take)
    page.evaluate("painter.setDisplay({})")
    assert page.evaluate(take) == part
    assert part.startswith("hidden" if mode == "image" else "visible")


def test_a_stage_that_changes_its_size_keeps_its_middle(page: Page) -> None:
    page.evaluate("painter.setTool('brush')")
    drag(page, (300, 200), (301, 200))
    page.set_viewport_size({"width": 800, "height": 500})
    told(page, "view")
    view = page.evaluate("painter.view")
    assert (view["tx"] + 200, view["ty"] + 150) == (400, 250)
    assert canvas_pixel(page, "labels", 400, 250)[3] > 100


def test_a_server_s_newer_mask_is_a_step_and_nothing_to_save(page: Page) -> None:
    page.evaluate("painter.replacePlane(new Uint8Array(120000).fill(2))")
    assert page.evaluate("painter.hasDirty") is False
    assert (labels(page) == 2).all()
    page.evaluate("painter.undo()")
    assert (labels(page) == 255).all()
    assert page.evaluate("painter.hasDirty") is True


def test_wrong_sizes_and_names_are_said(page: Page) -> None:
    for code in (
        "painter.copyFrom(new Uint8Array(5))",
        "painter.setDoubt(new Uint8Array(5))",
        "painter.setTool('saw')",
    ):
        message = page.evaluate(
            f"(() => {{ try {{ {code}; return ''; }} catch (error) {{ return error.message; }} }})()"
        )
        assert "sizes" in message or "known: pan, click" in message
