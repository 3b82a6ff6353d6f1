"""Does a mask fit its photo? Edges of the photo along the mask's outlines, as it is, flipped, turned and shifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image, Mask

SIDE = 256  # pixels of the longer side that outlines are compared at
REACH = 16  # working pixels that a mask may be shifted by
SLACK = 2  # working pixels that a turned mask may be off

Plane = NDArray[np.float32]

AS_IT_IS = "as it is"
_AWAY = np.hypot(*np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1])
_RING = (_AWAY >= 5) & (_AWAY <= 9)

# What may have been done to a mask, undone; the last four exchange rows and columns.
TURNS: dict[str, Callable[[Mask], Mask]] = {
    AS_IT_IS: lambda mask_HW: mask_HW,
    "flipped left to right": lambda mask_HW: mask_HW[:, ::-1],
    "flipped upside down": lambda mask_HW: mask_HW[::-1],
    "turned by 180 degrees": lambda mask_HW: mask_HW[::-1, ::-1],
    "turned by 90 degrees to the left": lambda mask_HW: np.rot90(mask_HW),
    "turned by 90 degrees to the right": lambda mask_HW: np.rot90(mask_HW, -1),
    "transposed": lambda mask_HW: mask_HW.T,
    "transposed and turned by 180 degrees": lambda mask_HW: mask_HW[::-1, ::-1].T,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How strong the photo's edges are along the mask's outlines, in standard deviations above the photo's mean.

    `scores` has every one of TURNS that gives the photo's shape, `outline` the working pixels that were compared.
    `shift` (rows, columns, in pixels of the mask) is where the mask as it is fits best, with `shifted` its score.
    `lead` is by how much the mask in place fits better than anywhere 5 to 9 working pixels away: masks that belong
    to their photo hardly ever lie below 0, others mostly do.
    """

    scores: Mapping[str, float]
    outline: int
    shift: tuple[int, int]
    shifted: float
    lead: float


def fit_mask(image_HW3: Image, ids_HW: Mask, ignore: int) -> Fit | None:
    """Compare outlines with edges at a working size; None where there are none or no turn has the right shape."""
    rows, columns = image_HW3.shape[:2]
    turns = {name: turn for name, turn in TURNS.items() if turn(ids_HW).shape == (rows, columns)}
    scale = min(1.0, SIDE / max(rows, columns))
    working_hw = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    if not turns or min(working_hw) < 2 * SLACK + 1:
        return None
    edges = edge_strength(image_HW3, working_hw)
    scores: dict[str, float] = {}
    outline, shift, shifted, lead = 0, (0, 0), 0.0, 0.0
    for name, turn in turns.items():
        line = outlines(turn(ids_HW), working_hw, ignore)
        outline = int(line.sum())
        if not outline:
            return None
        straight = name == AS_IT_IS
        agreement = agreements(edges, line, REACH if straight else SLACK)
        middle = agreement.shape[0] // 2
        # A little slack, so that masks that are a pixel off are not taken for flipped ones.
        near = float(agreement[middle - SLACK : middle + SLACK + 1, middle - SLACK : middle + SLACK + 1].max())
        scores[name] = round(near, 3)
        if straight:
            best = np.unravel_index(int(agreement.argmax()), agreement.shape)
            shift = (round((int(best[0]) - middle) / scale), round((int(best[1]) - middle) / scale))
            shifted = round(float(agreement.max()), 3)
            lead = round(near - float(agreement[_RING].max()), 3)
    return Fit(scores=scores, outline=outline, shift=shift, shifted=shifted, lead=lead)


def edge_strength(image_HW3: Image, working_hw: tuple[int, int]) -> Plane:
    """Gradient magnitude over its local mean, so that fine texture does not outweigh outlines; mean 0, deviation 1."""
    small = cv2.resize(image_HW3, working_hw[::-1], interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.8)
    across, down = (np.abs(cv2.Sobel(small, cv2.CV_32F, *order)).max(axis=2) for order in ((1, 0), (0, 1)))
    strength = cv2.magnitude(across, down)
    local = cv2.blur(strength, (31, 31))
    strength = np.minimum(strength / (local + 0.5 * float(strength.mean()) + 4), 3)
    deviation = float(strength.std())
    return np.asarray((strength - strength.mean()) / (deviation + 1e-6), np.float32)


def outlines(ids_HW: Mask, working_hw: tuple[int, int], ignore: int) -> Plane:
    """1 on both sides of every change between two classes, else 0; changes to ignored pixels do not count."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(working_hw, ids_HW.shape, strict=True)
    )
    small = ids_HW[np.ix_(rows, columns)]
    real = small != ignore
    line = np.zeros(small.shape, bool)
    change = (small[1:] != small[:-1]) & real[1:] & real[:-1]
    line[1:] |= change
    line[:-1] |= change
    change = (small[:, 1:] != small[:, :-1]) & real[:, 1:] & real[:, :-1]
    line[:, 1:] |= change
    line[:, :-1] |= change
    return line.astype(np.float32)


def agreements(edges: Plane, line: Plane, reach: int) -> Plane:
    """Mean edge strength along the outline moved by up to `reach` rows and columns, shape (2 reach + 1, same)."""
    padded = cv2.copyMakeBorder(edges, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.matchTemplate(padded, line, cv2.TM_CCORR) / float(line.sum()), np.float32)
