"""What every side of a split holds, and what a person should know about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import SPLITS, Sample
from maskwright.data.splits.holdout import SplitRule
from maskwright.data.splits.sides import Decision
from maskwright.data.splits.split import FOLD
from maskwright.data.splits.stratify import LEAST_GAIN
from maskwright.types import Classes

Counts = Mapping[str, NDArray[np.int64]]
MOST_NAMED = 6
CHAIN = 0.5  # of all images: a unit that large leaves nothing to share out


@dataclass(frozen=True, kw_only=True)
class SideTally:
    """One side: labelled and other images, groups (or images without one), and by class pixels and images."""

    name: str
    images: int
    unlabelled: int
    groups: int
    pixels: tuple[int, ...]
    images_with: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """Each class's share of the side's labelled pixels."""
        whole = max(1, sum(self.pixels))
        return tuple(pixels / whole for pixels in self.pixels)

    def to_dict(self, classes: Classes) -> dict[str, Any]:
        """Everything, by name."""
        by_class = {
            name: {"pixels": pixels, "share": share, "images": images}
            for name, pixels, share, images in zip(
                classes.names, self.pixels, self.shares, self.images_with, strict=True
            )
        }
        return {
            "images": self.images,
            "unlabelled": self.unlabelled,
            "groups": self.groups,
            "classes": by_class,
        }


def tally(samples: Sequence[Sample], counts: Counts, classes: Classes) -> list[SideTally]:
    """Folds (where there are any), then 'train', 'val', 'test'; `counts` has (K,) pixels of every labelled sample."""
    sides: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        sides[side_name(sample)].append(sample)
    order = sorted(sides, key=lambda name: (name in SPLITS, SPLITS.index(name) if name in SPLITS else 0, name))
    return [_tally(name, sides[name], counts, len(classes)) for name in order]


def side_name(sample: Sample) -> str:
    """'fold 2', or the split."""
    fold = sample.extra.get(FOLD, "")
    return f"fold {fold}" if fold else sample.split


def _tally(name: str, samples: Sequence[Sample], counts: Counts, classes: int) -> SideTally:
    found = [counts[sample.id] for sample in samples if sample.id in counts]
    pixels_NK = np.array(found, np.int64).reshape(len(found), classes)
    return SideTally(
        name=name,
        images=len(found),
        unlabelled=len(samples) - len(found),
        groups=len({sample.group or sample.id for sample in samples}),
        pixels=tuple(pixels_NK.sum(axis=0).tolist()),
        images_with=tuple((pixels_NK > 0).sum(axis=0).tolist()),
    )


def findings(
    sides: Sequence[SideTally], decision: Decision, counts: Counts, classes: Classes, rule: SplitRule, tolerance: float
) -> list[str]:
    """Sentences: classes that a side lacks, shares far off, and images that all hang together."""
    owners = _owners(decision.unit, counts, len(classes))
    found = []
    if not counts:
        found.append("No labelled images: sides follow the hash alone; split again when there are masks.")
    else:
        found += _empty(sides, rule)
        found += _absent(sides, owners, classes)
        found += _far_off(sides, owners, classes, rule, tolerance)
    return [*found, *_chained(decision.unit)]


def _owners(unit: Mapping[str, str], counts: Counts, classes: int) -> list[int]:
    """Number of units that have each class."""
    having: list[set[str]] = [set() for _ in range(classes)]
    for id, pixels_K in counts.items():
        for k in np.flatnonzero(pixels_K):
            having[k].add(unit[id])
    return [len(some) for some in having]


def _empty(sides: Sequence[SideTally], rule: SplitRule) -> Iterator[str]:
    labelled = {side.name for side in sides if side.images}
    if empty := [name for name in _wanted(rule) if name not in labelled]:
        yield (
            f"No labelled image is in {', '.join(empty)}: only whole groups are moved, and there are too few with "
            "masks; label more, or choose smaller groups."
        )


def _absent(sides: Sequence[SideTally], owners: Sequence[int], classes: Classes) -> Iterator[str]:
    if not any(owners):
        return
    for k, name in enumerate(classes.names):
        missing = [side.name for side in sides if side.images and not side.pixels[k]]
        if not owners[k]:
            yield f"'{name}' is labelled nowhere; label some of it, or take it out of the class table."
        elif missing and owners[k] < len(sides):
            has = "1 group has" if owners[k] == 1 else f"{owners[k]} groups have"
            yield (
                f"'{name}' is missing from {', '.join(missing)}: only {has} it, and {len(sides)} sides need one each; "
                "label more of it in other places, or choose smaller groups."
            )
        elif missing:
            yield (
                f"'{name}' is missing from {', '.join(missing)}, though {owners[k]} groups have it: moving one would "
                "take a class from another side, or is held out or kept; try --again, another --seed or larger shares."
            )


def _far_off(
    sides: Sequence[SideTally], owners: Sequence[int], classes: Classes, rule: SplitRule, tolerance: float
) -> Iterator[str]:
    """Shares of images and class pixels that are farther from the wanted one than the tolerance."""
    wanted = _wanted(rule)
    whole = sum(side.images for side in sides if side.name in wanted)
    pixels = np.sum([side.pixels for side in sides if side.name in wanted], axis=0)
    off: list[tuple[float, str]] = []
    for side in sides:
        if side.name not in wanted or not whole:
            continue
        share = wanted[side.name]
        have = [("images", side.images / whole)]
        have += [
            (f"pixels of '{name}'", side.pixels[k] / pixels[k])
            for k, name in enumerate(classes.names)
            if side.pixels[k] and owners[k] >= len(sides)
        ]
        for what, part in have:
            if (far := abs(part / share - 1)) > tolerance + LEAST_GAIN:
                off.append((far, f"{side.name} has {part:.0%} of the {what} instead of {share:.0%}"))
    if off:
        off.sort(key=lambda row: -row[0])
        more = f" and {len(off) - MOST_NAMED} more" if len(off) > MOST_NAMED else ""
        named = "; ".join(text for _, text in off[:MOST_NAMED])
        yield f"Farther from the wanted share than {tolerance:.0%}, as whole groups do not fit better: {named}{more}."


def _wanted(rule: SplitRule) -> dict[str, float]:
    """Shares by which the sides that are shared out divide what is not held out."""
    if rule.folds is not None:
        return {f"fold {fold}": 1 / rule.folds for fold in range(rule.folds)}
    fixed_test = rule.keep_test or rule.hold_out_test is not None
    share = {"val": 0.0 if rule.hold_out is not None else rule.val, "test": 0.0 if fixed_test else rule.test}
    share["train"] = 1 - sum(share.values())
    return {name: part for name, part in share.items() if part}


def _chained(unit: Mapping[str, str]) -> Iterator[str]:
    if not unit:
        return
    (name, size), *_ = Counter(unit.values()).most_common(1)
    if len(unit) > 2 and size > CHAIN * len(unit) and len(set(unit.values())) > 1:
        yield (
            f"{size} of {len(unit)} images hang together as one unit ('{name}'), so shares cannot be met: a large "
            "group, or frames of a video, which near-copies chain; cut it with --group or --column, or use "
            "--no-near-copies."
        )
