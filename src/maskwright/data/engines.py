"""Who does the work of a long verb: processes of this machine, or the workers of a Ray cluster.

A Ray worker is an actor that gets the work once, keeps what it loads (a network), and is sent chunks of items. Plain
actors, not Ray Data: docs/adr/0009 says why.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from typing import Any

from maskwright.console import Skipped, say
from maskwright.data.jobs import Attempt, Workers, count_cores
from maskwright.data.processes import AHEAD, chunk_size, settle
from maskwright.types import InputError, TargetError, unknown_name

TRIES = 3  # an item that took as many workers with it is left out
PATIENCE_SECONDS = 60.0

NOT_STARTED = (
    "No Ray worker could be started ({reason}); every machine of the cluster needs the same maskwright and the same "
    "files at the same paths, or leave out --engine ray."
)


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Workers of a Ray cluster: that of RAY_ADDRESS, or one of this machine alone that is started for it.

    `workers` is how many, None as many as the cluster has room for; each takes one CPU and `gpus` GPUs. Every machine
    must see the same files by the same paths. Raises InputError where Ray is not installed.
    """

    workers: int | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise InputError("Ray is not installed; run pip install 'maskwright[ray]', or leave out --engine ray.")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"{self.workers} Ray workers do nothing; let --workers be at least 1.")

    def results(self, attempt: Attempt, items: Iterator[Any], count: int, most: int) -> Iterator[Any]:
        """See `Engine`; what a worker took with it when it died is done by another one."""
        if not count:
            return
        wanted = min(self._start(), count)
        crew = _Crew(attempt, self.gpus)
        queue = _Queue(attempt, items, count, chunk_size(count, wanted, most), ahead=AHEAD * wanted)
        try:
            crew.grow(wanted)
            while queue.given < count:
                while crew.idle and (chunk := queue.take()):
                    crew.give(chunk)
                crew.wait(queue)
                yield from queue.in_order()
        finally:
            crew.dismiss()

    def _start(self) -> int:
        """Join the cluster, or begin one here, which ends with this process; returns the number of workers."""
        import ray

        if not ray.is_initialized():
            if os.environ.get("RAY_ADDRESS"):
                join()
            else:
                join("local", num_cpus=max(count_cores(), self.workers or 0), include_dashboard=False)
        room: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        places = [room.get("CPU", 0.0), room.get("GPU", 0.0) / self.gpus if self.gpus else float("inf")]
        return self.workers or max(1, int(min(places)))


def join(address: str | None = None, **settings: Any) -> None:
    """`ray.init`, without its telemetry and talk; raises InputError where that fails."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    for left in reversed(range(TRIES)):
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)
            return
        except Exception as error:  # a cluster that takes longer than 30 s to start here is a bare Exception
            ray.shutdown()
            if left and address == "local" and not isinstance(error, ValueError):
                continue
            where = os.environ.get("RAY_ADDRESS") or "of this machine"
            raise InputError(
                f"The Ray cluster {where} cannot be used ({str(error).splitlines()[0]}); check RAY_ADDRESS and "
                "RAY_AUTH_MODE, or leave out --engine ray."
            ) from error


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Items that go to a worker together: the `place` of the first of them, and how often they were lost."""

    place: int
    items: Sequence[Any]
    losses: int = 0


