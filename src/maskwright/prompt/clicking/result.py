"""What a folder of clicks holds: numbers of all prompters on what all of them could be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.files import write_json, write_text
from maskwright.metrics.units import choose_units
from maskwright.prompt.clicking.objects import Wanted
from maskwright.prompt.clicking.play import AFTER, TARGETS, Rules, Visit
from maskwright.prompt.clicking.printed import click_table
from maskwright.prompt.clicking.tables import (
    DEFINITIONS,
    DRAWS,
    LEVEL,
    RULE,
    Ground,
    pair_rows,
    seconds_of,
    single_summary,
    summary,
)
from maskwright.run import now, write_csv
from maskwright.types import InputError

FORMAT = 1
RESULT = "clicks.json"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that is fixed before the first click; `found` objects there were to choose from."""

    data: Dataset
    split: str
    rules: Rules
    objects: list[Wanted]
    visits: list[Visit]
    least_px: int
    asked: int
    classes: list[str]
    found: int


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a prompter left behind, by image id."""

    name: str
    spec: str
    visits: dict[str, dict[str, Any]] = field(default_factory=dict)

    def games(self, images: Sequence[str], *, steady: bool) -> list[dict[str, Any]]:
        """Games of these images, with a steady hand or the jittered ones."""
        found = [game for image in images for game in self.visits[image]["games"]]
        return [game for game in found if (game["repeat"] == 0) is steady]


def write_result(stage: Path, setup: Setup, played: Sequence[Played], skipped: Sequence[Skipped]) -> dict[str, Any]:
    """Write all files of the folder; returns what `clicks.json` holds. Raises InputError where nothing is left."""
    images = [visit.sample.id for visit in setup.visits if all(visit.sample.id in one.visits for one in played)]
    numbers = [number for number, one in enumerate(setup.objects) if one.image in set(images)]
    if not numbers:
        raise InputError(f"None of {len(setup.objects)} objects could be clicked. The first: {skipped[-1].reason}")
    groups = {visit.sample.id: visit.sample.group for visit in setup.visits}
    units_O, of, note = units_over([setup.objects[number].image for number in numbers], groups)
    ground = Ground(numbers=numbers, units_O=units_O, of=of, max_clicks=setup.rules.max_clicks, seed=setup.rules.seed)
    names = [one.name for one in played]
    facts = {
        **described(setup, ground, note),
        "prompters": [prompter_row(one, images, groups, setup, ground) for one in played],
        "pairs": pair_rows(names, [one.games(images, steady=True) for one in played], ground),
        "left_out": len(setup.objects) - len(numbers),
        "definitions": DEFINITIONS,
    }
    write_csv(stage / "clicks.csv", [row for one in played for row in csv_rows(one, images, setup)])
    write_text(stage / "clicks.txt", "\n".join(click_table(facts)) + "\n")
    write_json(stage / RESULT, facts)
    return facts


def units_over(images: Sequence[str], groups: Mapping[str, str]) -> tuple[NDArray[np.int64], str, str]:
    """The unit of every entry of `images`, where one may be there several times; what units are; a note."""
    different = list(dict.fromkeys(images))
    units = choose_units([groups[image] for image in different])
    unit_of = dict(zip(different, units.units_N.tolist(), strict=True))
    return np.array([unit_of[image] for image in images], np.int64), units.of, units.note


def described(setup: Setup, ground: Ground, note: str) -> dict[str, Any]:
    """What was clicked, and how."""
    kept = [setup.objects[number] for number in ground.numbers]
    names = setup.data.classes.names
    seen = ["A run that was trained on these images has seen the answers."] if setup.split == "train" else []
    return {
        "format": FORMAT,
        "split": setup.split,
        "time": now(),
        "dataset": {"path": str(setup.data.path.resolve()), "fingerprint": setup.data.fingerprint},
        "images": len({one.image for one in kept}),
        "objects": [{**asdict(one), "class": names[one.class_id]} for one in kept],
        "objects_found": setup.found,
        "asked": setup.asked,
        "classes": setup.classes,
        "min_area": setup.least_px,
        **asdict(setup.rules),
        "targets": list(TARGETS),
        "after": [count for count in AFTER if count <= setup.rules.max_clicks],
        "units": {"of": ground.of, "count": ground.units, "draws": DRAWS, "level": LEVEL},
        "notes": [*([f"Take intervals and p with care: {note}."] if note else []), *seen],
        "rule": RULE,
    }


def prompter_row(
    one: Played, images: Sequence[str], groups: Mapping[str, str], setup: Setup, ground: Ground
) -> dict[str, Any]:
    """One prompter in numbers."""
    asked = [image for image in images if one.visits[image]["single"] is not None]
    units_N = units_over(asked, groups)[0]
    answers = [one.visits[image]["single"] for image in asked]
    return {
        "name": one.name,
        "spec": one.spec,
        "centre": summary(one.games(images, steady=True), ground),
        "jittered": summary(one.games(images, steady=False), ground) if setup.rules.repeats else None,
        "single": single_summary(answers, units_N, ground.seed) if answers else None,
        "seconds": seconds_of([one.visits[image] for image in images]),
    }


def csv_rows(one: Played, images: Sequence[str], setup: Setup) -> list[dict[str, Any]]:
    """A row an object, way of clicking and click."""
    rows = []
    for image in images:
        for game in one.visits[image]["games"]:
            wanted = setup.objects[game["object"]]
            head = {
                "prompter": one.name,
                "image": image,
                "object": game["object"],
                "class": setup.data.classes.names[wanted.class_id],
                "area_px": wanted.area_px,
                "way": f"jittered {game['repeat']}" if game["repeat"] else "centre",
            }
            for place, (x, y, positive) in enumerate(game["clicks"]):
                values = {"click": place + 1, "x": x, "y": y, "positive": int(positive)}
                measured = {"iou": round(game["iou"][place], 5), "seconds": round(game["seconds"][place], 5)}
                rows.append({**head, **values, **measured})
    return rows
