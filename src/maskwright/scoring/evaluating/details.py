"""The further tables of `scores.json`: by region of the image, by object and its size, calibration, surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.calibration import Calibration
from maskwright.metrics.objects import SIZES
from maskwright.metrics.surface import SurfaceDistances, surface_dice
from maskwright.metrics.tally import Tally
from maskwright.scoring.evaluating.observe import REGIONS
from maskwright.scoring.evaluating.resampling import (
    Floats,
    Ratio,
    Resampling,
    interval,
    intervals,
    number,
    share,
    values,
)
from maskwright.types import Classes


def by_region(regions_NR3K: Tally, ratios: Mapping[str, Ratio], resampling: Resampling) -> list[dict[str, Any]]:
    """Means of each of the nine parts of the image."""
    measured = resampling.measure(regions_NR3K, ratios)
    pixels_R = regions_NR3K[:, :, 1].sum((0, 2))
    return [
        {"name": name, **values(measured, r), "pixels": int(pixels_R[r]), "intervals": intervals(measured, r)}
        for r, name in enumerate(REGIONS)
    ]


def object_rows(objects_N4SK: NDArray[np.int64], classes: Classes, resampling: Resampling) -> list[dict[str, Any]]:
    """Objects by size and class: labelled and found ones, predicted and true ones, and their shares."""
    ratios: dict[str, Ratio] = {
        "recall": lambda counts: share(counts[..., 1, :, :], counts[..., 0, :, :]),
        "precision": lambda counts: share(counts[..., 3, :, :], counts[..., 2, :, :]),
    }
    measured = resampling.measure(objects_N4SK, ratios)
    total_4SK = objects_N4SK.sum(0)
    names = ("labelled", "found", "predicted", "true")
    return [
        {
            "size": size,
            "classes": [
                {
                    "name": item.name,
                    **{name: int(total_4SK[row, s, item.id]) for row, name in enumerate(names)},
                    **values(measured, s, item.id),
                    "intervals": intervals(measured, s, item.id),
                }
                for item in classes.items
            ],
        }
        for s, size in enumerate(SIZES)
    ]


def size_rows(sizes_N2SK: NDArray[np.int64], classes: Classes, resampling: Resampling) -> list[dict[str, Any]]:
    """Recall of pixels by the size of the labelled object that they belong to, of all classes and of each."""
    ratios: dict[str, Ratio] = {
        "all": lambda counts: share(counts[..., 1, :, :].sum(-1), counts[..., 0, :, :].sum(-1)),
        "each": lambda counts: share(counts[..., 1, :, :], counts[..., 0, :, :]),
    }
    measured = resampling.measure(sizes_N2SK, ratios)
    pixels_SK = sizes_N2SK[:, 0].sum(0)
    every, each = measured["all"], measured["each"]
    return [
        {
            "size": size,
            "pixels": int(pixels_SK[s].sum()),
            "recall": number(every[0, s]),
            "intervals": {"recall": interval(every[:, s])},
            "classes": [
                {
                    "name": item.name,
                    "pixels": int(pixels_SK[s, item.id]),
                    "recall": number(each[0, s, item.id]),
                    "intervals": {"recall": interval(each[:, s, item.id])},
                }
                for item in classes.items
            ],
        }
        for s, size in enumerate(SIZES)
    ]


def calibration_scores(
    calibrations: Sequence[Calibration], resampling: Resampling, temperature: float | None
) -> dict[str, Any] | None:
    """How far the probabilities can be believed; None where there were none."""
    if not calibrations:
        return None
    total = sum(calibrations[1:], calibrations[0])
    bins_N3B = np.array([[one.count, one.right, one.confidence] for one in calibrations])
    sums_N4 = np.array([[one.nll_sum, one.nll_count, one.brier_sum, one.brier_count] for one in calibrations])
    measured = resampling.measure(bins_N3B, {"ece": _expected_error, "mce": _largest_error})
    measured |= resampling.measure(
        sums_N4,
        {
            "nll": lambda sums: share(sums[..., 0], sums[..., 1]),
            "brier": lambda sums: share(sums[..., 2], sums[..., 3]),
        },
    )
    return {
        **values(measured),
        "temperature": temperature,
        "intervals": intervals(measured),
        "curve": total.curve(),
    }


def _gaps(bins: NDArray[Any]) -> Floats:
    # Pixels by which confidence and rightness of a bin differ.
    gaps: Floats = np.abs(bins[..., 2, :] - bins[..., 1, :])
    return gaps


def _expected_error(bins: NDArray[Any]) -> Floats:
    return share(_gaps(bins).sum(-1), bins[..., 0, :].sum(-1))


def _largest_error(bins: NDArray[Any]) -> Floats:
    known = bins[..., 0, :].sum(-1) > 0
    largest = np.nan_to_num(share(_gaps(bins), bins[..., 0, :])).max(-1)
    return np.where(known, largest, np.nan)


def surface_scores(
    surfaces: Sequence[SurfaceDistances], classes: Classes, resampling: Resampling
) -> list[dict[str, Any]]:
    """Distances between contours, class by class.

    `hd95_px` is the mean over images where label and prediction both have the class; images where only one has it have
    no distance and are counted in `one_sided`.
    """
    far_NK = np.array([one.hd95_px for one in surfaces])
    both_NK, alone_NK = np.isfinite(far_NK), np.isinf(far_NK)
    counts_N2K = np.stack([np.where(both_NK, far_NK, 0), both_NK], axis=1)
    measured = resampling.measure(counts_N2K, {"hd95_px": lambda counts: share(counts[..., 0, :], counts[..., 1, :])})
    measured |= resampling.measure(np.array([one.dice_4K for one in surfaces]), {"surface_dice": surface_dice})
    return [
        {
            "name": item.name,
            **values(measured, item.id),
            "images": int(both_NK[:, item.id].sum()),
            "one_sided": int(alone_NK[:, item.id].sum()),
            "intervals": intervals(measured, item.id),
        }
        for item in classes.items
    ]
