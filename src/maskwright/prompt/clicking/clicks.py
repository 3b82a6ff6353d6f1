"""How many clicks to a good mask: prompters on the same objects, clicked by the same simulated person.

FOLDER/clicks.json (last: it marks the folder complete), clicks.csv (a row an object and click), clicks.txt
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import journaled
from maskwright.files import JOURNAL, content_hash, explained, read_bytes, require_free, resumable_folder
from maskwright.prompt import check_spec, load_prompter
from maskwright.prompt.clicking.objects import Wanted, asked_classes, choose_objects, find_objects
from maskwright.prompt.clicking.play import Playing, Rules, Visit, warm_up
from maskwright.prompt.clicking.printed import click_table
from maskwright.prompt.clicking.result import RESULT, Played, Setup, write_result
from maskwright.prompt.prompter import Prompter
from maskwright.run import Run, run_folder
from maskwright.types import InputError


@dataclass(frozen=True, kw_only=True)
class Clicked:
    """The folder written, what its `clicks.json` holds, files left out, and the run whose folder it is inside."""

    path: Path
    run: Path | None
    facts: dict[str, Any]
    skipped: list[Skipped]

    def lines(self) -> list[str]:
        """The table and the sentences as text."""
        return click_table(self.facts)


def clicks(
    prompters: Sequence[str | Prompter],
    dataset: str | Path | Dataset,
    *,
    split: str = "test",
    out: str | Path | None = None,
    classes: Sequence[str] | None = None,
    objects: int = 50,
    min_area: int = 400,
    max_clicks: int = 20,
    jitter: int = 1,
    tell_class: bool = False,
    seed: int = 0,
    strict: bool = False,
) -> Clicked:
    """Let a simulated person click objects of `split` with every prompter, and write what it took into a folder.

    A prompter is a name as `load_prompter` takes it, or a prompter. Clicked are at most `objects` connected regions of
    at least `min_area` pixels of the `classes` (all but the background), the same ones for all: once at the centre of
    the widest error and `jitter` times near it. With `tell_class` prompters that know classes are told the object's.
    One random prompt an image is asked as well, of as many images. The folder is `out`; without it RUN/clicks/SPLIT
    for one run alone, else clicks/SPLIT-N. An earlier result there is replaced once the new one is complete; after an
    interruption the same call goes on.

    Raises InputError for unknown prompters and classes, and where the split has no such object or no label.
    """
    if not prompters:
        raise InputError("No prompter is named; name one or more, as in 'maskwright clicks classical DATASET'.")
    if min(objects, min_area, max_clicks) < 1 or jitter < 0:
        raise InputError("Objects, pixels and clicks must be at least 1, jitter at least 0; give larger numbers.")
    run = run_of(prompters[0]) if len(prompters) == 1 and out is None else None
    folder = Path(out) if out is not None else run / "clicks" / split if run else free_folder(split)
    if not (folder / RESULT).is_file():
        require_free(folder)
    data, skipped = (dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)).refresh(strict=strict)
    rules = Rules(max_clicks=max_clicks, repeats=jitter, seed=seed, tell_class=tell_class)
    named = load_all(prompters)
    setup = set_up(data, split, rules, skipped, classes=classes or (), most=objects, least_px=min_area)
    with result_folder(folder, job_of(prompters, setup)) as stage:
        played = [play_all(*one, setup, stage / JOURNAL, skipped, strict=strict) for one in named]
        facts = write_result(stage, setup, played, skipped)
    return Clicked(path=folder, run=run, facts=facts, skipped=list(dict.fromkeys(skipped)))


def set_up(
    data: Dataset,
    split: str,
    rules: Rules,
    skipped: list[Skipped],
    *,
    classes: Sequence[str],
    most: int,
    least_px: int,
) -> Setup:
    """Which objects and images; labels that cannot be read are added to `skipped`."""
    wanted, samples = asked_classes(data, classes), data.labelled(split)
    found = find_objects(data, samples, wanted, least_px, skipped)
    chosen = choose_objects(found, most, rules.seed)
    return Setup(
        data=data,
        split=split,
        rules=rules,
        objects=chosen,
        visits=plan_visits(samples, chosen, most),
        least_px=least_px,
        asked=most,
        classes=list(classes),
        found=len(found),
    )


def load_all(prompters: Sequence[str | Prompter]) -> list[tuple[str, str, Prompter]]:
    """(name, what it was asked for by, prompter); names tell them apart. Raises InputError where one is there twice."""
    specs = [one if isinstance(one, str) else one.name for one in prompters]
    if twice := [spec for spec in specs if specs.count(spec) > 1]:
        raise InputError(f"Prompter '{twice[0]}' is named twice; name every one once.")
    loaded = [load_prompter(one) if isinstance(one, str) else one for one in prompters]
    names = [one.name for one in loaded]
    return list(zip(names if len(set(names)) == len(names) else specs, specs, loaded, strict=True))


def plan_visits(samples: Sequence[Sample], chosen: Sequence[Wanted], most: int) -> list[Visit]:
    """Every image with a chosen object, and for the single prompts at most so many images, evenly over the list."""
    count = min(most, len(samples))
    singles = {place * len(samples) // count for place in range(count)}
    visits = []
    for number, sample in enumerate(samples):
        own = tuple((place, one) for place, one in enumerate(chosen) if one.image == sample.id)
        if own or number in singles:
            visits.append(Visit(sample=sample, objects=own, single=number if number in singles else None))
    return visits


def play_all(
    name: str, spec: str, prompter: Prompter, setup: Setup, journal: Path, skipped: list[Skipped], *, strict: bool
) -> Played:
    """Let one prompter answer at every image; images that cannot be used are added to `skipped`."""
    warm_up(prompter)
    results = journaled(
        Playing(prompter=prompter, data=setup.data.only_table(), rules=setup.rules),
        setup.visits,
        journal=journal,
        key=lambda visit: f"{spec}|{visit.sample.id}",
        label=f"clicking with {name}",
        name=lambda visit: visit.sample.id,
        workers=0,
        strict=strict,
    )
    played = Played(name=name, spec=spec)
    for visit, result in zip(setup.visits, results, strict=True):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            played.visits[visit.sample.id] = result
    return played


def free_folder(split: str) -> Path:
    """clicks/SPLIT-N with the lowest N that is free."""
    number = 1
    while (folder := Path("clicks") / f"{split}-{number}").exists():
        number += 1
    return folder


def run_of(prompter: str | Prompter) -> Path | None:
    """The run folder that a prompter's name speaks of."""
    if not isinstance(prompter, str):
        return None
    name, argument = check_spec(prompter)
    return run_folder(argument) if name == "run" and argument else None


