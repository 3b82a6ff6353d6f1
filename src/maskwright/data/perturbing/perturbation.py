"""What one perturbation is: a way to spoil a picture, at levels that rise from the picture as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskwright.types import Image, Mask

Value = float | tuple[float, ...] | None
Apply = Callable[[Image, Any, np.random.Generator], Image]
Move = Callable[[Image, Mask, Any, np.random.Generator, int], tuple[Image, Mask]]


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A kind of disturbance and its strength by level; level 1 is the picture as it is, whatever its value says.

    `apply` takes image (H, W, 3) uint8, the value of a level and a generator, and returns a new image of the same
    shape and type; the image that comes in is left as it is. Where objects move, `moves` takes the mask (H, W) and
    the ignore id as well and returns both. At every level the generator gives the same draws, so that levels differ
    in strength alone. A value is what `unit` names, several in a tuple, or None where "as it is" has no number.
    """

    name: str
    title: str
    unit: str
    values: tuple[Value, ...]
    apply: Apply
    moves: Move | None = None

    @property
    def levels(self) -> int:
        """How many levels there are, the first one included."""
        return len(self.values)

    def label(self, level: int) -> str:
        """The value of a level (from 1) for people: '0.85', '15 / 5', or 'as it is'."""
        value = self.values[level - 1]
        if value is None:
            return "as it is"
        return " / ".join(f"{part:g}" for part in (value if isinstance(value, tuple) else (value,)))


def as_dict(*perturbations: Perturbation) -> dict[str, Perturbation]:
    """Perturbations by name, in the order given."""
    return {perturbation.name: perturbation for perturbation in perturbations}
