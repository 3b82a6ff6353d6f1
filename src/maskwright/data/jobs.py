"""One function over many items: in threads, processes or a cluster, in order, in bounded memory, able to go on later.

`pooled` maps; `journaled` maps and remembers in a file what is done, so that the same call goes on after a crash.
The work is a module-level function or a frozen dataclass with `__call__`, so that it can be sent to a process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from maskwright.console import Skipped, progress_bar, say
from maskwright.data.processes import AHEAD, in_order, in_processes, keep_freed_memory
from maskwright.files import explained
from maskwright.types import InputError, TargetError

T = TypeVar("T")
R = TypeVar("R")

TRIAL_SECONDS = 1.0
WORTH_SECONDS = 8.0  # starting processes takes a few seconds; less than this is not worth it
CHUNK = 16

Named = Callable[[T], str]


class Engine(Protocol):
    """Workers that are more than processes of this machine (`data/engines.py`)."""

    def results(self, attempt: Attempt, items: Iterator[Any], count: int, most: int) -> Iterator[Any]:
        """`attempt` on chunks of at most `most` of `count` items: one result an item, in order, in bounded memory."""


Workers = int | Engine | None  # so many processes; a cluster; or what pays on this machine


def pooled(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    label: str,
    name: Named[T] = str,
    load: Callable[[T], T] | None = None,
    workers: Workers = None,
    strict: bool = False,
    chunk: int = CHUNK,
) -> Iterator[R | Skipped]:
    """Yield `work(item)` for every item, in order, with a progress bar.

    An InputError of one item becomes `Skipped(name(item), reason)`; with `strict`, and for a TargetError always, it
    is raised. Any other error is raised with a note that names the item. `workers` is the number of processes, or an
    engine with workers elsewhere; None begins with threads of this process and goes on with all cores where that will
    pay, 0 takes neither. `load` is called here, shortly before an item is sent, and returns what is sent in its place:
    for what would not fit in memory at once. At most `chunk` items go to a worker at a time; take 1 where an item takes
    seconds.
    """
    with progress_bar() as bar:
        yield from bar.track(
            _results(Attempt(work, name, strict), items, load, workers, chunk), description=label, total=len(items)
        )


def journaled(
    work: Callable[[T], dict[str, Any]],
    items: Sequence[T],
    *,
    journal: Path,
    key: Named[T],
    label: str,
    name: Named[T] = str,
    load: Callable[[T], T] | None = None,
    workers: Workers = None,
    strict: bool = False,
    chunk: int = CHUNK,
) -> Iterator[dict[str, Any] | Skipped]:
    """`pooled` for work whose results are plain data, kept in the file `journal`: what it holds is not done again.

    Results come in the order of the items, earlier ones as well. `key` identifies an item and the state of what it is
    made from.
    """

    def mapped(rest: Sequence[T]) -> Iterator[dict[str, Any] | Skipped]:
        return pooled(work, rest, label=label, name=name, load=load, workers=workers, strict=strict, chunk=chunk)

    return remembered(mapped, items, journal=journal, key=key)


def remembered(
    do: Callable[[Sequence[T]], Iterator[dict[str, Any] | Skipped]],
    items: Sequence[T],
    *,
    journal: Path,
    key: Named[T],
    valid: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> Iterator[dict[str, Any] | Skipped]:
    """`do(rest)` for the items that the file `journal` does not hold, which keeps their results; all in order.

    A result that is kept and no longer `valid` is made again.
    """
    done = {one: value for one, value in _read_journal(journal).items() if valid(value)}
    keys = [key(item) for item in items]
    rest = [item for item, one in zip(items, keys, strict=True) if one not in done]
    if len(rest) < len(items):
        say(f"{len(items) - len(rest)} of {len(items)} are done already; going on.")
    results = do(rest)
    with explained(journal):
        file = journal.open("ab", buffering=0)
    with file:
        for one in keys:
            if one in done:
                yield done[one]
                continue
            result = next(results)
            if not isinstance(result, Skipped):
                with explained(journal):
                    file.write(msgspec.json.encode({"key": one, "value": result}) + b"\n")
            yield result


def _read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """What is done; a last line that was cut off by a crash is removed from the file."""
    if not path.is_file():
        return {}
    done: dict[str, dict[str, Any]] = {}
    whole = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                entry = msgspec.json.decode(line)
                done[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                break
            whole += len(line)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    return done


class Attempt:
    """Work on a chunk of items, errors sorted; sent to whoever works."""

    def __init__(self, work: Callable[[Any], Any], name: Named[Any], strict: bool) -> None:
        self.work, self.name, self.strict = work, name, strict

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        """One result an item."""
        return [self.one(item) for item in items]

    def one(self, item: Any) -> Any:
        """What came of an item."""
        try:
            return self.work(item)
        except TargetError:
            raise
        except InputError as error:
            if self.strict:
                raise
            return Skipped(self.name(item), str(error))
        except Exception as error:
            error.add_note(f"while working on {self.name(item)}")
            raise


def _results(
    attempt: Attempt, items: Sequence[Any], load: Callable[[Any], Any] | None, workers: Workers, most: int
) -> Iterator[Any]:
    keep_freed_memory()
    cores = count_cores()
    loaded = iter(items) if load is None else map(load, items)
    if workers == 0:
        yield from map(attempt.one, loaded)
        return
    if not (workers is None or isinstance(workers, int)):
        yield from workers.results(attempt, loaded, len(items), most)
        return
    done = 0
    if workers is None:
        began = time.perf_counter()
        with ThreadPoolExecutor(min(8, cores)) as pool:
            first = _until(began + TRIAL_SECONDS, loaded)
            for result in in_order(pool, attempt, first, 1, AHEAD * cores):
                done += 1
                yield result
            rest_seconds = (time.perf_counter() - began) / max(done, 1) * (len(items) - done)
            if cores == 1 or rest_seconds < WORTH_SECONDS:
                yield from in_order(pool, attempt, loaded, 1, AHEAD * cores)
                return
    yield from in_processes(attempt, loaded, len(items) - done, workers or cores, most)


def _until(moment: float, items: Iterator[T]) -> Iterator[T]:
    for item in items:
        yield item
        if time.perf_counter() >= moment:
            return


def count_cores() -> int:
    """Those that this process may use; a scheduler may have lent it a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
