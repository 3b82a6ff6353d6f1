"""Who learns most on CamVid in equal CPU time? Ours, others' own ways, and two older recipes; one table.

    maskwright import camvid CAMVID camvid
    python benchmarks/camvid.py camvid --out camvid-race --minutes 20 --seeds 1
    maskwright compare camvid-race/*-0/models/* --dataset camvid --no-photos --out camvid-race/compared

Every contestant starts from random weights, trains on the official training split and has `minutes` x cores of CPU
time, which is counted by the kernel for the process and its children: other work on the machine costs nobody anything,
least of all with one thread each (OMP_NUM_THREADS=1), as threads that wait for each other burn time. All predictions of
the test split are scored by the same code, counts summed over all images, at the size of the images, class 11 ignored.
Training for contestants in brackets needs a package that this project does not install.

    road            our recipe for street scenes
    smp-example     segmentation_models.pytorch as its CamVid example trains it: FPN on ResNeXt-50, Dice, Adam, batches
                    of 32 crops of 320x320 [albumentations]; the twelfth output, unlabelled, is left out when predicting
    ultralytics     yolo26n-sem from its YAML with its default settings at 480 pixels [ultralytics]
    coco-groups     residual-attention U-Net at 256x256, fp32, as the recipe of that name has it
    road-unet       the U-Net of 2015 with Dice over all classes, fp32, as the recipe of that name has it

The two recipes train in our loop, whose cache of decoded images they profit from. A contestant whose result is in
`out` is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import maskwright
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import write_mask
from maskwright.metrics.counts import confusion, mean_iou, scores
from maskwright.types import Image, Mask

Predict = Callable[[Image], Mask]
CORES = os.cpu_count() or 1
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cpu_seconds() -> float:
    """CPU time of this process and its ended and living children, divided by the cores: what a clock would show."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = time.process_time() + ended.ru_utime + ended.ru_stime
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent / CORES


def ours(recipe: str, *sets: str) -> Callable[[Dataset, Path, float, int], Predict]:
    """A recipe of ours, its budget counted in CPU time."""

    def run(data: Dataset, out: Path, minutes: float, seed: int) -> Predict:
        from maskwright.training import fit, keep, task

        for module in (task, keep):
            module.time = SimpleNamespace(monotonic=cpu_seconds)  # type: ignore[attr-defined]
        fit.Clock = partial(task.Clock, began=cpu_seconds())  # type: ignore[assignment,misc]
        changes = [f"train.budget={minutes}", f"train.seed={seed}", "data.workers=0", *sets]
        run = maskwright.train(data, recipe, out=out / "models" / recipe, sets=changes).run
        return maskwright.Predictor.load(run).ids

    return run


def smp_example(data: Dataset, out: Path, minutes: float, seed: int) -> Predict:
    """As in `examples/camvid_segmentation_multiclass.ipynb` of that library, without its pretrained weights."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(seed)
    classes = len(data.classes)
    network = smp.create_model(
        "FPN", encoder_name="resnext50_32x4d", encoder_weights=None, in_channels=3, classes=classes + 1
    )
    # ImageNet's statistics for 0..1, which the example applies to 0..255.
    mean, std = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    loss_of = smp.losses.DiceLoss(smp.losses.MULTICLASS_MODE, from_logits=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50, eta_min=1e-5)
    end = cpu_seconds() + 60 * minutes
    for step, (images, masks) in enumerate(smp_batches(data, seed)):
        if cpu_seconds() >= end:
            print(f"{step} steps, {32 * step} images", flush=True)
            break
        loss = loss_of(network((images - mean) / std).contiguous(), masks)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    network.eval()

    def predict(image_HW3: Image) -> Mask:
        rows, columns = image_HW3.shape[:2]
        padded = np.pad(image_HW3, ((0, -rows % 32), (0, -columns % 32), (0, 0)))
        batch = torch.from_numpy(padded).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            logits = network((batch - mean) / std)[0, :classes, :rows, :columns]
        return logits.argmax(0).to(torch.uint8).numpy()

    return predict


def smp_batches(data: Dataset, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The example's batches for ever: decoded anew each time, augmented with albumentations."""
    import albumentations as A

    either = A.OneOf
    augment = A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.ShiftScaleRotate(scale_limit=0.5, rotate_limit=0, shift_limit=0.1, p=1, border_mode=0),
            A.PadIfNeeded(min_height=320, min_width=320),
            A.RandomCrop(height=320, width=320),
            A.GaussNoise(p=0.2),
            A.Perspective(p=0.5),
            either([A.CLAHE(p=1), A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.9),
            either([A.Sharpen(p=1), A.Blur(blur_limit=3, p=1), A.MotionBlur(blur_limit=3, p=1)], p=0.9),
            either([A.RandomBrightnessContrast(p=1), A.HueSaturationValue(p=1)], p=0.9),
        ],
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    samples, unlabelled = data.labelled("train"), len(data.classes)
    while True:
        order = rng.permutation(len(samples))
        for start in range(0, len(order), 32):
            pairs = []
            for index in order[start : start + 32]:
                mask = data.mask(samples[index])
                mask = np.where(mask == data.classes.ignore, unlabelled, mask)
                pairs.append(augment(image=data.image(samples[index]), mask=mask))
            images = np.stack([pair["image"] for pair in pairs]).transpose(0, 3, 1, 2).astype(np.float32)
            yield (
                torch.from_numpy(images),
                torch.from_numpy(np.stack([pair["mask"] for pair in pairs]).astype(np.int64)),
            )


