"""Which images to label next: those that are uncertain, hold rare classes and stand for much that is not labelled.

DATASET/.label/queue.json, queue.csv     or, in a folder of choice, suggestions.json, suggestions.csv
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.splits.split import place
from maskwright.files import explained, write_json
from maskwright.run import Run, now, write_csv
from maskwright.scoring.suggesting.choose import Pick, cover, ranks
from maskwright.scoring.suggesting.describe import Points, blocks, joined
from maskwright.scoring.suggesting.rarity import labelled_shares, rarity
from maskwright.scoring.suggesting.see import Seen, see, stacked
from maskwright.scoring.suggesting.words import FOR_SIDE, RANDOM, Known, reason
from maskwright.types import InputError, unknown_name

FORMAT = 1
HALF_TRUST = 40  # labelled images at which what a run says counts half
CHECKED = ("val", "test")
Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """The JSON file written, what it holds, and images that could not be read; `rows` are in the order to label."""

    path: Path
    facts: dict[str, Any]
    skipped: list[Skipped]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dict an image: rank, id, reason, split, unsure_about, uncertainty, rarity, distance."""
        return list(self.facts["suggestions"])

    @property
    def ids(self) -> list[str]:
        """The ids, in the order to label."""
        return [row["id"] for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is known of a pool of N images and of M labelled ones; `uncertainty` and `rarity` are zeros without a run.

    `points` and `labelled` share a space in which images that look alike, to the eye or to the run, are near.
    """

    ids: list[str]
    points_ND: Points
    labelled_MD: Points
    uncertainty_N: Values
    rarity_N: Values
    doubt_NK: Values
    share_NK: Values
    classes: list[str]


# Name -> what it takes; `mixed` is the one to use, the others are for comparison.
METHODS = {
    "mixed": "uncertainty x rarity x diversity; diversity alone while few images are labelled",
    "uncertainty": "the most doubtful images, alike or not",
    "diversity": "images that stand for many others, whatever the run says",
    "random": "any images",
}


def suggest(
    run: Run | str | Path | None,
    dataset: Dataset | str | Path,
    *,
    count: int = 10,
    method: str = "mixed",
    pool: Collection[str] | None = None,
    labelled: Collection[str] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    strict: bool = False,
) -> Suggested:
    """Choose `count` unlabelled images of a data set to label next, by a run, or without one (None or 'none').

    Images that a table has put into val or test are taken at random, by their share, so that scores stay honest; all
    others by `method` (METHODS). `pool` are ids to choose from whatever their state, and `labelled` ids that count as
    labelled; then nothing is left to chance. Writes DATASET/.label/queue.json and .csv, or suggestions.* in the folder
    `out`. Raises InputError where nothing is left to label, and for a method that needs a run.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    opened = None if run is None or str(run) == "none" else run if isinstance(run, Run) else Run.open(run)
    check(count, method, opened)
    free = candidates(data, pool)
    known = [s for s in data.samples if (s.id in labelled if labelled is not None else is_known(s, pool))]
    by_side = pool is None and method != "random"
    counts = quotas(free, count, by_side=by_side)
    rows = [
        at_random([s for s in free if s.split == side], counts[side], seed, FOR_SIDE[side])
        for side in CHECKED
        if by_side
    ]
    rest = [sample for sample in free if not by_side or sample.split not in CHECKED]
    skipped: list[Skipped] = []
    if method == "random":
        rows.append(at_random(rest, counts[""], seed, RANDOM))
    elif counts[""]:
        how = {"weights": weights, "device": device, "precision": precision}
        seen, skipped = see(data, [*rest, *known], opened, strict=strict, **how)
        table = tabulate(data, rest, known, seen, opened)
        rows.append(described(table, pick(table, counts[""], method, seed), {s.id: s.split for s in free}))
    facts = about(data, opened) | {"method": method, "seed": seed, "labelled": len(known), "pool": len(free)}
    facts["suggestions"] = [{"rank": rank, **row} for rank, row in enumerate(interleaved(rows), start=1)]
    return Suggested(path=write(data, out, facts), facts=facts, skipped=skipped)


def about(data: Dataset, run: Run | None) -> dict[str, Any]:
    """What was asked, and of which run."""
    return {
        "format": FORMAT,
        "time": now(),
        "dataset": str(data.path.resolve()),
        "run": None if run is None else str(run.path.resolve()),
        "run_name": None if run is None else run.path.resolve().name,
    }


def check(count: int, method: str, run: Run | None) -> None:
    """Refuse what cannot be done."""
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if count < 1:
        raise InputError(f"--count {count} suggests nothing; ask for 1 image or more.")
    if method == "uncertainty" and run is None:
        raise InputError("Method 'uncertainty' asks a run, and none is given; name one, or take --method diversity.")


def candidates(data: Dataset, pool: Collection[str] | None) -> list[Sample]:
    """The rows to choose from; raises InputError where there are none, or an id is unknown."""
    if pool is None:
        found = [sample for sample in data.samples if not sample.mask and sample.status == "unlabelled"]
        if not found:
            raise InputError(f"{data.path} has no unlabelled images left; add photos, or name a pool with --pool.")
        return found
    known = {sample.id: sample for sample in data.samples}
    if alien := [id for id in pool if id not in known]:
        raise unknown_name("id in the pool", alien[0], known)
    return [known[id] for id in sorted(set(pool))]


def is_known(sample: Sample, pool: Collection[str] | None) -> bool:
    """Whether a training would learn from the row."""
    return bool(sample.mask) and sample.split not in CHECKED and (pool is None or sample.id not in pool)


def quotas(free: Sequence[Sample], count: int, *, by_side: bool) -> dict[str, int]:
    """How many to take for val and for test, by their share of the rows, and for all the rest ('')."""
    count = min(count, len(free))
    wanted = {side: sum(sample.split == side for sample in free) if by_side else 0 for side in CHECKED}
    taken = {side: round(count * have / len(free)) for side, have in wanted.items()}
    rest = len(free) - sum(wanted.values())
    # Rounding may leave more to the rest than it has, or nothing where it has some.
    while count - sum(taken.values()) > rest:
        side = max(CHECKED, key=lambda one: wanted[one] - taken[one])
        taken[side] += 1
    while sum(taken.values()) and (sum(taken.values()) > count or (rest and sum(taken.values()) == count > 1)):
        side = max(CHECKED, key=lambda one: taken[one])
        taken[side] -= 1
    return {**taken, "": count - sum(taken.values())}


def at_random(samples: Sequence[Sample], count: int, seed: int, why: str) -> list[dict[str, Any]]:
    """The first by a hash of id and seed: the next call goes on where this one ended."""
    order = sorted(samples, key=lambda sample: (place(sample.id, seed, "suggest"), sample.id))
    return [{"id": sample.id, "reason": why, "split": sample.split} for sample in order[:count]]


def tabulate(
    data: Dataset, free: Sequence[Sample], known: Sequence[Sample], seen: dict[str, Seen], run: Run | None
) -> Table:
    """Everything known of the pool and of the labelled images, in arrays; unreadable images are left out."""
    ids = [sample.id for sample in free if sample.id in seen]
    if not ids:
        raise InputError(f"None of the {len(free)} unlabelled images of {data.path} can be read; import them again.")
    ours, theirs = [seen[id] for id in ids], [seen[sample.id] for sample in known if sample.id in seen]
    parts = blocks(stacked([*ours, *theirs], "described"))
    if run is not None:
        parts.append(stacked([*ours, *theirs], "features"))
    points = joined(parts)
    nothing, names = np.zeros(len(ids)), [] if run is None else run.classes.names
    share_NK = stacked(ours, "share_K").astype(np.float64)
    rare = nothing
    if run is not None:
        rare = rarity(share_NK, labelled_shares(data, [s for s in known if s.mask], names))
    return Table(
        ids=ids,
        points_ND=points[: len(ids)],
        labelled_MD=points[len(ids) :],
        uncertainty_N=nothing if run is None else stacked(ours, "doubt")[:, 0].astype(np.float64),
        rarity_N=rare,
        doubt_NK=stacked(ours, "doubt_K").astype(np.float64),
        share_NK=share_NK,
        classes=names,
    )


def pick(table: Table, count: int, method: str, seed: int) -> list[Pick]:
    """Rows of the table, best first.

    The value of an image is (its rank by uncertainty x its rank by rarity) to a power that grows from 0 to 1 with the
    labelled images n, as n / (n + HALF_TRUST): what a run says is worth little after few, when typical images of every
    kind teach more than doubtful ones (Hacohen et al. 2022).
    """
    every: Callable[[int], Values] = np.ones
    if method == "uncertainty":
        order = np.argsort(-table.uncertainty_N, kind="stable")[:count]
        return [Pick(row=int(row), distance=np.inf, stands_for=1) for row in order]
    value_N = every(len(table.ids))
    if method == "mixed" and table.classes:
        known = len(table.labelled_MD)
        value_N = (ranks(table.uncertainty_N) * ranks(table.rarity_N)) ** (known / (known + HALF_TRUST))
    rng = np.random.default_rng((seed, 6))
    return cover(table.points_ND, table.labelled_MD, count, value_N=value_N, rng=rng)


def described(table: Table, picks: Sequence[Pick], split: dict[str, str]) -> list[dict[str, Any]]:
    """What was chosen, in numbers and in words."""
    known = Known.of(table.points_ND, table.labelled_MD, table.uncertainty_N, table.rarity_N)
    rows = []
    for one in picks:
        id = table.ids[one.row]
        words, doubtful = reason(one, known, table.doubt_NK, table.share_NK, table.classes)
        rows.append(
            {
                "id": id,
                "reason": words,
                "split": split[id],
                "unsure_about": doubtful,
                "uncertainty": round(float(table.uncertainty_N[one.row]), 4) if table.classes else None,
                "rarity": round(float(table.rarity_N[one.row]), 4) if table.classes else None,
                "distance": round(one.distance, 4) if np.isfinite(one.distance) else None,
            }
        )
    return rows


def interleaved(lists: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All rows, each list spread evenly over the whole."""
    placed = [((i + 0.5) / len(rows), row) for rows in lists for i, row in enumerate(rows)]
    whole = {"unsure_about": None, "uncertainty": None, "rarity": None, "distance": None}
    return [{**whole, **row} for _, row in sorted(placed, key=lambda pair: pair[0])]


def write(data: Dataset, out: str | Path | None, facts: dict[str, Any]) -> Path:
    """The two files; the JSON comes last."""
    path = data.path / ".label" / "queue.json" if out is None else Path(out) / "suggestions.json"
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{key: "" if value is None else value for key, value in row.items()} for row in facts["suggestions"]]
    columns = ("rank", "id", "reason")
    write_csv(path.with_suffix(".csv"), [{**{key: row[key] for key in columns}, **row} for row in rows])
    write_json(path, facts)
    return path
