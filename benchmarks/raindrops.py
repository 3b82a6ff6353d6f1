"""Trained on drawn raindrops only: are the drops of other people's windshields found?

    python benchmarks/raindrops.py --photos CAMVID/train COCO/train2017 --real RAINDROPS --minutes 8 --out FOLDER

Draws the `windshield` style over the photos, trains the `raindrops` recipe for so many minutes, and scores drop IoU,
precision and recall, counts summed over pictures, on photos that training never saw (in both styles) and, where
`--real` names a folder with `images/` and `masks/`, on all of its frames. Beside the model stand two baselines:
everything is a drop, and little local contrast is a drop, with the threshold that does best on the training
pictures. Nothing is chosen by the real frames; every scoring of them is counted in OUT/real_scorings.txt.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from maskwright.config import Recipe
from maskwright.console import track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.doors import Shares, import_dataset
from maskwright.data.drops.raindrops import drop_style
from maskwright.data.drops.synth import synth_raindrops
from maskwright.data.formats.listing import Options
from maskwright.imageio import IMAGE_SUFFIXES, overlay, write_image
from maskwright.infer.predictor import Predictor
from maskwright.metrics.counts import confusion, scores
from maskwright.training.fit import train
from maskwright.types import Image, Mask

BLUR = 0.01  # local contrast is measured over this share of the shorter side
GRID = np.geomspace(0.2, 40, 40)

Found = Callable[[Image], Mask]


def main() -> None:
    """Draw, train, score; what exists already in OUT is used again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos without drops")
    parser.add_argument("--real", type=Path, help="folder with images/ and masks/")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--per-photo", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--group", help="as in `maskwright synth raindrops`")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    data = drawn(args.photos, args.out, "windshield", args.per_photo, args.seed, args.group)
    if not (args.out / "run").exists():
        recipe = Recipe.load("raindrops", [f"train.budget={args.minutes}", f"train.seed={args.seed}"])
        train(data.path, recipe, out=args.out / "run")
    predictor = Predictor.load(args.out / "run")
    threshold = best_threshold(data, data.labelled("train")[:: max(1, len(data.labelled("train")) // 200)])
    ways: dict[str, Found] = {
        "model": predictor.ids,
        f"local contrast < {threshold:.1f}": lambda image: low_contrast(image, threshold),
        "all is drop": lambda image: np.ones(image.shape[:2], np.uint8),
    }
    close = drawn(args.photos, args.out, "close", 1, args.seed, args.group)
    table("photos never seen, style windshield", data, data.labelled("test"), ways)
    table("photos never seen, style close", close, close.labelled("test"), ways)
    if args.real:
        real = frames(args.real, args.out / "real")
        with (args.out / "real_scorings.txt").open("a") as log:
            log.write(f"{args}\n")
        table("real frames", real, real.labelled(), ways)
        (args.out / "overlays").mkdir(exist_ok=True)
        for sample in real.labelled():
            image_HW3 = real.image(sample)
            found = overlay(image_HW3, predictor.ids(image_HW3), real.classes)
            truth = overlay(image_HW3, real.mask(sample), real.classes)
            write_image(args.out / "overlays" / f"{sample.id}.png", np.hstack([image_HW3, found, truth]))


def drawn(photos: Sequence[Path], out: Path, style: str, per_photo: int, seed: int, group: str | None) -> Dataset:
    """The data set drawn in one style; the same photos are on the same side in every style."""
    target = out / style
    if target.exists():
        return Dataset.open(target)
    together = out / "photos"
    for folder in photos:
        (together / folder.name).mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                shutil.copyfile(path, together / folder.name / path.name)
    shares = Shares(val=0.1, test=0.1, group=group)
    return synth_raindrops(
        together, target, per_photo=per_photo, seed=seed, shares=shares, style=drop_style(style)
    ).dataset


def frames(source: Path, target: Path) -> Dataset:
    """The real frames as a data set; `labelled()` gives all of them, whatever their split."""
    if target.exists():
        return Dataset.open(target)
    options = Options(names=("background", "raindrop"), images=source / "images", masks=source / "masks")
    return import_dataset("binary", source, target, options=options, shares=Shares(val=0, test=0)).dataset


def low_contrast(image_HW3: Image, threshold: float) -> Mask:
    """1 where the local standard deviation of grey is below the threshold."""
    return (contrast(image_HW3) < threshold).astype(np.uint8)


def contrast(image_HW3: Image) -> np.ndarray:
    """Local standard deviation of grey, shape (H, W)."""
    grey = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sigma = BLUR * min(grey.shape)
    mean, square = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (grey, grey * grey))
    return np.sqrt(np.maximum(square - mean * mean, 0))


def best_threshold(data: Dataset, samples: Sequence[Sample]) -> float:
    """The threshold with the highest drop IoU on drawn training pictures."""
    hit, guessed, labelled = np.zeros(len(GRID)), np.zeros(len(GRID)), 0
    for sample in track(samples, "threshold of the baseline"):
        truth, values = data.mask(sample) == 1, contrast(data.image(sample))
        bins = [0, *GRID]
        hit += np.cumsum(np.histogram(values[truth], bins)[0])
        guessed += np.cumsum(np.histogram(values, bins)[0])
        labelled += int(truth.sum())
    return float(GRID[np.argmax(hit / (guessed + labelled - hit))])


def table(title: str, data: Dataset, samples: Sequence[Sample], ways: dict[str, Found]) -> None:
    """Print IoU, precision and recall of the drops for every way."""
    print(f"\n{title}: {len(samples)} pictures\n{'':24} {'IoU':>6} {'prec.':>6} {'recall':>6}")
    for name, find in ways.items():
        counts = sum(confusion(data.mask(sample), find(data.image(sample)), 2) for sample in track(samples, name))
        ratio = scores(np.asarray(counts))
        print(f"{name:24} {ratio.iou[1]:6.3f} {ratio.precision[1]:6.3f} {ratio.recall[1]:6.3f}", flush=True)


if __name__ == "__main__":
    main()
