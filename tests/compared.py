"""Comparisons drawn by a seeded generator: tallies of models of known quality, and the folder that they end in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawing import photo

from maskwright.files import write_json
from maskwright.imageio import write_image
from maskwright.metrics.counts import DEFINITIONS
from maskwright.metrics.tally import Tally
from maskwright.scoring.comparing.judge import pair_rows, ranked
from maskwright.scoring.comparing.pairs import DRAWS, measure_pairs
from maskwright.scoring.comparing.verdict import METRIC_WORDS, RULE, Setting
from maskwright.types import Classes


def tallies(qualities: Sequence[float], images: int, classes: int, seed: int = 0) -> Tally:
    """(S, N, 3, K): the same images for all; each source finds about its quality's share of every class."""
    rng = np.random.default_rng(seed)
    labelled_NK = rng.integers(0, 4000, (images, classes)) * (rng.random((images, classes)) < 0.8)
    hard_NK = rng.normal(0, 0.12, (images, classes))
    result = []
    for quality in qualities:
        share_NK = np.clip(quality - 0.03 * np.arange(classes) + hard_NK + rng.normal(0, 0.05, hard_NK.shape), 0, 1)
        hit_NK = (labelled_NK * share_NK).astype(np.int64)
        missed_N = (labelled_NK - hit_NK).sum(1)
        wrong_NK = np.array([rng.multinomial(count, np.full(classes, 1 / classes)) for count in missed_N])
        result.append(np.stack([hit_NK, labelled_NK, hit_NK + wrong_NK], axis=1))
    return np.stack(result)


def write_comparison(
    folder: Path, names: Sequence[str], qualities: Sequence[float], *, images: int = 60, class_names: Sequence[str]
) -> Path:
    """A comparison folder as `compare` leaves it, with pictures, curves and costs that fit the qualities."""
    rng = np.random.default_rng(len(names))
    classes = Classes.from_names(class_names)
    measured = measure_pairs(tallies(qualities, images, len(classes)), "mean_iou", None)
    setting = Setting(metric=METRIC_WORDS["mean_iou"], units=images, of="images", tests=len(measured.pairs))
    pairs = pair_rows(names, classes.names, measured, setting)
    sources = []
    for place, row in enumerate(ranked(names, classes.names, measured, pairs)):
        run = place % 6 != 5
        parameters = int(2e6 * 2 ** (3 * qualities[place] + rng.normal(0, 0.6)))
        cost: dict[str, Any] = {
            "parameters": parameters, "gflops": parameters / 4e5, "size_hw": [240, 320], "size_bytes": 4 * parameters,
            "latency_ms": parameters / 1e5, "latency_quartiles_ms": [parameters / 1.1e5, parameters / 0.9e5],
            "precision": "fp32",
        }  # fmt: skip
        kind = "run" if run else "predictions"
        about: dict[str, Any] = {"name": names[place], "path": f"runs/{names[place]}", "kind": kind}
        curve = curve_to(float(row["score"]), rng) if run else []
        about |= {"loss": {"name": "cross_entropy"} if run else None, "curve": curve}
        sources.append(about | row | (cost if run else dict.fromkeys(cost)))
    facts = {
        "format": 1, "split": "test", "time": "2026-05-01T12:34:56+02:00", "images": images, "rule": RULE,
        "dataset": {"path": "/elsewhere/my data", "given": "my data", "fingerprint": "0123456789abcdef" * 2},
        "units": {"of": "images", "count": images, "draws": DRAWS, "level": 0.95, "note": ""},
        "metric": {"key": "mean_iou", "title": METRIC_WORDS["mean_iou"], "definition": DEFINITIONS["mean_iou"]},
        "tests": {"means": len(pairs), "classes": len(pairs) * len(classes), "draws": measured.draws},
        "left_out": [{"name": names[0], "images": 3}], "notes": [f"3 images of {names[0]} left out."],
        "classes": [{"id": c.id, "name": c.name, "colour": list(c.colour)} for c in classes.items],
        "machine": {"name": "A Processor", "device": "cpu", "threads": 2, "warm_up": 3, "repeats": 20},
        "sources": sources, "pairs": pairs, "disagreements": disagreements(folder, names),
    }  # fmt: skip
    write_json(folder / "comparison.json", facts)
    return folder


def curve_to(score: float, rng: np.random.Generator) -> list[dict[str, float]]:
    """30 epochs that end at about `score`."""
    rise = 1 - np.exp(-np.arange(1, 31) / rng.uniform(3, 9))
    minutes = rng.uniform(0.3, 2)
    columns = {
        "epoch": np.arange(1, 31), "minutes": minutes * np.arange(1, 31), "val_loss": 1.4 - rise,
        "val_score": score * rise + rng.normal(0, 0.01, 30), "train_loss": 1.3 - 1.1 * rise,
    }  # fmt: skip
    return [{key: float(values[epoch]) for key, values in columns.items()} for epoch in range(30)]


def disagreements(folder: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Two images of the first two sources, with small pictures."""
    rows = []
    for place in (1, 2):
        pictures = {panel: f"pictures/1/{place}-{panel}.jpg" for panel in ("photo", "label", "a", "b", "map")}
        (folder / "pictures" / "1").mkdir(parents=True, exist_ok=True)
        for seed, path in enumerate(pictures.values()):
            write_image(folder / path, photo((48, 64), seed + place))
        shares = {"share": 0.25, "both": 0.6, "only_a": 0.2, "only_b": 0.05, "neither": 0.15, "looked_at": 24}
        rows.append({"id": f"Büro {place} <i>&", "a": names[0], "b": names[1], **shares, "pictures": pictures})
    return rows
