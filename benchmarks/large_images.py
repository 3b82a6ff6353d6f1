"""Images larger than memory and than the training photos: what do tiles cost, and what do they gain?

    python benchmarks/large_images.py memory --sides 10000,20000
    python benchmarks/large_images.py scores RUN DATASET --images 100

`memory` draws square TIFFs (tiles of 256, deflated, BigTIFF) and segments each in a process of its own with a tiny
random network: peak memory, and by how much it is above that of the process after a small image; seconds of the
processor and of the clock; and what the scores of the whole image would take.

`scores` takes labelled images of the size that a run was trained on, and half the run's working size: an image is then
twice as high and wide as a tile. The reference is the whole image at the same scale. Printed: pixels that agree with
it, mean difference of probabilities, mean IoU with the labels. `whole, shrunk` is what happens without tiles.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from safetensors.torch import save_file

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.infer.predictor import Predictor
from maskwright.infer.segmenting.segment import How, Segmenter, segment_file
from maskwright.losses import outputs_for
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.models import build
from maskwright.run import Run
from maskwright.types import Classes, Image

MEGA = 1 << 20


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser()
    parts = parser.add_subparsers(dest="part", required=True)
    memory = parts.add_parser("memory")
    memory.add_argument("--sides", default="10000,20000")
    memory.add_argument("--classes", type=int, default=11)
    memory.add_argument("--tile", type=int, default=512, help="rows and columns of a tile")
    memory.add_argument("--working", type=int, default=256, help="rows and columns that the network sees")
    one = parts.add_parser("one")
    one.add_argument("folder", type=Path)
    one.add_argument("side", type=int)
    scores = parts.add_parser("scores")
    scores.add_argument("run", type=Path)
    scores.add_argument("dataset", type=Path)
    scores.add_argument("--images", type=int, default=100)
    args = parser.parse_args()
    {"memory": measure_memory, "one": segment_one, "scores": measure_scores}[args.part](args)


def measure_memory(args: argparse.Namespace) -> None:
    """A table over sides."""
    print(f"{args.classes} classes, tiles of {args.tile}, working size {args.working}, overlap 0.25, one thread")
    print("side   file MiB  scores of the whole MiB  peak MiB  above a small image  CPU s  clock s")
    with tempfile.TemporaryDirectory() as home:
        tiny_run(Path(home), args)
        for side in map(int, args.sides.split(",")):
            path = Path(home) / f"{side}.tif"
            draw(path, side)
            call = [sys.executable, __file__, "one", home, str(side)]
            most, base, work, clock = map(float, subprocess.check_output(call, text=True).split())
            whole = 4 * args.classes * side * side / MEGA
            size = path.stat().st_size / MEGA
            row = f"{side:5} {size:9.0f} {whole:24,.0f} {most:9.0f} {most - base:20.0f} {work:6.0f} {clock:8.0f}"
            print(row, flush=True)
            path.unlink()


def tiny_run(home: Path, args: argparse.Namespace) -> None:
    """A run with a random network of 4 and 8 channels."""
    table = Classes.from_names([f"class {number}" for number in range(args.classes)])
    recipe = maskwright.Recipe().with_values(data__size=(args.working, args.working), model__widths=(4, 8))
    facts = {"path": "", "image_hw": [args.tile, args.tile]}
    run = Run.create(home / "run", recipe, table, {"data": facts})
    torch.manual_seed(0)
    network = build(recipe.model, outputs_for(recipe.loss, table))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, run.path / "weights" / "best.safetensors")


def draw(path: Path, side: int) -> None:
    """A TIFF of waves and noise, made tile by tile."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 16, (256, 256, 3)).astype(np.uint8)

    def tiles() -> Iterator[Image]:
        for top in range(0, side, 256):
            for left in range(0, side, 256):
                y, x = np.ogrid[top : top + 256, left : left + 256]
                wave = (100 + 60 * np.sin(y / 90) + 60 * np.cos(x / 130)).astype(np.uint8)
                yield wave[..., None] + noise

    layout: dict[str, Any] = {
        "tile": (256, 256),
        "compression": "zlib",
        "compressionargs": {"level": 1},
        "bigtiff": True,
    }
    tifffile.imwrite(path, tiles(), shape=(side, side, 3), dtype=np.uint8, photometric="rgb", **layout)


def segment_one(args: argparse.Namespace) -> None:
    """In a process of its own: peak MiB, MiB after a small image, seconds of the processor and of the clock."""
    torch.set_num_threads(1)
    segmenter = Segmenter(Predictor.load(args.folder / "run", device="cpu", precision="fp32"))
    segmenter.ids(np.zeros((600, 600, 3), np.uint8))
    base = peak()
    start, began = time.perf_counter(), time.process_time()
    path, ids = args.folder / f"{args.side}.tif", args.folder / "ids.png"
    segment_file(segmenter, path, ids, overlay=args.folder / "small.jpg")
    print(peak(), base, time.process_time() - began, time.perf_counter() - start)


def peak() -> float:
    """MiB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MEGA


def measure_scores(args: argparse.Namespace) -> None:
    """A table over ways to segment an image that is larger than a tile."""
    whole = Predictor.load(args.run, device="cpu")
    data = Dataset.open(args.dataset)
    samples = data.labelled("test")[:: max(1, len(data.labelled("test")) // args.images)]
    small = copy(whole)
    small.size_hw = (whole.size_hw[0] // 2, whole.size_hw[1] // 2)
    tile = (samples[0].height // 2, samples[0].width // 2)
    ways: dict[str, Segmenter] = {
        "whole, at the same scale": Segmenter(whole, How(tiles="off")),
        "whole, shrunk": Segmenter(small, How(tiles="off")),
        **{f"tiles, overlap {part:g}": Segmenter(small, How(tiles=tile, overlap=part)) for part in (0, 0.1, 0.25, 0.6)},
        "tiles, overlap 0.25, flips": Segmenter(small, How(tiles=tile, flips=True)),
        "whole, flips": Segmenter(whole, How(tiles="off", flips=True)),
        "whole, flips, scale 1.25": Segmenter(whole, How(tiles="off", flips=True, scales=(1.25,))),
    }
    counts = {way: np.zeros((len(data.classes),) * 2, np.int64) for way in ways}
    agree: dict[str, list[float]] = {way: [] for way in ways}
    apart: dict[str, list[float]] = {way: [] for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for sample in samples:
        image, truth = data.image(sample), data.mask(sample)
        reference = None
        for way, segmenter in ways.items():
            start = time.perf_counter()
            scores = segmenter.probabilities(image)
            seconds[way].append(time.perf_counter() - start)
            reference = scores if reference is None else reference
            ids = scores.argmax(0).astype(np.uint8)
            counts[way] += confusion(truth, ids, len(data.classes))
            agree[way].append((ids == reference.argmax(0)).mean())
            apart[way].append(np.abs(scores - reference).mean())
    print(f"{len(samples)} images of {samples[0].width}x{samples[0].height}, tiles of {tile[1]}x{tile[0]}")
    print(f"{'':28} agree %  apart   mean IoU  ms")
    for way in ways:
        score = mean_iou(counts[way])
        middle = 1000 * np.median(seconds[way])
        print(f"{way:28} {100 * np.mean(agree[way]):7.2f}  {np.mean(apart[way]):.4f}  {score:8.4f}  {middle:.0f}")


if __name__ == "__main__":
    main()