def ultralytics(data: Dataset, out: Path, minutes: float, seed: int) -> Predict:
    """That package's own trainer and settings; its budget is counted in CPU time, too."""
    import ultralytics.engine.trainer as engine
    from ultralytics import YOLO

    folder = (out / "data").resolve()
    if not folder.exists():
        maskwright.convert_dataset(data, "ultralytics", folder)
    engine.time = SimpleNamespace(time=cpu_seconds)
    model = YOLO("yolo26n-sem.yaml")
    model.train(
        data=str(folder / "data.yaml"), time=minutes / 60, imgsz=480, device="cpu", workers=0, seed=seed,
        pretrained=False, project=str(out.resolve()), name="run", plots=False, exist_ok=True,
    )  # fmt: skip
    best = YOLO(out.resolve() / "run" / "weights" / "best.pt")

    def predict(image_HW3: Image) -> Mask:
        result = best.predict(np.ascontiguousarray(image_HW3[..., ::-1]), imgsz=480, device="cpu", verbose=False)[0]
        return np.asarray(result.semantic_mask.data.cpu().numpy().squeeze(), np.uint8)

    return predict


CONTESTANTS: dict[str, Callable[[Dataset, Path, float, int], Predict]] = {
    "road": ours("road"),
    "smp-example": smp_example,
    "ultralytics": ultralytics,
    "coco-groups": ours("coco-groups", "train.epochs=null"),
    "road-unet": ours("road-unet", "train.epochs=null"),
}


def contest(name: str, data: Dataset, out: Path, minutes: float, seed: int) -> None:
    """Train one contestant, write its test predictions and its scores."""
    began = time.time()
    predict = CONTESTANTS[name](data, out, minutes, seed)
    trained_seconds = CORES * cpu_seconds()
    samples: list[Sample] = data.labelled("test")
    ours_too = (out / "models" / name).is_dir()  # the run itself is what is compared then
    masks = out / ("predictions" if ours_too else f"models/{name}")
    masks.mkdir(parents=True, exist_ok=True)
    total = np.zeros((len(data.classes), len(data.classes)), np.int64)
    for sample in samples:
        guess = predict(data.image(sample))
        write_mask(masks / f"{sample.id}.png", guess, data.classes)
        total += confusion(data.mask(sample), guess, len(data.classes))
    facts: dict[str, Any] = {
        "contestant": name,
        "seed": seed,
        "minutes": minutes,
        "mean_iou": mean_iou(total),
        "iou": dict(zip(data.classes.names, scores(total).iou.tolist(), strict=True)),
        "cpu_seconds_until_trained": round(trained_seconds),
        "wall_seconds": round(time.time() - began),
    }
    (out / "result.json").write_text(json.dumps(facts, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--one", nargs=2, metavar=("CONTESTANT", "SEED"), help="in this process; used by the script")
    args = parser.parse_args()
    if args.one:
        name, seed = args.one[0], int(args.one[1])
        contest(name, Dataset.open(args.dataset), args.out / f"{name}-{seed}", args.minutes, seed)
        return
    rows = []
    for seed in range(args.seeds):
        for name in args.contestants:
            folder = args.out / f"{name}-{seed}"
            if not (folder / "result.json").is_file():
                folder.mkdir(parents=True, exist_ok=True)
                same = [str(args.dataset), "--out", str(args.out), "--minutes", str(args.minutes)]
                subprocess.run([sys.executable, __file__, *same, "--one", name, str(seed)], check=True)
            rows.append(json.loads((folder / "result.json").read_text()))
    print(f"{'contestant':14} {'test mean IoU by seed':30} mean")
    for name in args.contestants:
        found = [row["mean_iou"] for row in rows if row["contestant"] == name]
        print(f"{name:14} {' '.join(f'{value:.3f}' for value in found):30} {np.mean(found):.3f}")


if __name__ == "__main__":
    main()
