"""Counting a confusion matrix: ours against one-hot planes and against torchmetrics, in one run.

python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_confusion_matrix

from maskwright.metrics.counts import confusion

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


def median_ms(count: Callable[..., Counts], pairs: list[tuple[Mask, Mask]], k: int) -> float:
    times = []
    for truth, guess in pairs:
        began = time.perf_counter()
        count(truth, guess, k)
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=500)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--classes", type=int, default=12)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(options.masks):
        # Blocks of 16 pixels, as real masks have areas, with a tenth of the blocks wrong.
        shape = (options.side // 16, options.side // 16)
        truth = rng.integers(0, options.classes, shape, np.uint8)
        guess = np.where(rng.random(shape) < 0.1, rng.integers(0, options.classes, shape), truth).astype(np.uint8)
        tile = np.ones((16, 16), np.uint8)
        pairs.append((np.kron(truth, tile), np.kron(guess, tile)))
    counts = ours(*pairs[0], options.classes)
    overlap, union = one_hot(*pairs[0], options.classes)
    hit = np.diag(counts)
    assert (hit == overlap).all()
    assert (counts.sum(0) + counts.sum(1) - hit == union).all()
    assert (counts == torchmetrics_way(*pairs[0], options.classes)).all()
    mine = median_ms(ours, pairs, options.classes)
    print(f"{options.masks} masks of {options.side} px, {options.classes} classes; median a mask, same counts")
    print(f"{'ours':14} {mine:8.3f} ms")
    for name, peer in (("one-hot", one_hot), ("boolean planes", boolean_planes), ("torchmetrics", torchmetrics_way)):
        other = median_ms(peer, pairs, options.classes)
        print(f"{name:14} {other:8.3f} ms   ratio {other / mine:6.1f}")


if __name__ == "__main__":
    main()
