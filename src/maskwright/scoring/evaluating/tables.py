"""From counts to what `scores.json` holds: classes, means, groups, images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.boundary import boundary_f, boundary_iou
from maskwright.metrics.tally import CLASS_RATIOS, MEANS, Tally, pixel_accuracy
from maskwright.metrics.units import Units
from maskwright.scoring.evaluating.details import by_region, calibration_scores, object_rows, size_rows, surface_scores
from maskwright.scoring.evaluating.gather import Gathered
from maskwright.scoring.evaluating.resampling import LEVEL, Floats, Ratio, Resampling, intervals, number, share, values
from maskwright.types import Classes

MOST_GROUPS = 30
BOUNDARY: dict[str, Ratio] = {"boundary_iou": boundary_iou, "boundary_f": boundary_f}


def tabulate(
    gathered: Gathered, classes: Classes, resampling: Resampling, temperature: float | None = None
) -> dict[str, Any]:
    """Everything that is reported of an evaluation, as plain data: None where a ratio or an interval is undefined."""
    edge_means: dict[str, Ratio] = {
        f"mean_{name}": partial(mean_over_classes, ratio) for name, ratio in BOUNDARY.items()
    }
    per_class = resampling.measure(gathered.tally_N3K, CLASS_RATIOS)
    per_class |= resampling.measure(gathered.boundary_N7K, BOUNDARY)
    means = resampling.measure(gathered.tally_N3K, mean_ratios(classes))
    means |= resampling.measure(gathered.boundary_N7K, edge_means)
    units = resampling.units
    result = {
        **values(means),
        "intervals": intervals(means),
        "pixels": int(gathered.confusion_KK.sum()),
        "classes": class_rows(gathered.tally_N3K.sum(0), per_class, classes),
        "confusion": gathered.confusion_KK.tolist(),
        "units": {"of": units.of, "count": units.count, "draws": resampling.draws, "level": LEVEL, "note": units.note},
        "image_level": image_level(gathered.tally_N3K, classes, resampling),
        "binary": None if gathered.binary_N32 is None else binary_scores(gathered.binary_N32, resampling),
        "groups": by_group(gathered, classes, resampling),
        "regions": by_region(gathered.regions_NR3K, mean_ratios(classes), resampling),
        "objects": object_rows(gathered.objects_N4SK, classes, resampling),
        "object_sizes": size_rows(gathered.sizes_N2SK, classes, resampling),
        "calibration": calibration_scores(gathered.calibrations, resampling, temperature),
    }
    if gathered.surfaces:
        result["surface"] = surface_scores(gathered.surfaces, classes, resampling)
    return result


def mean_ratios(classes: Classes) -> dict[str, Ratio]:
    """The means of a tally; those without the background only where the table has one."""
    names = [name for name in MEANS if classes.background is not None or not name.endswith("_no_background")]
    return {name: partial(_mean_of, name, classes.background) for name in names}


def _mean_of(name: str, background: int | None, tally: Tally) -> Floats:
    return MEANS[name](tally, background)


def mean_over_classes(ratio: Ratio, counts: NDArray[Any]) -> Floats:
    """The mean of a ratio (..., K) over the classes that have one, (...)."""
    found = ratio(counts)
    known = ~np.isnan(found)
    return share(np.where(known, found, 0).sum(-1), known.sum(-1))


def class_rows(tally_3K: Tally, measured: Mapping[str, Floats], classes: Classes) -> list[dict[str, Any]]:
    """A row a class: its ratios, their intervals, and how many pixels are labelled so."""
    return [
        {
            "id": item.id,
            "name": item.name,
            **values(measured, item.id),
            "pixels": int(tally_3K[1, item.id]),
            "intervals": intervals(measured, item.id),
        }
        for item in classes.items
    ]


def image_level(tally_N3K: Tally, classes: Classes, resampling: Resampling) -> dict[str, dict[str, Any]]:
    """Every mean over images that are scored one by one: mean, median and worst tenth.

    An image without a single class to score is left out.
    """
    result = {}
    for name, ratio in mean_ratios(classes).items():
        scores_N = ratio(tally_N3K)
        known_N = ~np.isnan(scores_N)
        counts_N2 = np.stack([np.where(known_N, scores_N, 0), known_N], axis=1)
        mean = resampling.measure(counts_N2, {"mean": lambda counts: share(counts[..., 0], counts[..., 1])})
        some = scores_N[known_N] if known_N.any() else np.array([np.nan])
        result[name] = {
            **values(mean),
            "median": number(np.median(some)),
            "p10": number(np.quantile(some, 0.1)),
            "intervals": intervals(mean),
        }
    return result


def binary_scores(binary_N32: Tally, resampling: Resampling) -> dict[str, Any]:
    """Everything but the background as one class against it."""
    ratios: dict[str, Ratio] = {name: partial(_foreground, ratio) for name, ratio in CLASS_RATIOS.items()}
    measured = resampling.measure(binary_N32, {**ratios, "pixel_accuracy": pixel_accuracy})
    return {**values(measured), "intervals": intervals(measured)}


def _foreground(ratio: Ratio, tally: Tally) -> Floats:
    return ratio(tally)[..., 1]


def by_group(gathered: Gathered, classes: Classes, resampling: Resampling) -> dict[str, Any]:
    """Scores of each group apart, where there are between 2 and 30 of them.

    Intervals are over the images of a group, and left out where units are groups: one group has no spread.
    """
    names = sorted({group for group in gathered.groups if group})
    if not 2 <= len(names) <= MOST_GROUPS:
        return {}
    result = {}
    for name in names:
        tally_N3K = gathered.tally_N3K[[group == name for group in gathered.groups]]
        units = Units(of="images", units_N=np.arange(len(tally_N3K)))
        inside = Resampling(units=units, draws=resampling.draws, seed=resampling.seed)
        measured = inside.measure(tally_N3K, {**mean_ratios(classes), **CLASS_RATIOS})
        means = {key: measured[key] for key in mean_ratios(classes)}
        rows = class_rows(tally_N3K.sum(0), {key: measured[key] for key in CLASS_RATIOS}, classes)
        result[name] = {
            "images": len(tally_N3K),
            **values(means),
            "intervals": intervals(means) if resampling.units.of == "images" else {},
            "pixels": int(tally_N3K[:, 1].sum()),
            "classes": rows,
        }
    return result


def class_table(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of `classes.csv`: a ratio and the ends of its interval in cells side by side, empty where undefined."""
    lines = []
    for row in scores["classes"]:
        line = {"id": row["id"], "name": row["name"], "pixels": row["pixels"]}
        for name, bounds in row["intervals"].items():
            low, high = bounds or (None, None)
            cells = {name: row[name], f"{name}_low": low, f"{name}_high": high}
            line |= {key: "" if value is None else round(value, 6) for key, value in cells.items()}
        lines.append(line)
    return lines


def image_rows(gathered: Gathered, classes: Classes) -> list[dict[str, Any]]:
    """The lines of `images.csv`; a class that is neither labelled nor predicted in an image has an empty cell."""
    columns: dict[str, Floats] = {name: ratio(gathered.tally_N3K) for name, ratio in mean_ratios(classes).items()}
    columns["loss"] = np.array([np.nan if seen.loss is None else seen.loss for seen in gathered.looks])
    iou_NK = CLASS_RATIOS["iou"](gathered.tally_N3K)
    columns |= {f"iou/{item.name}": iou_NK[:, item.id] for item in classes.items}
    return [
        {
            "id": key,
            "group": gathered.groups[i],
            **{name: "" if np.isnan(cells[i]) else round(float(cells[i]), 6) for name, cells in columns.items()},
        }
        for i, key in enumerate(gathered.ids)
    ]
