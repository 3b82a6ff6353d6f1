"""What a stress test costs beside the network itself: perturbing and scoring, as shares of predicting.

    python benchmarks/stress.py DATASET --images 4

The network is the U-Net of `model.width=16` (1.9 M parameters) at 512x512 with random weights, which take as long as
learned ones; photos and masks of the data set are brought to 512x512. One process with one thread, as each worker of
`maskwright stress` on a CPU; CPU time, so that other programs do not count.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.perturbing import SUITES, perturb
from maskwright.files import content_hash, read_bytes
from maskwright.geometry import Letterbox
from maskwright.imageio import write_image, write_mask
from maskwright.infer.predictor import Predictor
from maskwright.losses import outputs_for
from maskwright.metrics.counts import confusion
from maskwright.metrics.tally import tally_of
from maskwright.models import build
from maskwright.run import Run
from maskwright.scoring.stressing.cases import find_objects

SIDE = 512
RECIPE = ["model.width=16", f"data.size=[{SIDE}, {SIDE}]", "data.fit=stretch"]
TARGET = 0.15


def small_copy(data: Dataset, folder: Path, count: int) -> Dataset:
    """So many images of the data set, spread over it, at 512x512, all in the split 'test'."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    labelled = data.labelled()
    samples = []
    for sample in labelled[:: max(1, len(labelled) // count)][:count]:
        box = Letterbox.fit(sample.size_hw, (SIDE, SIDE), "stretch")
        image, mask = folder / "images" / f"{sample.id}.png", folder / "masks" / f"{sample.id}.png"
        write_image(image, box.forward_image(data.image(sample)))
        write_mask(mask, box.forward_mask(data.mask(sample), data.classes.ignore), data.classes)
        samples.append(
            Sample(
                id=sample.id,
                image=f"images/{image.name}",
                mask=f"masks/{mask.name}",
                split="test",
                height=SIDE,
                width=SIDE,
                image_hash=content_hash(read_bytes(image)),
                mask_hash=content_hash(read_bytes(mask)),
                status="labelled",
            )
        )
    return Dataset.create(folder, data.classes, samples, {"from": {"dataset": str(data.path)}})


def random_run(data: Dataset, folder: Path) -> tuple[Run, int]:
    """A run folder with random weights, and how many there are."""
    recipe = Recipe.load("default", RECIPE)
    torch.manual_seed(0)
    network = build(recipe.model, outputs_for(recipe.loss, data.classes))
    about = {"status": "finished", "data": {"path": str(data.path), "fingerprint": data.fingerprint}}
    run = Run.create(folder, recipe, data.classes, about)
    save_file(network.state_dict(), folder / "weights" / "best.safetensors")
    return run, sum(parameter.numel() for parameter in network.parameters())


def milliseconds(work: Callable[[], Any]) -> float:
    """CPU time of one call."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def perturbing(data: Dataset, suite: str) -> dict[str, float]:
    """Milliseconds a picture by kind, the mean over images and levels above 1."""
    found = {}
    for kind in SUITES[suite].values():
        times = []
        for sample in data.samples:
            pair = data.image(sample), data.mask(sample)
            for level in range(2, kind.levels + 1):
                one: dict[str, Any] = {"seed": 0, "sample_id": sample.id, "ignore": data.classes.ignore}
                times.append(milliseconds(lambda: perturb(kind, level, *pair, **one)))  # noqa: B023
        found[kind.title] = float(np.mean(times))
    return found


def predicting_and_scoring(data: Dataset, predictor: Predictor) -> tuple[float, ...]:
    """Milliseconds of a prediction, its counts, finding the objects of an image, and what is lost of them."""
    times = []
    for sample in data.samples:
        image, mask = data.image(sample), data.mask(sample)
        guess = predictor.ids(image)
        count = len(data.classes)
        confusion(mask, guess, count)  # compiled at the first call
        objects = find_objects(mask, guess, data.classes)
        times.append(
            (
                milliseconds(lambda: predictor.ids(image)),  # noqa: B023
                milliseconds(lambda: tally_of(confusion(mask, guess, count))),  # noqa: B023
                milliseconds(lambda: find_objects(mask, guess, data.classes)),  # noqa: B023
                milliseconds(lambda: objects.lost(guess)),  # noqa: B023
            )
        )
    return tuple(np.mean(times, axis=0).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.precision}")
    with tempfile.TemporaryDirectory() as folder:
        data = small_copy(Dataset.open(options.dataset), Path(folder) / "data", options.images)
        run, parameters = random_run(data, Path(folder) / "run")
        print(f"{parameters / 1e6:.2f} M parameters, {len(data.samples)} images of {SIDE}x{SIDE}")
        torch.set_num_threads(1)
        predictor = Predictor.load(run, device="cpu", precision=options.precision)
        predict, score, find, lost = predicting_and_scoring(data, predictor)
        print(
            f"a prediction {predict:.1f} ms, its counts {score:.2f} ms; objects {find:.1f} ms an image, "
            f"{lost:.2f} ms a kind"
        )
        for suite, kinds in SUITES.items():
            by_kind = perturbing(data, suite)
            perturbed, pictures = (
                float(np.mean(list(by_kind.values()))),
                sum(kind.levels - 1 for kind in kinds.values()),
            )
            scored = score + (find + lost * len(kinds)) / pictures
            share = (perturbed + scored) / predict
            verdict = "below" if share < TARGET else "ABOVE"
            print(
                f"{suite}: perturb {perturbed:.1f} ms ({perturbed / predict:.1%}), score {scored:.2f} ms "
                f"({scored / predict:.1%}), together {share:.1%}, {verdict} {TARGET:.0%}"
            )
            for title, value in by_kind.items():
                print(f"    {title:18} {value:7.1f} ms")


if __name__ == "__main__":
    main()
