"""Which objects are clicked: connected regions of the labels of a split, the same ones for every prompter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import pooled
from maskwright.data.pixels.parts import labelled_parts
from maskwright.types import InputError


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An object: connected region number `part` (8 neighbours, `labelled_parts`) of an image's label."""

    image: str
    class_id: int
    part: int
    area_px: int


@dataclass(frozen=True, kw_only=True)
class FindObjects:
    """The objects of one label; it can be sent to a process."""

    data: Dataset
    classes: Collection[int]
    least_px: int

    def __call__(self, sample: Sample) -> list[Wanted]:
        """The large enough ones, in the order of their numbers."""
        mask_HW = self.data.mask(sample)
        parts_HW, area = labelled_parts(mask_HW)
        class_of = np.empty(len(area), mask_HW.dtype)
        class_of[parts_HW.ravel()] = mask_HW.ravel()
        return [
            Wanted(image=sample.id, class_id=int(class_of[part]), part=int(part), area_px=int(area[part]))
            for part in np.flatnonzero(area >= self.least_px)
            if class_of[part] in self.classes
        ]


def asked_classes(data: Dataset, names: Sequence[str]) -> list[int]:
    """Ids of the classes named, or of all but the background; raises InputError for a name that is not there."""
    if names:
        return sorted({data.classes.id_of(name) for name in names})
    return [item.id for item in data.classes.items if item.id != data.classes.background or len(data.classes) == 1]


def find_objects(
    data: Dataset, samples: Sequence[Sample], classes: Collection[int], least_px: int, skipped: list[Skipped]
) -> list[Wanted]:
    """Every object of at least `least_px` pixels; labels that cannot be read are added to `skipped`."""
    find = FindObjects(data=data.only_table(), classes=frozenset(classes), least_px=least_px)
    found: list[Wanted] = []
    for one in pooled(find, samples, label="looking for objects", name=lambda sample: sample.id):
        if isinstance(one, Skipped):
            skipped.append(one)
        else:
            found += one
    if not found:
        names = ", ".join(data.classes.names[number] for number in sorted(classes))
        raise InputError(
            f"{data.path} has no object of {names} with at least {least_px:,} pixels in these images; "
            "let --min-area be smaller, or name other --classes or another --split."
        )
    return found


def choose_objects(found: Sequence[Wanted], most: int, seed: int) -> list[Wanted]:
    """At most so many objects, evenly over classes, then over images, otherwise at random; in the order of the images.

    The next one is always of the class of which fewest are chosen, from the image of which fewest are chosen.
    """
    order = np.random.default_rng((seed, 1)).permutation(len(found))
    waiting: dict[int, list[Wanted]] = {}
    for place in order:
        waiting.setdefault(found[place].class_id, []).append(found[place])
    chosen: list[Wanted] = []
    of_class: Counter[int] = Counter()
    of_image: Counter[str] = Counter()
    while waiting and len(chosen) < most:
        kind = min(waiting, key=lambda number: (of_class[number], number))
        rest = waiting[kind]
        one = rest.pop(min(range(len(rest)), key=lambda place: of_image[rest[place].image]))
        if not rest:
            del waiting[kind]
        chosen.append(one)
        of_class[kind] += 1
        of_image[one.image] += 1
    return sorted(chosen, key=lambda one: (one.image, one.part))
