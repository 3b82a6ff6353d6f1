"""The two pages of the server in real Chromium: drop a photo and look; read the API and try it."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from browsing import CONTRASTS, WORDS
from drawing import shapes
from PIL import Image as PILImage
from playwright.sync_api import Browser, BrowserContext, Page, expect
from served import CLASSES, TOKEN, bright, photo_bytes, serving

from maskwright.imageio import decode_plane, encode_image
from maskwright.serving.intake import Limits

HW = (120, 160)
MASK = bright(shapes(1, HW)[0])
STATIC = Path(__file__).parents[1] / "src" / "maskwright" / "serving" / "static"
WITH_PAGE = re.compile(r"\b(document|window|location|sessionStorage)\b")
# The colour that the mask's canvas has at a place, from 0 to 1.
SEEN = """([across, down]) => {
  const canvas = document.querySelector("#mask");
  return [...canvas.getContext("2d").getImageData(canvas.width * across, canvas.height * down, 1, 1).data];
}"""
DROP = """(bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
  document.querySelector("#stage").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""


def opened(context: BrowserContext, url: str) -> tuple[Page, list[str]]:
    """A page, and what went wrong in it."""
    page, trouble = context.new_page(), list[str]()
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.goto(url)
    return page, trouble


def choose(page: Page, data: bytes, name: str = "my photo.png") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": data})


def test_a_photo_is_chosen_and_its_mask_is_seen(context: BrowserContext, tmp_path: Path) -> None:
    with serving() as (address, _):
        page, trouble = opened(context, address)
        expect(page.locator("#run")).to_have_text("shapes")
        expect(page.locator("#reason")).to_have_text("Brightness decides.")
        assert page.evaluate(CONTRASTS, WORDS) == []
        choose(page, photo_bytes(1, HW))
        expect(page.locator("#said")).to_contain_text("my photo.png: 160 x 120 pixels in")
        shares = [100 * count / MASK.size for count in np.bincount(MASK.ravel(), minlength=3)]
        expect(page.locator("#classes output")).to_have_text([f"{share:.1f} %" for share in shares])
        row, column = np.argwhere(MASK == 1)[0].tolist()
        place = [(column + 0.5) / 160, (row + 0.5) / 120]
        assert page.evaluate(SEEN, place) == [*CLASSES.items[1].colour, 255]
        box = page.locator("#mask").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"])
        expect(page.locator("#hover")).to_have_text(f"{column}, {row}: disc")
        page.get_by_label("disc").uncheck()
        assert page.evaluate(SEEN, place)[3] == 0
        page.locator("#opacity").fill("1")
        assert page.evaluate("getComputedStyle(document.querySelector('#mask')).opacity") == "1"
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save class ids").click()
        saved.value.save_as(tmp_path / "ids.png")
        assert saved.value.suggested_filename == "my photo-ids.png"
        assert np.array_equal(decode_plane((tmp_path / "ids.png").read_bytes(), Path("ids.png")), MASK)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save picture").click()
        assert saved.value.suggested_filename == "my photo-overlay.png"
        assert page.evaluate(CONTRASTS, WORDS) == []
        assert trouble == []


def test_a_photo_is_dropped_and_a_bad_one_is_explained(context: BrowserContext) -> None:
    with serving() as (address, _):
        page, _ = opened(context, address)
        expect(page.get_by_role("button", name="Choose a photo")).to_be_enabled()
        page.evaluate(DROP, list(photo_bytes(1, HW)))
        expect(page.locator("#said")).to_contain_text("dropped.png: 160 x 120")
        choose(page, b"<svg>", "drawing.png")
        expect(page.locator("#said")).to_contain_text("no JPEG, PNG")
        expect(page.locator("#again")).to_be_hidden()
        expect(page.get_by_role("button", name="Save class ids")).to_be_disabled()
        choose(page, photo_bytes(1, HW))
        expect(page.locator("#said")).to_contain_text("my photo.png: 160 x 120")


def test_a_busy_server_is_asked_again(context: BrowserContext) -> None:
    with serving(Limits(timeout_seconds=0.5)) as (address, model):
        page, _ = opened(context, address)
        model.gate.clear()
        choose(page, photo_bytes(1, HW))
        expect(page.locator("#said")).to_contain_text("No answer within 0.5 seconds")
        model.gate.set()
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#said")).to_contain_text("160 x 120 pixels")


def test_a_photo_that_the_browser_cannot_show_has_its_mask_shown(context: BrowserContext) -> None:
    buffer = BytesIO()
    PILImage.fromarray(shapes(1, HW)[0]).save(buffer, "TIFF")
    with serving() as (address, _):
        page, _ = opened(context, address)
        choose(page, buffer.getvalue(), "scan.tif")
        expect(page.locator("#said")).to_contain_text("scan.tif: 160 x 120")
        expect(page.get_by_text("cannot show the photo itself")).to_be_visible()
        box = page.locator("#mask").bounding_box()
        assert box is not None
        assert box["width"] == pytest.approx(160, abs=2)


def test_the_token_is_asked_for_and_kept_out_of_the_address(context: BrowserContext) -> None:
    with serving(token=TOKEN) as (address, _):
        page, _ = opened(context, address)
        expect(page.get_by_text("asks for a token")).to_be_visible()
        page.locator("#key-field").fill("wrong-token")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("does not know this token")).to_be_visible()
        page.locator("#key-field").fill(TOKEN)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#key")).to_be_hidden()
        choose(page, photo_bytes(1, HW))
        expect(page.locator("#said")).to_contain_text("160 x 120")
    with serving(token=TOKEN) as (address, _):
        page, trouble = opened(context, f"{address}#token={TOKEN}")
        expect(page.locator("#run")).to_have_text("shapes")
        assert page.url == address
        page.goto(f"{address}docs")
        expect(page.locator("section")).to_have_count(4)
        expect(page.locator(".command").first).to_contain_text("$TOKEN")
        assert trouble == []


