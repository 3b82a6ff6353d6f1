"""What does `train --robust` buy? One recipe with and without it, as long each, both suites on both.

    python benchmarks/robust.py DATASET --recipe road --minutes 10 --seeds 2 --out FOLDER
    python benchmarks/robust.py DATASET --recipe road --epochs 30 --set data.size=[180,240] --out FOLDER

Prints the clean mean IoU of both and what is left of it (retention: mean over levels above 1 of mean IoU / clean mean
IoU) a kind, and the means over three groups of kinds: those that the robust training drew, others whose like both
saw, as the recipe itself changes brightness or turns photos, and those that neither saw. Differences are in points.
The trainings share nothing but recipe, seed and minutes; a run or a stress test that lies in FOLDER is used again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import maskwright
from maskwright.data.perturbing import SUITES
from maskwright.data.perturbing.training import kinds_of
from maskwright.files import write_json
from maskwright.run import Run
from maskwright.scoring.stressing.stress import trained_on

PROBABILITY = 0.5
WAYS = ("plain", "robust")


def main() -> None:
    """Train, stress, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--recipe", default="road")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--epochs", type=int, help="so many instead of minutes: the same result on any machine")
    parser.add_argument("--seeds", type=int, default=1, help="pairs of trainings, with seeds 0, 1, ...")
    parser.add_argument("--kinds", help="train with these instead, as in noise,blur")
    parser.add_argument("--probability", type=float, default=PROBABILITY)
    parser.add_argument("--set", action="append", default=[], help="a recipe key for both, as in optim.lr=0.001")
    parser.add_argument("--split", default="test")
    parser.add_argument("--max-images", type=int, help="so many of the split, spread over it")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    pairs = [{way: trained(args, way, seed) for way in WAYS} for seed in range(args.seeds)]
    scores = [{way: stressed(args, run) for way, run in pair.items()} for pair in pairs]
    table = summary(scores, groups_of(pairs[0]["plain"], pairs[0]["robust"]))
    write_json(args.out / "robust.json", {"arguments": {key: str(value) for key, value in vars(args).items()}, **table})
    show(table)


def trained(args: argparse.Namespace, way: str, seed: int) -> Run:
    """The run of one way and seed."""
    folder = args.out / f"{way}-{seed}"
    if folder.exists():
        return maskwright.Run.open(folder)
    length = f"train.budget={args.minutes}" if args.epochs is None else f"train.epochs={args.epochs}"
    given = [length, *([] if args.epochs is None else ["train.budget=null"]), f"train.seed={seed}", *args.set]
    recipe = maskwright.Recipe.load(args.recipe, given)
    if way == "robust":
        kinds = args.kinds.split(",") if args.kinds else None
        recipe = recipe.with_values(augment__perturb=args.probability, augment__perturb_kinds=kinds)
    return maskwright.train(args.dataset, recipe, out=folder).run


def stressed(args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Clean mean IoU, and retention by kind over both suites."""
    found = maskwright.stress(run, args.dataset, suite="both", split=args.split, max_images=args.max_images)
    kinds = {kind["name"]: kind["retention"] for result in found for kind in result.scores["kinds"]}
    return {"clean": found[0].scores["clean"]["mean_iou"], "kinds": kinds}


def groups_of(plain: Run, robust: Run) -> dict[str, list[str]]:
    """Names of kinds by who saw their like in training."""
    drawn, like = {kind.name for kind in kinds_of(robust.recipe.augment)}, trained_on(plain.recipe)
    every = [kind for suite in SUITES.values() for kind in suite]
    return {
        "trained on by the robust one": [kind for kind in every if kind in drawn],
        "others, the like seen by both": [kind for kind in every if kind in like - drawn],
        "seen by neither": [kind for kind in every if kind not in like | drawn],
    }


def summary(scores: list[dict[str, dict[str, Any]]], groups: dict[str, list[str]]) -> dict[str, Any]:
    """Means over seeds: clean mean IoU, retention by kind, and over the groups, both suites and all."""
    every = [kind for kinds in groups.values() for kind in kinds]
    sets = {**groups, **{f"suite {name}": list(suite) for name, suite in SUITES.items()}, "all kinds": every}

    def kept(kinds: Iterable[str]) -> dict[str, float]:
        return {way: float(np.mean([score[way]["kinds"][kind] for score in scores for kind in kinds])) for way in WAYS}

    return {
        "clean": {way: float(np.mean([score[way]["clean"] for score in scores])) for way in WAYS},
        "groups": {name: {"kinds": kinds, **kept(kinds)} for name, kinds in sets.items() if kinds},
        "kinds": {kind: kept([kind]) for kind in every},
        "seeds": scores,
    }


def show(table: dict[str, Any]) -> None:
    """The table as text."""

    def row(name: str, values: dict[str, Any]) -> str:
        gain = 100 * (values["robust"] - values["plain"])
        return f"{name:34} {values['plain']:8.4f} {values['robust']:8.4f} {gain:+8.1f}"

    print(f"{'':34} {'plain':>8} {'robust':>8} {'points':>8}")
    print(row("clean mean IoU", table["clean"]))
    print("retention")
    for kind, values in table["kinds"].items():
        print(row(f"  {kind}", values))
    for name, values in table["groups"].items():
        print(row(f"{name} ({len(values['kinds'])})", values))


if __name__ == "__main__":
    main()
