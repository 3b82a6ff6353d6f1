"""Numbers about a whole data set, for drawing: shares of classes, sizes, which classes occur together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskwright.data.audit.look import SIZE_BINS
from maskwright.data.audit.scan import Facts
from maskwright.data.dataset import Dataset

SPLITS = ("train", "val", "test", "")


def summary(dataset: Dataset, facts: Sequence[Facts]) -> dict[str, Any]:
    """What `audit.json` says of the data set as a whole.

    `pixels` and `images` count each class by split. `together[a][b]` counts images with both classes. `parts[k]`
    counts connected parts of class k by power of two of their pixels.
    """
    classes = len(dataset.classes)
    splits = {sample.id: sample.split for sample in dataset.samples}
    names = [name for name in SPLITS if name in splits.values()] + sorted(set(splits.values()) - set(SPLITS))
    pixels = {name: np.zeros(classes, np.int64) for name in names}
    images = {name: np.zeros(classes, np.int64) for name in names}
    together = np.zeros((classes, classes), np.int64)
    parts = np.zeros((classes, SIZE_BINS), np.int64)
    ignored = Counter[str]()
    for one in facts:
        if one.mask is None:
            continue
        split = splits[one.id]
        counts = np.array(one.mask.pixels)
        present = (counts > 0).astype(np.int64)
        pixels[split] += counts
        images[split] += present
        together += np.outer(present, present)
        ignored[split] += one.mask.ignored
        for value, row in enumerate(one.mask.parts[:classes]):
            parts[value, : len(row)] += np.array(row, np.int64)
    return {
        "splits": [
            {
                "name": name,
                "images": sum(split == name for split in splits.values()),
                "labelled": sum(bool(one.mask) and splits[one.id] == name for one in facts),
                "groups": len({s.group for s in dataset.samples if s.group and s.split == name}),
                "pixels": pixels[name].tolist(),
                "class_images": images[name].tolist(),
                "ignored": ignored[name],
            }
            for name in names
        ],
        "together": together.tolist(),
        "parts": parts.tolist(),
        "sizes": _sizes(facts),
        "brightness": np.histogram([f.image.brightness for f in facts if f.image], 32, (0, 256))[0].tolist(),
    }


def _sizes(facts: Sequence[Facts], most: int = 8) -> list[dict[str, int]]:
    count = Counter((one.image.width, one.image.height) for one in facts if one.image)
    return [{"width": width, "height": height, "images": n} for (width, height), n in count.most_common(most)]
