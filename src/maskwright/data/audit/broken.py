"""Findings about single mask files: damaged, of the wrong size, of the wrong kind, with ids that cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from maskwright.data.audit.alignment import Fit
from maskwright.data.audit.evidence import Evidence, Finding, counted, middle_and_spread, share
from maskwright.data.audit.look import MaskFacts

SMALL_PARTS = 3  # columns of `MaskFacts.parts` that count as specks: fewer than 8 pixels
SMOOTH_SHARE = 0.3  # natural masks stay below 0.04
MOST_THICK = 0.1


def damaged(evidence: Evidence) -> Iterator[Finding]:
    """Images and masks that are missing or cannot be decoded."""
    for facts in evidence.facts:
        if facts.image_error:
            yield Finding(
                severity="error",
                ids=(facts.id,),
                reason=_short(facts.image_error, evidence),
                fix="Copy the image again or remove its row; --fix leaves it out.",
                score=2.0,
                repairs={facts.id: "leave out"},
            )
        elif facts.mask_error:
            yield Finding(
                severity="error",
                ids=(facts.id,),
                reason=_short(facts.mask_error, evidence),
                fix="Export the mask again; --fix keeps the image as unlabelled.",
                score=1.0,
                repairs={facts.id: "drop the mask"},
            )


def _short(error: str, evidence: Evidence) -> str:
    """Paths within the data set, as in all other findings."""
    return error.replace(f"{evidence.dataset.path}/", "")


def size(evidence: Evidence) -> Iterator[Finding]:
    """Masks that are not as large as their image, and rows that say another size than the image has."""
    for key, photo in evidence.images.items():
        sample = evidence.samples[key]
        if sample.size_hw != (photo.height, photo.width):
            yield Finding(
                severity="error",
                ids=(key,),
                reason=f"{sample.image} is {photo.width} x {photo.height} but samples.csv says "
                f"{sample.width} x {sample.height}.",
                fix="Correct the row, or put back the image that it means; --fix corrects the row.",
                repairs={key: "correct the row"},
            )
    for key, mask in evidence.masks.items():
        image = evidence.images.get(key)
        if image is None or (image.height, image.width) == (mask.height, mask.width):
            continue
        sizes = f"is {mask.width} x {mask.height} but its image is {image.width} x {image.height}"
        turn = decided_turn(mask.fit) if mask.fit else None
        if turn:
            how, repair = f"; it fits when {turn}", turn
            fix = f"Export the mask again, or let --fix write it {turn}."
        else:
            how, repair = "", "drop the mask"
            fix = "Export the mask at the image's size; --fix keeps the image as unlabelled."
        yield Finding(
            severity="error",
            ids=(key,),
            reason=f"{evidence.samples[key].mask} {sizes}{how}.",
            fix=fix,
            score=abs(1 - mask.area / (image.height * image.width)),
            repairs={key: repair},
        )


def decided_turn(fit: Fit) -> str | None:
    """The turn that fits best, if it is clearly better than all others."""
    best, *others = sorted(fit.scores.items(), key=lambda item: -item[1])
    clear = best[1] - (others[0][1] if others else 0.0) >= margin(fit) and best[1] >= 0.3
    return best[0] if clear else None


def margin(fit: Fit) -> float:
    """By how much a fit must be better to be believed: more where the outline is short."""
    return float(0.1 + 3 / max(1, fit.outline) ** 0.5)


def colours(evidence: Evidence) -> Iterator[Finding]:
    """Masks saved as pictures in the class table's own colours."""
    for key, mask in evidence.masks.items():
        if mask.kind == "colours" and not mask.alien_pixels:
            yield Finding(
                severity="error",
                ids=(key,),
                reason=f"{evidence.samples[key].mask} is a colour picture in the class table's own colours, "
                "where a mask holds one plane of class ids.",
                fix="Let --fix write the ids that the colours mean.",
                repairs={key: "mend"},
            )


def outside(evidence: Evidence) -> Iterator[Finding]:
    """Areas of ids or colours that the class table does not have."""
    for key, mask in evidence.masks.items():
        thick = mask.alien_pixels - mask.mendable
        if thick > MOST_THICK * mask.alien_pixels:
            yield Finding(
                severity="error",
                ids=(key,),
                reason=f"{evidence.samples[key].mask} has {counted(mask.alien_pixels, 'pixel')} "
                f"({share(mask.alien_pixels, mask.area)}) of {alien_names(mask)}, outside the class table.",
                fix="Name all classes when importing, or correct the mask; --fix turns these pixels into ignore.",
                score=thick / mask.area,
                repairs={key: "mend"},
            )


def alien_names(mask: MaskFacts) -> str:
    """'id 12' or 'the colours #ff0000, #00ff00 and 5 more'."""
    texts = [f"#{value:06x}" if mask.kind == "colours" else str(value) for value, _ in mask.aliens[:3]]
    rest = mask.alien_kinds - len(texts)
    noun = "the colour" if mask.kind == "colours" else "id"
    return f"{noun}{'s' if mask.alien_kinds > 1 else ''} {', '.join(texts)}{f' and {rest:,} more' if rest else ''}"


