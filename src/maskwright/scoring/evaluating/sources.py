"""What can be evaluated: a run, or a folder of prediction masks that anybody made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import pooled
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.run import Run
from maskwright.scoring.evaluating.observe import Observed, Observer, Probabilities
from maskwright.scoring.evaluating.predictions import find_predictions, read_prediction
from maskwright.types import Image, InputError, Mask

# Images that wait to be counted while the network works on the next: bounds memory.
AHEAD = 2


class Source(Protocol):
    """Predictions for the labelled images of a data set."""

    @property
    def facts(self) -> dict[str, Any]:
        """What `scores.json` says of it: kind, path and name, and what the predictions depend on."""

    @property
    def temperature(self) -> float | None:
        """By what logits were divided before they became probabilities; None without probabilities."""

    def observe(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """Look at every image, in order; one that cannot be used is skipped, or raises InputError with `strict`."""

    def guess(self, data: Dataset, sample: Sample) -> tuple[Image, Mask, Mask, Probabilities | None]:
        """Photo, label, prediction and the probabilities behind it."""


@dataclass(frozen=True, kw_only=True)
class RunSource:
    """A run's network, which predicts `batch` images at a time."""

    run: Run
    predictor: Predictor
    weights: str
    batch: int

    @property
    def facts(self) -> dict[str, Any]:
        """See `Source`."""
        path = self.run.path.resolve()
        return {
            "source": {"kind": "run", "path": str(path), "name": path.name},
            "weights": self.weights,
            "precision": self.predictor.precision,
        }

    @property
    def temperature(self) -> float | None:
        """See `Source`."""
        return self.predictor.temperature

    def observe(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """See `Source`; counts one image in a thread while the network is at the next."""
        chunks = [samples[start : start + self.batch] for start in range(0, len(samples), self.batch)]
        waiting: deque[Future[Observed]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for chunk in track(chunks, f"evaluating {len(samples)} images"):
                read = [read_pair(data, sample, strict=strict) for sample in chunk]
                yield from (one for one in read if isinstance(one, Skipped))
                pairs = [one for one in read if not isinstance(one, Skipped)]
                found = self.predictor.probabilities_of([image for _, image, _ in pairs]) if pairs else iter(())
                for (sample, image, truth), scores in zip(pairs, found, strict=True):
                    waiting.append(pool.submit(_observe, observer, sample, (image, truth), scores))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def guess(self, data: Dataset, sample: Sample) -> tuple[Image, Mask, Mask, Probabilities | None]:
        """See `Source`."""
        image = data.image(sample)
        scores = self.predictor.probabilities(image)
        return image, data.mask(sample), first_maximum(scores, data.classes), scores


def read_pair(data: Dataset, sample: Sample, *, strict: bool) -> tuple[Sample, Image, Mask] | Skipped:
    """A sample with its photo and label, or why they cannot be used; with `strict` that raises InputError."""
    try:
        return sample, data.image(sample), data.mask(sample)
    except InputError as error:
        if strict:
            raise
        return Skipped(sample.id, str(error))


def _observe(observer: Observer, sample: Sample, pair: tuple[Image, Mask], scores_KHW: Probabilities) -> Observed:
    return observer(sample, *pair, first_maximum(scores_KHW, observer.classes), scores_KHW)


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A folder of prediction masks: the file of each image by its id."""

    folder: Path
    files: Mapping[str, Path]

    @property
    def facts(self) -> dict[str, Any]:
        """See `Source`."""
        path = self.folder.resolve()
        return {"source": {"kind": "predictions", "path": str(path), "name": path.name}}

    @property
    def temperature(self) -> float | None:
        """See `Source`."""
        return None

    def observe(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """See `Source`; spreads over all cores where there are many images."""
        table = data.only_table()
        work = ObserveFile(data=table, observer=observer)
        items = [FileOfSample(sample=sample, path=self.files[sample.id]) for sample in samples]
        return pooled(work, items, label=f"evaluating {len(items)} predictions", name=name_of, strict=strict)

    def guess(self, data: Dataset, sample: Sample) -> tuple[Image, Mask, Mask, Probabilities | None]:
        """See `Source`."""
        truth = data.mask(sample)
        return data.image(sample), truth, read_prediction(self.files[sample.id], data.classes, truth), None


@dataclass(frozen=True, kw_only=True)
class FileOfSample:
    """A sample and its prediction."""

    sample: Sample
    path: Path


@dataclass(frozen=True, kw_only=True)
class ObserveFile:
    """Reads photo, label and prediction, and counts; can be sent to a process."""

    data: Dataset
    observer: Observer

    def __call__(self, item: FileOfSample) -> Observed:
        """Raises InputError naming the file that cannot be used."""
        truth = self.data.mask(item.sample)
        guess = read_prediction(item.path, self.data.classes, truth)
        return self.observer(item.sample, self.data.image(item.sample), truth, guess, None)


def name_of(item: FileOfSample) -> str:
    """What a skipped prediction is called."""
    return str(item.path)


def folder_source(
    folder: Path, data: Dataset, split: str, *, strict: bool
) -> tuple[FolderSource, list[Sample], list[Skipped]]:
    """The predictions in a folder, the samples of `split` that have one, and what is missing or ambiguous.

    Raises InputError where no image has a prediction; with `strict` where a single one has none or two.
    """
    samples = data.labelled(split)
    found = find_predictions(folder, samples)
    skipped: list[Skipped] = []
    if found.missing:
        text = f"{len(found.missing)} of {len(samples)} {split} images have no prediction in {folder}, "
        skipped.append(Skipped(str(folder), text + f"the first is {found.missing[0]}; predict all of them."))
    for key, paths in found.twins.items():
        text = f"{paths[0]} and {paths[1]} are both named like image {key}; remove one."
        skipped.append(Skipped(str(paths[0]), text))
    if strict and skipped:
        raise InputError(skipped[0].reason)
    return FolderSource(folder=folder, files=found.files), [s for s in samples if s.id in found.files], skipped
