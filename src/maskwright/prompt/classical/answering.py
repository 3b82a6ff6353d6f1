"""From marks to possible masks, at the working size: every mark after the first corrects what was there before it.

A mark that the mask contradicts makes a region grow from it and change sides; one that agrees changes nothing. So a
correction stays around its click, whatever the mask so far came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.classical.boxes import box_logits
from maskwright.prompt.classical.evidence import Mark, correction_evidence, depths_of, first_evidence
from maskwright.prompt.classical.growing import Growth, change_facts, grow, region_facts, stops
from maskwright.prompt.classical.pieces import Floats, Pieces
from maskwright.prompt.classical.refining import SURE
from maskwright.prompt.classical.weighing import Fitted, Weighing
from maskwright.types import Prompt

Flags = NDArray[np.bool_]

_LEAST = 0.3  # the logit of a piece that only just belongs
_MIXED = 0.1
_UNKNOWN = 0.9  # for a mask that no click contradicts
_STEP_IN_AREA = 1.7
_BOX_BIASES = ((-1.0, 0.55), (0.0, 0.65), (1.0, 0.55))


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A possible mask: logits at the working size, and its expected IoU."""

    logit_hw: Floats
    score: float

    @property
    def mask_hw(self) -> Flags:
        """Where it is more likely than not."""
        return np.asarray(self.logit_hw > 0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Guesses for a prompt, and which of them is the best."""

    guesses: tuple[Guess, ...]
    chosen: int

    @property
    def mask_hw(self) -> Flags:
        """The best guess."""
        return self.guesses[self.chosen].mask_hw


def marks_of(pieces: Pieces, prompt: Prompt, size_hw: tuple[int, int]) -> list[Mark]:
    """The clicks in their order, then the strokes, at the working size."""
    rows, columns = pieces.labels_HW.shape
    scale = np.array([columns / size_hw[1], rows / size_hw[0]])
    most = np.array([columns - 1, rows - 1])
    found: list[Mark] = []
    for point, positive in zip(prompt.points_xy, prompt.positive, strict=True):
        place = np.minimum(np.array([point]) * scale, most)
        found.append(_mark(pieces, place, positive))
    for stroke in prompt.strokes:
        if stroke.points_xy:
            line = np.minimum(np.array(stroke.points_xy) * scale, most)
            canvas = np.zeros((rows, columns), np.uint8)
            width = max(1, round(2 * stroke.radius_px * float(scale.mean())))
            cv2.polylines(canvas, [line.astype(np.int32)], False, 1, width)
            places = np.argwhere(canvas)[:, ::-1]
            found.append(_mark(pieces, places[:: max(1, len(places) // 64)], stroke.positive))
    return found


def _mark(pieces: Pieces, places_M2: NDArray[Any], positive: bool) -> Mark:
    columns, rows = places_M2.astype(int).T
    under = np.unique(pieces.labels_HW[rows, columns]).astype(np.int64)
    return Mark(pieces=under, places_M2=places_M2.astype(np.float32), positive=positive)


def from_mask(mask_hw: Flags) -> Answer:
    """The mask so far as an answer that nothing is known of."""
    logit = np.where(mask_hw, np.float32(SURE), np.float32(-SURE))
    return Answer(guesses=(Guess(logit_hw=logit, score=_UNKNOWN),), chosen=0)


def first_steps(
    pieces: Pieces, mark: Mark, evidence_to_logit: Weighing
) -> tuple[Growth, NDArray[np.intp], Floats, Floats]:
    """The growth from a first mark, the steps that are looked at, what is known of each, (S, F), and the evidence."""
    evidence = first_evidence(pieces, mark)
    logit = evidence_to_logit(evidence)
    growth = grow(pieces, logit, mark.pieces, np.ones(pieces.count, np.bool_))
    at = stops(pieces, growth, len(mark.pieces))
    return growth, at, region_facts(pieces, growth, logit, at), evidence


def from_mark(pieces: Pieces, mark: Mark, fit: Fitted) -> Answer:
    """Regions of different extent around a first mark."""
    growth, at, facts, _ = first_steps(pieces, mark, fit.first_order)
    score = fit.first_extent(facts)
    chosen, picked = _picked(growth.area[at], score)
    guesses = [
        Guess(
            logit_hw=_logits(pieces, growth, int(at[k]))[pieces.labels_HW],
            score=float(np.clip(score[k], 0.02, 0.95)),
        )
        for k in picked
    ]
    return Answer(guesses=tuple(guesses), chosen=picked.index(chosen))


def from_boxes(pieces: Pieces, boxes_xyxy: Sequence[tuple[float, float, float, float]]) -> Answer:
    """Regions of different extent in the union of boxes, given at the working size."""
    logit_hw = box_logits(pieces, boxes_xyxy)
    guesses = [Guess(logit_hw=logit_hw + bias, score=score) for bias, score in _BOX_BIASES]
    return Answer(guesses=tuple(guesses), chosen=1)


def contradicts(mask_hw: Flags, mark: Mark) -> bool:
    """Whether a mask leaves out part of what a mark says."""
    columns, rows = mark.places_M2.astype(int).T
    return bool((mask_hw[rows, columns] != mark.positive).any())


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a contradicted mark may change: the side it takes from, how much of each piece is in it or in the mask."""

    side_hw: Flags
    side_N: Floats
    mask_N: Floats
    allowed_N: Flags
    depth_px: float
    logit_N: Floats


def change_of(
    pieces: Pieces, mask_hw: Flags, mark: Mark, others: Sequence[Mark], evidence_to_logit: Weighing
) -> tuple[Change, Floats]:
    """What a mark may change and how likely each piece does, and the evidence for that, (N, F)."""
    side_hw = mask_hw != mark.positive
    side = pieces.share_of(side_hw)
    share = 1 - side if mark.positive else side
    allowed = side > _MIXED
    for other in others:
        if other.positive != mark.positive:
            allowed[other.pieces] = False
    allowed[mark.pieces] = True
    depths = depths_of(pieces, side_hw, mark)
    evidence = correction_evidence(pieces, share, mark, others, depths)
    change = Change(
        side_hw=side_hw,
        side_N=side,
        mask_N=share,
        allowed_N=allowed,
        depth_px=depths[1],
        logit_N=evidence_to_logit(evidence),
    )
    return change, evidence


def change_steps(pieces: Pieces, change: Change, mark: Mark) -> tuple[Growth, NDArray[np.intp], Floats]:
    """The growth from a mark, the steps of it that are looked at, and what is known of each, (S, F)."""
    growth = grow(pieces, change.logit_N, mark.pieces, change.allowed_N)
    at = stops(pieces, growth, len(mark.pieces))
    as_region = region_facts(pieces, growth, change.logit_N, at)
    as_change = change_facts(pieces, growth, change.mask_N > 0.5, mark.positive, change.depth_px, at)
    return growth, at, np.concatenate([as_region, as_change], axis=1)


def corrected(pieces: Pieces, mask_hw: Flags, mark: Mark, others: Sequence[Mark], fit: Fitted) -> Answer:
    """Masks in which a region around the mark has changed sides."""
    change, _ = change_of(pieces, mask_hw, mark, others, fit.correction_order)
    growth, at, facts = change_steps(pieces, change, mark)
    value = fit.correction_extent(facts)
    chosen, picked = _picked(growth.area[at], value)
    open_hw = change.side_hw & _ours(pieces, mark, others)
    sure = np.where(mask_hw, np.float32(SURE), np.float32(-SURE))
    guesses: list[Guess] = []
    for k in picked:
        flip = _logits(pieces, growth, int(at[k]))[pieces.labels_HW]
        logit_hw = np.where(open_hw & (flip > -SURE), flip if mark.positive else -flip, sure)
        score = fit.correction_score(score_facts(len(others), change.depth_px, mask_hw, float(value[k] - value.max())))
        guesses.append(Guess(logit_hw=logit_hw, score=float(np.clip(score[0], 0.02, 0.98))))
    return Answer(guesses=tuple(guesses), chosen=picked.index(chosen))


def score_facts(others: int, depth_px: float, mask_hw: Flags, behind: float) -> Floats:
    """Numbers, (1, 3), on how good a corrected mask is: the deeper the error that was clicked, the worse it was.

    `behind` is how far its value is from the best one's, 0 or less.
    """
    area = float(mask_hw.sum()) + 1
    return np.array([[np.log(1 + others), np.log(depth_px**2 / area), max(behind, -5)]], np.float32)


def _ours(pieces: Pieces, mark: Mark, others: Sequence[Mark]) -> Flags:
    """Pixels nearer to a mark than to one that says the contrary, in the pieces that have both; all other pixels."""
    ours = np.ones(pieces.labels_HW.shape, np.bool_)
    for other in others:
        for piece in np.intersect1d(mark.pieces, other.pieces) if other.positive != mark.positive else ():
            rows, columns = np.nonzero(pieces.labels_HW == piece)
            places = np.stack([columns, rows], axis=1)
            near, far = (
                np.min([((places - place) ** 2).sum(axis=1) for place in m.places_M2], axis=0) for m in (mark, other)
            )
            ours[rows, columns] &= near <= far
    return ours


def _picked(area_S: NDArray[np.float64], value_S: Floats) -> tuple[int, list[int]]:
    """The best step, and it between the best of the clearly smaller and of the clearly larger ones."""
    best = int(value_S.argmax())
    picked = [best]
    for side in (area_S * _STEP_IN_AREA <= area_S[best], area_S >= area_S[best] * _STEP_IN_AREA):
        if side.any():
            picked.append(int(np.where(side, value_S, -np.inf).argmax()))
    return best, sorted(picked)


def _logits(pieces: Pieces, growth: Growth, step: int) -> Floats:
    """How surely each piece belongs to the region up to a step: further apart in the order means surer."""
    level = growth.level
    bar = level[step] if step + 1 == len(level) else (level[step] + level[step + 1]) / 2
    inside = np.arange(len(level)) <= step
    own = np.clip(bar - level, -SURE, SURE)
    own = np.where(inside, np.maximum(own, _LEAST), np.minimum(own, -_LEAST))
    logit = np.full(pieces.count, -SURE, np.float32)
    logit[growth.order] = own
    return logit
