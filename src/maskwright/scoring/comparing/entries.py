"""What enters a comparison: runs and folders of predictions, scored on the same data set, and the images all have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import Skipped, say
from maskwright.data.dataset import Dataset
from maskwright.files import list_files, read_json
from maskwright.metrics.tally import Tally
from maskwright.run import Counted, Run, read_counts, run_folder
from maskwright.scoring.evaluating.predictions import OTHER_FOLDERS, SUFFIXES
from maskwright.scoring.evaluating.score import evaluate, open_dataset
from maskwright.types import InputError


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How sources are to be scored."""

    split: str = "test"
    weights: str = "best"
    device: str = "auto"
    precision: str = "auto"
    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One source with its scores; `run` is None for a folder of predictions."""

    name: str
    path: Path
    run: Run | None
    scores: dict[str, Any]
    counted: Counted

    @property
    def kind(self) -> str:
        """'run' or 'predictions'."""
        return "predictions" if self.run is None else "run"


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """S sources over the N images that all of them have, in the same order."""

    ids: list[str]
    groups: list[str]
    tally_SN3K: Tally
    left_out: dict[str, int]


def open_entries(
    paths: Sequence[str | Path], dataset: str | Path | Dataset | None, asked: Asked
) -> tuple[Dataset, list[Entry], list[str], list[Skipped]]:
    """The data set, the sources, what a reader must know of them, and files that were left out.

    A source without a current evaluation of the split is evaluated. Raises InputError where there are fewer than two,
    one is named twice, their data sets or class tables differ, or one can be neither read nor evaluated.
    """
    folders = distinct(paths)
    runs = [Run.open(folder) if (folder / "run.yaml").is_file() else None for folder in folders]
    data, skipped = common_dataset(folders, runs, dataset, asked).refresh(strict=asked.strict)
    for folder, run in zip(folders, runs, strict=True):
        if run is not None and run.classes.names != data.classes.names:
            raise InputError(
                f"{folder} was trained on the classes {', '.join(run.classes.names)}, but {data.path} has "
                f"{', '.join(data.classes.names)}; compare runs with the same class table."
            )
    entries: list[Entry] = []
    notes: list[str] = []
    for name, folder, run in zip(names_of(folders), folders, runs, strict=True):
        home = folder / "evaluation" / asked.split
        if reason := outdated(home, folder, run, data, asked):
            note = f"{name} was evaluated again: {reason}." if (home / "scores.json").is_file() else ""
            say(note or f"{name} has no evaluation of {asked.split} yet; evaluating it.")
            notes += [note] if note else []
            result = evaluate(run or folder, data, **vars(asked))
            skipped += [item for item in result.skipped if item not in skipped]
        counted = read_counts(home)
        if counted.tally_N3K.shape[2] != len(data.classes):
            raise InputError(f"{home} was counted for other classes; remove it and compare again.")
        entries.append(Entry(name=name, path=folder, run=run, scores=read_json(home / "scores.json"), counted=counted))
    return data, entries, notes, skipped


def distinct(paths: Sequence[str | Path]) -> list[Path]:
    """The folders named; raises InputError where one is missing or named twice, or there is nothing to compare."""
    folders = [run_folder(path) for path in paths]
    for place, folder in enumerate(folders):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name a run, or a folder of prediction masks.")
        if any(folder.resolve() == other.resolve() for other in folders[:place]):
            raise InputError(f"{folder} is named twice; a source cannot be compared with itself.")
    if len(folders) < 2:
        raise InputError("A comparison needs two sources or more; name another run or folder of predictions.")
    return folders


def names_of(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart, as in 'road' and 'mars', or 'a/road' and 'b/road'."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(len(names) for names in parts) + 1):
        ends = ["/".join(names[-depth:]) for names in parts]
        if len(set(ends)) == len(ends):
            break
    return ends


def common_dataset(
    folders: Sequence[Path], runs: Sequence[Run | None], dataset: str | Path | Dataset | None, asked: Asked
) -> Dataset:
    """The data set named, or the one of all runs, or the one that all predictions were scored on."""
    if dataset is not None:
        return dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    found = {folder: open_dataset(run, None) for folder, run in zip(folders, runs, strict=True) if run is not None}
    if not found:
        scored = {folder: folder / "evaluation" / asked.split / "scores.json" for folder in folders}
        where = {folder: scored_on(path) for folder, path in scored.items() if path.is_file()}
        found = {folder: Dataset.open(path) for folder, path in where.items() if path}
    if not found:
        raise InputError(f"{folders[0]} holds predictions, but of which data set is not known; name it with --dataset.")
    first = next(iter(found))
    for folder, data in found.items():
        if data.fingerprint != found[first].fingerprint:
            raise InputError(
                f"{first} belongs to {found[first].path} and {folder} to {data.path}, which differ; "
                "name the data set to compare on with --dataset."
            )
    return found[first]


def scored_on(path: Path) -> str:
    """The data set's path of a `scores.json`, '' where it has none."""
    scores = read_json(path)
    dataset = scores.get("dataset") if isinstance(scores, dict) else None
    return str(dataset.get("path", "")) if isinstance(dataset, dict) else ""


