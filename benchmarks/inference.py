"""Inference: every backend against eager fp32 torch, in one run on the same machine; and what it costs in accuracy.

    python benchmarks/inference.py RUN

Two tables. The first is time at 512 px for three networks, with random weights (the arithmetic is the same): medians
over alternating rounds, and ratios to torch as it is usually written (eager, fp32, NCHW). 'core' is from canvas to
scores; 'photo' from a photo of 960x720 to class ids of that size, where the usual way resizes by torch and takes
torch's argmax. The second is mean IoU of RUN on the labelled photos of its data set's split, by backend.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from maskwright.config import Recipe
from maskwright.console import track
from maskwright.data.dataset import Dataset
from maskwright.geometry import Letterbox
from maskwright.infer.backends import BACKENDS, Core
from maskwright.infer.backends.graph import CoreGraph, exported
from maskwright.infer.backends.making import spread
from maskwright.infer.backends.torch_core import TorchCore
from maskwright.infer.device import choose_precision
from maskwright.infer.highest import first_maximum
from maskwright.infer.predictor import Predictor
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.models import Network, build
from maskwright.run import Run
from maskwright.types import Classes, Image, Mask

SIDE, KINDS, PHOTO_HW = 512, 12, (720, 960)
CPU = torch.device("cpu")
NETWORKS = {
    "U-Net 1.9 M": {"model__name": "unet", "model__width": 16},
    "U-Net 31 M": {"model__name": "unet", "model__width": 64},
    "ResNet-34 U-Net 24 M": {"model__name": "unet-resnet34"},
}
CALIBRATION = 4  # the second table has the accuracy; here only the arithmetic counts
CLASSES = Classes.from_names([f"class{number}" for number in range(KINDS)])


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="a trained run, whose data set is where it was")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=0, help="so many photos of the split; all if 0")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {KINDS} classes, canvas {SIDE}x{SIDE}\n")
    for name in options.networks:
        compare_speed(name, options.rounds)
    if options.run:
        compare_accuracy(Run.open(options.run), options.split, options.photos)


def compare_speed(name: str, rounds: int) -> None:
    """Print the first table for one network."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = build(Recipe(name="t").with_values(data__size=(SIDE, SIDE), **NETWORKS[name]).model, KINDS).eval()
    photo_HW3 = cv2.resize(rng.integers(0, 256, (90, 120, 3), np.uint8), PHOTO_HW[::-1], interpolation=cv2.INTER_CUBIC)
    canvas_1HW3 = Letterbox.fit(PHOTO_HW, (SIDE, SIDE), "stretch").forward_image(photo_HW3)[None]
    with tempfile.TemporaryDirectory() as folder:
        cores = converted(network, Path(folder), [np.roll(canvas_1HW3, n, 1) for n in range(CALIBRATION)])
        usual = usual_core(network)
        by_core = {"torch fp32 eager": lambda: usual(canvas_1HW3)}
        by_photo = {"torch fp32 eager": lambda: usual_photo(network, photo_HW3)}
        for key, core in cores.items():
            by_core[key] = lambda core=core: core(canvas_1HW3)
            by_photo[key] = lambda core=core: own_photo(core, photo_HW3)
        core_ms, photo_ms = timed(by_core, rounds), timed(by_photo, max(3, rounds // 2))
    print(f"{name} ({sum(p.numel() for p in network.parameters()) / 1e6:.1f} M)")
    print(f"  {'':18} {'core':>9} {'ratio':>6}   {'photo':>9} {'ratio':>6}")
    first = "torch fp32 eager"
    for key in by_core:
        ratios = core_ms[first] / core_ms[key], photo_ms[first] / photo_ms[key]
        print(f"  {key:18} {core_ms[key]:6.1f} ms {ratios[0]:6.2f}   {photo_ms[key]:6.1f} ms {ratios[1]:6.2f}")
    print(flush=True)


def converted(network: Network, folder: Path, photos: Sequence[NDArray[np.uint8]]) -> dict[str, Core]:
    """Every core of a network, torch as Predictor uses it first."""
    usual = choose_precision("auto", CPU)[0]
    program = exported(network, (SIDE, SIDE), each_class=False)
    cores: dict[str, Core] = {}
    for name, backend in BACKENDS.items():
        (folder / name).mkdir()
        backend.make(program, folder / name, photos)
        precision = usual if usual in backend.precisions else backend.precisions[0]
        cores[f"{name} {precision}".replace("int8 int8", "int8")] = backend.open(folder / name, precision)
    # A copy: ours reorders the memory of its own, the usual way does not.
    return {f"torch {usual}": TorchCore(deepcopy(network), CPU, usual, each_class=False), **cores}


def usual_core(network: Network) -> Core:
    """As it is usually written: eager, fp32, NCHW."""
    graph = CoreGraph(network, each_class=False).eval()

    def core(canvas_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = graph(torch.from_numpy(canvas_NHW3)).numpy()
        return scores

    return core


def usual_photo(network: Network, photo_HW3: Image) -> Mask:
    """Photo to ids as it is usually written."""
    with torch.inference_mode():
        pixels = torch.from_numpy(photo_HW3).permute(2, 0, 1)[None].float()
        canvas = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)
        scores = network(canvas).softmax(1)
        back = F.interpolate(scores, photo_HW3.shape[:2], mode="bilinear")
        ids: Mask = back.argmax(1)[0].to(torch.uint8).numpy()
    return ids


def own_photo(core: Core, photo_HW3: Image) -> Mask:
    """Photo to ids as Predictor does it."""
    box = Letterbox.fit(photo_HW3.shape[:2], (SIDE, SIDE), "stretch")
    return first_maximum(box.back_scores(core(box.forward_image(photo_HW3)[None])[0]), CLASSES)


def timed(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, all in turn, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * float(np.median(values)) for name, values in seconds.items()}


def compare_accuracy(run: Run, split: str, photos: int) -> None:
    """Print the second table: mean IoU over the whole split, agreement of ids and time, by backend."""
    data = Dataset.open(run.about["data"]["path"])
    samples = data.labelled(split)
    samples = list(spread(samples, photos)) if photos else samples
    predictors = {"torch fp32": Predictor.load(run, device="cpu", precision="fp32")}
    for name in ("torch", *BACKENDS):
        loaded = Predictor.load(run, device="cpu", backend=name)
        if loaded.precision != "fp32" or name != "torch":
            predictors[f"{name} {loaded.precision}".replace("int8 int8", "int8")] = loaded
    count = len(run.classes)
    counts = {name: np.zeros((count, count), np.int64) for name in predictors}
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    same = dict.fromkeys(predictors, 0.0)
    for sample in track(samples, "scoring"):
        image_HW3, mask_HW = data.image(sample), data.mask(sample)
        first: Mask | None = None
        for name, predictor in predictors.items():
            start = time.perf_counter()
            ids_HW = predictor.ids(image_HW3)
            seconds[name].append(time.perf_counter() - start)
            first = ids_HW if first is None else first
            same[name] += float((ids_HW == first).mean()) / len(samples)
            counts[name] += confusion(mask_HW, ids_HW, count)
    print(f"{run.path.name}: {len(samples)} labelled photos of split {split}, canvas {run.recipe.data.size}")
    print(f"  {'':18} {'mean IoU':>9} {'points':>7} {'same ids':>9} {'photo':>9} {'ratio':>6}")
    base, slow = mean_iou(counts["torch fp32"]), float(np.median(seconds["torch fp32"]))
    for name in predictors:
        score, middle = mean_iou(counts[name]), float(np.median(seconds[name]))
        print(
            f"  {name:18} {score:9.4f} {100 * (score - base):+7.2f} {100 * same[name]:8.2f}% "
            f"{1000 * middle:6.1f} ms {slow / middle:6.2f}"
        )


if __name__ == "__main__":
    main()
