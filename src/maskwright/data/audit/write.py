"""The audit's folder: audit.json for machines, audit.txt for eyes, pictures for the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskwright.data.audit import CHECKS, Audit, audit_facts
from maskwright.data.audit.pictures import draw_worst
from maskwright.data.audit.scan import scan
from maskwright.data.audit.summary import summary
from maskwright.data.dataset import Dataset
from maskwright.files import explained, write_json, write_text

FORMAT = 1


def audit_dataset(dataset: Dataset | str | Path, *, out: str | Path | None = None, workers: int | None = None) -> Audit:
    """Look at every image and mask of a data set, and write what is wrong or odd into DATASET/audit/ (or `out`).

    Writes `audit.json` (every finding), `audit.txt` (the worst of each kind) and pictures of the worst findings;
    `maskwright.audit_page` makes one HTML page of them. Nothing else in the data set changes but its cache.
    Raises InputError if `dataset` is none or the folder cannot be written.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    folder = Path(out) if out is not None else data.path / "audit"
    result = audit_facts(data, tuple(scan(data, workers=workers)))
    with explained(folder):
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for old in (folder / "pictures").glob("*.jpg"):
            old.unlink()
    drawn = draw_worst(data, result.findings, folder / "pictures")
    write_json(folder / "audit.json", record(result, drawn))
    write_text(folder / "audit.txt", "\n".join(result.lines()) + "\n")
    return Audit(dataset=data, facts=result.facts, findings=result.findings, path=folder)


def record(audit: Audit, drawn: dict[int, list[dict[str, str]]]) -> dict[str, Any]:
    """The content of `audit.json`."""
    data = audit.dataset
    rows = [row | {"pictures": drawn.get(place, [])} for place, row in enumerate(audit.to_rows())]
    return {
        "format": FORMAT,
        "dataset": {"path": str(data.path), "name": data.path.resolve().name, "fingerprint": data.fingerprint},
        "classes": data.classes.to_dict(),
        "counts": audit.counts(),
        "kinds": {kind: {"title": check.title, "why": check.why} for kind, check in CHECKS.items()},
        "findings": rows,
        "summary": summary(data, audit.facts),
    }
