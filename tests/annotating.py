"""The annotator's page as a test drives it: open it, point at pixels of the image, read what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from labelling import Discs, serving
from playwright.sync_api import BrowserContext, Page, expect

from maskwright.data.dataset import Dataset
from maskwright.imageio import read_mask
from maskwright.prompt.prompter import Prompter
from maskwright.types import Mask

HW = (120, 160)


@contextmanager
def discs(photos: Dataset, load: Callable[[str], Prompter] = lambda _: Discs()) -> Iterator[str]:
    with serving(photos.path, load=load) as url:
        yield url


def opened(context: BrowserContext, url: str, complaints: list[str] | None = None) -> Page:
    """The page with its first image; what it complains of goes to `complaints`."""
    page = context.new_page()
    if complaints is not None:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    page.wait_for_selector("body[data-ready][data-image^=shape]")
    return page


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the image is on the screen."""
    left, top = page.evaluate(
        "([x, y]) => { const {left, top} = document.querySelector('#stage').getBoundingClientRect();"
        "  const {scale, tx, ty} = maskwright.app.painter.view;"
        "  return [left + tx + x * scale, top + ty + y * scale]; }",
        [x, y],
    )
    return left, top


def click(page: Page, x: float, y: float, *, off: bool = False) -> None:
    page.mouse.click(*place(page, x, y), button="right" if off else "left")


def answered(page: Page) -> None:
    page.wait_for_selector("#candidates[data-state=answered]")


def stroke(page: Page, *places: tuple[float, float], lift: bool = True) -> None:
    page.mouse.move(*place(page, *places[0]))
    page.mouse.down()
    for one in places[1:]:
        page.mouse.move(*place(page, *one), steps=4)
    if lift:
        page.mouse.up()


def saved(page: Page) -> None:
    expect(page.locator("#save")).to_have_text("All saved")


def painted(page: Page) -> Mask:
    """The labels that the page shows."""
    flat = page.evaluate("Array.from(maskwright.app.painter.plane.data)")
    return np.array(flat, np.uint8).reshape(HW)


def on_disk(photos: Dataset, id: str) -> Mask:
    return read_mask(photos.path / "masks" / f"{id}.png", photos.classes)


def goes_to(page: Page, name: str) -> None:
    expect(page.locator("#image-name")).to_have_text(name)
    page.wait_for_selector(f"body[data-image={name.removesuffix('.png')}]")


def wait_until(page: Page, true: str) -> None:
    """Poll from here: the page's own rules let nobody evaluate in it."""
    deadline = time.monotonic() + 15
    while not page.evaluate(true):
        assert time.monotonic() < deadline, true
        page.wait_for_timeout(20)
