"""The tables of a comparison: a row a pair with its verdict, a row a source with its rank, and all of it as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from maskwright.scoring.comparing.pairs import Floats, Measured
from maskwright.scoring.comparing.verdict import Pair, Setting, letters, verdict
from maskwright.scoring.evaluating.resampling import number

MOST_VERDICTS = 6

Rows = list[dict[str, Any]]


def pair_rows(names: Sequence[str], classes: Sequence[str], measured: Measured, setting: Setting) -> Rows:
    """One row a pair, differences as fractions, second minus first."""
    rows: Rows = []
    for place, (a, b) in enumerate(measured.pairs):
        cells = [_cells(measured, place, column) for column in range(1 + len(classes))]
        found = verdict(
            Pair(
                first=names[a],
                second=names[b],
                difference=float(measured.difference_PM[place, 0]),
                low=float(measured.low_PM[place, 0]),
                high=float(measured.high_PM[place, 0]),
                error=float(measured.error_PM[place, 0]),
                adjusted=float(measured.adjusted_PM[place, 0]),
                same=bool(measured.same_P[place]),
            ),
            setting,
        )
        by_class = [{"name": name} | cell for name, cell in zip(classes, cells[1:], strict=True)]
        row = {"a": names[a], "b": names[b], **cells[0], "verdict": found.text, "better": found.better}
        rows.append(row | {"same": bool(measured.same_P[place]), "classes": by_class})
    return rows


def ranked(names: Sequence[str], classes: Sequence[str], measured: Measured, pairs: Rows) -> Rows:
    """One row a source, in the order given: score, interval, rank, and the letters of those not shown to differ."""
    scores = [float(score) for score in measured.score_SM[:, 0]]
    order = sorted(range(len(names)), key=lambda place: (math.isnan(scores[place]), -scores[place], place))
    different = {frozenset((pair["a"], pair["b"])) for pair in pairs if pair["better"] is not None}
    shared = letters([names[place] for place in order], different)
    first = names[order[0]]
    return [
        {
            "score": number(scores[place]),
            "interval": [number(bound[place, 0]) for bound in (measured.low_SM, measured.high_SM)],
            "rank": order.index(place) + 1,
            "letters": shared[name],
            "with_the_best": frozenset((first, name)) not in different,
            "classes": [
                {"name": title, "iou": iou, "low": low, "high": high}
                for title, iou, low, high in zip(
                    classes, *(_tail(part[place]) for part in (measured.score_SM, measured.low_SM, measured.high_SM)),
                    strict=True,
                )
            ],
        }
        for place, name in enumerate(names)
    ]  # fmt: skip


def table(facts: Mapping[str, Any]) -> list[str]:
    """Lines of text: the ranking, the verdicts, and by which rule."""
    sources = sorted(facts["sources"], key=lambda source: int(source["rank"]))
    width = min(32, max(6, *(len(source["name"]) for source in sources)))
    lines = [f"{'':3} {'source':{width}} {'score':>6} {'95 % interval':>15} {'':4} {'ms':>7} {'parameters':>12}"]
    for source in sources:
        low, high = source["interval"]
        latency, parameters = source["latency_ms"], source["parameters"]
        lines.append(
            f"{source['rank']:3} {source['name'][-width:]:{width}} {_number(source['score']):>6} "
            f"{_number(low) + ' - ' + _number(high):>15} {source['letters']:4} "
            f"{'-' if latency is None else f'{latency:.1f}':>7} {'-' if parameters is None else f'{parameters:,}':>12}"
        )
    lines += [
        f"Score: {facts['metric']['title']} over {facts['images']:,} images that all have; intervals over "
        f"{facts['units']['count']:,} {facts['units']['of']}; sources that share a letter are not shown to differ.",
        "",
    ]
    pairs = facts["pairs"]
    if len(pairs) > MOST_VERDICTS:
        pairs = [pair for pair in pairs if sources[0]["name"] in (pair["a"], pair["b"])]
    lines += [pair["verdict"] for pair in pairs]
    if rest := len(facts["pairs"]) - len(pairs):
        lines.append(f"The verdicts of the other {rest} pairs are in comparison.json and on the page.")
    return [*lines, "", facts["rule"], *facts["notes"]]


def _cells(measured: Measured, place: int, column: int) -> dict[str, float | None]:
    arrays: dict[str, Floats] = {
        "difference": measured.difference_PM,
        "low": measured.low_PM,
        "high": measured.high_PM,
        "p": measured.p_PM,
        "p_adjusted": measured.adjusted_PM,
    }
    return {name: number(array[place, column]) for name, array in arrays.items()}


def _tail(values_M: Floats) -> list[float | None]:
    return [number(value) for value in values_M[1:]]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
