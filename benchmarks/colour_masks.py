"""Colour masks to class ids: ours against one full-image comparison a colour, in one run.

python benchmarks/colour_masks.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.formats.colour import ColourReader
from maskwright.imageio import colourise
from maskwright.types import Classes, InputError

Ids = NDArray[np.uint8]


def scene(rng: np.random.Generator, hw: tuple[int, int], classes: int) -> Ids:
    """A mask of blobs with ragged outlines, as annotators draw them."""
    rows, columns = hw
    noise = np.stack([cv2.GaussianBlur(rng.normal(size=hw), (0, 0), 12) for _ in range(classes)])
    ids = noise.argmax(0).astype(np.uint8)
    assert ids.shape == (rows, columns)
    return ids


def one_comparison_a_colour(pixels: Ids, classes: Classes) -> Ids:
    """What scripts do; a colour outside the table stays unnoticed."""
    found = np.zeros(pixels.shape[:2], np.uint8)
    for item in classes.items:
        found[(pixels == np.array(item.colour, np.uint8)).all(-1)] = item.id
    return found


def median_ms(work: Callable[[Ids], Ids], pictures: list[Ids]) -> float:
    times = []
    for picture in pictures:
        began = time.perf_counter()
        work(picture)
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=(400, 500), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--classes", type=int, default=12)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    classes = Classes.from_names([f"class {i}" for i in range(options.classes)])
    reader = ColourReader({item.colour: item.name for item in classes.items}, classes, (), "error")
    truths = [scene(rng, tuple(options.size), options.classes) for _ in range(options.masks)]
    pictures = [np.ascontiguousarray(colourise(truth, classes)) for truth in truths]
    for truth, picture in zip(truths, pictures, strict=True):
        assert np.array_equal(reader.ids_of(picture, "mask"), truth)
        assert np.array_equal(one_comparison_a_colour(picture, classes), truth)
    stranger = pictures[0].copy()
    stranger[-1, -1] = (1, 2, 3)
    try:
        reader.ids_of(stranger, "mask.png")
    except InputError as error:
        print(f"one strange pixel: {error}")
    ours = median_ms(lambda picture: reader.ids_of(picture, "mask"), pictures)
    usual = median_ms(lambda picture: one_comparison_a_colour(picture, classes), pictures)
    rows, columns = options.size
    print(f"{options.masks} masks of {columns}x{rows}, {options.classes} colours; median a mask, equal ids")
    print(f"one comparison a colour {usual:8.3f} ms")
    print(f"ours                    {ours:8.3f} ms   ratio {usual / ours:6.1f}")


if __name__ == "__main__":
    main()
