"""Photos, masks and data sets drawn by code."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from maskwright.data.dataset import Dataset, Sample
from maskwright.files import content_hash, read_bytes
from maskwright.imageio import write_image, write_mask
from maskwright.types import Classes, Image, Mask

NAMES = ("background", "disc", "box")
COLOURS = np.array([(40, 60, 90), (220, 60, 40), (60, 200, 80)])


def shapes(seed: int, hw: tuple[int, int] = (48, 64), *, ignored: bool = True) -> tuple[Image, Mask]:
    """A noisy photo of a disc (1) and a box (2) on background (0), and its mask with a little ignore (255)."""
    rng = np.random.default_rng(seed)
    rows, columns = hw
    mask = np.zeros(hw, np.uint8)
    top, left = int(rng.integers(0, rows // 2)), int(rng.integers(0, columns // 2))
    mask[top : top + rows // 3, left : left + columns // 3] = 2
    centre = (int(rng.integers(columns // 4, columns)), int(rng.integers(rows // 4, rows)))
    cv2.circle(mask, centre, min(hw) // 4, 1, -1)
    image = np.clip(COLOURS[mask] + rng.normal(0, 12, (*hw, 3)), 0, 255).astype(np.uint8)
    if ignored:
        mask[: max(1, rows // 12), : columns // 4] = 255
    return image, mask


def photo(hw: tuple[int, int] = (24, 36), seed: int = 0) -> Image:
    """A smooth photo without symmetry, so that JPEG keeps it and every rotation looks different."""
    rows, columns = hw
    y, x = np.mgrid[0:rows, 0:columns] / max(rows, columns)
    phase = seed * 0.7
    channels = [np.sin(3 * x + phase) + y, np.cos(2 * y + phase) + x * x, x + 2 * y * y]
    plane = np.stack([(c - c.min()) / (np.ptp(c) + 1e-9) for c in channels], axis=-1)
    return np.asarray(np.round(plane * 255), np.uint8)


def shapes_classes() -> Classes:
    """background, disc, box."""
    return Classes.from_names(NAMES)


def write_shapes(folder: Path, splits: dict[str, int], *, ignored: bool = True) -> Dataset:
    """A data set of small images of slightly different sizes, one of each split's count."""
    classes = shapes_classes()
    samples: list[Sample] = []
    for split, count in splits.items():
        for _ in range(count):
            index = len(samples)
            hw = (40 + 4 * (index % 3), 52 + 6 * (index % 4))
            image, mask = shapes(index, hw, ignored=ignored)
            samples.append(add_sample(folder, f"shape-{index:03}", image, mask, split=split, classes=classes))
    return Dataset.create(folder, classes, samples, {"from": {"format": "drawn"}})


def add_sample(
    folder: Path, name: str, image: Image, mask: Mask | None, *, classes: Classes, split: str = "train"
) -> Sample:
    """Write one image (and mask) into a data set folder and return its row."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    image_path, mask_path = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
    write_image(image_path, image)
    if mask is not None:
        write_mask(mask_path, mask, classes)
    return Sample(
        id=name,
        image=f"images/{name}.png",
        mask="" if mask is None else f"masks/{name}.png",
        split=split,
        source=f"{name}.png",
        height=image.shape[0],
        width=image.shape[1],
        image_hash=content_hash(read_bytes(image_path)),
        mask_hash="" if mask is None else content_hash(read_bytes(mask_path)),
        status="unlabelled" if mask is None else "labelled",
    )
