"""Foreign folders: pictures put into place, and brought in."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as PILImage

from maskwright.data.build import Built
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, import_dataset
from maskwright.data.formats.listing import Options
from maskwright.types import Image, Mask

ALL = Shares(val=0, test=0)
NAMES = ("background", "disc", "box")  # of drawing.shapes


def put(path: Path, pixels: Image | Mask, kind: str | None = None) -> None:
    """Save pixels, in the folder that they need."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(pixels).save(path, kind)


def bring_in(format: str, source: Path, options: Options | None = None, *, shares: Shares = ALL) -> Built:
    """Import a source into a data set beside it."""
    return import_dataset(format, source, source.parent / "data", options=options, shares=shares)


def rows_of(data: Dataset) -> list[tuple[str, str, str]]:
    """Id, split and status of every sample."""
    return [(sample.id, sample.split, sample.status) for sample in data.samples]
