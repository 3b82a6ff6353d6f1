"""Fit the numbers with which the classical prompter weighs its evidence, on clicks that are simulated with it.

    python benchmarks/prompters_fit.py COCO_TRAIN CAMVID:train --objects 200 --rounds 2 --out fitted.json

Each round plays with the numbers of the one before (first those of the package), and all rounds are fitted together:
what the clicks correct are the prompter's own mistakes. A logistic regression each for the order in which pieces join.
Where to stop is a ridge regression of the IoU for a first click; for a correction it maximises the IoU gained if the
step is drawn from the softmax of the quadratic form (a policy gradient over known rewards), which gained a fifth more
than regressing the gain. Never give it what `benchmarks/prompters.py` reports on.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from prompters import LEAST_PX, Task, tasks
from sklearn.linear_model import LogisticRegression, Ridge

from maskwright.data.clicks.simulate import next_click
from maskwright.data.pixels.parts import labelled_parts
from maskwright.prompt.classical import Classical
from maskwright.prompt.classical.answering import (
    change_of,
    change_steps,
    contradicts,
    first_steps,
    marks_of,
    score_facts,
)
from maskwright.prompt.classical.pieces import Pieces, find_pieces
from maskwright.prompt.classical.weighing import Fitted, fitted, fitted_from, with_products
from maskwright.types import Prompt

Flags = NDArray[np.bool_]
CLICKS = 8
MOST_PIECES = 500
PLAIN = 1e-4  # how much large weights cost
DRAWN_WORTH = 0.3  # of an object in a photo


@dataclass
class Rows:
    """What a regression is fitted to: numbers, what is wanted, and weights, an array an object or click."""

    facts: list[Any] = field(default_factory=list)
    wanted: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    worth: float = 1.0

    def add(self, facts: Any, wanted: Any, weights: Any | None = None) -> None:
        self.facts.append(facts)
        self.wanted.append(wanted)
        self.weights.append(self.worth * (np.ones(len(wanted)) if weights is None else weights))

    def all(self) -> tuple[Any, Any, Any]:
        return np.concatenate(self.facts), np.concatenate(self.wanted), np.concatenate(self.weights)


NAMES = ("first_order", "first_extent", "correction_order", "correction_extent", "correction_score")


def drawn(count: int, seed: int) -> Iterator[Task]:
    """Noisy discs, boxes, bars and stars of plain or striped colours, each time with one that is wanted."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        rows, columns = (int(v) for v in rng.integers(160, 520, 2))
        ids, image = (
            np.zeros((rows, columns), np.uint8),
            np.full((rows, columns, 3), rng.integers(20, 236, 3), np.float32),
        )
        for shape in range(1, int(rng.integers(3, 8))):
            plane, size = np.zeros((rows, columns), np.uint8), int(rng.integers(12, min(rows, columns) // 3))
            x, y = int(rng.integers(columns)), int(rng.integers(rows))
            kind = int(rng.integers(4))
            if kind == 0:
                cv2.ellipse(
                    plane, (x, y), (size, int(rng.integers(8, size + 1))), float(rng.integers(180)), 0, 360, 1, -1
                )
            elif kind == 1:
                cv2.rectangle(plane, (x, y), (x + size, y + int(rng.integers(8, 2 * size))), 1, -1)
            elif kind == 2:
                end = (int(rng.integers(columns)), int(rng.integers(rows)))
                cv2.line(plane, (x, y), end, 1, int(rng.integers(5, 16)))
            else:
                corners = np.array([x, y]) + rng.integers(-size, size + 1, (int(rng.integers(3, 8)), 2))
                cv2.fillPoly(plane, [corners.astype(np.int32)], 1)
            flags = plane > 0
            ids[flags], image[flags] = shape, rng.integers(20, 236, 3)
            if rng.random() < 0.3:
                stripes = (
                    np.sin((np.arange(columns) + np.arange(rows)[:, None] * rng.normal()) * rng.uniform(0.3, 2)) > 0
                )
                image[flags & stripes] += rng.uniform(-60, 60)
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.5)))
        image += rng.normal(0, rng.uniform(1, 14), image.shape)
        parts, areas = labelled_parts(ids)
        wanted = [p for p in np.flatnonzero(areas >= LEAST_PX) if ids[parts == p][0]]
        if wanted:
            yield Task(
                image_id=f"drawn {number}",
                image_HW3=np.clip(image, 0, 255).astype(np.uint8),
                truth_HW=parts == rng.choice(wanted),
                ignore_HW=np.zeros((rows, columns), np.bool_),
            )


