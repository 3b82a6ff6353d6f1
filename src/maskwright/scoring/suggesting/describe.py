"""What a photo looks like, in numbers and without a network: colour and texture by place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.types import Image

Vector = NDArray[np.float32]
Points = NDArray[np.float32]

CELLS = 4
SIDE = 96  # pixels of the square that is looked at; a multiple of CELLS
ANGLES = 4
COLOURS = CELLS * CELLS * 3 + 3
LENGTH = COLOURS + CELLS * CELLS * ANGLES


def describe(image_HW3: Image) -> Vector:
    """Mean CIELAB colour of 4 x 4 cells and its deviation in all, then gradients by cell and direction; LENGTH values.

    Gradients are counted in 4 directions weighted by their strength, as in histograms of oriented gradients (Dalal and
    Triggs, CVPR 2005), and the square root is taken so that few strong edges do not outweigh all else.
    """
    small = np.asarray(cv2.resize(image_HW3, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    cells = cv2.resize(lab, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    grey = np.ascontiguousarray(lab[..., 0])
    strength, angle = cv2.cartToPolar(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    bins = np.floor(angle / np.pi * ANGLES + 0.5).astype(np.int64) % ANGLES
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    cell = (row * CELLS // SIDE) * CELLS + column * CELLS // SIDE
    edges = np.bincount(cell * ANGLES + bins.ravel(), strength.ravel(), CELLS * CELLS * ANGLES)
    colour = np.concatenate([cells.ravel(), lab.std((0, 1))])
    return np.concatenate([colour, np.sqrt(edges)]).astype(np.float32)


def blocks(described_ND: Points) -> list[Points]:
    """Colour and texture apart, so that each has an equal say."""
    return [described_ND[:, :COLOURS], described_ND[:, COLOURS:]]


def joined(parts: list[Points]) -> Points:
    """Points whose distances weigh every part alike, and within a part every value alike.

    Values are centred and divided by their own deviation, then each part is scaled to a mean square length of 1. A
    value that never varies says nothing.
    """
    scaled = []
    for part in parts:
        centred, deviation = part - part.mean(0), part.std(0)
        varies = deviation > 1e-6
        standard = centred[:, varies] / deviation[varies]
        scaled.append(standard / np.float32(np.sqrt(max(1, int(varies.sum())))))
    return np.concatenate(scaled, axis=1).astype(np.float32)
