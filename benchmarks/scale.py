"""What data jobs cost at 1e5, 1e6 and 1e8 images: rates measured here, then multiplied.

    OMP_NUM_THREADS=1 python benchmarks/scale.py RUN DATASET --images 60 --price 0.04

RUN is a trained run and DATASET holds labelled photos as they come from a camera. Rates are images in an hour of CPU
time of one core, all threads counted, so that other programs on the machine do not matter; what is spent before the
first image (loading a network, starting) is not in them. `--price` is what an hour of one core costs: an assumption,
about what clouds ask for a virtual core in 2026. Disks and networks that cannot keep up are not in these figures.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

import maskwright
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import write_image, write_mask
from maskwright.infer.backends import BACKENDS
from maskwright.infer.predicting.working import Model
from maskwright.infer.segmenting.segment import How
from maskwright.run import Run
from maskwright.types import InputError

COUNTS = (10**5, 10**6, 10**8)
MACHINE, CLUSTER = 16, 1600  # cores
HOUR = 3600.0


def core_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process, all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def subset(data: Dataset, folder: Path, count: int, zoom: int) -> tuple[Dataset, int]:
    """So many labelled samples, spread over the data set, their sides `zoom` times as long; and their photos' bytes."""
    labelled = data.labelled()
    chosen = labelled[:: max(1, len(labelled) // count)][:count]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for sample in chosen:
        for name in (sample.image, sample.mask):
            shutil.copy(data.path / name, folder / name)
        if zoom > 1:
            size = (sample.width * zoom, sample.height * zoom)
            write_image(folder / sample.image, cv2.resize(data.image(sample), size))
            mask_HW = cv2.resize(data.mask(sample), size, interpolation=cv2.INTER_NEAREST)
            write_mask(folder / sample.mask, np.asarray(mask_HW, np.uint8), data.classes)
    splits = ["val" if place % 10 == 9 else "train" for place in range(len(chosen))]
    rows = [
        replace(sample, split=split, height=sample.height * zoom, width=sample.width * zoom)
        for sample, split in zip(chosen, splits, strict=True)
    ]
    made = Dataset.create(folder, data.classes, rows, {})
    return made, sum((folder / sample.image).stat().st_size for sample in chosen)


def import_seconds(data: Dataset, folder: Path) -> float:
    """Of one image and its mask: checked, copied, hashed."""
    options = maskwright.Options(names=tuple(data.classes.names))
    return core_seconds(
        lambda: maskwright.import_dataset("index", data.path, folder / "imported", options=options, workers=0)
    ) / len(data.samples)


def augment_seconds(data: Dataset, folder: Path) -> float:
    """Of one version that is drawn and written."""
    recipe, versions = maskwright.Recipe.load("default"), maskwright.Versions(each=3)
    train = [sample for sample in data.samples if sample.split == "train"]
    return core_seconds(
        lambda: maskwright.augment_dataset(data, folder / "augmented", recipe, versions=versions, workers=0)
    ) / (len(data.samples) + 2 * len(train))


def predict_seconds(run: Run, data: Dataset, folder: Path, backend: str, kinds: Sequence[str]) -> tuple[float, float]:
    """Of one image from file to files, in the steady state; and the bytes that are written."""
    Model(run=run.path, how=How(), backend=backend).load(len(data.samples))  # made and proven before
    photos = [data.path / sample.image for sample in data.samples]

    def seconds(some: Sequence[Path], out: Path) -> float:
        return core_seconds(
            lambda: maskwright.predict(run, list(some), out, write=kinds, backend=backend, workers=None)
        )

    few = max(2, len(photos) // 6)
    start, out = seconds(photos[:few], folder / f"{backend}-few"), folder / backend
    rest = seconds(photos, out) - start
    written = sum(path.stat().st_size for kind in kinds for path in (out / kind).rglob("*") if path.is_file())
    return rest / (len(photos) - few), written / len(photos)


def train_seconds(run: Run, data: Dataset, folder: Path) -> float:
    """Of one image seen in training by the recipe of the run, validation included; on a quiet machine only.

    By the clock on the wall, from the end of the first epoch to that of the last: what goes before would drown it.
    """
    recipe = run.recipe.with_values(train__epochs=6, train__devices=1, train__budget=None, data__workers=0)
    rows = maskwright.train(data, recipe, out=folder / "trained").run.metrics()
    return float(rows[-1]["seconds"] - rows[0]["seconds"]) / float(rows[-1]["images_seen"] - rows[0]["images_seen"])


def table_bytes(count: int) -> float:
    """Memory of one row of `samples.csv` in an opened data set."""
    tracemalloc.start()
    rows = [
        Sample(id=f"2026-11-21-camera-{n:09}", image=f"images/2026-11-21-camera-{n:09}.jpg", height=720, width=960,
               mask=f"masks/2026-11-21-camera-{n:09}.png", split="train", source=f"{n:09}.jpg", status="labelled",
               image_hash=f"{n:032x}", mask_hash=f"{n + 1:032x}")
        for n in range(count)
    ]  # fmt: skip
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(rows)


def line(name: str, seconds: float, price: float) -> str:
    """A row of the table: images an hour and core, then hours and money for each count."""
    cells = []
    for count in COUNTS:
        core_hours = count * seconds / HOUR
        cores = CLUSTER if count == COUNTS[-1] else MACHINE
        cells.append(f"{spoken(core_hours / cores)}, {core_hours * price:,.{0 if core_hours * price >= 10 else 2}f}")
    return f"| {name} | {HOUR / seconds:,.0f} | {' | '.join(cells)} |"


def spoken(hours: float) -> str:
    """Hours in the unit that people use."""
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:,.0f} days"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--zoom", type=int, default=1, help="enlarge the photos so many times, as larger cameras do")
    parser.add_argument("--price", type=float, default=0.04, help="of an hour of one core, in any currency")
    parser.add_argument("--backends", default=",".join(["torch", *BACKENDS]))
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args()
    run = Run.open(chosen.run)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = Run.open(shutil.copytree(run.path, folder / "run"))
        data, size = subset(Dataset.open(chosen.dataset), folder / "data", chosen.images, chosen.zoom)
        sides = np.median([sample.size_hw for sample in data.samples], axis=0).astype(int)
        print(f"{len(data.samples)} photos of {sides[1]}x{sides[0]}, {size / len(data.samples) / 1000:.0f} kB each; "
              f"network at {own.recipe.data.size}; {chosen.price} an hour and core\n")  # fmt: skip
        heads = [f"{count:.0e} on {CLUSTER if count == COUNTS[-1] else MACHINE} cores" for count in COUNTS]
        print(f"| job | images an hour and core | {' | '.join(heads)} |\n|---|---|---|---|---|")
        print(line("import", import_seconds(data, folder), chosen.price), flush=True)
        print(line("augment, a version", augment_seconds(data, folder), chosen.price), flush=True)
        written = 0.0
        for backend in chosen.backends.split(","):
            try:
                seconds, written = predict_seconds(own, data, folder, backend, ["ids"])
            except InputError as error:
                print(f"| predict, {backend} | {error} | | | |")
                continue
            print(line(f"predict, {backend}", seconds, chosen.price), flush=True)
        print(line("train, an image once", train_seconds(own, data, folder), chosen.price), flush=True)
        row = table_bytes(chosen.rows)
        print(f"\na predicted mask takes {written / 1000:.1f} kB, a row of the table {row:,.0f} bytes of memory")


if __name__ == "__main__":
    main()