def job_of(prompters: Sequence[str | Prompter], setup: Setup) -> dict[str, Any]:
    """What makes a result the result that it is."""
    return {
        "prompters": [[one if isinstance(one, str) else one.name, weights_hash(one)] for one in prompters],
        "fingerprint": setup.data.fingerprint,
        "split": setup.split,
        "rules": asdict(setup.rules),
        "objects": [asdict(one) for one in setup.objects],
        "single": [visit.sample.id for visit in setup.visits if visit.single is not None],
    }


def weights_hash(prompter: str | Prompter) -> str:
    """Of a run's weights, which may change between two calls."""
    run = run_of(prompter)
    return "" if run is None else content_hash(read_bytes(Run.open(run).weights("best")))


@contextmanager
def result_folder(folder: Path, job: dict[str, Any]) -> Iterator[Path]:
    """A stage for the result; an earlier one in `folder` is there until the new one is complete."""
    if not folder.exists():
        with resumable_folder(folder, job) as stage:
            yield stage
        return
    fresh = folder.with_name(f".{folder.name}.new")
    with explained(fresh):
        if fresh.exists():  # an earlier call ended just before it could move it
            shutil.rmtree(fresh)
    with resumable_folder(fresh, job) as stage:
        yield stage
    with explained(folder):
        shutil.rmtree(folder)
        fresh.rename(folder)
