"""Findings about repetition: the same photo twice, in two splits, with two masks; the same mask on different photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maskwright.data.audit.alignment import AS_IT_IS
from maskwright.data.audit.broken import margin
from maskwright.data.audit.evidence import Evidence, Finding, counted, listed
from maskwright.data.audit.look import thumb_ids
from maskwright.data.audit.twins import FLAT, Twins, clusters, similar_codes

COPY = 0.02  # re-encoded, scaled and brightened copies stay below; neighbours in a video lie above
ALIKE = 0.05  # beyond, some twins are other places of the same kind: good to split by, not to report
LEAST_CORNERS = 12  # outlines with fewer may be equal by chance
LEAST_KAPPA = 0.9
UNLIKE = 0.12
PRECEDENCE = ("test", "val", "train")


def leak(evidence: Evidence) -> Iterator[Finding]:
    """Images of one split that show the same as images of another."""
    across = [pair for pair in evidence.pairs if pair.distance <= ALIKE and _splits(evidence, pair)]
    equal = [pair for pair in across if pair.distance == 0]
    copies = [pair for pair in across if 0 < pair.distance <= COPY]
    alike = [pair for pair in across if pair.distance > COPY]
    for group, severity, what in (
        (equal, "error", "are the same file"),
        (copies, "error", "show the same, up to encoding, size, brightness or a little crop"),
        (alike, "warning", "look alike, as neighbours in a video do"),
    ):
        for cluster in clusters(group):
            splits = {key: evidence.samples[key].split for key in cluster.ids}
            kept = min(splits.values(), key=_precedence)
            places = ", ".join(f"{key} ({splits[key]})" for key in _mixed(splits)[:4])
            rest = f" and {len(splits) - 4} more" if len(splits) > 4 else ""
            repairs = {key: "leave out" for key, split in splits.items() if split != kept} if group is equal else {}
            fix = "Split anew with 'maskwright split', which keeps look-alikes on one side"
            yield Finding(
                severity=severity,
                ids=_mixed(splits),
                reason=f"{places}{rest} {what}; scores on one side know the other.",
                fix=f"{fix}; --fix keeps only those in '{kept}'." if repairs else f"{fix}.",
                score=len(splits) * (1 - cluster.distance),
                repairs=repairs,
                detail={"distance": cluster.distance},
            )


def _mixed(splits: Mapping[str, str]) -> tuple[str, ...]:
    """The ids, with one of another split in second place."""
    first, *others = splits
    others.sort(key=lambda key: splits[key] == splits[first])
    return first, *others


def _splits(evidence: Evidence, pair: Twins) -> bool:
    first, second = evidence.samples[pair.first].split, evidence.samples[pair.second].split
    return bool(first and second and first != second)


def _precedence(split: str) -> int:
    return PRECEDENCE.index(split) if split in PRECEDENCE else len(PRECEDENCE)


def copies(evidence: Evidence) -> Iterator[Finding]:
    """Images of one split that show the same."""
    within = [pair for pair in evidence.pairs if pair.distance <= ALIKE and not _splits(evidence, pair)]
    for cluster in clusters(within):
        equal = len({evidence.by_id[key].image_hash for key in cluster.ids}) == 1
        near = cluster.distance <= COPY
        if near:
            what = f"are {'the same file' if equal else 'near-copies'}: together they teach little more than one"
            fix = "Keep one, or give them one group so that no split tears them apart."
        else:
            chain = ", each one the next" if len(cluster.ids) > 2 else ""
            what = f"look alike{chain}, as in a video: they are fewer views than files"
            fix = "Give them one group so that no split tears them apart; 'maskwright split' does by itself."
        yield Finding(
            severity="note",
            ids=cluster.ids,
            reason=f"{counted(len(cluster.ids), 'image')} ({listed(cluster.ids)}) {what}.",
            fix=fix,
            score=len(cluster.ids) + (100 if equal else 0),
            detail={"distance": cluster.distance},
        )


def disagreeing(evidence: Evidence) -> Iterator[Finding]:
    """The same image file with different masks."""
    by_image: dict[str, list[str]] = defaultdict(list)
    for facts in evidence.facts:
        if facts.mask and facts.image_hash:
            by_image[facts.image_hash].append(facts.id)
    for ids in by_image.values():
        masks = [evidence.masks[key] for key in ids]
        if len({mask.digest for mask in masks}) < 2:
            continue
        same = min(float((thumb_ids(masks[0]) == thumb_ids(mask)).mean()) for mask in masks[1:])
        yield Finding(
            severity="warning",
            ids=tuple(ids),
            reason=f"{listed(ids)} are one image with different masks, which agree in about {100 * same:.0f} % of it.",
            fix="Decide for one mask and remove the other rows; the difference tells how well people agree.",
            score=1 - same,
            detail={"agreement": same},
        )


def same_mask(evidence: Evidence) -> Iterator[Finding]:
    """The very same mask on different images."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for key, mask in evidence.masks.items():
        if mask.corners >= LEAST_CORNERS:
            by_digest[mask.digest].append(key)
    alike = _group_of(evidence)
    for ids in by_digest.values():
        if len({evidence.by_id[key].image_hash for key in ids}) < 2:
            continue
        if len(ids) == 2 and len({alike.get(key, key) for key in ids}) == 1:
            continue  # a copy has its mask copied, too
        different = len({alike.get(key, key) for key in ids}) > 1
        everywhere = len(ids) >= 0.9 * len(evidence.masks)
        owner = _owner(evidence, ids)
        pasted = different and not everywhere
        fits = f"; it fits only {owner}" if owner and pasted else ""
        reason = f"{counted(len(ids), 'image')} {'' if different else 'that look alike '}share one mask ({listed(ids)})"
        if pasted:
            fix = "Label them anew; --fix keeps the images as unlabelled, but for one that the mask fits."
        else:
            fix = "Right if what it marks is fixed to the camera; they count as one labelled image when splitting."
        yield Finding(
            severity="error" if pasted else "warning" if different else "note",
            ids=tuple(ids),
            reason=f"{reason}{fits}.",
            fix=fix,
            score=len(ids),
            repairs={key: "drop the mask" for key in ids if key != owner} if pasted else {},
            detail={"owner": owner},
        )


