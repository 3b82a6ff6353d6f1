"""Fixtures of all tests; everything is drawn by code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import CHROMIUM, QUIET
from drawing import write_shapes
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from maskwright.data.dataset import Dataset

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

settings.register_profile("light", max_examples=40, deadline=None)
settings.load_profile("light")


@pytest.fixture
def shapes_dataset(tmp_path: Path) -> Dataset:
    """12 small images of slightly different sizes, 3 classes: 8 train, 2 val, 2 test."""
    return write_shapes(tmp_path / "shapes", {"train": 8, "val": 2, "test": 2})


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the project; the test is skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real images are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Real Chromium; the tests of a module are skipped where it is missing."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person's window of 1280 x 720."""
    made = browser.new_context(viewport={"width": 1280, "height": 720})
    made.set_default_timeout(15_000)
    yield made
    made.close()
