"""Active learning with a learner that takes a second: many seeds, so that small differences show.

    python benchmarks/suggest_pixels.py DATASET --first 8 --more 12 --seeds 20 --split test

As `suggest.py`, with trees on colour, texture and place of a pixel (Geurts et al. 2006) where that trains a network.
The choice is the same: doubt and shares come from the trees, and images are compared by what they look like alone.
Scores are mean IoU over every fourth pixel in both directions at 96 x 128: on all images of the pool, as a person who
labels them all will meet them, on a split, and on its groups where they are few.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import compress

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from suggest import METHODS, report

from maskwright.console import track
from maskwright.data.dataset import Dataset, Sample
from maskwright.geometry import Letterbox
from maskwright.infer.uncertain import entropy
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.scoring.suggesting.describe import Vector, blocks, describe, joined
from maskwright.scoring.suggesting.rarity import rarity
from maskwright.scoring.suggesting.see import TOP
from maskwright.scoring.suggesting.suggest import Table, pick
from maskwright.types import Image

SIZE, STEP = (96, 128), 4
MOST_GROUPS = 4
Pixels = tuple[NDArray[np.float32], NDArray[np.int64], Vector]


def features(image_HW3: Image) -> NDArray[np.float32]:
    """Colour as it is and blurred, spread of the light, and place; (H, W, 15)."""
    lab = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2LAB).astype(np.float32)
    near, far, wide = (cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in (2, 5, 12))
    light: NDArray[np.float32] = lab[..., 0]
    spread = [cv2.GaussianBlur(np.abs(light - plane[..., 0]), (0, 0), 3)[..., None] for plane in (near, far)]
    rows, columns = np.indices(light.shape, np.float32)
    place = [rows[..., None] / SIZE[0], np.abs(columns[..., None] / SIZE[1] - 0.5)]
    return np.concatenate([lab, near, far, wide[..., :1], *spread, *place], axis=2)


def read(data: Dataset, sample: Sample) -> Pixels:
    """Features and labels of the pixels of an image, and its description."""
    image_HW3 = data.image(sample)
    box = Letterbox.fit(sample.size_hw, SIZE, "stretch")
    mask_HW = box.forward_mask(data.mask(sample), data.classes.ignore)
    found = features(box.forward_image(image_HW3))[::STEP, ::STEP]
    labels = mask_HW[::STEP, ::STEP].ravel().astype(np.int64)
    return found.reshape(len(labels), -1), labels, describe(image_HW3)


class Learner:
    """Trees trained on the pixels of some images."""

    def __init__(self, images: Sequence[Pixels], classes: int, seed: int) -> None:
        x, y = np.concatenate([one[0] for one in images]), np.concatenate([one[1] for one in images])
        self.trees = ExtraTreesClassifier(30, min_samples_leaf=3, class_weight="balanced", random_state=seed)
        self.trees.fit(x[y < classes], y[y < classes])
        self.classes = classes

    def shares(self, images: Sequence[Pixels]) -> NDArray[np.float32]:
        """Probabilities (N, K, pixels)."""
        found = self.trees.predict_proba(np.concatenate([one[0] for one in images]))
        whole = np.zeros((len(found), self.classes), np.float32)
        whole[:, self.trees.classes_] = found
        return whole.reshape(len(images), -1, self.classes).transpose(0, 2, 1)

    def score(self, images: Sequence[Pixels]) -> float:
        """Mean IoU."""
        guess = self.shares(images).argmax(1).ravel().astype(np.uint8)
        truth = np.concatenate([one[1] for one in images]).astype(np.uint8)
        return mean_iou(confusion(truth[None], guess[None], self.classes))


def choose(
    images: Sequence[Pixels], have: Sequence[int], count: int, method: str, learner: Learner | None, seed: int
) -> list[int]:
    """Numbers of the images that `suggest` takes, by the same code."""
    rest = [i for i in range(len(images)) if i not in set(have)]
    rng = np.random.default_rng((seed, len(have)))
    if method == "random":
        return [rest[i] for i in rng.permutation(len(rest))[:count]]
    points = joined(blocks(np.stack([images[i][2] for i in (*rest, *have)])))
    shares = np.zeros((len(rest), 0, 1), np.float32) if learner is None else learner.shares([images[i] for i in rest])
    doubt, rare = np.zeros(len(rest)), np.zeros(len(rest))
    if learner is not None:
        planes = np.stack([entropy(one[:, None])[0] for one in shares])
        doubt = np.sort(planes, axis=1)[:, -round(TOP * planes.shape[1]) :].mean(1)
        labels = np.concatenate([images[i][1] for i in have])
        pixels = np.bincount(labels[labels < learner.classes], minlength=learner.classes)
        rare = rarity(shares.mean(2), pixels / pixels.sum())
    table = Table(
        ids=[str(i) for i in rest],
        points_ND=points[: len(rest)],
        labelled_MD=points[len(rest) :],
        uncertainty_N=doubt,
        rarity_N=rare,
        doubt_NK=np.zeros((len(rest), 0)),
        share_NK=shares.mean(2),
        classes=[] if learner is None else [str(k) for k in range(learner.classes)],
    )
    return [rest[one.row] for one in pick(table, count, method, seed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--first", type=int, default=8, help="images at the beginning")
    parser.add_argument("--more", type=int, default=12, help="images that are added")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--split", default="test", help="where it is scored; choose a method on val or train only")
    options = parser.parse_args()
    data = Dataset.open(options.dataset)
    pool = [read(data, sample) for sample in track(data.labelled("train"), "reading")]
    scored = data.labelled(options.split)
    groups = sorted({sample.group for sample in scored})
    places = {"the pool": pool, options.split: [read(data, sample) for sample in scored]}
    if len(groups) <= MOST_GROUPS:
        own = {group: [sample.group == group for sample in scored] for group in groups}
        places |= {group: list(compress(places[options.split], which)) for group, which in own.items()}
    classes = len(data.classes)
    results: dict[str, dict[str, list[float]]] = {place: {} for place in places}
    for seed in track(range(options.seeds), "training"):
        first = choose(pool, [], options.first, "random", None, seed)
        learner = Learner([pool[i] for i in first], classes, seed)
        arms = {"first random": first, "first suggested": choose(pool, [], options.first, "diversity", None, seed)}
        for method in METHODS:
            more = choose(pool, first, options.more, method, learner, seed)
            arms[f"+{options.more} {method}"] = [*first, *more]
        for name, ids in arms.items():
            trees = learner if name == "first random" else Learner([pool[i] for i in ids], classes, seed)
            for place, images in places.items():
                results[place].setdefault(name, []).append(trees.score(images))
    for place, scores in results.items():
        print(f"\nScored on {place}, {len(places[place])} images:", end="")
        report(scores, f"+{options.more} random")


if __name__ == "__main__":
    main()