def smoothed(evidence: Evidence) -> Iterator[Finding]:
    """Anti-aliased edges and JPEG damage: values in between two classes that mean neither."""
    for key, mask in evidence.masks.items():
        aliens = mask.alien_pixels
        thin = bool(aliens) and aliens - mask.mendable <= MOST_THICK * aliens
        smooth = is_smoothed(mask.steps, mask.smooth)
        if not (thin or smooth or mask.lossy):
            continue
        parts = []
        if mask.lossy:
            parts.append("is stored as JPEG, which blurs ids")
        if thin:
            where = "near a class's colour or along edges" if mask.kind == "colours" else "in thin lines along edges"
            parts.append(f"has {counted(aliens, 'pixel')} of {alien_names(mask)} {where}, outside the class table")
        if smooth:
            parts.append(
                f"passes an id in between at {share(mask.smooth, mask.steps)} of the edges between distant ids"
            )
        yield Finding(
            severity="error" if thin or smooth else "warning",
            ids=(key,),
            reason=f"{evidence.samples[key].mask} {'; it '.join(parts)}: saved with smoothing or compression.",
            fix="Export the mask without smoothing as PNG; --fix gives these pixels the id of the nearest true area.",
            score=(aliens + mask.smooth) / mask.area,
            repairs={key: "mend"},
        )


def is_smoothed(steps: int, smooth: int) -> bool:
    """Whether so many of the steps between distant ids pass an id in between that the mask was smoothed."""
    return smooth >= 30 and smooth >= SMOOTH_SHARE * steps


def specks(evidence: Evidence) -> Iterator[Finding]:
    """Masks with far more specks and pin-holes than is usual in this data set."""
    counts = {key: sum(sum(row[:SMALL_PARTS]) for row in mask.parts[:-1]) for key, mask in evidence.masks.items()}
    middle, spread = middle_and_spread(list(counts.values()))
    names = evidence.dataset.classes.names
    for key, count in counts.items():
        if count < 20 or count < 2 * middle or count < middle + 6 * spread:
            continue
        by_class = sorted(
            zip(names, evidence.masks[key].parts[:-1], strict=True), key=lambda row: -sum(row[1][:SMALL_PARTS])
        )
        name, row = by_class[0]
        yield Finding(
            severity="note",
            ids=(key,),
            reason=f"{evidence.samples[key].mask} has {counted(count, 'speck')} of fewer than 8 pixels "
            f"(usual here: {middle:.0f}), {sum(row[:SMALL_PARTS]):,} of them '{name}'.",
            fix="Clean the mask; --fix with --specks 8 gives them to the class around them.",
            score=count / (middle + 10),
            detail={"specks": count},
        )


def constant(evidence: Evidence) -> Iterator[Finding]:
    """Masks of one value only: all ignored, all one class, or nothing but background."""
    classes = evidence.dataset.classes
    flat = {key: _only_value(mask, evidence) for key, mask in evidence.masks.items()}
    flat = {key: value for key, value in flat.items() if value is not None}
    often = {value: sum(other == value for other in flat.values()) for value in set(flat.values())}
    for key, value in flat.items():
        assert value is not None
        usual = often[value] > 0.05 * len(evidence.masks)
        also = f"; so are {counted(often[value] - 1, 'other mask')}" if often[value] > 1 else ""
        path = evidence.samples[key].mask
        if value == classes.ignore:
            severity, reason = "warning", f"{path} is ignored everywhere, so the image teaches nothing{also}."
            fix = "Label the image; --fix keeps it as unlabelled."
            repairs = {key: "drop the mask"}
        else:
            name, repairs = classes.names[value], {}
            severity = "note" if usual or value == classes.background else "warning"
            reason = f"{path} is '{name}' everywhere{also}."
            fix = "Look whether the image truly shows nothing else; if it was never labelled, remove the mask."
        yield Finding(severity=severity, ids=(key,), reason=reason, fix=fix, score=1 / often[value], repairs=repairs)


def _only_value(mask: MaskFacts, evidence: Evidence) -> int | None:
    if mask.alien_pixels:
        return None
    if mask.ignored == mask.area:
        return evidence.dataset.classes.ignore
    return next((value for value, n in enumerate(mask.pixels) if n == mask.area), None)


def unexplained(evidence: Evidence) -> Iterator[Finding]:
    """Images that no class explains: nearly all background or ignored, where others are not."""
    background = evidence.dataset.classes.background
    explained: dict[str, float] = {}
    for key, mask in evidence.masks.items():
        inside = sum(n for value, n in enumerate(mask.pixels) if value != background)
        explained[key] = inside / mask.area
    middle, _ = middle_and_spread([part for part in explained.values() if part])
    for key, part in explained.items():
        mask = evidence.masks[key]
        # Where objects are small anyway, little of an image is ever explained.
        if part >= 0.02 or part > middle / 20 or mask.alien_pixels or _only_value(mask, evidence) is not None:
            continue
        if not part and mask.ignored < mask.area / 2:
            continue  # a photo without any object
        rest = "ignored" if mask.ignored > mask.area / 2 else "background"
        yield Finding(
            severity="warning" if rest == "ignored" else "note",  # a small object may be all that there is
            ids=(key,),
            reason=f"{evidence.samples[key].mask} explains {share(part, 1)} of the image, the rest is {rest}; "
            f"usual here: {share(middle, 1)}.",
            fix="Look whether labelling was broken off, or a class is missing from the table.",
            score=1 - part,
        )
