"""Perturbations: what light, weather, camera and file do to a picture, at stated levels, the same for every model.

`SUITES` holds the suites by name, each a dict of perturbations. To add one: write a function, add an entry to the
dict of its suite, and the contract test picks it up.
"""

from __future__ import annotations

import hashlib

import numpy as np

from maskwright.data.perturbing.corruptions import CORRUPTIONS
from maskwright.data.perturbing.ladder import LADDER
from maskwright.data.perturbing.perturbation import Perturbation
from maskwright.types import Image, InputError, Mask, unknown_name

__all__ = ["CORRUPTIONS", "LADDER", "SUITES", "Perturbation", "find", "perturb"]

SUITES: dict[str, dict[str, Perturbation]] = {"ladder": LADDER, "corruptions": CORRUPTIONS}


def find(name: str) -> Perturbation:
    """A perturbation of any suite by its name; raises InputError that lists the known ones."""
    known = LADDER | CORRUPTIONS
    if name not in known:
        raise unknown_name("perturbation", name, known)
    return known[name]


def perturb(
    kind: Perturbation | str,
    level: int,
    image_HW3: Image,
    mask_HW: Mask,
    *,
    seed: int,
    sample_id: str,
    ignore: int,
) -> tuple[Image, Mask]:
    """One picture and its mask under one perturbation at a level from 1 (as it is).

    What is random follows from (seed, sample id, kind) alone: every model sees the same picture, and levels differ in
    strength, not in draw. The ids of the mask after are a subset of those before, plus ignore at new borders. At
    level 1 the arrays come back themselves; they are never written to. Raises InputError for an unknown kind or level.
    """
    kind = find(kind) if isinstance(kind, str) else kind
    if not 1 <= level <= kind.levels:
        raise InputError(f"Level {level} of '{kind.name}' does not exist; give one from 1 to {kind.levels}.")
    if level == 1:
        return image_HW3, mask_HW
    address = hashlib.blake2b(f"{seed}/{kind.name}/{sample_id}".encode(), digest_size=16)
    rng = np.random.default_rng(int.from_bytes(address.digest()))
    return applied(kind, level, image_HW3, mask_HW, rng, ignore)


def applied(
    kind: Perturbation, level: int, image_HW3: Image, mask_HW: Mask, rng: np.random.Generator, ignore: int
) -> tuple[Image, Mask]:
    """Image and mask at a level above 1, drawn from `rng`."""
    value = kind.values[level - 1]
    if kind.moves is not None:
        return kind.moves(image_HW3, mask_HW, value, rng, ignore)
    return kind.apply(image_HW3, value, rng), mask_HW
