"""What SAM 2's decoder is asked, from a prompt; and one object's candidates from what it answers, box by box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.soft_masks import Logits
from maskwright.types import Prompt, Stroke

_PADDING = -10  # the label of a point that is none, in the transformers library
_POINTS_A_STROKE = 5  # SAM 2 was trained with a handful of clicks
_STROKE_STEP = 0.05  # of the image's longer side

Click = tuple[float, float, bool]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Points, labels and boxes at the network's size, B rows of them; B is the number of boxes, at least 1.

    `clicks` are the points at the image's size, `settled` is False where they may mean a part, a whole or more.
    """

    points_BP2: NDArray[np.float32] | None
    labels_BP: NDArray[np.int64] | None
    boxes_B4: NDArray[np.float32] | None
    clicks: list[Click]
    settled: bool


def asked_of(prompt: Prompt, size_hw: tuple[int, int], side: int) -> Asked:
    """The decoder's input for a prompt on an image of `size_hw`, which it sees as a square of `side`."""
    clicks = [(x, y, positive) for (x, y), positive in zip(prompt.points_xy, prompt.positive, strict=True)]
    for stroke in prompt.strokes:
        clicks += [(x, y, stroke.positive) for x, y in along(stroke, _STROKE_STEP * max(size_hw))]
    scale = np.array([side / size_hw[1], side / size_hw[0]], np.float32)
    boxes = np.array(prompt.boxes_xyxy, np.float32).reshape(-1, 4)
    rows = [clicks] if len(boxes) < 2 else shared_out(clicks, boxes)
    length = max(map(len, rows))
    points_BP2 = np.full((len(rows), length, 2), _PADDING, np.float32)
    labels_BP = np.full((len(rows), length), _PADDING, np.int64)
    for i, row in enumerate(rows):
        if row:
            # The network adds half a pixel, as its authors' clicks name a pixel and not a place in it.
            points_BP2[i, : len(row)] = np.array([click[:2] for click in row], np.float32) * scale - 0.5
            labels_BP[i, : len(row)] = [positive for *_, positive in row]
    return Asked(
        points_BP2=points_BP2 if length else None,
        labels_BP=labels_BP if length else None,
        boxes_B4=boxes * np.tile(scale, 2) - 0.5 if len(boxes) else None,
        clicks=clicks,
        settled=len(clicks) > 1 or len(boxes) > 0 or prompt.previous_HW is not None,
    )


def along(stroke: Stroke, step_px: float) -> list[tuple[float, float]]:
    """A few points evenly along a stroke, one for every `step_px`."""
    line = np.array(stroke.points_xy, np.float64).reshape(-1, 2)
    if len(line) < 2:
        return [(x, y) for x, y in line.tolist()]
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = int(np.clip(np.ceil(way[-1] / step_px), 1, _POINTS_A_STROKE))
    places = (np.arange(count) + 0.5) / count * way[-1]
    return list(
        zip(np.interp(places, way, line[:, 0]).tolist(), np.interp(places, way, line[:, 1]).tolist(), strict=True)
    )


def shared_out(clicks: list[Click], boxes_B4: NDArray[np.float32]) -> list[list[Click]]:
    """The clicks of each box: a positive one belongs to the nearest box, a negative one to all."""
    rows: list[list[Click]] = [[] for _ in boxes_B4]
    for x, y, positive in clicks:
        outside_x = np.maximum(np.maximum(boxes_B4[:, 0] - x, x - boxes_B4[:, 2]), 0)
        outside_y = np.maximum(np.maximum(boxes_B4[:, 1] - y, y - boxes_B4[:, 3]), 0)
        nearest = int(np.argmin(np.hypot(outside_x, outside_y)))
        for i, row in enumerate(rows):
            if not positive or i == nearest:
                row.append((x, y, positive))
    return rows


def objects_of(
    logits_BMhw: Logits, scores_BM: NDArray[np.float32], *, settled: bool, rule: tuple[float, float]
) -> tuple[Logits, NDArray[np.float32], int]:
    """Three masks (3, h, w), their scores and the best guess, from the single mask (m = 0) and the three others.

    Where the prompt is `settled`, the single mask takes the place of the one most like it, and is the guess if its
    stability for an offset of rule[0] is at least rule[1] (the rule of SAM 2's authors); else, and after a lone click,
    the guess is the mask of the highest score. The masks of several boxes are united, rank by rank.
    """
    picked = [_three(logits, scores, settled, rule) for logits, scores in zip(logits_BMhw, scores_BM, strict=True)]
    place = sorted(chosen for _, chosen in picked)[len(picked) // 2]
    for order, chosen in picked:
        order[place], order[chosen] = order[chosen], order[place]
    orders = [order for order, _ in picked]
    united_Nhw = np.max([logits[order] for logits, order in zip(logits_BMhw, orders, strict=True)], axis=0)
    scores_N = np.mean([scores[order] for scores, order in zip(scores_BM, orders, strict=True)], axis=0)
    return united_Nhw, np.clip(scores_N, 0, 1).astype(np.float32), place


def _three(
    logits_Mhw: Logits, scores_M: NDArray[np.float32], settled: bool, rule: tuple[float, float]
) -> tuple[list[int], int]:
    """Three indices by growing area, and which of them is the guess."""
    masks_Mhw = logits_Mhw >= 0
    areas = masks_Mhw.sum(axis=(1, 2))
    others = list(range(1, len(logits_Mhw)))
    guess = others[int(np.argmax(scores_M[1:]))]
    if settled:
        likeness = [(masks_Mhw[0] & masks_Mhw[m]).sum() / max(1, (masks_Mhw[0] | masks_Mhw[m]).sum()) for m in others]
        offset, enough = rule
        loose = int((logits_Mhw[0] > -offset).sum())
        stable = loose > 0 and int((logits_Mhw[0] > offset).sum()) >= enough * loose
        twin = others[int(np.argmax(likeness))]
        if stable or guess != twin:
            others[others.index(twin)] = 0
        guess = 0 if stable else guess
    order = sorted(others, key=lambda m: int(areas[m]))
    return order, order.index(guess)
