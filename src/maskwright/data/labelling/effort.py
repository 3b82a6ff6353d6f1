"""What labelling took so far, what is left, and what it brought: budget and learning curve."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from maskwright.data.labelling.record import STATUSES, Record
from maskwright.run import Run
from maskwright.types import InputError


def counts(records: Iterable[Record]) -> dict[str, int]:
    """Images by status."""
    have = [record.status for record in records]
    return {status: have.count(status) for status in STATUSES}


def budget(records: Iterable[Record]) -> dict[str, Any]:
    """Clicks and seconds spent, the median of finished images, and what the rest takes at that rate."""
    every = list(records)
    done = [record for record in every if record.status == "labelled"]
    timed = [record for record in done if record.seconds > 0]
    left = sum(record.status in ("unlabelled", "started") for record in every)
    seconds = median(record.seconds for record in timed) if timed else None
    return {
        "labelled": len(done),
        "clicks": sum(record.clicks for record in every),
        "seconds": sum(record.seconds for record in every),
        "median_seconds": seconds,
        "median_clicks": median(record.clicks for record in timed) if timed else None,
        "left": left,
        "hours_left": None if seconds is None else left * seconds / 3600,
    }


def learning_curve(dataset: Path, runs: Path) -> list[dict[str, Any]]:
    """Finished trainings on a data set among the folders of `runs`, oldest first: labelled images, best score, run."""
    found = []
    for folder in sorted(runs.iterdir()) if runs.is_dir() else []:
        try:
            about = Run.open(folder).about
        except InputError:
            continue
        data, score = about.get("data") or {}, (about.get("best") or {}).get("val_score")
        if score is not None and data.get("path") == str(dataset.resolve()):
            labelled = data.get("train_images", 0) + data.get("val_images", 0)
            found.append({"labelled": labelled, "score": score, "run": folder.name, "time": about.get("ended", "")})
    return sorted(found, key=lambda row: str(row["time"]))
