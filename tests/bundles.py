"""Small runs with weights, and bundles that were tampered with."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from drawing import shapes_classes
from quick import quick
from run_folders import FINGERPRINT
from safetensors.torch import load_file, save_file

from maskwright.losses import outputs_for
from maskwright.models import build
from maskwright.run import Run
from maskwright.training.keep import write_weights

Files = dict[str, bytes]
COUNTS = {"train_images": 8, "val_images": 2, "test_images": 2, "train_pixels": [900, 90, 9], "split": "as drawn"}


def weighted_run(folder: Path, *sets: str, last: bool = False) -> Run:
    """A run folder with random weights: nothing is trained."""
    recipe, classes = quick(*sets), shapes_classes()
    about = {
        "status": "finished",
        "command": f"{folder.parent}/bin/maskwright train '{folder.parent}/my data' --set model.weights={folder}/x.pt",
        "data": {"path": str(folder.parent / "shapes"), "fingerprint": FINGERPRINT, **COUNTS},
        "skipped": [{"file": f"{folder.parent}/bad.jpg", "reason": f"{folder.parent}/bad.jpg is truncated."}],
        "seconds": 12.5,
        "best": {"epoch": 1, "val_score": 0.25},
    }
    run = Run.create(folder, recipe, classes, about)
    torch.manual_seed(0)
    network = build(recipe.model, outputs_for(recipe.loss, classes))
    for which in ("best", "last") if last else ("best",):
        write_weights(run, which, network)
    run.write_metrics([{"epoch": 0, "train_loss": 1.0, "val_score": 0.2}, {"epoch": 1, "val_score": 0.25}])
    return run


def change_weights(run: Run, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Let `change` do something to the best weights of a run."""
    path = run.path / "weights" / "best.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)


def members(path: Path) -> Files:
    """The content of a bundle."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, change: Callable[[Files], object], *, honest: bool = True, **info: Any) -> Path:
    """The bundle with changed members; `honest` hashes stand in the manifest then, as a careful attacker's would."""
    files = members(path)
    change(files)
    if honest:
        manifest = json.loads(files["MANIFEST.json"])
        manifest["members"] = {
            name: {"bytes": len(data), "sha256": sha256(data).hexdigest()}
            for name, data in files.items()
            if name != "MANIFEST.json"
        }
        files["MANIFEST.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            one = zipfile.ZipInfo(name)
            for key, value in info.items():
                setattr(one, key, value)
            archive.writestr(one, data)
    return path
