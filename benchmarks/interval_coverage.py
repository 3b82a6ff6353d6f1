"""How often 95 % intervals of a score hold the truth: ours against percentile and BCa intervals of scipy.

python benchmarks/interval_coverage.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maskwright.metrics.intervals import bootstrap, paired_difference
from maskwright.metrics.tally import MEANS, Tally, iou, tally_of

Floats = NDArray[np.float64]

PIXELS = 10_000
AMOUNT = np.array([3.0, 1.5, 0.0, -1.5])
PRESENCE = np.array([1, 0.9, 0.4, 0.2])  # the last class is small, hard, and in a fifth of the images
SKILL = np.array([2.5, 1.5, 1.0, 0.0])
NAMES = ["IoU 1", "IoU 2", "IoU 3", "IoU 4", "mean IoU", "accuracy"]


def population(rng: np.random.Generator, images: int) -> Tally:
    """Two models on images with clumped areas, easy and hard: (N, 2, 3, K); the second is better by 0.3 log odds."""
    areas = np.exp(AMOUNT + rng.normal(0, 1, (images, 4))) * (rng.random((images, 4)) < PRESENCE)
    areas /= areas.sum(1, keepdims=True)
    labelled, ease = rng.multinomial(PIXELS, areas), rng.normal(0, 1, (images, 1))
    found = []
    for gain in (0.0, 0.3):
        right = 1 / (1 + np.exp(-(SKILL + gain + ease + rng.normal(0, 0.7, (images, 4)))))
        counted = np.zeros((images, 4, 4), np.int64)
        for k in range(4):
            counted[:, k, k] = rng.binomial(labelled[:, k], right[:, k])
            elsewhere = 0.3 + 3 * areas
            elsewhere[:, k] = 0
            wrong = labelled[:, k] - counted[:, k, k]
            counted[:, k] += rng.multinomial(wrong, elsewhere / elsewhere.sum(1, keepdims=True))
        found.append(tally_of(counted))
    return np.stack(found, axis=1)


def scores(tally: Tally) -> Floats:
    means = np.stack([MEANS[name](tally, None) for name in ("mean_iou", "pixel_accuracy")], axis=-1)
    return np.concatenate([iou(tally), means], axis=-1)


def gains(both: Tally) -> Floats:
    return scores(both[..., 1, :, :]) - scores(both[..., 0, :, :])


def by_scipy(both: Tally, statistic: Callable[[Tally], Floats], method: str, draws: int, seed: int) -> Floats:
    """Low and high ends (2, M)."""

    def of_images(picked: NDArray[np.int64], axis: int = -1) -> Floats:
        return np.moveaxis(statistic(both[picked].sum(-4)), -1, 0)

    found = stats.bootstrap(
        (np.arange(len(both)),),
        of_images,
        n_resamples=draws,
        method=method,
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.stack([found.low, found.high])


def ends(name: str, both: Tally, difference: bool, draws: int, seed: int) -> Floats:
    if name != "ours":
        statistic = gains if difference else lambda tally: scores(tally[..., 0, :, :])
        return by_scipy(both, statistic, name, draws, seed)
    if difference:
        found = paired_difference(both[:, 0], both[:, 1], scores, draws=draws, seed=seed)
    else:
        found = bootstrap(both[:, 0], scores, draws=draws, seed=seed)
    return np.stack([found.low_M, found.high_M])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[25, 60, 200])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    total = population(np.random.default_rng(0), 400_000).sum(0)
    truths = {False: scores(total[0]), True: gains(total)}
    print(f"share of {options.sets} data sets whose 95 % interval holds the truth, {options.draws} draws each")
    print(" " * 40 + "".join(f"{name:>10}" for name in NAMES))
    for images in options.images:
        sets = [population(np.random.default_rng((images, seed)), images) for seed in range(options.sets)]
        for difference, truth in truths.items():
            for name in ("percentile", "BCa", "ours"):
                held = []
                for seed, both in enumerate(sets):
                    low, high = ends(name, both, difference, options.draws, seed)
                    held.append((low <= truth) & (truth <= high))
                what = f"{images} images, {'difference' if difference else 'score'}, {name}"
                print(f"{what:40}" + "".join(f"{share:10.3f}" for share in np.mean(held, axis=0)))


if __name__ == "__main__":
    main()
