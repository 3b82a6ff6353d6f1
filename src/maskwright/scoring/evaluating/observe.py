"""What one image leaves behind when it is scored: counts and facts that add up, never pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Sample
from maskwright.metrics.boundary import BoundaryCounts, boundary_counts
from maskwright.metrics.calibration import Calibration
from maskwright.metrics.counts import Confusion, confusion
from maskwright.metrics.objects import count_objects
from maskwright.metrics.surface import SurfaceDistances, surface_distances
from maskwright.metrics.tally import Tally, tally_of
from maskwright.scoring.doubting.weak import Look, look
from maskwright.types import Classes, Image, InputError, Mask

Probabilities = NDArray[np.float32]

GRID = 3
PLACES = ("top", "middle", "bottom"), ("left", "centre", "right")
REGIONS = tuple(f"{row} {column}" for row in PLACES[0] for column in PLACES[1])


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Counts and facts of one image; R regions of the image, S sizes of object, K classes.

    `calibration` is None where there were no probabilities, `surface` where nobody asked for it.
    """

    id: str
    group: str
    confusion_KK: Confusion
    regions_R3K: Tally
    boundary_7K: BoundaryCounts
    objects_4SK: NDArray[np.int64]
    sizes_2SK: NDArray[np.int64]
    look: Look
    calibration: Calibration | None
    surface: SurfaceDistances | None


@dataclass(frozen=True, kw_only=True)
class Observer:
    """How images are looked at; it can be sent to a process.

    Pixels labelled `unlabelled` are treated as ignored (a recipe with `loss.background: false`). `surface_px` is the
    tolerance of surface Dice; None leaves surfaces out, which cost more than the rest together.
    """

    classes: Classes
    unlabelled: int | None = None
    surface_px: float | None = None

    def __call__(
        self, sample: Sample, image_HW3: Image, truth_HW: Mask, guess_HW: Mask, probabilities_KHW: Probabilities | None
    ) -> Observed:
        """Count one image at its own size: label, prediction, and the probabilities behind it where there are any.

        Raises InputError where the network gave no numbers.
        """
        if probabilities_KHW is not None and not np.isfinite(probabilities_KHW.sum()):
            raise InputError(f"The network answers {sample.id} with NaN: its training diverged; take other --weights.")
        count = len(self.classes)
        truth_HW = self.label(truth_HW)
        regions_RKK = confusion_by_region(truth_HW, guess_HW, count)
        objects_4SK, sizes_2SK = count_objects(truth_HW, guess_HW, count)
        return Observed(
            id=sample.id,
            group=sample.group,
            confusion_KK=regions_RKK.sum(0),
            regions_R3K=tally_of(regions_RKK),
            boundary_7K=boundary_counts(truth_HW, guess_HW, count),
            objects_4SK=objects_4SK,
            sizes_2SK=sizes_2SK,
            look=look(image_HW3, truth_HW, guess_HW, probabilities_KHW, self.classes),
            calibration=None if probabilities_KHW is None else calibration_of(probabilities_KHW, truth_HW, guess_HW),
            surface=None if self.surface_px is None else surface_distances(truth_HW, guess_HW, count, self.surface_px),
        )

    def label(self, truth_HW: Mask) -> Mask:
        """The label as it is scored."""
        return as_scored(truth_HW, self.unlabelled, self.classes)


def as_scored(truth_HW: Mask, unlabelled: int | None, classes: Classes) -> Mask:
    """A label in which the pixels of the class `unlabelled`, if there is one, are ignored."""
    if unlabelled is None:
        return truth_HW
    return np.where(truth_HW == unlabelled, truth_HW.dtype.type(classes.ignore), truth_HW)


def confusion_by_region(truth_HW: Mask, guess_HW: Mask, classes: int) -> NDArray[np.int64]:
    """Confusion matrices (9, K, K) of a grid of 3 x 3 parts of the image, row by row; they sum to that of the whole."""
    rows, columns = ([length * step // GRID for step in range(GRID + 1)] for length in truth_HW.shape)
    parts = [np.s_[rows[y] : rows[y + 1], columns[x] : columns[x + 1]] for y in range(GRID) for x in range(GRID)]
    found = np.zeros((len(REGIONS), classes, classes), np.int64)
    for index, part in enumerate(parts):
        if truth_HW[part].size:  # an image of two rows has no middle one
            found[index] = confusion(truth_HW[part], guess_HW[part], classes)
    return found


def calibration_of(probabilities_KHW: Probabilities, truth_HW: Mask, guess_HW: Mask) -> Calibration:
    """The calibration of one image."""
    found = Calibration()
    found.add_probabilities(probabilities_KHW, truth_HW, guess_HW)
    return found
