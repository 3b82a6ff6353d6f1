"""What a page says of the exports of a run: how near each is to the run itself."""

from __future__ import annotations

from typing import Any

from maskwright.files import read_json
from maskwright.reporting.words import score_text
from maskwright.run import Run


def exports_section(run: Run) -> list[dict[str, Any]]:
    """A row of words for every export in RUN/exports, by name; none where there is none."""
    rows = []
    for path in sorted(run.path.glob("exports/*/export.json")):
        found = read_json(path)
        parity = found["parity"]
        lost = parity["lost"]
        rows.append(
            {
                "name": path.parent.name,
                "size": f"{found['bytes'] / 1e6:.1f} MB",
                "agreement": f"{100 * parity['agreement']:.2f} %",
                "worst": f"{100 * min(test['agreement'] for test in parity['tests'].values()):.2f} %",
                "photos": found["photos"],
                "mean_iou": score_text(parity["mean_iou"]),
                "points": "not measured" if lost is None else f"{-100 * lost:+z.2f}",
                "time": found["time"],
            }
        )
    return rows
