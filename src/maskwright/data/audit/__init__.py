"""The audit: what is wrong or odd in a data set, each finding with the files, the reason and the fix.

To add a check: write a function `Evidence -> Iterator[Finding]`, add a line to CHECKS, plant its fault in
`benchmarks/audit.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from maskwright.data.audit import broken, misplaced, repeated, spread
from maskwright.data.audit.evidence import SEVERITIES, Evidence, Finding, counted
from maskwright.data.audit.scan import Facts
from maskwright.data.audit.twins import near_pairs
from maskwright.data.dataset import Dataset

__all__ = ["CHECKS", "Audit", "Check", "Evidence", "Finding", "audit_facts"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One kind of finding: how it is found, its title, and why it matters."""

    find: Callable[[Evidence], Iterator[Finding]]
    title: str
    why: str


CHECKS: dict[str, Check] = {
    "damaged": Check(
        find=broken.damaged, title="Files that cannot be read", why="Training would stop at them, or leave them out."
    ),
    "size": Check(
        find=broken.size, title="Masks of another size", why="Pixels of the mask and the image are not the same places."
    ),
    "outside": Check(
        find=broken.outside, title="Ids or colours outside the table", why="They mean nothing, and break training."
    ),
    "colours": Check(
        find=broken.colours, title="Masks saved as colour pictures", why="A mask holds class ids; colours are for eyes."
    ),
    "smoothed": Check(
        find=broken.smoothed,
        title="Smoothed or compressed masks",
        why="Between id 1 and id 3 lies id 2, which is another class: edges get labels that nobody gave.",
    ),
    "leak": Check(
        find=repeated.leak, title="Look-alikes across splits", why="A model is scored on what it has learned by heart."
    ),
    "torn": Check(
        find=spread.torn,
        title="Groups torn apart by the split",
        why="Images of one scene or video in training and test make the score too good.",
    ),
    "same-mask": Check(
        find=repeated.same_mask,
        title="One mask on several images",
        why="At most one of the photos can be what it shows.",
    ),
    "near-mask": Check(
        find=repeated.near_mask,
        title="Nearly the same mask on different images",
        why="Copied masks that were edited a little still belong to another photo.",
    ),
    "disagreeing": Check(
        find=repeated.disagreeing, title="One image, different masks", why="Training is told two truths."
    ),
    "turned": Check(
        find=misplaced.turned, title="Masks that fit better turned", why="Every pixel of such a mask is a wrong label."
    ),
    "shifted": Check(
        find=misplaced.shifted, title="Masks that fit better shifted", why="Thin classes are lost, edges are wrong."
    ),
    "misfit": Check(
        find=misplaced.misfit, title="Masks that do not fit their photo", why="They may belong to another photo."
    ),
    "absent": Check(
        find=spread.absent, title="Classes that are missing", why="They cannot be learned, or have no score."
    ),
    "constant": Check(
        find=broken.constant,
        title="Masks of one value",
        why="Right where the photo shows one thing; else forgotten work.",
    ),
    "unexplained": Check(
        find=broken.unexplained, title="Images that no class explains", why="Labelling may have been broken off."
    ),
    "rare": Check(
        find=spread.rare, title="Rare classes", why="Little to learn from, and scores that hang on few images."
    ),
    "copies": Check(
        find=repeated.copies,
        title="Look-alikes within a split",
        why="They count many times and teach little more than once.",
    ),
    "specks": Check(find=broken.specks, title="Specks and pin-holes", why="Stray clicks that the loss tries to learn."),
    "outlier": Check(
        find=spread.outlier, title="Images unlike the others", why="They may come from elsewhere, or be spoiled."
    ),
}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found in a data set: the errors first, by kind in the order of CHECKS, the worst of each first."""

    dataset: Dataset
    facts: tuple[Facts, ...]
    findings: tuple[Finding, ...]
    path: Path | None = None

    def counts(self) -> dict[str, int]:
        """Findings by severity, in the order of SEVERITIES, also where there are none."""
        have = Counter(finding.severity for finding in self.findings)
        return {severity: have[severity] for severity in SEVERITIES}

    def headline(self) -> str:
        """'701 images, 701 masks: 3 errors, 12 warnings, 1 note.'."""
        images = counted(len(self.facts), "image")
        masks = counted(sum(bool(sample.mask) for sample in self.dataset.samples), "mask")
        found = ", ".join(counted(number, severity) for severity, number in self.counts().items() if number)
        return f"{images}, {masks}: {found or 'nothing to report'}."

    def lines(self, shown: int = 5) -> list[str]:
        """The audit as lines of text: counts, then the worst of each kind with their fix."""
        lines = [self.headline()]
        for (severity, kind), group in groupby(self.findings, key=lambda f: (f.severity, f.kind)):
            findings = list(group)
            lines.append(f"\n{severity}: {CHECKS[kind].title.lower()} ({len(findings):,})")
            lines += [f"  {finding.reason}" for finding in findings[:shown]]
            if len(findings) > shown:
                lines.append(f"  ... and {len(findings) - shown:,} more")
            lines += [f"  -> {fix}" for fix in dict.fromkeys(finding.fix for finding in findings[:shown])]
        return lines

    def to_rows(self) -> list[dict[str, Any]]:
        """Findings as plain data."""
        return [asdict(finding) | {"ids": list(finding.ids)} for finding in self.findings]


def audit_facts(dataset: Dataset, facts: tuple[Facts, ...]) -> Audit:
    """Run every check over facts that were scanned; needs no pixels."""
    evidence = Evidence(dataset=dataset, facts=facts, pairs=near_pairs(facts))
    found = [replace(finding, kind=kind) for kind, check in CHECKS.items() for finding in check.find(evidence)]
    order = list(CHECKS)
    found.sort(key=lambda f: (SEVERITIES.index(f.severity), order.index(f.kind), -f.score, f.ids))
    return Audit(dataset=dataset, facts=facts, findings=tuple(found))
