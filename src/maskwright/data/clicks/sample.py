"""Prompts drawn from masks, with what they ask for: how a network learns to answer a person who points.

The background is a class like others under a prompt, and is asked for as often as the recipe says. Corrections are
clicks on the largest error so far (Sofiiuk et al., RITM, ICIP 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.config import PromptRecipe
from maskwright.data.clicks.simulate import next_click
from maskwright.types import Classes, Mask, Prompt

# What answers are made of; ignored pixels of the mask are ignored in the target, too.
ANSWERS = Classes.from_names(["rest", "object"], background="rest")
SPECK_PX = 20  # smaller regions are asked for only where there are no others
LOOSEST = 0.1  # of a box, on every side, as a share of the object's
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt and the answer to it: `target_HW` is 1 on what is meant, 0 elsewhere, 255 where nobody knows."""

    prompt: Prompt
    target_HW: NDArray[np.uint8]

    @property
    def object_HW(self) -> Flags:
        """What is meant."""
        return np.asarray(self.target_HW == 1)

    @property
    def ignored_HW(self) -> Flags:
        """What is neither right nor wrong."""
        return np.asarray(self.target_HW == ANSWERS.ignore)


def draw_question(mask_HW: Mask, classes: Classes, recipe: PromptRecipe, rng: np.random.Generator) -> Question | None:
    """A random point or box on a random class of a mask, and what it means; None where every pixel is ignored.

    Of regions a large one is more likely, by the root of its area. Points are drawn evenly from the object's pixels;
    boxes are around it, up to a tenth of its size looser on every side.
    """
    class_id = _draw_class(mask_HW, classes, recipe.background, rng)
    if class_id is None:
        return None
    object_HW = mask_HW == class_id
    if recipe.target == "region":
        object_HW = _draw_region(object_HW, rng)
    target_HW = np.where(mask_HW == classes.ignore, ANSWERS.ignore, object_HW).astype(np.uint8)
    if rng.random() < recipe.box:
        prompt = Prompt(boxes_xyxy=(_loose_box(object_HW, rng),), class_id=class_id)
    else:
        places = np.flatnonzero(object_HW)
        row, column = divmod(int(places[rng.integers(len(places))]), mask_HW.shape[1])
        prompt = Prompt(points_xy=((column + 0.5, row + 0.5),), positive=(True,), class_id=class_id)
    return Question(prompt=prompt, target_HW=target_HW)


def without_prompt(question: Question) -> Question:
    """The same object, before anybody pointed at it."""
    return replace(question, prompt=Prompt(class_id=question.prompt.class_id))


def corrected(question: Question, guess_HW: Flags, jitter: np.random.Generator | None = None) -> Question:
    """The question with the answer so far, and one more click in the middle of its largest error, if it has one.

    With `jitter` the click is anywhere in that error, more likely deep inside.
    """
    prompt = replace(question.prompt, previous_HW=guess_HW)
    click = next_click(
        question.object_HW, guess_HW, ignore_HW=question.ignored_HW, clicked=prompt.points_xy, jitter=jitter
    )
    if click is not None:
        points_xy = (*prompt.points_xy, (click.x, click.y))
        prompt = replace(prompt, points_xy=points_xy, positive=(*prompt.positive, click.positive))
    return replace(question, prompt=prompt)


def _draw_class(mask_HW: Mask, classes: Classes, background_share: float, rng: np.random.Generator) -> int | None:
    pixels_K = np.bincount(mask_HW[mask_HW != classes.ignore].ravel(), minlength=len(classes))
    others = [int(k) for k in np.flatnonzero(pixels_K) if k != classes.background]
    back = classes.background if classes.background is not None and pixels_K[classes.background] else None
    if back is not None and (not others or rng.random() < background_share):
        return back
    return others[rng.integers(len(others))] if others else None


def _draw_region(class_HW: Flags, rng: np.random.Generator) -> Flags:
    count, region_HW, table, _ = cv2.connectedComponentsWithStats(class_HW.astype(np.uint8), connectivity=8)
    area = table[1:count, cv2.CC_STAT_AREA].astype(np.float64)
    weight = np.sqrt(area) * (area >= min(SPECK_PX, area.max()))
    chosen = 1 + int(rng.choice(count - 1, p=weight / weight.sum()))
    return np.asarray(region_HW == chosen)


def _loose_box(object_HW: Flags, rng: np.random.Generator) -> tuple[float, float, float, float]:
    rows, columns = (np.flatnonzero(object_HW.any(axis=axis)) for axis in (1, 0))
    (top, bottom), (left, right) = ((int(side[0]), int(side[-1]) + 1) for side in (rows, columns))
    more = LOOSEST * rng.random(4) * np.array([right - left, bottom - top] * 2)
    height, width = object_HW.shape
    return (
        float(max(0.0, left - more[0])),
        float(max(0.0, top - more[1])),
        float(min(width, right + more[2])),
        float(min(height, bottom + more[3])),
    )