def test_the_api_is_described_and_can_be_tried(context: BrowserContext) -> None:
    with serving() as (address, _):
        page, trouble = opened(context, f"{address}docs")
        expect(page.locator("section h2")).to_have_text(["POST /segment", "GET /about", "GET /health", "GET /metrics"])
        segment = page.locator("section").first
        expect(segment.locator(".command")).to_contain_text(f"--data-binary @PHOTO.jpg '{address}segment?as=ids'")
        segment.locator("input[type=file]").set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": photo_bytes(1, HW)}
        )
        segment.get_by_role("button", name="Try it").click()
        expect(segment.locator(".result .good")).to_contain_text("200 OK, image/png")
        assert segment.locator(".result img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 160
        segment.locator("select").select_option("areas")
        expect(segment.locator(".command")).to_contain_text("as=areas")
        segment.get_by_role("button", name="Try it").click()
        expect(segment.locator(".result pre")).to_contain_text('"name": "disc"')
        segment.get_by_text("Answers").click()
        expect(segment.get_by_role("cell", name="Too many requests at once")).to_be_visible()
        page.locator("section").nth(2).get_by_role("button", name="Try it").click()
        expect(page.locator("section").nth(2).locator("pre")).to_contain_text('"state": "ready"')
        assert page.evaluate(CONTRASTS, WORDS) == []
        assert trouble == [], "and nothing was fetched from elsewhere, which the page may not"


def test_both_pages_fit_a_phone_and_the_dark(browser: Browser) -> None:
    made = browser.new_context(viewport={"width": 380, "height": 740}, color_scheme="dark")
    with serving() as (address, _):
        for path in ("", "docs"):
            page, _ = opened(made, address + path)
            expect(page.locator("section").first).to_be_visible()
            if not path:
                choose(page, encode_image(shapes(1, (300, 900))[0], ".png"))
                expect(page.locator("#said")).to_contain_text("900 x 300")
            assert page.evaluate("document.documentElement.scrollWidth") <= 380, path
            assert page.evaluate(CONTRASTS, WORDS) == []
    made.close()


@pytest.mark.parametrize("name", ["operations", "paint", "png"])
def test_pure_modules_know_no_page(name: str) -> None:
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", (STATIC / "js" / f"{name}.js").read_text("utf-8"), flags=re.S)
    assert not WITH_PAGE.search(code)


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in STATIC.rglob("*"):
        if path.suffix in {".js", ".css", ".html"}:
            assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", path.read_text("utf-8")), path
