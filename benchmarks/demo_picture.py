"""The picture in the README: held-out pictures of the demo (top) and what its model finds (bottom).

maskwright demo && python benchmarks/demo_picture.py maskwright-demo docs/demo.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from maskwright.data.dataset import Dataset
from maskwright.imageio import overlay, write_image
from maskwright.infer.predictor import Predictor

# The first pictures of the two test photos that are free for any use, not chosen by how well they come out.
SHOWN = ["coffee-000", "moon-000", "coffee-001", "moon-001", "coffee-002", "moon-002"]
SIDE = 280


def main() -> None:
    demo, target = Path(sys.argv[1]), Path(sys.argv[2])
    data, predictor = Dataset.open(demo / "data"), Predictor.load(demo / "run")
    samples = {sample.id: sample for sample in data.samples}
    columns = []
    for name in SHOWN:
        image_HW3 = data.image(samples[name])
        found = overlay(image_HW3, predictor.ids(image_HW3), data.classes, opacity=0.6)
        tiles = [cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for tile in (image_HW3, found)]
        columns.append(np.vstack([np.pad(t, ((0, 6), (0, 6), (0, 0)), constant_values=255) for t in tiles]))
    write_image(target, np.hstack(columns).astype(np.uint8))


if __name__ == "__main__":
    main()
