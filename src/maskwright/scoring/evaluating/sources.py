"""What can be evaluated: a run, or a folder of prediction masks that anybody made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.engines import on_device
from maskwright.data.jobs import Workers, pooled
from maskwright.files import explained
from maskwright.infer.predicting.working import Model
from maskwright.infer.predictor import first_maximum
from maskwright.infer.segmenting.segment import How, Segmenter
from maskwright.infer.temper import weights_hash
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

    def state(self, sample: Sample) -> str:
        """Names what the prediction of a sample is made from, as it is now."""

    def observe(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """Look at every image, in order; one that cannot be used is skipped, or raises InputError with `strict`."""

    def guess(self, data: Dataset, sample: Sample) -> tuple[Image, Mask, Mask, Probabilities | None]:
        """Photo, label, prediction and the probabilities behind it."""


@dataclass(frozen=True, kw_only=True)
class RunSource:
    """A run's network, which predicts a batch of images at a time here, or one at a time at every worker there is."""

    run: Run
    segmenter: Segmenter
    model: Model
    workers: Workers = None

    @property
    def facts(self) -> dict[str, Any]:
        """See `Source`."""
        path = self.run.path.resolve()
        return {
            "source": {"kind": "run", "path": str(path), "name": path.name},
            "weights": self.model.weights,
            "precision": self.segmenter.predictor.precision,
            **({} if self.model.how == How() else {"seen": asdict(self.model.how)}),
        }

    @property
    def temperature(self) -> float | None:
        """See `Source`."""
        return self.segmenter.predictor.temperature

    @cached_property
    def _state(self) -> str:
        return f"{weights_hash(self.run, self.model.weights)} {self.segmenter.predictor.precision} {self.temperature}"

    def state(self, sample: Sample) -> str:
        """See `Source`."""
        return self._state

    def observe(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """See `Source`."""
        if not self.workers:
            return self._observe_here(data, samples, observer, strict=strict)
        return pooled(
            ObserveSample(model=self.model, data=data.only_table(), observer=observer),
            samples,
            label=f"evaluating {len(samples)} images",
            name=attrgetter("id"),
            workers=on_device(self.workers, self.segmenter.predictor.device.type),
            strict=strict,
            chunk=1,
        )

    def _observe_here(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """Counts one image in a thread while the network is at the next."""
        batch = self.segmenter.batch
        chunks = [samples[start : start + batch] for start in range(0, len(samples), batch)]
        waiting: deque[Future[Observed | Skipped]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for chunk in track(chunks, f"evaluating {len(samples)} images"):
                read = [read_pair(data, sample, strict=strict) for sample in chunk]
                images = [one[1] for one in read if not isinstance(one, Skipped)]
                found = self.segmenter.probabilities_of(images)
                for one in read:
                    scores = None if isinstance(one, Skipped) else next(found)
                    waiting.append(pool.submit(_observe, observer, one, scores))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def guess(self, data: Dataset, sample: Sample) -> tuple[Image, Mask, Mask, Probabilities | None]:
        """See `Source`."""
        image = data.image(sample)
        scores = self.segmenter.probabilities(image)
        return image, data.mask(sample), first_maximum(scores, data.classes), scores


def read_pair(data: Dataset, sample: Sample, *, strict: bool) -> tuple[Sample, Image, Mask] | Skipped:
    """A sample with its photo and label, or why they cannot be used; with `strict` that raises InputError."""
    try:
        return sample, data.image(sample), data.mask(sample)
    except InputError as error:
        if strict:
            raise
        return Skipped(sample.id, str(error))


def _observe(
    observer: Observer, read: tuple[Sample, Image, Mask] | Skipped, scores_KHW: Probabilities | None
) -> Observed | Skipped:
    if isinstance(read, Skipped):
        return read
    assert scores_KHW is not None
    return observer(*read, first_maximum(scores_KHW, observer.classes), scores_KHW)


@dataclass(frozen=True, kw_only=True)
class ObserveSample:
    """Reads photo and label, predicts, and counts; can be sent to a worker, which loads the network once."""

    model: Model
    data: Dataset
    observer: Observer

    def __call__(self, sample: Sample) -> Observed:
        """Raises InputError naming the file that cannot be used."""
        image, truth = self.data.image(sample), self.data.mask(sample)
        scores = _loaded(self.model).probabilities(image)
        return self.observer(sample, image, truth, first_maximum(scores, self.observer.classes), scores)


@lru_cache(maxsize=1)
def _loaded(model: Model) -> Segmenter:
    """The model of a worker, which has one core on a CPU."""
    segmenter = model.load(photos=1)
    if segmenter.predictor.device.type == "cpu":
        import torch

        torch.set_num_threads(1)
    return segmenter


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A folder of prediction masks: the file of each image by its id."""

    folder: Path
    files: Mapping[str, Path]
    workers: Workers = None

    @property
    def facts(self) -> dict[str, Any]:
        """See `Source`."""
        path = self.folder.resolve()
        return {"source": {"kind": "predictions", "path": str(path), "name": path.name}}

    @property
    def temperature(self) -> float | None:
        """See `Source`."""
        return None

    def state(self, sample: Sample) -> str:
        """See `Source`."""
        path = self.files[sample.id]
        with explained(path):
            status = path.stat()
        return f"{path.name} {status.st_size} {status.st_mtime_ns}"

    def observe(
        self, data: Dataset, samples: Sequence[Sample], observer: Observer, *, strict: bool
    ) -> Iterator[Observed | Skipped]:
        """See `Source`; spreads over all cores where there are many images."""
        table = data.only_table()
        work = ObserveFile(data=table, observer=observer)
        items = [FileOfSample(sample=sample, path=self.files[sample.id]) for sample in samples]
        return pooled(
            work, items, label=f"evaluating {len(items)} predictions", name=name_of, workers=self.workers, strict=strict
        )

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
    folder: Path, data: Dataset, split: str, *, workers: Workers = None, strict: bool
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
    source = FolderSource(folder=folder, files=found.files, workers=workers)
    return source, [s for s in samples if s.id in found.files], skipped
