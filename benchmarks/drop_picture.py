"""The picture in docs/synth.md: both styles of drops, and the mask of the second, over photographs free for any use.

python benchmarks/drop_picture.py docs/raindrops.jpg
"""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path

import cv2
import numpy as np

from maskwright.data.drops.raindrops import STYLES, raindrops
from maskwright.data.drops.synth import CLASSES
from maskwright.files import write_bytes
from maskwright.imageio import overlay, read_image

SHOWN = ["rocket.jpg", "coffee.png", "chelsea.png"]
SIZE = (320, 240)


def main() -> None:
    columns = []
    for index, name in enumerate(SHOWN):
        photo_HW3 = read_image(Path(str(importlib.resources.files("skimage") / "data" / name)))
        rows, width = photo_HW3.shape[:2]
        unit = min(rows // 3, width // 4)
        top, left = (rows - 3 * unit) // 2, (width - 4 * unit) // 2
        middle_HW3 = photo_HW3[top : top + 3 * unit, left : left + 4 * unit]
        scene_HW3 = np.asarray(cv2.resize(middle_HW3, (480, 360), interpolation=cv2.INTER_AREA), np.uint8)
        (close_HW3, _), (soft_HW3, mask_HW) = (
            raindrops(scene_HW3, np.random.default_rng((1, index)), style=STYLES[style])
            for style in ("close", "windshield")
        )
        tiles = [close_HW3, soft_HW3, overlay(soft_HW3, mask_HW, CLASSES)]
        tiles = [np.asarray(cv2.resize(tile, SIZE, interpolation=cv2.INTER_AREA), np.uint8) for tile in tiles]
        columns.append(np.vstack([np.pad(t, ((0, 6), (0, 6), (0, 0)), constant_values=255) for t in tiles]))
    sheet_HW3 = cv2.cvtColor(np.hstack(columns).astype(np.uint8), cv2.COLOR_RGB2BGR)
    written, jpeg = cv2.imencode(".jpg", sheet_HW3, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert written
    write_bytes(Path(sys.argv[1]), jpeg.tobytes())


if __name__ == "__main__":
    main()
