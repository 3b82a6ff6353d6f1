"""Pictures of an evaluation: the best, median and worst images with label, prediction and errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from maskwright.files import explained, write_json
from maskwright.imageio import colourise, overlay, write_image
from maskwright.scoring.evaluating.pictures import See, shrink
from maskwright.types import Classes, Image, Mask

GALLERY = 4


def write_gallery(folder: Path, see: See, classes: Classes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the images of `rows` (lines of `images.csv`) that are best, median and worst by mean IoU."""
    scored = [i for i, row in enumerate(rows) if row["mean_iou"] != ""]
    ranked = sorted(scored, key=lambda i: (float(rows[i]["mean_iou"]), rows[i]["id"]))
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.jpg"):
            old.unlink()
    chosen = {kind: [rows[i]["id"] for i in some] for kind, some in gallery_choice(ranked).items()}
    for kind, ids in chosen.items():
        for place, key in enumerate(ids):
            image_HW3, truth, guess, _ = see(key)
            panels = {
                "photo": image_HW3,
                "label": overlay(image_HW3, truth, classes, opacity=0.65),
                "prediction": overlay(image_HW3, guess, classes, opacity=0.65),
                "errors": draw_errors(image_HW3, truth, guess, classes),
            }
            for name, panel in panels.items():
                write_image(folder / f"{kind}-{place}-{name}.jpg", shrink(panel))
    write_json(folder / "gallery.json", chosen)


def gallery_choice(ranked: list[int]) -> dict[str, list[int]]:
    """Indices of the worst, median and best images; none appears twice."""
    count = min(GALLERY, max(1, len(ranked) // 3))
    middle = max(0, (len(ranked) - count) // 2)
    worst, median, best = ranked[:count], ranked[middle : middle + count], ranked[::-1][:count]
    seen: set[int] = set()
    result = {}
    for kind, some in (("worst", worst), ("best", best), ("median", median)):
        result[kind] = [i for i in some if i not in seen]
        seen |= set(some)
    return result


def draw_errors(image_HW3: Image, truth: Mask, guess: Mask, classes: Classes) -> Image:
    """The photo in grey; wrong pixels in the colour of the class predicted there."""
    grey = cv2.cvtColor(cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faded = (grey.astype(np.uint16) // 2 + 100).astype(np.uint8)
    wrong = (truth != guess) & (truth != classes.ignore)
    return np.where(wrong[..., None], colourise(guess, classes), faded).astype(np.uint8)