def outdated(home: Path, folder: Path, run: Run | None, data: Dataset, asked: Asked) -> str:
    """Why an evaluation must be made (again), as words; '' where it is current."""
    path = home / "scores.json"
    if not path.is_file():
        return "it has no scores yet"
    scores = read_json(path)
    if not isinstance(scores, dict) or not (home / "counts.npz").is_file():
        return "an earlier version scored it, without the counts of each image"
    if scores.get("dataset", {}).get("fingerprint") != data.fingerprint:
        return "the data set has changed since"
    if run is None:
        masks = [
            mask for mask in list_files(folder, SUFFIXES) if mask.relative_to(folder).parts[0] not in OTHER_FOLDERS
        ]
        newest = max((mask.stat().st_mtime_ns for mask in masks), default=0)
        return "its masks have changed since" if newest > path.stat().st_mtime_ns else ""
    if scores.get("weights") != asked.weights:
        return f"it was scored with the {scores.get('weights')} weights"
    ended = run.about.get("ended")
    return "it was trained further since" if ended and later(str(ended), str(scores.get("time"))) else ""


def later(first: str, second: str) -> bool:
    """Whether an ISO time comes after another."""
    try:
        return datetime.fromisoformat(first) > datetime.fromisoformat(second)
    except ValueError:
        return True


def align(entries: Sequence[Entry]) -> Aligned:
    """The counts of the images that every source has.

    Raises InputError where there are none, and where sources count other pixels of the same images.
    """
    common = reduce(np.intersect1d, [entry.counted.ids for entry in entries])
    if not len(common):
        raise InputError(
            f"{entries[0].name} and the others have no image in common; compare them on the same split of one data set."
        )
    rows = [np.argsort(entry.counted.ids)[np.searchsorted(np.sort(entry.counted.ids), common)] for entry in entries]
    tally = np.stack([entry.counted.tally_N3K[row] for entry, row in zip(entries, rows, strict=True)])
    for place, entry in enumerate(entries):
        if (tally[place, :, 1] != tally[0, :, 1]).any():
            if ignores_background(entry) == ignores_background(entries[0]):
                raise InputError(
                    f"{entries[0].name} and {entry.name} were scored against other labels; remove "
                    f"{entry.path}/evaluation and compare again."
                )
            leaves_out = entry if ignores_background(entry) else entries[0]
            raise InputError(
                f"{entries[0].name} and {entry.name} are scored over other pixels of the same images (loss.background "
                f"is false in one): write what {leaves_out.name} predicts with 'maskwright predict' and compare that."
            )
    return Aligned(
        ids=[str(id) for id in common],
        groups=[str(group) for group in entries[0].counted.groups[rows[0]]],
        tally_SN3K=tally,
        left_out={entry.name: more for entry in entries if (more := len(entry.counted.ids) - len(common))},
    )


def ignores_background(entry: Entry) -> bool:
    """Whether pixels labelled as background are in no count of this source."""
    return entry.run is not None and entry.run.recipe.background_ignored
