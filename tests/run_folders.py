"""Run folders as a training and an evaluation leave them, with numbers drawn by a seeded generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawing import photo
from quick import quick
from safetensors.torch import save_file

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.files import write_json
from maskwright.imageio import write_image
from maskwright.losses import outputs_for
from maskwright.metrics.counts import DEFINITIONS, summary
from maskwright.models import build
from maskwright.run import Run
from maskwright.types import Classes

FINGERPRINT = "0123456789abcdef0123456789abcdef"
TWO = ("background", "Straße <b>nass</b> & $x$")
TWELVE = ("background", *(f"class {letter}" for letter in "abcdefghijk"))
IDS = [f"Büro {i} <i>&" for i in range(12)]


def make_run(folder: Path, names: tuple[str, ...] = TWELVE, *, epochs: int = 6, **about: Any) -> Run:
    """A run as the training leaves it, with numbers drawn by a seeded generator."""
    rng = np.random.default_rng(len(names))
    classes = Classes.from_names(names)
    recipe = Recipe().with_values(data__size=(32, 40), train__epochs=max(1, epochs), optim__lr=0.004)
    pixels = rng.integers(1000, 90_000, len(names)).tolist()
    whole = {
        "command": "/some/where/bin/maskwright train 'my data' --out 'a run'",
        "environment": {"python": "3.11.9", "torch": "2.12.0"},
        "derived": {"train.epochs": f"{epochs}: about 16,000 images seen, 7 in training"},
        "data": {
            "path": "/elsewhere/my data", "fingerprint": FINGERPRINT, "train_images": 7, "val_images": 3,
            "test_images": 12, "train_pixels": pixels, "split": "by hash of the image, seed 0",
        },
        "status": "finished", "ended": "2026-05-01T12:34:56+02:00", "seconds": 754.2, "parameters": 1_941_234,
        "best": {"epoch": epochs - 2, "val_score": 0.5},
    }  # fmt: skip
    run = Run.create(folder, recipe, classes, {**whole, **about})
    rows: list[dict[str, Any]] = []
    for epoch in range(epochs):
        row: dict[str, Any] = {
            "epoch": epoch,
            "images_seen": 7 * epoch,
            "seconds": 9.5 * epoch,
            "lr": 1e-3,
            "train_loss": 1 / (epoch + 1),
        }
        if epoch % 2 == 0:
            row |= {"val_loss": 1.2 / (epoch + 1), "val_score": 0.1 * epoch}
            row |= {f"val_iou/{name}": "" if i == 1 else 0.05 * i for i, name in enumerate(names)}
        rows.append(row)
        write_image(run.path / "samples" / f"epoch-{epoch:04d}.jpg", photo((40, 100), epoch))
    if rows:
        run.write_metrics(rows)
    return run


def add_evaluation(
    run: Run, split: str = "test", *, time: str = "2026-05-01T13:00:00+02:00", **change: Any
) -> np.ndarray[Any, Any]:
    """An evaluation as the scoring leaves it; the last class is neither labelled nor predicted."""
    rng = np.random.default_rng(len(run.classes))
    count = len(run.classes)
    counts = rng.integers(0, 500, (count, count)) + np.diag(rng.integers(2000, 9000, count))
    if count > 2:
        counts[-1], counts[:, -1] = 0, 0
    images = [
        {"id": name, "group": "ab"[i % 2], "mean_iou": "" if i == 11 else round(0.08 * i, 6), "pixel_accuracy": 0.5}
        for i, name in enumerate(IDS)
    ]
    parts = summary(counts, run.classes)
    result = {
        "split": split, "time": time, "images": len(images),
        "dataset": {"path": "/x/my data", "fingerprint": FINGERPRINT},
        "weights": "best", "precision": "fp32", "scored_at": "the original size of every image",
        "definitions": DEFINITIONS, **parts, "confusion": counts.tolist(),
        "groups": {"<left>": {"images": 6, **parts}, "right": {"images": 6, **parts}},
    }  # fmt: skip
    run.write_scores(split, {**result, **change}, images)
    folder = run.evaluation_folder(split) / "gallery"
    folder.mkdir()
    chosen = {"worst": IDS[:2], "best": IDS[9:11], "median": IDS[4:6]}
    for kind, some in chosen.items():
        for place in range(len(some)):
            for panel in ("photo", "label", "prediction", "errors"):
                write_image(folder / f"{kind}-{place}-{panel}.jpg", photo((24, 36), place))
    write_json(folder / "gallery.json", chosen)
    return counts


def whole_scores(counts: np.ndarray[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What an evaluation of today adds to the keys of `add_evaluation`; pass it on as its `change`."""
    parts = summary(counts, Classes.from_names(names))
    for row in parts["classes"]:
        near = None if row["iou"] is None else [max(0.0, row["iou"] - 0.03), min(1.0, row["iou"] + 0.02)]
        row |= {"specificity": 0.987, "boundary_iou": 0.456, "boundary_f": 0.567, "intervals": {"iou": near}}
    means = ("mean_iou", "mean_iou_no_background", "mean_dice", "pixel_accuracy", "frequency_weighted_iou")
    one = {"labelled": 8, "found": 6, "predicted": 10, "true": 5}
    regions = [f"{row} {column}" for row in ("top", "middle", "bottom") for column in ("left", "centre", "right")]
    return {
        **parts,
        "frequency_weighted_iou": 0.654,
        "mean_boundary_iou": 0.456,
        "intervals": {key: [0.611, 0.722] for key in means},
        "image_level": {key: {"mean": 0.543, "median": 0.553, "p10": 0.333} for key in means},
        "units": {"of": "groups", "count": 2, "draws": 10_000, "level": 0.95, "note": "frames are not independent"},
        "binary": {"iou": 0.811, "dice": 0.822, "precision": 0.833, "recall": 0.844, "specificity": 0.855},
        "objects": [
            {"size": size, "classes": [{"name": name, **one} for name in names]}
            for size in ("small", "medium", "large")
        ],
        "object_sizes": [{"size": "small", "recall": 0.123}, {"size": "large", "recall": 0.923}],
        "regions": [
            {"name": name, "mean_iou": 0.1 * place, "intervals": {"mean_iou": [0.05 * place, 0.11 * place]}}
            for place, name in enumerate(regions)
        ],
        "calibration": {
            "ece": 0.077, "mce": 0.201, "nll": 0.789, "brier": 0.345, "temperature": None,
            "curve": [
                {"confidence": (i + 0.5) / 15, "accuracy": (i + 0.3) / 15, "share": 0.0 if i < 3 else 1 / 12}
                for i in range(15)
            ],
        },
        "surface": [
            {"name": name, "hd95_px": 12.5, "surface_dice": 0.765, "images": 9, "one_sided": 2,
             "intervals": {"hd95_px": [10.1, 14.9], "surface_dice": [0.7, 0.8]}}
            for name in names
        ],
    }  # fmt: skip


def random_run(folder: Path, data: Dataset) -> Run:
    """A run on a data set with a network that has learned nothing."""
    about = {"data": {"path": str(data.path.resolve()), "fingerprint": data.fingerprint}}
    run = Run.create(folder, quick("train.epochs=1"), data.classes, about)
    torch.manual_seed(3)
    network = build(run.recipe.model, outputs_for(run.recipe.loss, data.classes))
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        run.path / "weights" / "best.safetensors",
    )
    return run