def shrunk(flags_HW: Flags, pieces: Pieces) -> Flags:
    rows, columns = pieces.labels_HW.shape
    small = cv2.resize(flags_HW.astype(np.uint8) * 255, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 127)


def play(task: Task, pieces: Pieces, prompter: Classical, fit: Fitted, rows: dict[str, Rows], rng: Any) -> None:
    truth_hw, guess_HW, prompt = shrunk(task.truth_HW, pieces), np.zeros_like(task.truth_HW), Prompt()
    for turn in range(CLICKS):
        click = next_click(task.truth_HW, guess_HW, ignore_HW=task.ignore_HW, clicked=prompt.points_xy)
        if click is None:
            return
        prompt = replace(
            prompt,
            points_xy=(*prompt.points_xy, (click.x, click.y)),
            positive=(*prompt.positive, click.positive),
            previous_HW=guess_HW if turn else None,
        )
        marks = marks_of(pieces, prompt, task.truth_HW.shape)
        before_hw = shrunk(guess_HW, pieces)
        if not turn:
            first(pieces, marks[0], truth_hw, fit, rows)
        elif contradicts(before_hw, marks[-1]):
            correction(pieces, before_hw, marks, truth_hw, fit, rows, rng)
        guess_HW = prompter.predict(prompt).mask_HW


def first(pieces: Pieces, mark: Any, truth_hw: Flags, fit: Fitted, rows: dict[str, Rows]) -> None:
    growth, at, facts, evidence = first_steps(pieces, mark, fit.first_order)
    inside, area = pieces.share_of(truth_hw) * pieces.sizes_N, max(1, truth_hw.sum())
    rows["first_order"].add(evidence, inside > pieces.sizes_N / 2, pieces.sizes_N / area)
    both = np.cumsum(inside[growth.order])[at]
    rows["first_extent"].add(facts, both / (area + growth.area[at] - both))


def correction(
    pieces: Pieces, before_hw: Flags, marks: Any, truth_hw: Flags, fit: Fitted, rows: dict[str, Rows], rng: Any
) -> None:
    mark, others = marks[-1], marks[:-1]
    change, evidence = change_of(pieces, before_hw, mark, others, fit.correction_order)
    growth, at, facts = change_steps(pieces, change, mark)
    right = pieces.share_of(change.side_hw & (truth_hw == mark.positive)) * pieces.sizes_N
    moved = change.side_N * pieces.sizes_N
    area = max(1, truth_hw.sum())
    places = np.flatnonzero(change.allowed_N)
    kept = rng.choice(places, MOST_PIECES, replace=False) if len(places) > MOST_PIECES else places
    weights = np.minimum(pieces.sizes_N[kept] / area, 1) * len(places) / len(kept)
    rows["correction_order"].add(evidence[kept], right[kept] > moved[kept] / 2, weights)
    both, size = (truth_hw & before_hw).sum(), before_hw.sum()
    sign = 1 if mark.positive else -1
    good, change_px = np.cumsum(right[growth.order])[at], np.cumsum(moved[growth.order])[at]
    # A piece that leaves takes the object's pixels in it along.
    both_then = both + good if mark.positive else both - (change_px - good)
    then = both_then / (area + size + sign * change_px - both_then)
    rows["correction_extent"].add(facts, then - both / (area + size - both))
    value = fit.correction_extent(facts)
    for k in {int(value.argmax()), *rng.choice(len(value), 3).tolist()}:
        known = score_facts(len(others), change.depth_px, before_hw, float(value[k] - value.max()))
        rows["correction_score"].add(known, then[k : k + 1])


def logistic(rows: Rows) -> dict[str, Any]:
    facts, wanted, weights = rows.all()
    weights = np.minimum(weights / weights.mean(), 20)
    mean, scale = facts.mean(axis=0), facts.std(axis=0) + 1e-3
    model = LogisticRegression(C=1.0, max_iter=300).fit((facts - mean) / scale, wanted, sample_weight=weights)
    return record(mean, scale, model.coef_[0], model.intercept_[0], quadratic=False)


