"""The long part of a stress test: every image read once, spoiled at every kind and level, predicted, counted."""

from __future__ import annotations

import time
from base64 import b85decode, b85encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any
from zlib import compress, decompress

import numpy as np
import torch

from maskwright.console import Skipped, say
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.engines import on_device
from maskwright.data.jobs import Workers, count_cores, journaled
from maskwright.data.perturbing import SUITES, Perturbation, perturb
from maskwright.infer.predictor import Predictor
from maskwright.metrics.counts import confusion, without_labels
from maskwright.metrics.tally import Tally, tally_of
from maskwright.run import Run
from maskwright.scoring.stressing.cases import find_objects
from maskwright.types import Image, InputError, Mask

MOST_PROCESSES = 16
BATCH = 8  # levels at a time, where the device is no CPU


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that the counts depend on: a result or a journal of another job is not used."""

    suite: str
    kinds: tuple[str, ...]
    levels: str  # these four are hashes: of what the kinds do at each level, of the image ids, ...
    split: str
    seed: int
    images: str
    fingerprint: str
    weights: str
    weights_hash: str
    device: str
    precision: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**vars(self), "kinds": list(self.kinds)}

    def perturbations(self) -> list[Perturbation]:
        """The kinds by name."""
        return [SUITES[self.suite][name] for name in self.kinds]

    def load(self, run: Run | Path) -> Predictor:
        """The predictor that the job names."""
        return Predictor.load(run, weights=self.weights, device=self.device, precision=self.precision)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the images gave: counts (P kinds, L levels, N images, 3, K), their samples, candidates for pictures."""

    tally_PLN3K: Tally
    samples: list[Sample]
    candidates: list[dict[str, Any]]
    seconds: dict[str, float]
    skipped: list[Skipped]


def measure(
    run: Run, data: Dataset, samples: list[Sample], job: Job, *, journal: Path, workers: Workers, strict: bool
) -> Measured:
    """Do what is not in the journal yet; raises InputError if no image can be read."""
    kinds = job.perturbations()
    counts_NPL3K = np.zeros((len(samples), len(kinds), kinds[0].levels, 3, len(data.classes)), np.int64)
    done: list[Sample] = []
    candidates: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    watch = Watch()
    unlabelled = run.classes.background if run.recipe.background_ignored else None
    with one_thread(job.device):
        results = journaled(
            StressImage(run=run.path, dataset=data.only_table(), job=job, unlabelled=unlabelled),
            samples,
            journal=journal,
            key=lambda sample: f"{sample.id} {sample.image_hash} {sample.mask_hash}",
            name=attrgetter("id"),
            label=f"{job.suite}: {len(samples)} images",
            workers=_workers(job.device, len(samples), workers),
            strict=strict,
            chunk=1,
        )
        for sample, result in zip(samples, results, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
                continue
            counts_NPL3K[len(done)] = _unpacked(result["tally"], counts_NPL3K.shape[1:])
            watch.add(result["seconds"])
            candidates += [{**row, "id": sample.id} for row in result["candidates"]]
            done.append(sample)
    if not done:
        raise InputError(f"None of {len(samples)} images can be read. The first: {skipped[0].reason}")
    return Measured(
        tally_PLN3K=np.moveaxis(counts_NPL3K[: len(done)], 0, 2),
        samples=done,
        candidates=candidates,
        seconds=watch.seconds,
        skipped=skipped,
    )


@dataclass(frozen=True, kw_only=True)
class StressImage:
    """One image under every kind and level, as plain data for the journal."""

    run: Path
    dataset: Dataset
    job: Job
    unlabelled: int | None

    def __call__(self, sample: Sample) -> dict[str, Any]:
        """Packed counts (P, L, 3, K), objects that were lost, and seconds of each part."""
        predictor, kinds = _loaded(self.run, self.job), self.job.perturbations()
        image_HW3, mask_HW = self.dataset.image(sample), self.dataset.mask(sample)
        watch, candidates = Watch(), []
        with watch.on("predict_seconds"):
            guess_HW = predictor.ids(image_HW3)
        with watch.on("score_seconds"):
            clean_3K = self._tally(mask_HW, guess_HW)
            objects = find_objects(mask_HW, guess_HW, self.dataset.classes)
        tally_PL3K = np.empty((len(kinds), kinds[0].levels, *clean_3K.shape), np.int64)
        tally_PL3K[:, 0] = clean_3K
        for p, kind in enumerate(kinds):
            for level, moved_HW, guess_HW in self._levels(predictor, kind, sample, (image_HW3, mask_HW), watch):
                with watch.on("score_seconds"):
                    tally_PL3K[p, level - 1] = self._tally(moved_HW, guess_HW)
            if kind.moves is None:  # the last level; objects that moved are not looked for
                with watch.on("score_seconds"):
                    candidates += [{"kind": kind.name, **row} for row in objects.lost(guess_HW)]
        return {"tally": _packed(tally_PL3K), "seconds": watch.seconds, "candidates": candidates}

    def _levels(
        self, predictor: Predictor, kind: Perturbation, sample: Sample, pair: tuple[Image, Mask], watch: Watch
    ) -> Iterator[tuple[int, Mask, Mask]]:
        """(level, label, prediction) of every level above 1."""
        step = 1 if self.job.device == "cpu" else BATCH
        ignore = self.dataset.classes.ignore
        for first in range(2, kind.levels + 1, step):
            levels = range(first, min(first + step, kind.levels + 1))
            with watch.on("perturb_seconds"):
                pairs = [
                    perturb(kind, level, *pair, seed=self.job.seed, sample_id=sample.id, ignore=ignore)
                    for level in levels
                ]
            with watch.on("predict_seconds"):
                guesses = predictor.ids_of([image_HW3 for image_HW3, _ in pairs])
            yield from zip(levels, (moved_HW for _, moved_HW in pairs), guesses, strict=True)

    def _tally(self, mask_HW: Mask, guess_HW: Mask) -> Tally:
        return tally_of(without_labels(confusion(mask_HW, guess_HW, len(self.dataset.classes)), self.unlabelled))


@dataclass(frozen=True)
class Watch:
    """Seconds by part of the work."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("predict_seconds", "perturb_seconds", "score_seconds"), 0.0)
    )

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count the time of a block to a part."""
        began = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - began

    def add(self, seconds: dict[str, float]) -> None:
        """What another watch measured."""
        for part, value in seconds.items():
            self.seconds[part] += value


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """On a CPU torch takes one thread: as many images as cores are quicker, and any number gives the same bits."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _loaded.cache_clear()


@lru_cache(maxsize=1)
def _loaded(run: Path, job: Job) -> Predictor:
    """The predictor of this process, which may be a worker process."""
    if job.device == "cpu":
        torch.set_num_threads(1)
    return job.load(run)


def _workers(device: str, images: int, workers: Workers) -> Workers:
    """0 for this process: on an accelerator, and where there is too little to do."""
    if not (workers is None or isinstance(workers, int)):
        return on_device(workers, device)
    if device != "cpu":
        if workers:
            say(f"One process works on {device}; --workers is for CPUs.")
        return 0
    if workers is not None:
        return workers
    most = min(count_cores(), images // 2, MOST_PROCESSES)
    return most if most > 1 else 0


def _packed(counts: Tally) -> str:
    return b85encode(compress(counts.tobytes(), 1)).decode()


def _unpacked(text: str, shape: tuple[int, ...]) -> Tally:
    return np.frombuffer(decompress(b85decode(text)), np.int64).reshape(shape)
