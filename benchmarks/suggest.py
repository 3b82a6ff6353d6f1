"""Active learning: N suggested images against N random ones, and against uncertainty or diversity alone.

    python benchmarks/suggest.py DATASET --first 8 --more 12 --seeds 4 --split test

For every seed a network is trained on a few images of the training split (the same for all methods), and its run
suggests more of the others. Then a new network is trained on both, for the same number of steps whatever the machine
does meanwhile, and scored. First images are taken at random, or with --start by `suggest none`, the way to begin
without a run; then "first random" and "first suggested" are compared as well. Scores are mean IoU at the working size.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import maskwright
from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.data.pairs import Decoded
from maskwright.infer.predictor import Predictor
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.run import Run
from maskwright.types import Image, Mask

METHODS = ("random", "uncertainty", "diversity", "mixed")
RECIPE = (
    "data.size=[96, 128]",
    "data.workers=0",
    "augment={flip: 0.5}",
    "train.batch=4",
    "train.device=cpu",
    "train.precision=fp32",
    "model.stem=2",
    "model.widths=[16, 32, 64, 128]",
    "train.deterministic=true",
    "loss.name=cross_entropy_dice",
    "loss.check=false",
    "optim.lr=0.01",
)


def train(data: Dataset, ids: Sequence[str], folder: Path, steps: int, seed: int, sets: Sequence[str]) -> Run:
    """Train on the images named, for about `steps` steps; the last weights count, so validation chooses nothing."""
    chosen = set(ids)
    checked = next(sample for sample in data.samples if sample.split == "val")
    rows = tuple(
        replace(sample, split="train" if sample.id in chosen else "val")
        for sample in data.samples
        if sample.id in chosen or sample.id == checked.id
    )
    epochs = max(1, round(steps / max(1, len(ids) // 4)))
    changes = [*RECIPE, f"train.epochs={epochs}", f"train.validate_every={epochs}", f"train.seed={seed}", *sets]
    return maskwright.train(replace(data, samples=rows), Recipe.load("default", changes), out=folder).run


def fitted(data: Dataset, split: str) -> list[tuple[Image, Mask]]:
    """Photos and masks of a split at the working size."""
    pairs = Decoded(data, data.labelled(split), Recipe.load("default", RECIPE))
    return [pairs[index] for index in range(len(pairs))]


def score(run: Run, pairs: Sequence[tuple[Image, Mask]]) -> float:
    """Mean IoU over a split, at the working size."""
    predictor = Predictor.load(run, weights="last", device="cpu", precision="fp32")
    total = np.zeros((len(run.classes),) * 2, np.int64)
    for image_HW3, mask_HW in pairs:
        total += confusion(mask_HW, predictor.ids(image_HW3), len(run.classes))
    return mean_iou(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--first", type=int, default=8, help="images at the beginning")
    parser.add_argument("--more", type=int, default=12, help="images that are added")
    parser.add_argument("--steps", type=int, default=300, help="steps of every training")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--begin", type=int, default=0, help="the first seed")
    parser.add_argument("--split", default="test", help="where it is scored; choose a method on val or train only")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--start", action="store_true", help="also compare first images: random and suggested")
    parser.add_argument("--set", action="append", default=[], help="a recipe key")
    options = parser.parse_args()
    began = time.perf_counter()
    data = Dataset.open(options.dataset)
    pool = sorted(sample.id for sample in data.labelled("train"))
    pairs, methods = fitted(data, options.split), options.methods.split(",")
    results: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(options.begin, options.begin + options.seeds):
            folder = Path(scratch) / str(seed)

            def arm(name: str, ids: Sequence[str], folder: Path = folder, seed: int = seed) -> Run:
                path = folder / name.replace(" ", "-")
                run = train(data, ids, path, options.steps, seed, options.set)
                results.setdefault(name, []).append(score(run, pairs))
                held = sum(run.metrics()[-1].get(f"val_iou/{c}", 0) > 0 for c in data.classes.names)
                minutes = (time.perf_counter() - began) / 60
                print(f"seed {seed} {name:16} {results[name][-1]:.4f}  {held} classes  {minutes:5.1f} min", flush=True)
                return run

            def more(
                run: Run | None, method: str, count: int, have: Sequence[str], folder: Path = folder, seed: int = seed
            ) -> list[str]:
                rest = [id for id in pool if id not in set(have)]
                return maskwright.suggest(
                    run,
                    data,
                    count=count,
                    method=method,
                    pool=rest,
                    labelled=have,
                    out=folder / f"queue-{method}",
                    seed=seed,
                    weights="last",
                    device="cpu",
                    precision="fp32",
                ).ids

            first = more(None, "random", options.first, [])
            run = arm("first random", first)
            if options.start:
                arm("first suggested", more(None, "diversity", options.first, []))
            for method in methods:
                arm(f"+{options.more} {method}", [*first, *more(run, method, options.more, first)])
    report(results, f"+{options.more} random")
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes", file=sys.stderr)


def report(results: dict[str, list[float]], plain: str) -> None:
    """A row a method: mean and spread over seeds, and the paired difference to random images."""
    print(f"\n{'':18} {'mean':>7} {'sd':>7} {'against random, by seed (mean, standard error)':>40}   better in")
    for name, values in results.items():
        other = results.get("first random" if name == "first suggested" else plain)
        line = f"{name:18} {np.mean(values):7.4f} {np.std(values, ddof=min(1, len(values) - 1)):7.4f}"
        if other is not None and name not in (plain, "first random"):
            gain = np.subtract(values, other)
            error = np.std(gain, ddof=min(1, len(gain) - 1)) / np.sqrt(len(gain))
            line += f" {gain.mean():+24.4f} +- {error:.4f}          {int((gain > 0).sum())} of {len(gain)}"
        print(line)


if __name__ == "__main__":
    main()
