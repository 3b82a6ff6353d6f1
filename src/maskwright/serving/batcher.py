"""One thread that answers requests in batches, first come first served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from maskwright.types import Image, Mask

_STEP_SECONDS = 0.002  # between looks at what is on its way


@dataclass(frozen=True, kw_only=True)
class Job:
    """An image that waits for its mask."""

    image_HW3: Image
    done: Future[Mask] = field(default_factory=Future)


class Batcher:
    """Runs `segment` over up to `batch` images at a time, in a thread of its own.

    While `coming()` says that more requests are on their way, a batch that is not full waits for them, at most
    `wait_seconds`: a lone client waits for nobody. `told(images, seconds)` hears of every batch. Where a batch fails,
    each image is tried alone, so that one does not take its neighbours with it.
    """

    def __init__(
        self,
        segment: Callable[[Sequence[Image]], list[Mask]],
        *,
        batch: int,
        wait_seconds: float,
        coming: Callable[[], int],
        told: Callable[[int, float], None] = lambda images, seconds: None,
    ) -> None:
        self._segment, self._batch, self._wait_seconds = segment, batch, wait_seconds
        self._coming, self._told = coming, told
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, image_HW3: Image) -> Future[Mask]:
        """The image's mask, some time later; cancelled while it waits, it costs nothing."""
        job = Job(image_HW3=image_HW3)
        self._jobs.put(job)
        return job.done

    def close(self) -> None:
        """Answer what was submitted before, then end."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs, last = self._gather(first)
            del first
            self._answer([job for job in jobs if job.done.set_running_or_notify_cancel()])
            del jobs  # else the images stay in memory until the next request
            if last:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        """The next batch, and whether it is the last one."""
        jobs, until = [first], time.monotonic() + self._wait_seconds
        while len(jobs) < self._batch:
            left = until - time.monotonic()
            waits = left > 0 and self._coming() > 0
            try:
                job = self._jobs.get(timeout=min(left, _STEP_SECONDS)) if waits else self._jobs.get_nowait()
            except Empty:
                if waits:
                    continue  # what was on its way may have given up
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _answer(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        began = time.monotonic()
        try:
            masks = self._segment([job.image_HW3 for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            for job in jobs:
                self._answer([job])
            return
        self._told(len(jobs), time.monotonic() - began)
        for job, mask_HW in zip(jobs, masks, strict=True):
            job.done.set_result(mask_HW)
