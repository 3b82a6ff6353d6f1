"""Findings about masks and their photos: turned, shifted, and fitting nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot

from maskwright.data.audit.alignment import AS_IT_IS, SIDE, Fit
from maskwright.data.audit.broken import margin
from maskwright.data.audit.evidence import Evidence, Finding

LEAST_SHIFT = 2.5  # working pixels; true masks stay below 2
LEAST_FIT = 0.3
LEAST_OUTLINE = 100
LEAST_GAIN = 0.27  # of the usual fit
# Of the usual fit: nearly all masks in place lead their neighbourhood by more than the first, nearly all turned ones
# by less.
LEAD_IN_PLACE, LEAD_SHIFTED = 0.03, -0.05


def turned(evidence: Evidence) -> Iterator[Finding]:
    """Masks whose outlines meet the photo's edges better when flipped or turned."""
    for key, fit in _fits(evidence):
        name = better_turn(fit, evidence.usual_fit)
        if name is None:
            continue
        now, best = fit.scores[AS_IT_IS], fit.scores[name]
        yield Finding(
            severity="error",
            ids=(key,),
            reason=f"{evidence.samples[key].mask} fits its photo better when {name}: edges along its outlines "
            f"are {best:.2f} standard deviations above the mean, against {now:.2f} as it is.",
            fix="Look at both pictures; --fix with --turn writes the mask turned.",
            score=best - now,
            detail={"turn": name, "fit": now, "better": best},
        )


def better_turn(fit: Fit, usual: float) -> str | None:
    """The turn that fits clearly better than the mask as it is, and about as well as masks usually do."""
    name, best = max(fit.scores.items(), key=lambda item: item[1])
    if name == AS_IT_IS or fit.shifted >= best or fit.lead > LEAD_IN_PLACE * usual:
        return None
    return name if _better(best, fit, usual) else None


def shifted(evidence: Evidence) -> Iterator[Finding]:
    """Masks whose outlines meet the photo's edges better some pixels away."""
    for key, fit in _fits(evidence):
        mask = evidence.masks[key]
        if not fits_shifted(fit, evidence.usual_fit, max(mask.height, mask.width)):
            continue
        down, right = fit.shift
        way = " and ".join(
            f"{abs(n)} pixels {names[n > 0]}"
            for n, names in ((down, ("up", "down")), (right, ("to the left", "to the right")))
            if n
        )
        now = fit.scores[AS_IT_IS]
        yield Finding(
            severity="warning",
            ids=(key,),
            reason=f"{evidence.samples[key].mask} fits its photo better {way}: edges along its outlines are "
            f"{fit.shifted:.2f} standard deviations above the mean, against {now:.2f} as it is.",
            fix="Look at both pictures; if it is true, export the mask again or move it.",
            score=fit.shifted - now,
            detail={"down": down, "right": right, "fit": now, "better": fit.shifted},
        )


def fits_shifted(fit: Fit, usual: float, side_px: int) -> bool:
    """Whether a mask fits clearly better some pixels away, and better there than turned."""
    working = min(1.0, SIDE / side_px)
    if hypot(*fit.shift) * working < LEAST_SHIFT or fit.lead > LEAD_SHIFTED * usual:
        return False
    return fit.shifted - max(fit.scores.values()) >= margin(fit) / 2 and _better(fit.shifted, fit, usual)


def _better(score: float, fit: Fit, usual: float) -> bool:
    """Whether a score is what masks reach here, and better than in place: chance often finds something a bit better."""
    gain = score - fit.scores[AS_IT_IS]
    return gain >= max(margin(fit), LEAST_GAIN * usual) and score >= max(LEAST_FIT, usual / 2)


def misfit(evidence: Evidence) -> Iterator[Finding]:
    """Masks that fit their photo nowhere, in a data set where masks usually do."""
    usual = evidence.usual_fit
    already = {finding.ids[0] for check in (turned, shifted) for finding in check(evidence)}
    for key, fit in _fits(evidence):
        now = max(fit.scores[AS_IT_IS], 0.0)
        mask = evidence.masks[key]
        # One class nearly everywhere: its outline runs along the photo's border, where no edge is.
        if key in already or usual < 0.4 or fit.outline < 300 or max(mask.pixels) > 0.9 * mask.area:
            continue
        if now > usual / 2 or fit.lead >= 0:
            continue
        yield Finding(
            severity="warning",
            ids=(key,),
            reason=f"{evidence.samples[key].mask} fits its photo neither as it is nor turned or shifted: edges along "
            f"its outlines are {now:.2f} standard deviations above the mean, usual here is {usual:.2f}.",
            fix="Look whether the mask belongs to another photo; if so, remove it or label anew.",
            score=usual - now,
            detail={"fit": now, "usual": usual},
        )


def _fits(evidence: Evidence) -> Iterator[tuple[str, Fit]]:
    for key, mask in evidence.masks.items():
        if mask.fit and AS_IT_IS in mask.fit.scores and mask.fit.outline >= LEAST_OUTLINE:
            yield key, mask.fit
