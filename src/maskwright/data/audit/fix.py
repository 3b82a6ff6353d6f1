"""`audit --fix`: the repairs that need no judgement, written into a new data set; the old one is not touched."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.audit import Audit
from maskwright.data.audit.alignment import TURNS
from maskwright.data.audit.broken import is_smoothed
from maskwright.data.audit.look import THICK, alien_plane, between_pixels, read_any_mask, smoothed_steps
from maskwright.data.build import Made, gather, store
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.pixels.parts import labelled_parts
from maskwright.files import content_hash, put_bytes, read_bytes, resumable_folder
from maskwright.imageio import check_mask, encode_mask
from maskwright.run import write_csv
from maskwright.types import Classes, InputError, Mask

REPAIRED = "repairs.csv"
# What may be done to a sample; the rest of the repairs are the names of TURNS.
LEAVE_OUT, DROP_MASK, MEND, CORRECT_ROW = "leave out", "drop the mask", "mend", "correct the row"
_OWN_KEYS = frozenset({"format", "classes", "background", "ignore", "fingerprint"})


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """The repaired data set, and how many samples each repair was applied to."""

    dataset: Dataset
    repairs: dict[str, int]


def fix_dataset(
    audit: Audit, target: str | Path, *, specks: int = 0, turn: bool = False, workers: int | None = None
) -> Fixed:
    """Write a new data set folder `target` with the safe repairs of an audit's findings applied.

    Colour pictures become ids; values smoothed in between become the nearest true id, or ignore where they could be
    a class; areas of unknown ids become ignore; copies across splits stay only in the test (or validation) side;
    images whose mask is alien, of another size or damaged stay as unlabelled; damaged images are left out. With
    `specks` connected parts below that many pixels go to what surrounds them; with `turn` masks that clearly fit
    better turned are written turned. `repairs.csv` in the new folder lists every repair by file. Interrupted, the
    same call goes on where it was.
    Raises InputError where there is nothing to repair or `target` exists.
    """
    if specks < 0:
        raise InputError(f"Specks below {specks} pixels cannot be; give a size from 1, or 0 for none.")
    data, target = audit.dataset, Path(target)
    plan = planned(audit, turn=turn)
    if not plan and not specks:
        raise InputError(f"The audit of {data.path} found nothing that may be repaired without a person's judgement.")
    items = [sample for sample in data.samples if LEAVE_OUT not in plan.get(sample.id, {}).values()]
    work = Repair(folder=data.path, classes=data.classes, plan=plan, specks=specks)
    job = {"from": str(data.path.resolve()), "fingerprint": data.fingerprint, "plan": plan, "specks": specks}
    sizes = {facts.id: (facts.image.height, facts.image.width) for facts in audit.facts if facts.image}
    with resumable_folder(target, job) as stage:
        made = gather(
            stage,
            items,
            Staged(work=work, stage=stage, sizes=sizes),
            key=lambda sample: f"{sample.id} {sample.image_hash} {sample.mask_hash}",
            name=lambda sample: sample.id,
            label=f"repairing {len(items)} images",
            workers=workers,
            strict=True,
        )
        rows = [{"id": key, "finding": kind, "repair": repair} for key in plan for kind, repair in plan[key].items()]
        if specks:
            rows.append({"id": "(all masks)", "finding": "specks", "repair": f"parts below {specks} pixels"})
        write_csv(stage / REPAIRED, rows)
        counts = dict(Counter(repair for repairs in plan.values() for repair in set(repairs.values())))
        record = {key: value for key, value in data.record.items() if key not in _OWN_KEYS}
        record["repaired"] = {"from": str(data.path), "fingerprint": data.fingerprint, "repairs": counts}
        Dataset.create(stage, data.classes, made.samples, record)
    return Fixed(dataset=Dataset.open(target), repairs=counts)


def planned(audit: Audit, *, turn: bool) -> dict[str, dict[str, str]]:
    """Sample id -> kind of finding -> repair."""
    plan: dict[str, dict[str, str]] = defaultdict(dict)
    for finding in audit.findings:
        if turn and "turn" in finding.detail:
            plan[finding.ids[0]][finding.kind] = finding.detail["turn"]
        for key, repair in finding.repairs.items():
            plan[key][finding.kind] = repair
    return dict(plan)


@dataclass(frozen=True, kw_only=True)
class Repair:
    """The mask of a sample as it should be: bytes of a PNG, or None where the image stays unlabelled."""

    folder: Path
    classes: Classes
    plan: Mapping[str, Mapping[str, str]]
    specks: int

    def __call__(self, sample: Sample, size_hw: tuple[int, int]) -> bytes | None:
        """The repaired mask of a sample whose image has this size."""
        repairs = set(self.plan.get(sample.id, {}).values())
        if not sample.mask or DROP_MASK in repairs:
            return None
        path = self.folder / sample.mask
        turns = [TURNS[name] for name in repairs if name in TURNS]
        if not (turns or MEND in repairs or self.specks):
            return read_bytes(path)
        ids_HW = read_any_mask(path, self.classes).ids_HW
        for turn in turns:
            ids_HW = turn(ids_HW)
        if MEND in repairs:
            ids_HW = mended(ids_HW, self.classes)
        if self.specks:
            ids_HW = without_specks(ids_HW, self.specks)
        check_mask(ids_HW, self.classes, name=str(path), size_hw=size_hw)
        return encode_mask(np.ascontiguousarray(ids_HW, self.classes.dtype), self.classes)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A repaired sample, written into the new folder."""

    work: Repair
    stage: Path
    sizes: Mapping[str, tuple[int, int]]

    def __call__(self, sample: Sample) -> Made:
        """Copy the image, write the mask."""
        size_hw = self.sizes[sample.id]
        png = self.work(sample, size_hw)
        row: dict[str, Any] = {
            "height": size_hw[0],
            "width": size_hw[1],
            "split": sample.split,
            "group": sample.group,
            "source": sample.source,
            "extra": dict(sample.extra),
        }
        photo = read_bytes(self.work.folder / sample.image)
        kept = store(self.stage, sample.id, photo, Path(sample.image).suffix, None, self.work.classes, **row)
        if png is None:
            return Made(samples=(kept,))
        mask = f"masks/{sample.id}.png"
        put_bytes(self.stage / mask, png)
        labelled = {"mask": mask, "mask_hash": content_hash(png), "status": "labelled"}
        return Made(samples=(Sample(**{**kept.to_row(), "extra": kept.extra, **labelled}),))


