"""Pictures of findings: the photo, the mask over it, the better mask beside it, twins side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from maskwright.data.audit.alignment import TURNS
from maskwright.data.audit.evidence import Finding
from maskwright.data.audit.look import alien_plane, read_any_mask
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import overlay, read_image, write_image
from maskwright.types import Classes, Image, InputError, Mask

EACH_KIND = 4
SIDE_PX = 300
ALIEN_COLOUR = (255, 0, 255)
PAIRS = frozenset({"leak", "copies"})
MASK_PAIRS = frozenset({"same-mask", "near-mask", "disagreeing"})


def draw_worst(dataset: Dataset, findings: tuple[Finding, ...], folder: Path) -> dict[int, list[dict[str, str]]]:
    """Write JPEGs of the worst findings of each kind into `folder`.

    Returns by the finding's place: file name and caption of each picture. What cannot be drawn has none.
    """
    samples = {sample.id: sample for sample in dataset.samples}
    drawn: dict[int, list[dict[str, str]]] = {}
    count: Counter[str] = Counter()
    for place, finding in enumerate(findings):
        if not finding.ids or count[finding.kind] >= EACH_KIND:
            continue
        panels = []
        for number, (caption, picture) in enumerate(panels_of(dataset, finding, samples)):
            name = f"{finding.kind}-{count[finding.kind]}-{number}.jpg"
            write_image(folder / name, picture)
            panels.append({"file": name, "caption": caption})
        if panels:
            drawn[place] = panels
            count[finding.kind] += 1
    return drawn


def panels_of(dataset: Dataset, finding: Finding, samples: dict[str, Sample]) -> Iterator[tuple[str, Image]]:
    """Captions and small pictures of one finding."""
    chosen = [samples[key] for key in finding.ids[: 2 if finding.kind in PAIRS | MASK_PAIRS else 1]]
    for sample in chosen:
        image_HW3 = _photo(dataset, sample)
        mask_HW = _mask(dataset, sample)
        label = f"{sample.id} ({sample.split})" if sample.split else sample.id
        if finding.kind in PAIRS or (image_HW3 is not None and mask_HW is None):
            if image_HW3 is not None:
                yield label, small(image_HW3)
            continue
        if finding.kind not in MASK_PAIRS and image_HW3 is not None:
            yield "photo", small(image_HW3)
        if mask_HW is not None:
            caption = label if finding.kind in MASK_PAIRS else "mask as it is"
            yield caption, laid_over(image_HW3, mask_HW, dataset.classes)
            better = moved(mask_HW, finding)
            if better is not None:
                yield f"mask {_turn(finding) or 'moved'}", laid_over(image_HW3, better, dataset.classes)


def moved(mask_HW: Mask, finding: Finding) -> Mask | None:
    """The mask as the finding says it would fit better; None where it says nothing of the kind."""
    turn = _turn(finding)
    if turn:
        return TURNS[turn](mask_HW).copy()
    if "down" not in finding.detail:
        return None
    rows, columns = mask_HW.shape
    down, right = finding.detail["down"], finding.detail["right"]
    result = np.full_like(mask_HW, np.iinfo(mask_HW.dtype).max)
    part = mask_HW[max(0, -down) : rows - max(0, down), max(0, -right) : columns - max(0, right)]
    result[max(0, down) : rows - max(0, -down), max(0, right) : columns - max(0, -right)] = part
    return result


def _turn(finding: Finding) -> str | None:
    return next((name for name in (finding.detail.get("turn"), *finding.repairs.values()) if name in TURNS), None)


def laid_over(image_HW3: Image | None, mask_HW: Mask, classes: Classes) -> Image:
    """The mask's colours over the photo, or alone where sizes differ; ids outside the table are magenta."""
    odd = alien_plane(mask_HW, classes)
    known = np.where(odd, classes.ignore, mask_HW).astype(classes.dtype)
    fits = image_HW3 is not None and image_HW3.shape[:2] == mask_HW.shape
    ground = image_HW3 if fits and image_HW3 is not None else np.full((*mask_HW.shape, 3), 235, np.uint8)
    mixed = overlay(ground, known, classes)
    mixed[odd] = ALIEN_COLOUR
    return small(mixed, sharp=not fits)


def small(image_HW3: Image, *, sharp: bool = False) -> Image:
    """The picture with its longer side at most 300 pixels."""
    scale = SIDE_PX / max(image_HW3.shape[:2])
    if scale >= 1:
        return image_HW3
    size = (max(1, round(image_HW3.shape[1] * scale)), max(1, round(image_HW3.shape[0] * scale)))
    how = cv2.INTER_NEAREST if sharp else cv2.INTER_AREA
    return np.asarray(cv2.resize(image_HW3, size, interpolation=how), np.uint8)


def _photo(dataset: Dataset, sample: Sample) -> Image | None:
    try:
        return read_image(dataset.path / sample.image)
    except InputError:
        return None  # damaged: the finding says so


def _mask(dataset: Dataset, sample: Sample) -> Mask | None:
    if not sample.mask:
        return None
    try:
        return read_any_mask(dataset.path / sample.mask, dataset.classes).ids_HW
    except InputError:
        return None
