"""The labelled images of a split as a run sees them, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.run import Run
from maskwright.scoring.evaluating.observe import as_scored
from maskwright.scoring.evaluating.score import as_trained, open_matching
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
        image_HW3, mask_HW = self.data.image(sample), self.data.mask(sample)
        return sample, image_HW3, as_scored(mask_HW, self.unlabelled, self.data.classes)


def open_labelled(run: Run, dataset: Dataset | str | Path | None, split: str, *, strict: bool) -> Labelled:
    """The images of `split`, of the run's own data set where none is named.

    Raises InputError if the data set or the split is unusable, or if the class tables differ.
    """
    data, skipped = open_matching(run, dataset).refresh(strict=strict)
    data = as_trained(run, data)
    return Labelled(
        data=data,
        samples=data.labelled(split),
        skipped=list(skipped),
        unlabelled=run.classes.background if run.recipe.background_ignored else None,
        strict=strict,
    )
