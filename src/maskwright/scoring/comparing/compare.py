"""Are they really different? Runs and folders of predictions on the same images, with what can and cannot be said.

FOLDER/comparison.json (last: it marks the folder complete), comparison.txt, pictures/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.files import require_free, resumable_folder, write_json, write_text
from maskwright.metrics.counts import DEFINITIONS
from maskwright.metrics.units import UNITS, Units, choose_units
from maskwright.run import now
from maskwright.scoring.comparing.cost import costs_of
from maskwright.scoring.comparing.disagree import draw_pairs
from maskwright.scoring.comparing.entries import Aligned, Asked, Entry, align, open_entries
from maskwright.scoring.comparing.judge import pair_rows, ranked, table
from maskwright.scoring.comparing.pairs import DRAWS, LEVEL, Measured, measure_pairs
from maskwright.scoring.comparing.verdict import METRIC_WORDS, RULE, Setting
from maskwright.types import unknown_name

FORMAT = 1
CURVES = ("val_score", "val_loss", "train_loss")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The folder of a comparison, what its `comparison.json` holds, and files that were left out."""

    path: Path
    facts: dict[str, Any]
    skipped: list[Skipped]

    def lines(self) -> list[str]:
        """The ranking and the verdicts as text."""
        return table(self.facts)


def compare(
    sources: Sequence[str | Path],
    dataset: str | Path | Dataset | None = None,
    *,
    out: str | Path,
    split: str = "test",
    units: str = "auto",
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    strict: bool = False,
) -> Comparison:
    """Compare two or more runs or folders of predictions on the images that all of them have; writes `out`.

    A source that has not been evaluated on the split, or not on the data set as it is now, is evaluated first. Raises
    InputError where sources cannot be compared, and TargetError where `out` exists; neither leaves an `out`.
    """
    out = Path(out)
    require_free(out)
    if units not in UNITS:
        raise unknown_name("unit", units, UNITS)
    asked = Asked(split=split, weights=weights, device=device, precision=precision, strict=strict)
    data, entries, notes, skipped = open_entries(sources, dataset, asked)
    aligned = align(entries)
    over = choose_units(aligned.groups, units)
    metric, remark = metric_of(entries, data)
    measured = measure_pairs(aligned.tally_SN3K, metric, data.classes.background, units_N=over.units_N, seed=seed)
    names = [entry.name for entry in entries]
    setting = Setting(metric=METRIC_WORDS[metric], units=over.count, of=over.of, tests=len(measured.pairs))
    pairs = pair_rows(names, data.classes.names, measured, setting)
    rows = ranked(names, data.classes.names, measured, pairs)
    with resumable_folder(out, {"compare": [str(path) for path in sources], "split": split}) as stage:
        costs, timed_on, unmeasured = costs_of(entries, data, aligned.ids, asked)
        pictures, undrawn = draw_pairs(stage / "pictures", rows, entries, data, aligned, asked)
        care = [f"Take intervals and p with care: {over.note}."] if over.note else []
        facts = {
            **described(split, data, aligned, over, metric, measured),
            "notes": [*notes, *([remark] if remark else []), *care, *left_out(aligned), *unmeasured, *undrawn],
            "machine": timed_on,
            "sources": [about(entry) | row | costs[entry.name] for entry, row in zip(entries, rows, strict=True)],
            "pairs": pairs,
            "disagreements": pictures,
        }
        result = Comparison(path=out, facts=facts, skipped=skipped)
        write_text(stage / "comparison.txt", "\n".join(result.lines()) + "\n")
        write_json(stage / "comparison.json", facts)
    return result


def metric_of(entries: Sequence[Entry], data: Dataset) -> tuple[str, str]:
    """The mean that sources are compared by, a key of MEANS, and a remark where their recipes disagree.

    Without background where all runs leave it out of their mean; folders of predictions go along with the runs.
    """
    scored = {entry.run.recipe.background_scored for entry in entries if entry.run is not None}
    if data.classes.background is None or scored in (set(), {True}):
        return "mean_iou", ""
    if scored == {False}:
        return "mean_iou_no_background", ""
    return "mean_iou", "Some runs leave the background out of their mean and some do not; all are compared with it."


def described(
    split: str, data: Dataset, aligned: Aligned, over: Units, metric: str, measured: Measured
) -> dict[str, Any]:
    """What was compared, over what and how."""
    return {
        "format": FORMAT,
        "split": split,
        "time": now(),
        "dataset": {"path": str(data.path.resolve()), "given": str(data.path), "fingerprint": data.fingerprint},
        "images": len(aligned.ids),
        "units": {"of": over.of, "count": over.count, "draws": DRAWS, "level": LEVEL, "note": over.note},
        "metric": {"key": metric, "title": METRIC_WORDS[metric], "definition": DEFINITIONS[metric]},
        "rule": RULE,
        "tests": {
            "means": len(measured.pairs),
            "classes": int(np.isfinite(measured.p_PM[:, 1:]).sum()),
            "draws": measured.draws,
        },
        "left_out": [{"name": name, "images": count} for name, count in aligned.left_out.items()],
        "classes": [{"id": c.id, "name": c.name, "colour": list(c.colour)} for c in data.classes.items],
    }


def left_out(aligned: Aligned) -> list[str]:
    """A sentence for every source with images that others lack."""
    return [
        f"{count:,} image{'' if count == 1 else 's'} of {name} left out, which not all others have."
        for name, count in aligned.left_out.items()
    ]


def about(entry: Entry) -> dict[str, Any]:
    """Where a source comes from, and how it was trained where it is a run."""
    facts: dict[str, Any] = {"name": entry.name, "path": str(entry.path), "kind": entry.kind, "loss": None, "curve": []}
    if entry.run is not None:
        facts["loss"] = entry.run.recipe.loss.model_dump(mode="json")
        facts["curve"] = [
            {"epoch": row["epoch"] + 1, "minutes": row["seconds"] / 60, **{key: row.get(key) for key in CURVES}}
            for row in entry.run.metrics()
            if {"epoch", "seconds"} <= row.keys()
        ]
    return facts
