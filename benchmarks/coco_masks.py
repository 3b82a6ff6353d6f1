"""COCO annotations to mask files: ours against the loop that people write with pycocotools and PIL, in one run.

python benchmarks/coco_masks.py
python benchmarks/coco_masks.py --images 118000 --only-ours     # memory on an annotation file of about 490 MB
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

import maskwright
from maskwright.data.formats import coco
from maskwright.data.formats.coco_files import annotation_files
from maskwright.data.formats.coco_json import read_coco
from maskwright.data.formats.listing import Options
from maskwright.files import put_bytes
from maskwright.imageio import encode_mask

HW = (480, 640)
CATEGORIES = 80
PER_IMAGE = 7.3


def blob(rng: np.random.Generator, sides: tuple[int, int]) -> list[float]:
    """A wavy outline of 8 to 44 points, cut at the image's border, with two decimals: as many bytes as COCO's."""
    count = int(rng.integers(8, 44))
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = np.exp(rng.uniform(np.log(8), np.log(160)))
    wave = 1 + 0.25 * np.sin(int(rng.integers(2, 6)) * angle + rng.uniform(0, 6)) + rng.normal(0, 0.03, count)
    x = rng.uniform(0, sides[1]) + radius * wave * np.cos(angle)
    y = rng.uniform(0, sides[0]) + radius * rng.uniform(0.5, 1) * wave * np.sin(angle)
    points = np.stack([np.clip(x, 0, sides[1]), np.clip(y, 0, sides[0])], 1)
    return [round(float(v), 2) for v in points.ravel()]


def generate(path: Path, images: int, seed: int = 0) -> None:
    """An annotation file like COCO's: category ids with gaps, one or two parts an instance, written piece by piece."""
    rng = np.random.default_rng(seed)
    ids = sorted(rng.choice(np.arange(1, 91), CATEGORIES, replace=False).tolist())
    rows = [{"id": i, "file_name": f"{i:012}.jpg", "height": HW[0], "width": HW[1]} for i in range(1, images + 1)]
    categories = [{"id": i, "name": f"thing {i}", "supercategory": ""} for i in ids]
    with path.open("w") as file:
        file.write(f'{{"images": {json.dumps(rows)}, "categories": {json.dumps(categories)}, "annotations": [')
        number = 0
        for image in range(1, images + 1):
            for _ in range(rng.poisson(PER_IMAGE)):
                number += 1
                parts = [blob(rng, HW) for _ in range(2 if rng.random() < 0.1 else 1)]
                row = {
                    "id": number,
                    "image_id": image,
                    "category_id": int(rng.choice(ids)),
                    "iscrowd": 0,
                    "area": 100.0,
                    "bbox": [0.0, 0.0, 10.0, 10.0],
                    "segmentation": parts,
                }
                file.write(("" if number == 1 else ",") + json.dumps(row))
        file.write("]}")


def generated(path: Path, images: int) -> Path:
    """A generated annotation file, made in a process apart: its memory is not in the measurement."""
    process = multiprocessing.get_context("spawn").Process(target=generate, args=(path, images))
    process.start()
    process.join()
    return path


def usual_way(annotations: Path, target: Path) -> None:
    """The loop of countless scripts: read, `annToMask`, overwrite, save with PIL."""
    target.mkdir()
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(annotations))
    to_class = {category: i for i, category in enumerate(sorted(api.getCatIds()), start=1)}
    for image in api.loadImgs(api.getImgIds()):
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in api.loadAnns(api.getAnnIds(imgIds=image["id"])):
            mask[api.annToMask(annotation) > 0] = to_class[annotation["category_id"]]
        Image.fromarray(mask).save(target / f"{Path(image['file_name']).stem}.png")


def ours(annotations: Path, target: Path, workers: int) -> None:
    """The whole verb: data set folder, hashes, contested pixels, journal."""
    maskwright.import_dataset("coco", annotations, target, options=Options(without_images=True), workers=workers)


def masks_alone(annotations: Path, target: Path) -> None:
    """The same work as the usual loop, without the data set around it: read, paint, encode, write."""
    target.mkdir()
    found = coco.read(annotations, Options(without_images=True))
    assert found.load is not None
    assert found.paint is not None
    for item in map(found.load, found.items):
        assert item.size_hw is not None
        png = encode_mask(found.paint(item, item.size_hw).mask_HW, found.classes)
        put_bytes(target / f"{item.id}.png", png)


def seconds(work: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


class Memory(threading.Thread):
    """Samples the resident memory of this process and its workers; the file, mapped by this process, is part of it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0

    def run(self) -> None:
        while True:
            pages = 0
            for process in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
                with contextlib.suppress(OSError):  # it has just ended
                    pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
            self.peak_mb = max(self.peak_mb, pages * resource.getpagesize() / 1e6)
            time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; a memory disk takes the disk out of the ratio")
    parser.add_argument("--many", type=int, default=30_000, help="images of the comparison of one and two processes")
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        annotations = generated(folder / "instances.json", options.images)
        print(f"{options.images} images of {HW[1]}x{HW[0]}, {annotations.stat().st_size / 1e6:.0f} MB of annotations")
        if options.only_ours:
            workers = os.cpu_count() or 1
            memory = Memory()
            memory.start()
            took = seconds(ours, annotations, folder / "ours", workers)
            print(f"ours, {workers} processes: {took:.0f} s, {options.images / took:.0f} images/s")
            print(f"peak memory: {memory.peak_mb:.0f} MB in all processes together")
            return
        ours(annotations, folder / "warm", 0)  # compiles or loads the compiled kernels
        times: dict[str, list[float]] = {"alone": [], "one": [], "usual": []}
        for turn in range(options.repeats):
            times["alone"].append(seconds(masks_alone, annotations, folder / f"alone{turn}"))
            times["one"].append(seconds(ours, annotations, folder / f"one{turn}", 0))
            times["usual"].append(seconds(usual_way, annotations, folder / f"usual{turn}"))
        for path in sorted((folder / "usual0").iterdir()):
            theirs, mine = (
                np.asarray(Image.open(home / path.name)) for home in (folder / "usual0", folder / "one0/masks")
            )
            assert np.array_equal(theirs, mine), path.name
        parse = seconds(lambda: [read_coco(path) for path in annotation_files(annotations)])
        alone, one, usual = (min(times[name]) for name in ("alone", "one", "usual"))
        print("equal pixels in every mask")
        print(f"pycocotools + PIL       {options.images / usual:8.0f} images/s")
        print(f"ours, masks alone       {options.images / alone:8.0f} images/s   ratio {usual / alone:6.1f}")
        print(f"ours, one process       {options.images / one:8.0f} images/s   ratio {usual / one:6.1f}")
        print(f"reading the annotations {parse:8.2f} s of it, in one process")
        many = generated(folder / "many.json", options.many)
        one, two = (seconds(ours, many, folder / f"many{workers}", workers) for workers in (0, 2))
        print(f"{options.many} images, starting the processes included:")
        print(f"ours, one process       {options.many / one:8.0f} images/s")
        print(f"ours, two processes     {options.many / two:8.0f} images/s   {one / two:6.2f} times one")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
