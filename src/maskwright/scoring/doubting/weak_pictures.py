"""Pictures of a weak spot: photo, label, prediction, and how unlikely the label is at every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.imageio import overlay
from maskwright.scoring.evaluating.pictures import shrink
from maskwright.types import Classes, Image, Mask

# Probabilities at which the ramp ends: a label of 1 in 1000 is as unlikely as it gets.
LEAST = 1e-3

# Eight steps of viridis (Smith and van der Walt 2015): even in lightness, also for colour-blind readers and in grey.
RAMP = np.array(
    [
        (68, 1, 84),
        (70, 50, 127),
        (54, 92, 141),
        (39, 127, 142),
        (31, 161, 135),
        (74, 194, 109),
        (159, 218, 58),
        (253, 231, 37),
    ],
    np.float64,
)


def ramp(value_HW: NDArray[Any]) -> Image:
    """Colours (H, W, 3) of values from 0 (dark violet) to 1 (yellow)."""
    place = np.clip(np.nan_to_num(value_HW), 0, 1) * 255
    steps = np.linspace(0, 255, len(RAMP))
    table = np.stack([np.interp(np.arange(256), steps, RAMP[:, c]) for c in range(3)], axis=-1).round().astype(np.uint8)
    return np.asarray(table[place.round().astype(np.uint8)])


def panels(
    image_HW3: Image, truth_HW: Mask, guess_HW: Mask, probabilities_KHW: NDArray[np.float32], classes: Classes
) -> dict[str, Image]:
    """Name -> picture of at most 480 pixels a side; in `suspicion` yellow is where the label is most unlikely."""
    pictures = {
        "photo": image_HW3,
        "label": overlay(image_HW3, truth_HW, classes, opacity=0.65),
        "prediction": overlay(image_HW3, guess_HW, classes, opacity=0.65),
        "suspicion": unlikely(truth_HW, probabilities_KHW, classes),
    }
    return {name: shrink(picture) for name, picture in pictures.items()}


def unlikely(truth_HW: Mask, probabilities_KHW: NDArray[np.float32], classes: Classes) -> Image:
    """-log p of the label as colour; ignored pixels are white."""
    known_HW = truth_HW != classes.ignore
    labels = np.where(known_HW, truth_HW, 0).astype(np.intp)
    own_HW = np.take_along_axis(probabilities_KHW, labels[None], axis=0)[0]
    picture = ramp(np.log(np.maximum(own_HW, LEAST)) / np.log(LEAST))
    picture[~known_HW] = 255
    return picture
