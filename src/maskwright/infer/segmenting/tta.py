"""One image seen in several ways, and the mean of what the network says each time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from maskwright.infer.predictor import Predictor
from maskwright.types import Image

Scores = NDArray[np.float32]


def mean_scores(
    predictor: Predictor, images: Sequence[Image], *, flips: bool = False, scales: Sequence[float] = ()
) -> list[Scores]:
    """Scores (K, H, W) of each image before any temperature: the mean over all views, each back in its place.

    Views are the image at the working size and at every further scale of it, and with `flips` each of them also in a
    mirror (left and right change places). Test-time augmentation: Simonyan and Zisserman, ICLR 2015.
    """
    count = (1 + flips) * (1 + len(scales))
    sums: list[Scores] = []
    for scale in (1.0, *scales):
        there = at_scale(predictor, scale)
        for step in (1, -1)[: 1 + flips]:
            seen = there.scores_of([np.ascontiguousarray(image[:, ::step]) for image in images])
            for index, scores_KHW in enumerate(seen):
                if len(sums) == index:
                    sums.append(scores_KHW if count == 1 else scores_KHW / np.float32(count))
                else:
                    sums[index] += scores_KHW[:, :, ::step] / np.float32(count)
    return sums


def at_scale(predictor: Predictor, scale: float) -> Predictor:
    """The predictor at another working size; it shares the network."""
    if scale == 1:
        return predictor
    other = copy(predictor)
    rows, columns = (max(1, round(side * scale)) for side in predictor.size_hw)
    other.size_hw = (rows, columns)
    return other