def near_mask(evidence: Evidence) -> Iterator[Finding]:
    """Slightly altered copies of a mask on different images."""
    keys = [key for key, mask in evidence.masks.items() if mask.corners >= LEAST_CORNERS and evidence.by_id[key].image]
    pairs = [Twins(first=keys[a], second=keys[b], distance=1 - kappa) for a, b, kappa in _near_masks(evidence, keys)]
    usual = evidence.usual_fit
    for cluster in clusters(pairs):
        weak = [key for key in cluster.ids if _fit_score(evidence, key) < max(0.3, usual / 2)]
        owner = _owner(evidence, cluster.ids)
        if not weak or usual == 0:
            continue
        yield Finding(
            severity="warning",
            ids=cluster.ids,
            reason=f"{counted(len(cluster.ids), 'different image')} have nearly the same mask ({listed(cluster.ids)}), "
            f"agreeing to {100 * (1 - cluster.distance):.0f} % beyond chance"
            + (f"; it fits only {owner}." if owner else "; it fits none of them well." if len(weak) > 1 else "."),
            fix="Look at them; --fix keeps those that it does not fit as unlabelled.",
            score=len(cluster.ids),
            repairs=dict.fromkeys([key for key in weak if key != owner], "drop the mask"),
            detail={"owner": owner},
        )


def _near_masks(evidence: Evidence, keys: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Pairs of places in `keys`: masks that agree, not by chance (Cohen's kappa), on photos that do not."""
    if len(keys) < 2:
        return
    masks = [evidence.masks[key] for key in keys]
    ids_NC = np.stack([thumb_ids(mask).ravel() for mask in masks])
    looks_NC = np.stack([_look(evidence, key) for key in keys])
    for a_all, b_all in similar_codes(np.array([mask.code for mask in masks], np.uint64)):
        for start in range(0, len(a_all), 4096):
            a, b = a_all[start : start + 4096], b_all[start : start + 4096]
            unlike = np.einsum("nc,nc->n", looks_NC[a], looks_NC[b]) <= 1 - UNLIKE
            for i, j in zip(a[unlike], b[unlike], strict=True):
                kappa = _kappa(ids_NC[i], ids_NC[j])
                if kappa >= LEAST_KAPPA and masks[i].digest != masks[j].digest:
                    yield int(i), int(j), kappa


def _look(evidence: Evidence, key: str) -> NDArray[np.float32]:
    """The photo's thumbnail in grey, mean 0 and length 1; zero where it has no contrast."""
    grey = np.frombuffer(evidence.images[key].thumb, np.uint8).reshape(-1, 3).mean(axis=1)
    grey = grey - grey.mean()
    return np.asarray(grey / np.linalg.norm(grey) if grey.std() >= FLAT else grey * 0, np.float32)


def _kappa(first: NDArray[np.uint16], second: NDArray[np.uint16]) -> float:
    agreed = float((first == second).mean())
    chance = sum(float((first == value).mean() * (second == value).mean()) for value in np.unique(first))
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def _group_of(evidence: Evidence) -> dict[str, str]:
    """The cluster of look-alikes that an image is in, by the id of its first."""
    return {key: cluster.ids[0] for cluster in clusters(evidence.pairs) for key in cluster.ids}


def _fit_score(evidence: Evidence, key: str) -> float:
    fit = evidence.masks[key].fit
    return fit.scores.get(AS_IT_IS, 0.0) if fit else 0.0


def _owner(evidence: Evidence, ids: Sequence[str]) -> str | None:
    """The one image that a shared mask fits, if it fits one clearly better than the others."""
    first, second = sorted(ids, key=lambda key: -_fit_score(evidence, key))[:2]
    fit = evidence.masks[first].fit
    if fit is None or _fit_score(evidence, first) < max(0.3, evidence.usual_fit / 2):
        return None
    return first if _fit_score(evidence, first) - _fit_score(evidence, second) >= margin(fit) else None