class _Queue:
    """Chunks that wait, chunks to be done again, and results until it is their turn."""

    def __init__(self, attempt: Attempt, items: Iterator[Any], count: int, size: int, ahead: int) -> None:
        self.attempt, self.items, self.count, self.size, self.most = attempt, items, count, size, ahead * size
        self.again: deque[_Chunk] = deque()
        self.results: dict[int, Any] = {}
        self.taken, self.given = 0, 0

    def take(self) -> _Chunk | None:
        """What is to be done next; nothing while the earliest result that is missing is too far behind."""
        if self.again:
            return self.again.popleft()
        if self.taken == self.count or self.taken - self.given >= self.most:
            return None
        chunk = _Chunk(self.taken, list(islice(self.items, self.size)))
        self.taken += len(chunk.items)
        return chunk

    def done(self, chunk: _Chunk, results: Sequence[Any]) -> None:
        """Keep results until it is their turn."""
        self.results.update(enumerate(results, chunk.place))

    def lost(self, chunk: _Chunk) -> None:
        """Do it again, item by item in the end; one that takes every worker with it is left out."""
        if chunk.losses + 1 < TRIES:
            self.again.append(replace(chunk, losses=chunk.losses + 1))
        elif len(chunk.items) > 1:
            self.again.extend(
                _Chunk(place, [item], chunk.losses) for place, item in enumerate(chunk.items, chunk.place)
            )
        else:
            name = self.attempt.name(chunk.items[0])
            reason = f"{name} ended {TRIES} workers (out of memory?); give them more memory, or take it out."
            if self.attempt.strict:
                raise TargetError(reason)
            self.done(chunk, [Skipped(name, reason)])

    def in_order(self) -> Iterator[Any]:
        """Results whose turn it is."""
        while self.given in self.results:
            yield self.results.pop(self.given)
            self.given += 1


class _Crew:
    """Actors: those that are free, and what the others are at."""

    def __init__(self, attempt: Attempt, gpus: float) -> None:
        import ray

        self.ray: Any = ray
        self.attempt = ray.put(attempt)
        self.hire: Any = ray.remote(num_cpus=1, num_gpus=gpus)(_Worker)
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, _Chunk | None]] = {}
        self.failed = 0
        self.started = False

    def grow(self, count: int) -> None:
        """Start workers; each is free once it has answered."""
        for _ in range(count):
            worker = self.hire.remote(self.attempt, os.getcwd())
            self.busy[worker.ready.remote()] = (worker, None)

    def give(self, chunk: _Chunk) -> None:
        """Send a chunk to one that is free."""
        worker = self.idle.pop()
        self.busy[worker.work.remote(chunk.items)] = (worker, chunk)

    def wait(self, queue: _Queue) -> None:
        """Until one more has answered, or was lost and is replaced; raises what the work raised."""
        ended, _ = self.ray.wait(list(self.busy), timeout=None if self.started else PATIENCE_SECONDS)
        if not ended:
            room = self.ray.cluster_resources()
            say(f"Waiting for Ray to start workers; the cluster has {room.get('CPU', 0):g} CPUs in all.")
            return
        worker, chunk = self.busy.pop(ended[0])
        try:
            results = self.ray.get(ended[0])
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self.ray.exceptions.RayError as error:
            self.ray.kill(worker)
            self._replace(queue, chunk, error)
            return
        self.started, self.failed = True, 0
        self.idle.append(worker)
        if chunk is not None:
            queue.done(chunk, results)

    def _replace(self, queue: _Queue, chunk: _Chunk | None, error: Exception) -> None:
        if chunk is not None:
            say("A Ray worker was lost; what it was at is done again.")
            queue.lost(chunk)
        else:
            self.failed += 1
            if self.failed == TRIES:
                raise TargetError(NOT_STARTED.format(reason=str(error).strip().splitlines()[-1])) from error
        self.grow(1)

    def dismiss(self) -> None:
        """End every worker."""
        for worker in [*self.idle, *(worker for worker, _ in self.busy.values())]:
            self.ray.kill(worker)


class _Worker:
    """The actor."""

    def __init__(self, attempt: Attempt, folder: str) -> None:
        settle()
        os.chdir(folder)  # paths may be relative to it
        self.attempt = attempt

    def ready(self) -> None:
        """Answer when the work is there."""

    def work(self, items: Sequence[Any]) -> list[Any]:
        """One result an item."""
        return self.attempt(items)


ENGINES: dict[str, Callable[[int | None], Workers]] = {
    "processes": lambda workers: workers,
    "ray": lambda workers: Ray(workers=workers),
}


def engine_of(name: str, workers: int | None = None) -> Workers:
    """Workers of the engine called `name`, for the argument `workers` of a verb; raises InputError if it is unknown."""
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    return ENGINES[name](workers)


def on_device(workers: Workers, device: str) -> Workers:
    """The same workers for a network on `device`: on 'cuda' each of a cluster is given a GPU, unless it has a share."""
    if isinstance(workers, Ray) and device == "cuda" and not workers.gpus:
        return replace(workers, gpus=1.0)
    return workers
