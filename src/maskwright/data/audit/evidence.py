"""What checks look at, and what they report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from maskwright.data.audit.alignment import AS_IT_IS
from maskwright.data.audit.look import ImageFacts, MaskFacts
from maskwright.data.audit.scan import Facts
from maskwright.data.audit.twins import Twins
from maskwright.data.dataset import Dataset, Sample

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found: in which samples, why it matters, what to do.

    `kind` is the name of its check in CHECKS, `severity` is one of SEVERITIES, `score` ranks findings of one kind.
    `repairs` says by sample id what `audit --fix` does; empty where only a person can decide. `detail` holds numbers
    for machines.
    """

    kind: str = ""
    severity: str
    ids: tuple[str, ...]
    reason: str
    fix: str
    score: float = 0.0
    repairs: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A data set, the facts of its samples in the same order, and pairs of images that show the same."""

    dataset: Dataset
    facts: Sequence[Facts]
    pairs: Sequence[Twins]

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Samples by id."""
        return {sample.id: sample for sample in self.dataset.samples}

    @cached_property
    def by_id(self) -> dict[str, Facts]:
        """Facts by id."""
        return {facts.id: facts for facts in self.facts}

    @cached_property
    def masks(self) -> dict[str, MaskFacts]:
        """Facts of every mask that can be read."""
        return {facts.id: facts.mask for facts in self.facts if facts.mask}

    @cached_property
    def images(self) -> dict[str, ImageFacts]:
        """Facts of every image that can be read."""
        return {facts.id: facts.image for facts in self.facts if facts.image}

    @cached_property
    def usual_fit(self) -> float:
        """Median of how well masks fit their photos as they are."""
        scores = [mask.fit.scores[AS_IT_IS] for mask in self.masks.values() if mask.fit and AS_IT_IS in mask.fit.scores]
        return middle_and_spread(scores)[0]


def middle_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Median, and 1.4826 times the median distance from it; (0, 0) of nothing."""
    if not values:
        return 0.0, 0.0
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(np.asarray(values) - middle)))


def counted(number: int, noun: str) -> str:
    """'1 image', '12,345 images'."""
    plural = {"class": "classes"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """'a, b, c and 12 more'."""
    if len(names) <= most:
        return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"


def share(part: float, whole: float) -> str:
    """'12 %', '0.3 %', 'under 0.01 %'."""
    value = 100 * part / whole if whole else 0.0
    if 0 < value < 0.01:
        return "under 0.01 %"
    return f"{value:.2f} %" if value < 1 else f"{value:.1f} %" if value < 10 or 99 < value < 100 else f"{value:.0f} %"