def ridge(rows: Rows, *, quadratic: bool) -> dict[str, Any]:
    facts, wanted, weights = rows.all()
    mean, scale = facts.mean(axis=0), facts.std(axis=0) + 1e-3
    terms = (facts - mean) / scale
    terms = with_products(np.clip(terms, -4, 4)) if quadratic else terms
    model = Ridge(100.0 if quadratic else 1.0).fit(terms, wanted, sample_weight=weights)
    print(f"  explains {model.score(terms, wanted, weights):.3f} of the variance of {len(wanted)} rows", flush=True)
    return record(mean, scale, model.coef_, model.intercept_, quadratic=quadratic)


def policy(rows: Rows) -> dict[str, Any]:
    # Every other step is enough to learn from, and halves the memory.
    gains = [gain[::2].astype(np.float32) for gain in rows.wanted]
    facts = np.concatenate([fact[::2] for fact in rows.facts])
    worth = torch.tensor([float(weight[0]) for weight in rows.weights])
    turn = torch.from_numpy(np.repeat(np.arange(len(gains)), [len(one) for one in gains]))
    mean, scale = facts.mean(axis=0), facts.std(axis=0) + 1e-3
    terms = torch.from_numpy(with_products(np.clip((facts - mean) / scale, -4, 4).astype(np.float32)))
    gain = torch.from_numpy(np.concatenate(gains))
    weights = torch.zeros(terms.shape[1], requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=80, line_search_fn="strong_wolfe")
    count = len(gains)

    def expected() -> Any:
        value = terms @ weights
        top = torch.zeros(count).scatter_reduce(0, turn, value, "amax", include_self=False)
        share = torch.exp(value - top[turn])
        total = torch.zeros(count).index_add(0, turn, share)
        return (torch.zeros(count).index_add(0, turn, share * gain) / total * worth).sum() / worth.sum()

    def loss() -> Any:
        search.zero_grad()
        found = -expected() + PLAIN * (weights * weights).sum()
        found.backward()
        return found

    search.step(loss)
    print(f"  a correction gains {expected().item():.4f} of IoU", flush=True)
    return record(mean, scale, weights.detach().numpy(), 0.0, quadratic=True)


def record(mean: Any, scale: Any, weights: Any, bias: float, *, quadratic: bool) -> dict[str, Any]:
    arrays = {"mean": mean, "scale": scale, "weights": weights}
    short = {name: [float(f"{value:.4g}") for value in values] for name, values in arrays.items()}
    return {**short, "bias": float(f"{bias:.4g}"), "quadratic": quadratic}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", help="FOLDER or FOLDER:SPLIT")
    parser.add_argument("--objects", type=int, default=200, help="objects of each data set, other ones in every round")
    parser.add_argument("--drawn", type=int, default=60, help="drawn objects, so that clean edges are known, too")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="where rows are kept; those that are there are used, too")
    parser.add_argument("--out", type=Path, default=Path("fitted.json"))
    options = parser.parse_args()
    rows, fit = {name: Rows() for name in NAMES}, fitted()
    if options.rows and options.rows.exists():
        rows = {name: Rows(**part) for name, part in pickle.loads(options.rows.read_bytes()).items()}
    for turn in range(options.rounds):
        seed = options.seed + turn
        rng, prompter, last = np.random.default_rng(seed), Classical(fit), ""
        for source in [*(tasks(name, options.objects, seed) for name in options.datasets), drawn(options.drawn, seed)]:
            for task in source:
                for part in rows.values():
                    part.worth = DRAWN_WORTH if task.image_id.startswith("drawn ") else 1.0
                if task.image_id != last:
                    encoding = prompter.encode(task.image_HW3)
                    prompter.set_encoding(encoding)
                    pieces, last = find_pieces(task.image_HW3), task.image_id
                play(task, pieces, prompter, fit, rows, rng)
        found = {
            "first_order": logistic(rows["first_order"]),
            "first_extent": ridge(rows["first_extent"], quadratic=True),
            "correction_order": logistic(rows["correction_order"]),
            "correction_extent": policy(rows["correction_extent"]),
            "correction_score": ridge(rows["correction_score"], quadratic=False),
        }
        if options.rows:
            options.rows.write_bytes(pickle.dumps({name: vars(part) for name, part in rows.items()}))
        lines = ",\n".join(f'"{name}": {json.dumps(item)}' for name, item in found.items())
        options.out.write_text("{\n" + lines + "\n}\n", "utf-8")
        fit = fitted_from(found)
        print(f"round {turn + 1}: wrote {options.out}", flush=True)


if __name__ == "__main__":
    main()
