"""Conditions that a result must hold, written as `METRIC>=NUMBER`, for a build that shall fail where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from maskwright.types import InputError

_FORM = re.compile(r"\s*([^<>=!\s]+)\s*>=\s*(\d+\.?\d*|\.\d+)\s*")
FORMS = "retention, unseen, worst, retention/KIND, worst/KIND, retention/KIND@LEVEL, mean_iou, mean_iou/KIND@LEVEL"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition."""

    text: str
    metric: str
    least: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a result holds a gate; a value that is not defined (None) holds none."""

    gate: str
    value: float | None
    held: bool

    def line(self) -> str:
        """'gate retention>=0.8: held with 0.853'."""
        value = "no value" if self.value is None else f"{self.value:.3f}"
        return f"gate {self.gate}: {'held' if self.held else 'FAILED'} with {value}"


def read_gate(text: str, known: Iterable[str]) -> Gate:
    """`retention>=0.8` -> Gate; raises InputError for another form, or a metric that is not among the known."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InputError(f"'{text}' is no gate; write METRIC>=NUMBER, as in \"retention>=0.8\".")
    metric, least = match[1], float(match[2])
    names = list(known)
    if metric not in names:
        near = get_close_matches(metric, names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else "name one of these:"
        raise InputError(f"The gate '{text}' names no metric of this suite; {hint} ({FORMS})")
    return Gate(text=f"{metric}>={match[2]}", metric=metric, least=least)


def metric_names(kinds: Sequence[str], levels: int) -> list[str]:
    """Every name that a gate may use, the general ones first."""
    names = ["retention", "unseen", "worst", "mean_iou"]
    for kind in kinds:
        names += [f"retention/{kind}", f"worst/{kind}"]
        names += [f"{ratio}/{kind}@{level}" for ratio in ("retention", "mean_iou") for level in range(1, levels + 1)]
    return names


def metrics(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Name -> value of everything in `metric_names`; larger is better in all."""
    found: dict[str, float | None] = {
        "retention": result["retention"],
        "unseen": result["unseen"],
        "worst": result["worst"],
        "mean_iou": result["clean"]["mean_iou"],
    }
    for kind in result["kinds"]:
        name, levels = kind["name"], kind["levels"]
        kept = [row["retention"] for row in levels[1:] if row["retention"] is not None]
        found |= {f"retention/{name}": kind["retention"], f"worst/{name}": min(kept, default=None)}
        for row in levels:
            found |= {f"{key}/{name}@{row['level']}": row[key] for key in ("retention", "mean_iou")}
    return found


def judge(gates: Sequence[Gate], result: Mapping[str, Any]) -> list[Verdict]:
    """A verdict on each gate."""
    values = metrics(result)
    verdicts = []
    for gate in gates:
        value = values.get(gate.metric)
        held = value is not None and value >= gate.least
        verdicts.append(Verdict(gate=gate.text, value=value, held=held))
    return verdicts
