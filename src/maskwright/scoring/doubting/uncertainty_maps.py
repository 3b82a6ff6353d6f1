"""Maps of doubt beside the errors that they should point at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import track
from maskwright.files import explained
from maskwright.imageio import overlay, write_image
from maskwright.scoring.doubting.weak_pictures import ramp
from maskwright.scoring.evaluating.pictures import shrink
from maskwright.types import Classes, Image, Mask

Plane = NDArray[np.float32]
# Photo, label, prediction and the planes by measure.
Seen = tuple[Image, Mask, Mask, Mapping[str, Plane]]
TOP = 0.995  # quantile of a measure that has the lightest colour


def choose(wrong: Sequence[tuple[str, float]], count: int) -> list[str]:
    """Ids from the image with most errors to the one with fewest, in equal steps of rank; none twice."""
    ranked = [key for key, _ in sorted(wrong, key=lambda item: (-item[1], item[0]))]
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return [ranked[place] for place in dict.fromkeys(places.tolist())]


def draw_maps(folder: Path, ids: Sequence[str], see: Callable[[str], Seen], classes: Classes) -> list[dict[str, Any]]:
    """Write `N-NAME.jpg` for the photo, the prediction, its errors and every measure; returns id and names of each.

    Light is doubtful or wrong. A measure has the same colours in all pictures, from 0 to what nearly all lie below.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.jpg"):
            old.unlink()
    answers = [see(key) for key in track(ids, "drawing maps")]
    tops = {name: _top([planes[name] for *_, planes in answers]) for name in (answers[0][3] if answers else ())}
    rows = []
    for number, (key, (image_HW3, truth_HW, guess_HW, planes)) in enumerate(zip(ids, answers, strict=True)):
        pictures = {
            "photo": image_HW3,
            "prediction": overlay(image_HW3, guess_HW, classes, opacity=0.65),
            "errors": draw_wrong(truth_HW, guess_HW, classes),
            **{name: ramp(plane / tops[name]) for name, plane in planes.items()},
        }
        for name, picture in pictures.items():
            write_image(folder / f"{number}-{name}.jpg", shrink(picture))
        rows.append({"id": key, "number": number, "panels": list(pictures)})
    return rows


def draw_wrong(truth_HW: Mask, guess_HW: Mask, classes: Classes) -> Image:
    """Wrong pixels in the lightest colour of the maps, right ones in the darkest, ignored ones white."""
    picture = ramp((truth_HW != guess_HW).astype(np.float32))
    picture[truth_HW == classes.ignore] = 255
    return picture


def _top(planes: Sequence[Plane]) -> float:
    return max(1e-6, float(np.quantile(np.concatenate([plane.ravel() for plane in planes]), TOP)))
