"""One random prompt an image, as published prompted U-Nets are scored: no second click, no choice by a person.

The wanted mask is all of a class in the image, "the class under the prompt". Foreground and background are equally
likely where the class table has a background, then the classes present; a point (uniform over the mask) or a box
(around all of the mask) by the toss of a coin.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from maskwright.prompt.clicking.ask import Flags, ask, iou
from maskwright.prompt.prompter import Prompter
from maskwright.types import Classes, Mask, Prompt


def draw_prompt(
    mask_HW: Mask, classes: Classes, rng: np.random.Generator, *, tell_class: bool = False
) -> tuple[Prompt, int] | None:
    """A random prompt for a label and the id of the class under it; None where every pixel is ignored."""
    present = [number for number in np.unique(mask_HW).tolist() if number < len(classes)]
    front = [number for number in present if number != classes.background]
    back = [number for number in present if number == classes.background]
    sides = [side for side in (front, back) if side]
    if not sides:
        return None
    side = sides[rng.integers(len(sides))]
    wanted = side[rng.integers(len(side))]
    told = wanted if tell_class else None
    truth_HW = mask_HW == wanted
    if rng.integers(2):
        left, top, width, height = cv2.boundingRect(truth_HW.view(np.uint8))
        return Prompt(boxes_xyxy=((left, top, left + width, top + height),), class_id=told), wanted
    places = np.flatnonzero(truth_HW)
    row, column = divmod(int(places[rng.integers(len(places))]), truth_HW.shape[1])
    return Prompt(points_xy=((column + 0.5, row + 0.5),), positive=(True,), class_id=told), wanted


def answer_one(
    prompter: Prompter, mask_HW: Mask, classes: Classes, rng: np.random.Generator, *, tell_class: bool
) -> dict[str, Any] | None:
    """Ask one random prompt of the image that was set: its kind, class, IoU, counts of pixels, seconds."""
    drawn = draw_prompt(mask_HW, classes, rng, tell_class=tell_class)
    if drawn is None:
        return None
    prompt, wanted = drawn
    truth_HW, ignore_HW = mask_HW == wanted, mask_HW == classes.ignore
    seconds, found = ask(prompter, prompt)
    guess_HW = np.zeros_like(truth_HW) if found is None else found.mask_HW
    return {
        "kind": "box" if prompt.boxes_xyxy else "point",
        "class": wanted,
        "iou": iou(truth_HW, guess_HW, ignore_HW),
        "pixels": pixels(truth_HW, guess_HW, ignore_HW),
        "seconds": seconds,
        "answered": found is not None,
    }


def pixels(truth_HW: Flags, guess_HW: Flags, ignore_HW: Flags) -> list[int]:
    """Pixels that are not ignored: in both, only in the guess, only in the truth, in neither."""
    known_HW = ~ignore_HW
    sides = ((truth_HW, guess_HW), (~truth_HW, guess_HW), (truth_HW, ~guess_HW), (~truth_HW, ~guess_HW))
    return [int(np.count_nonzero(a & b & known_HW)) for a, b in sides]
