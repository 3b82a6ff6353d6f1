"""Findings about the whole: classes that are rare or absent in a split, and images unlike all others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import log

from maskwright.data.audit.evidence import Evidence, Finding, counted, middle_and_spread, share
from maskwright.data.dataset import Sample

FEW_IMAGES = 5
SMALL_SHARE = 0.001
FAR = 5.0  # robust standard deviations
LEAST_IMAGES = 8


def absent(evidence: Evidence) -> Iterator[Finding]:
    """Classes that occur in no mask, or not in every split."""
    classes, by_split = evidence.dataset.classes, _pixels_by_split(evidence)
    for item in classes.items:
        have = [split for split, rows in by_split.items() if any(row[item.id] for row in rows)]
        lack = [split for split in by_split if split not in have]
        if not lack:
            continue
        if not have:
            severity, where = "warning", "occurs in no mask"
            fix = "Take it out of the class table, or label it."
        elif "train" in lack:
            severity, where = "error", f"is not in the training masks, but in {' and '.join(have)}"
            fix = "Nothing can learn it: split anew with 'maskwright split', or label it in training images."
        else:
            severity, where = "warning", f"occurs in {' and '.join(have)}, but not in {' and '.join(lack)}"
            fix = "It has no score there: split anew with 'maskwright split', which spreads rare classes first."
        yield Finding(severity=severity, ids=(), reason=f"Class '{item.name}' {where}.", fix=fix, score=len(lack))


def torn(evidence: Evidence) -> Iterator[Finding]:
    """Groups with images in several splits."""
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in evidence.dataset.samples:
        if sample.group:
            members[sample.group].append(sample)
    for group, samples in sorted(members.items()):
        sides = Counter(sample.split for sample in samples)
        if len(sides) < 2:
            continue
        named = ", ".join(f"{side or 'none'} {count:,}" for side, count in sides.most_common())
        yield Finding(
            severity="warning",
            ids=tuple(sample.id for sample in samples[:2]),
            reason=f"Group '{group}' is on several sides ({named} images).",
            fix="Scores know part of it from training: 'maskwright split' keeps groups whole; keep an official split "
            "as it is, and report groups apart.",
            score=len(samples),
            detail={"group": group, "sides": dict(sides)},
        )


def rare(evidence: Evidence) -> Iterator[Finding]:
    """Classes with little to learn from, or few images to score on."""
    classes = evidence.dataset.classes
    for split, rows in _pixels_by_split(evidence).items():
        total = sum(map(sum, rows))
        for item in classes.items:
            pixels, images = sum(row[item.id] for row in rows), sum(bool(row[item.id]) for row in rows)
            # In a split of a few images every class is in few.
            few = images < FEW_IMAGES and images < len(rows) / 4
            small = split == "train" and pixels < SMALL_SHARE * total
            if not pixels or not (few or small):
                continue
            yield Finding(
                severity="note",
                ids=(),
                reason=f"Class '{item.name}' is rare in '{split or 'all'}': in {images:,} of "
                f"{counted(len(rows), 'image')}, {share(pixels, total)} of the labelled pixels.",
                fix="Label more of it, or show it more often: loss.class_power, 'maskwright patches', 'augment'."
                if split == "train"
                else "Its score hangs on few images: move some there with 'maskwright split'.",
                score=1 - pixels / max(1, total),
            )


def _pixels_by_split(evidence: Evidence) -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for key, mask in evidence.masks.items():
        found[evidence.samples[key].split].append(mask.pixels)
    return {split: found[split] for split in sorted(found, key=("train", "val", "test").__contains__, reverse=True)}


def outlier(evidence: Evidence) -> Iterator[Finding]:
    """Images far from the others in brightness, contrast, sharpness, size or shape."""
    images = evidence.images
    if len(images) < LEAST_IMAGES:
        return
    for name, low, high, floor, value_of in _MEASURES:
        values = {key: value_of(image) for key, image in images.items()}
        middle, spread = middle_and_spread(list(values.values()))
        spread = max(spread, floor)
        for key, value in values.items():
            far = (value - middle) / spread
            if abs(far) < FAR:
                continue
            yield Finding(
                severity="note",
                ids=(key,),
                reason=f"{evidence.samples[key].image} is {high if far > 0 else low} than the others: {name} "
                f"is {abs(far):.0f} robust standard deviations from the median.",
                fix="Look whether it belongs here.",
                score=abs(far),
                detail={"measure": name, "z": far},
            )


# Name, words for less and more, the least spread that counts (sets of equal images have none), the measure.
_MEASURES = (
    ("brightness", "darker", "brighter", 8.0, lambda image: image.brightness),
    ("contrast", "flatter", "richer in contrast", 0.15, lambda image: log(1 + image.contrast)),
    ("sharpness", "more blurred", "sharper or noisier", 0.25, lambda image: log(0.02 + image.sharpness)),
    ("size", "smaller", "larger", 0.1, lambda image: log(image.height * image.width)),
    ("shape", "narrower", "wider", 0.05, lambda image: log(image.width / image.height)),
)
