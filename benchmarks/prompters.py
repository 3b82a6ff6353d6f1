"""How many clicks to a good mask: the classical prompter against GrabCut and others without weights, in one run.

    python benchmarks/prompters.py COCO_VAL MARS:test CAMVID:val --objects 60

A click is simulated in the middle of the largest error, up to 20 of them, on objects (connected regions of one class of
at least 300 pixels, drawn with a seed, evenly over classes and images). NoC@85 is the mean number of clicks to an IoU
of 0.85, 20 where it is not reached. Milliseconds are those of the prompter alone, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Dataset
from maskwright.data.pixels.parts import labelled_parts
from maskwright.prompt.classical import Classical
from maskwright.prompt.clicking.objects import FindObjects, asked_classes, choose_objects
from maskwright.prompt.clicking.play import Game, play, warm_up
from maskwright.prompt.prompter import Candidates, Encoding
from maskwright.prompt.soft_masks import hold_prompt
from maskwright.types import Image, Prompt

Flags = NDArray[np.bool_]
LEAST_PX = 300
CLICKS = 20


@dataclass(frozen=True, kw_only=True)
class Task:
    """An object to be clicked."""

    image_id: str
    image_HW3: Image
    truth_HW: Flags
    ignore_HW: Flags


def tasks(dataset: str, most: int, seed: int) -> Iterator[Task]:
    """The objects of FOLDER or FOLDER:SPLIT."""
    folder, _, split = dataset.partition(":")
    data = Dataset.open(folder)
    samples = {sample.id: sample for sample in data.labelled(split or None)}
    find = FindObjects(data=data, classes=frozenset(asked_classes(data, None)), least_px=LEAST_PX)
    found = [wanted for sample in samples.values() for wanted in find(sample)]
    for wanted in choose_objects(found, most, seed):
        sample = samples[wanted.image]
        mask_HW = data.mask(sample)
        yield Task(
            image_id=wanted.image,
            image_HW3=data.image(sample),
            truth_HW=labelled_parts(mask_HW)[0] == wanted.part,
            ignore_HW=mask_HW == data.classes.ignore,
        )


Solve = Callable[[Encoding, Prompt], Any]


class Small:
    """A method that works on the photo at 512 pixels and forgets everything but the prompt: one of the baselines."""

    def __init__(self, name: str, solve: Solve) -> None:
        self.name, self.solve = name, solve

    def encode(self, image_HW3: Image) -> Encoding:
        scale = min(1.0, 512 / max(image_HW3.shape[:2]))
        size = (max(1, round(image_HW3.shape[1] * scale)), max(1, round(image_HW3.shape[0] * scale)))
        small = cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA)
        return {"size_hw": np.array(image_HW3.shape[:2]), "small": np.asarray(small)}

    def set_image(self, image_HW3: Image) -> None:
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        self.encoding = encoding

    def predict(self, prompt: Prompt) -> Candidates:
        rows, columns = self.encoding["size_hw"]
        height, width = self.encoding["small"].shape[:2]
        scaled = tuple((x * width / columns, y * height / rows) for x, y in prompt.points_xy)
        previous = prompt.previous_HW
        if previous is not None:
            previous = cv2.resize(previous.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        mask = self.solve(self.encoding, replace(prompt, points_xy=scaled, previous_HW=previous))
        wide = cv2.resize(mask.astype(np.uint8) * 255, (int(columns), int(rows)), interpolation=cv2.INTER_LINEAR)
        soft = np.asarray(wide, np.uint8)
        hold_prompt(soft, prompt)
        return Candidates(soft_NHW=soft[None], scores_N=np.ones(1, np.float32), chosen=0)


def discs(prompt: Prompt, plane: NDArray[Any], yes: int, no: int, radius: int) -> None:
    for (x, y), positive in zip(prompt.points_xy, prompt.positive, strict=True):
        cv2.circle(plane, (int(x), int(y)), radius, yes if positive else no, -1)


def grabcut(encoding: Encoding, prompt: Prompt, *, guess: str) -> Flags:
    """cv2.grabCut, 5 iterations; clicks are certain, the rest is probably background but for the guess."""
    small = encoding["small"]
    plane = np.full(small.shape[:2], cv2.GC_PR_BGD, np.uint8)
    if guess == "before" and prompt.previous_HW is not None:
        plane[prompt.previous_HW] = cv2.GC_PR_FGD
    elif guess:
        for (x, y), positive in zip(prompt.points_xy, prompt.positive, strict=True):
            if positive:
                cv2.circle(plane, (int(x), int(y)), max(plane.shape) // 10, cv2.GC_PR_FGD, -1)
    discs(prompt, plane, cv2.GC_FGD, cv2.GC_BGD, 5)
    if not np.isin(plane, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        return np.ones(plane.shape, np.bool_)
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), plane, None, models[0], models[1], 5, cv2.GC_INIT_WITH_MASK)
    return np.isin(plane, (cv2.GC_FGD, cv2.GC_PR_FGD))


def geodesic(encoding: Encoding, prompt: Prompt) -> Flags:
    """Nearer, over colour steps, to a positive click than to a negative one or to the photo's border (Bai, Sapiro)."""
    import skimage.graph

    lab = cv2.cvtColor(encoding["small"], cv2.COLOR_RGB2LAB).astype(np.float32)
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.5)
    steep = [
        np.hypot(cv2.Sobel(smooth[..., c], cv2.CV_32F, 1, 0), cv2.Sobel(smooth[..., c], cv2.CV_32F, 0, 1))
        for c in range(3)
    ]
    cost = 0.02 + np.sum(steep, axis=0) / 8
    rows, columns = cost.shape
    clicks = {True: [], False: []}
    for (x, y), positive in zip(prompt.points_xy, prompt.positive, strict=True):
        clicks[positive].append((min(int(y), rows - 1), min(int(x), columns - 1)))
    rim = [(r, c) for r in range(0, rows, 8) for c in (0, columns - 1)]
    rim += [(r, c) for c in range(0, columns, 8) for r in (0, rows - 1)]
    far = [skimage.graph.MCP_Geometric(cost).find_costs(seeds)[0] for seeds in (clicks[True], clicks[False] + rim)]
    return np.asarray(far[0] < far[1])


