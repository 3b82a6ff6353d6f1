"""Counting a confusion matrix, and intervals from counts: ours against the usual ways, in one run.

python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_confusion_matrix

from maskwright.metrics.counts import confusion
from maskwright.metrics.intervals import bootstrap, paired_difference, permutation_p
from maskwright.metrics.tally import CLASS_RATIOS, MEANS, Tally, iou, tally_of

Counts = NDArray[np.int64]
Mask = NDArray[np.uint8]


def ours(truth: Mask, guess: Mask, classes: int) -> Counts:
    return confusion(truth, guess, classes)


def one_hot(truth: Mask, guess: Mask, classes: int) -> Counts:
    """Float planes, one a class, and sums of products: intersections and unions as most training code has them."""
    first, second = (F.one_hot(torch.from_numpy(m).long(), classes).permute(2, 0, 1).float() for m in (truth, guess))
    overlap = (first * second).sum(dim=(1, 2))
    union = first.sum(dim=(1, 2)) + second.sum(dim=(1, 2)) - overlap
    return np.asarray(torch.stack([overlap, union]).long().numpy())


def boolean_planes(truth: Mask, guess: Mask, classes: int) -> Counts:
    """The same with boolean planes in numpy, a careful person's version."""
    ids = np.arange(classes, dtype=np.uint8)[:, None, None]
    first, second = truth == ids, guess == ids
    return np.stack([(first & second).sum(axis=(1, 2)), (first | second).sum(axis=(1, 2))])


def torchmetrics_way(truth: Mask, guess: Mask, classes: int) -> Counts:
    first, second = torch.from_numpy(truth).long(), torch.from_numpy(guess).long()
    return np.asarray(multiclass_confusion_matrix(second, first, classes).numpy())


def torchmetrics_unchecked(truth: Mask, guess: Mask, classes: int) -> Counts:
    """Its fastest: validation off."""
    first, second = torch.from_numpy(truth).long(), torch.from_numpy(guess).long()
    return np.asarray(multiclass_confusion_matrix(second, first, classes, validate_args=False).numpy())


def torchmetrics_given_int64(first: torch.Tensor, second: torch.Tensor, classes: int) -> Counts:
    """Validation off, and the masks turned into int64 before the clock starts."""
    return np.asarray(multiclass_confusion_matrix(second, first, classes, validate_args=False).numpy())


PEERS: dict[str, Callable[[Mask, Mask, int], Counts]] = {
    "one-hot": one_hot,
    "boolean planes": boolean_planes,
    "torchmetrics": torchmetrics_way,
    "torchmetrics, no validation": torchmetrics_unchecked,
}


def drawn_pairs(masks: int, side: int, classes: int, block: int) -> list[tuple[Mask, Mask]]:
    """Blocks of pixels, as real masks have areas, with a tenth of the blocks wrong."""
    rng = np.random.default_rng(0)
    shape, tile = (side // block, side // block), np.ones((block, block), np.uint8)
    pairs = []
    for _ in range(masks):
        truth = rng.integers(0, classes, shape, np.uint8)
        guess = np.where(rng.random(shape) < 0.1, rng.integers(0, classes, shape), truth).astype(np.uint8)
        pairs.append((np.kron(truth, tile), np.kron(guess, tile)))
    return pairs


def median_ms(count: Callable[..., Counts], pairs: list[tuple[Any, Any]], k: int) -> float:
    times = []
    for truth, guess in pairs:
        began = time.perf_counter()
        count(truth, guess, k)
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def counting(options: argparse.Namespace) -> None:
    pairs, k = drawn_pairs(options.masks, options.side, options.classes, options.block), options.classes
    counts = ours(*pairs[0], k)
    hit = np.diag(counts)
    for way in (one_hot, boolean_planes):
        overlap, union = way(*pairs[0], k)
        assert (hit == overlap).all()
        assert (counts.sum(0) + counts.sum(1) - hit == union).all()
    for way in (torchmetrics_way, torchmetrics_unchecked):
        assert (counts == way(*pairs[0], k)).all()
    mine = median_ms(ours, pairs, k)
    print(
        f"{options.masks} masks of {options.side} px, {k} classes, areas of {options.block} px; median a mask, "
        f"same counts, {torch.get_num_threads()} threads for torch"
    )
    print(f"{'ours':34} {mine:8.3f} ms")
    for name, peer in PEERS.items():
        other = median_ms(peer, pairs, k)
        print(f"{name:34} {other:8.3f} ms   ratio {other / mine:6.1f}")
    times = []
    for truth, guess in pairs:
        ready = torch.from_numpy(truth).long(), torch.from_numpy(guess).long()
        times.append(median_ms(torchmetrics_given_int64, [ready], k))
    other = float(np.median(times))
    print(f"{'torchmetrics, given int64 as well':34} {other:8.3f} ms   ratio {other / mine:6.1f}")


def every_score(tally: Tally) -> NDArray[np.float64]:
    """All that `evaluate` prints: five ratios a class and eight means."""
    ratios = [ratio(tally) for ratio in CLASS_RATIOS.values()]
    return np.concatenate([*ratios, np.stack([mean(tally, 0) for mean in MEANS.values()], axis=-1)], axis=-1)


def usual_bootstrap(tally_N3K: Tally, draws: int) -> NDArray[np.float64]:
    """Draw by draw: pick images, sum their counts, divide; percentiles of the IoU of each class."""
    rng = np.random.default_rng(0)
    images = len(tally_N3K)
    drawn = [iou(tally_N3K[rng.integers(0, images, images)].sum(0)) for _ in range(draws)]
    return np.asarray(np.quantile(drawn, [0.025, 0.975], axis=0))


def timed(name: str, call: Callable[[], Any], repeats: int) -> float:
    """The best of some rounds in seconds; then once more for the most memory that its arrays held at a time."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"{name:44} {min(times):7.3f} s   median {np.median(times):7.3f} s   peak {peak:6.1f} MB")
    return min(times)


def intervals(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    k, images, draws = options.classes, options.images, options.draws
    counted = rng.poisson(rng.gamma(0.5, 200, (images, k, k))) + np.eye(k, dtype=np.int64) * 5000
    a, b = tally_of(counted), tally_of(counted + rng.poisson(50, counted.shape))
    print(f"{draws:,} draws over {images:,} images, {k} classes; best of {options.repeats}")
    mine = timed("bootstrap, IoU of each class", lambda: bootstrap(a, iou, draws=draws), options.repeats)
    usual = timed("the usual way: draw by draw, percentiles", lambda: usual_bootstrap(a, draws), 1)
    print(f"{'':44} ratio {usual / mine:.1f}")
    timed(f"bootstrap, {5 * k + 8} scores", lambda: bootstrap(a, every_score, draws=draws), options.repeats)
    timed("paired difference", lambda: paired_difference(a, b, every_score, draws=draws), options.repeats)
    timed("permutation test", lambda: permutation_p(a, b, every_score, draws=draws), options.repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=500)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--block", type=int, default=16, help="side of the areas of a mask; 1 is the worst case")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    counting(options)
    print()
    intervals(options)


if __name__ == "__main__":
    main()
