"""Which classes are rare among the labelled masks, and how much of them an image seems to hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskwright.data.augmenting.sampling import class_pixels
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import pooled

MOST = 400  # masks that are counted, evenly spaced
LEAST = 1e-4  # a class with less of the labelled pixels counts as if it had this share: bounds what one class can do

Values = NDArray[np.float64]


def labelled_shares(data: Dataset, samples: Sequence[Sample], names: Sequence[str]) -> Values:
    """Share of the labelled pixels (K,) of the classes `names`; NaN for a name that the data set lacks."""
    some = samples[:: -(-len(samples) // MOST)] if samples else []
    pixels = np.zeros(len(data.classes))

    def count(sample: Sample) -> NDArray[np.int64]:
        return class_pixels(data.mask(sample), len(data.classes))

    # Threads are enough: it is a few milliseconds a mask. One that cannot be read is counted nowhere.
    for found in pooled(count, some, label="counting classes", name=lambda one: one.id, workers=0):
        if isinstance(found, np.ndarray):
            pixels += found
    share = dict(zip(data.classes.names, pixels / max(1.0, pixels.sum()), strict=True))
    return np.array([share.get(name, np.nan) for name in names])


def rarity(share_NK: Values, labelled_K: Values) -> Values:
    """Mean over classes of the root of (share in the image / share of the labelled pixels), (N,).

    1 for an image of the usual composition; a class that has hardly been labelled adds most. The root keeps one image
    full of a rare class from outweighing several with some of it. Classes with NaN are left out.
    """
    there = np.isfinite(labelled_K)
    if not there.any():
        return np.ones(len(share_NK))
    return np.asarray(np.sqrt(share_NK[:, there] / np.maximum(labelled_K[there], LEAST)).mean(1))
