"""Evidence against a label, from what the model says of its pixels.

Two pieces that fail on different images. Where a label would fit better if it were moved, it lies in the wrong place
or belongs to another photo: on a photo that the model reads poorly, no move helps. And a label is contradicted where
the model is surer of another class (normalised margin: Northcutt, Jiang and Chuang, Confident learning, JAIR 2021),
above all at its worst pixels (softmin: Lad and Mueller, Estimating label quality and errors in semantic segmentation
data via any model, arXiv 2307.05080). benchmarks/LOG.md has the measurements that led here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.geometry import resize_nearest
from maskwright.types import Mask

SIDE = 128  # pixels of the longer side that moves are tried at
REACH = 10  # working pixels that a label is moved by at most
SMALLEST = 1e-4  # probability: beyond it a pixel says no more about its label
SOFTNESS = 0.1  # temperature of the softmin, as published
SLIGHT = 0.3  # nats a pixel: of a loss that small, a share says little
FIRM = -0.05
LEAST_PX = 50  # labelled working pixels, and half of the label, that must stay in the picture

Floats = NDArray[np.float32]


def moved(probabilities_KHW: Floats, truth_HW: Mask) -> tuple[float, tuple[int, int]]:
    """Share of its loss that the label would lose by its best move, and that move in rows and columns.

    At least -0.05, below which a label lies best as it is. The moved label and the label as it is are compared on the
    same pixels, those that both reach. All moves of up to 8 % of the longer side are tried at once, as
    cross-correlations. (0.0, (0, 0)) where too little is labelled.
    """
    logs_Khw, label_hw = _working(probabilities_KHW, truth_HW)
    gain, room = _correlate(logs_Khw, label_hw)
    whole = room[0, 0]
    reach = range(-REACH, REACH + 1)
    moves = [(y, x) for y in reach for x in reach if (y or x) and room[y, x] >= max(LEAST_PX, whole / 2)]
    if not moves:
        return 0.0, (0, 0)
    y, x = max(moves, key=lambda move: float(gain[move] / room[move]))
    scale = max(truth_HW.shape) / max(label_hw.shape)
    own = np.take_along_axis(logs_Khw, np.where(label_hw < len(logs_Khw), label_hw, 0)[None].astype(np.intp), 0)[0]
    loss = -float(own[label_hw < len(logs_Khw)].mean())
    return max(FIRM, float(gain[y, x] / room[y, x]) / (loss + SLIGHT)), (round(y * scale), round(x * scale))


def _working(probabilities_KHW: Floats, truth_HW: Mask) -> tuple[Floats, Mask]:
    rows, columns = truth_HW.shape
    scale = min(1.0, SIDE / max(rows, columns))
    size_hw = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    logs = np.log(np.maximum(probabilities_KHW, SMALLEST))
    planes = [cv2.resize(plane, size_hw[::-1], interpolation=cv2.INTER_AREA) for plane in logs]
    return np.stack(planes), resize_nearest(truth_HW, size_hw)


def _correlate(logs_Khw: Floats, label_hw: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every move: the log-likelihood won over the pixels labelled before and after it, and how many they are."""
    rows, columns = label_hw.shape
    size = (rows + REACH, columns + REACH)  # room, so that nothing comes back in on the other side
    known = (label_hw < len(logs_Khw)).astype(np.float64)
    known_F = np.fft.rfft2(known, size).conj()
    won = np.zeros_like(known_F)
    own = np.zeros((rows, columns))
    for index, plane in enumerate(logs_Khw):
        there = label_hw == index
        if there.any():
            own[there] = plane[there]
            won += np.fft.rfft2(plane * known, size) * np.fft.rfft2(there.astype(np.float64), size).conj()
    won -= np.fft.rfft2(own, size) * known_F
    room = np.fft.irfft2(np.fft.rfft2(known, size) * known_F, size).round()
    return np.fft.irfft2(won, size), room


def contradicted(margin_N: Floats) -> float:
    """Softmin quality of a label turned round: near 1 where the model is sure of another class at some pixels.

    `margin_N`: by how much the highest probability exceeds that of the label, 0 where they are the same.
    """
    if not margin_N.size:
        return 0.0
    weight_N = np.exp((margin_N - margin_N.max()) / SOFTNESS)
    return float((margin_N * weight_N).sum() / weight_N.sum())