def walker(encoding: Encoding, prompt: Prompt) -> Flags:
    """Grady's random walker, with the photo's border as background until a negative click is there."""
    from skimage.segmentation import random_walker

    seeds = np.zeros(encoding["small"].shape[:2], np.int32)
    if all(prompt.positive):
        seeds[0], seeds[-1], seeds[:, 0], seeds[:, -1] = 2, 2, 2, 2
    discs(prompt, seeds, 1, 2, 2)
    image = encoding["small"].astype(np.float64) / 255
    return np.asarray(random_walker(image, seeds, beta=300, mode="cg_j", tol=1e-2, channel_axis=2) == 1)


def methods() -> dict[str, Any]:
    return {
        "ours": Classical(),
        "grabcut": Small("grabcut", lambda e, p: grabcut(e, p, guess="")),
        "grabcut, discs": Small("grabcut, discs", lambda e, p: grabcut(e, p, guess="discs")),
        "grabcut, goes on": Small("grabcut, goes on", lambda e, p: grabcut(e, p, guess="before")),
        "geodesic": Small("geodesic", geodesic),
        "random walker": Small("random walker", walker),
    }


def measure(prompter: Any, dataset: str, most: int, seed: int) -> tuple[list[Game], list[float]]:
    games, encoding, last = [], [], ""
    for task in tasks(dataset, most, seed):
        if task.image_id != last:
            start = time.perf_counter()
            prompter.set_image(task.image_HW3)
            encoding.append(time.perf_counter() - start)
            last = task.image_id
        games.append(play(prompter, task.truth_HW, task.ignore_HW, CLICKS))
    return games, encoding


def row(name: str, games: list[Game], encoding: list[float]) -> str:
    def clicks_to(target: float) -> float:
        return float(np.mean([next((n for n, v in enumerate(g.iou, 1) if v >= target), CLICKS) for g in games]))

    def after(count: int) -> float:
        return float(np.mean([g.iou[min(count, len(g.iou)) - 1] for g in games]))

    spent = np.array([second for game in games for second in game.seconds]) * 1e3
    return (
        f"| {name} | {clicks_to(0.85):.2f} | {clicks_to(0.9):.2f} | {after(1):.3f} | {after(3):.3f} | {after(5):.3f} "
        f"| {np.mean([g.best for g in games]):.3f} | {np.median(spent):.0f} | {np.percentile(spent, 95):.0f} "
        f"| {np.median(encoding) * 1e3:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", help="FOLDER or FOLDER:SPLIT")
    parser.add_argument("--objects", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default="ours,grabcut", help="separated by semicolons or commas, or 'all'")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    known = methods()
    names = (
        list(known)
        if options.methods == "all"
        else [name.strip() for name in options.methods.split(";" if ";" in options.methods else ",")]
    )
    for dataset in options.datasets:
        print(f"\n{dataset}, {options.objects} objects at most\n")
        print("| method | NoC@85 | NoC@90 | IoU@1 | IoU@3 | IoU@5 | best of 1 | ms p50 | p95 | encode ms |")
        print("|" + "---|" * 10)
        for name in names:
            warm_up(known[name])
            print(row(name, *measure(known[name], dataset, options.objects, options.seed)), flush=True)


if __name__ == "__main__":
    main()