def mended(ids_HW: Mask, classes: Classes) -> Mask:
    """Ids of the table and ignore only.

    Thin lines of ids outside the table get the id of the nearest other pixel, areas of them become ignore, and in a
    mask that was smoothed so do ids between two others, which nobody can tell from a thin class.
    """
    odd = alien_plane(ids_HW, classes)
    kernel = np.ones((THICK, THICK), np.uint8)
    thick = cv2.morphologyEx(odd.view(np.uint8), cv2.MORPH_OPEN, kernel).view(bool)
    smooth = is_smoothed(*smoothed_steps(ids_HW, classes))
    between = between_pixels(ids_HW, classes) & ~odd if smooth else np.zeros_like(odd)
    result = filled(ids_HW, odd, classes.ignore)
    result[thick | between] = classes.ignore
    return result.astype(classes.dtype)


def without_specks(ids_HW: Mask, below: int) -> Mask:
    """Connected parts (8-connected) of fewer than `below` pixels get the id of the nearest pixel of a larger part."""
    labels_HW, areas = labelled_parts(ids_HW)
    odd = (areas < below)[labels_HW]
    return filled(ids_HW, odd, 0) if odd.any() and not odd.all() else ids_HW


def filled(ids_HW: Mask, odd_HW: NDArray[np.bool_], otherwise: int) -> Mask:
    """Odd pixels get the id of the nearest pixel that is not odd; `otherwise` where all are odd."""
    if odd_HW.all():
        return np.full_like(ids_HW, otherwise)
    _, labels = cv2.distanceTransformWithLabels(odd_HW.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    by_label = np.zeros(int(labels.max()) + 1, ids_HW.dtype)
    by_label[labels[~odd_HW]] = ids_HW[~odd_HW]
    result = ids_HW.copy()
    result[odd_HW] = by_label[labels[odd_HW]]
    return result
