"""Fixtures of all tests; everything is drawn by code."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing import write_shapes
from hypothesis import settings

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
