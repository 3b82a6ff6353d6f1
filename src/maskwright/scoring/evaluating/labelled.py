"""The labelled images of a split as a run sees them, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.run import Run
from maskwright.scoring.evaluating.score import as_trained, open_dataset
from maskwright.types import Image, InputError, Mask


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Images with labels; those that cannot be read are left out and listed in `skipped`, or raise with `strict`.

    Pixels labelled `unlabelled` are treated as ignored (a recipe with `loss.background: false`).
    """

    data: Dataset
    samples: Sequence[Sample]
    skipped: list[Skipped]
    unlabelled: int | None
    strict: bool

    def pairs(self, label: str) -> Iterator[tuple[Sample, Image, Mask]]:
        """Sample, photo and label of every image, with a progress bar."""
        for sample in track(self.samples, label):
            try:
                yield self.pair(sample)
            except InputError as error:
                if self.strict:
                    raise
                self.skipped.append(Skipped(sample.id, str(error)))

    def pair(self, sample: Sample) -> tuple[Sample, Image, Mask]:
        """Sample, photo and label of one image."""
        image_HW3, truth_HW = self.data.image(sample), self.data.mask(sample)
        if self.unlabelled is not None:
            truth_HW = np.where(truth_HW == self.unlabelled, truth_HW.dtype.type(self.data.classes.ignore), truth_HW)
        return sample, image_HW3, truth_HW


def open_labelled(run: Run, dataset: Dataset | str | Path | None, split: str, *, strict: bool) -> Labelled:
    """The images of `split`, of the run's own data set where none is named.

    Raises InputError if the data set or the split is unusable, or if the class tables differ.
    """
    data = open_dataset(run, dataset)
    if data.classes.names != run.classes.names:
        raise InputError(f"{data.path} has classes {data.classes.names}, but {run.path} has {run.classes.names}.")
    data, skipped = data.refresh(strict=strict)
    data = as_trained(run, data)
    return Labelled(
        data=data,
        samples=data.labelled(split),
        skipped=list(skipped),
        unlabelled=run.classes.background if run.recipe.background_ignored else None,
        strict=strict,
    )
