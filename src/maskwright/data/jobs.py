"""One function over many items: in threads or processes, in order, in bounded memory, and able to go on later.

`pooled` maps; `journaled` maps and remembers in a file what is done, so that the same call goes on after a crash.
The work is a module-level function or a frozen dataclass with `__call__`, so that it can be sent to a process.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import msgspec

from maskwright.console import Skipped, progress_bar, say
from maskwright.files import explained
from maskwright.types import InputError, TargetError

T = TypeVar("T")
R = TypeVar("R")

TRIAL_SECONDS = 1.0
WORTH_SECONDS = 8.0  # starting processes takes a few seconds; less than this is not worth it
CHUNK = 16
AHEAD = 4  # chunks a worker that wait or run: bounds memory
KEPT_BYTES = 128 << 20

KILLED = (
    "A worker process was killed (out of memory, or by hand); run the same command again to go on, "
    "with fewer --workers if memory is short."
)
NOT_STARTED = (
    "A worker process ended before its first result: take fewer --workers if memory is short, and in a script of "
    "your own call this under `if __name__ == '__main__':`, because each worker reads the script."
)

Named = Callable[[T], str]


def pooled(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    label: str,
    name: Named[T] = str,
    load: Callable[[T], T] | None = None,
    workers: int | None = None,
    strict: bool = False,
    chunk: int = CHUNK,
) -> Iterator[R | Skipped]:
    """Yield `work(item)` for every item, in order, with a progress bar.

    An InputError of one item becomes `Skipped(name(item), reason)`; with `strict`, and for a TargetError always, it
    is raised. Any other error is raised with a note that names the item. `workers` is the number of processes; None
    begins with threads of this process and goes on with all cores where that will pay, 0 takes neither. `load` is
    called here, shortly before an item is sent, and returns what is sent in its place: for what would not fit in
    memory at once. At most `chunk` items go to a process at a time; take 1 where an item takes seconds.
    """
    with progress_bar() as bar:
        yield from bar.track(
            _results(_Attempt(work, name, strict), items, load, workers, chunk), description=label, total=len(items)
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
    workers: int | None = None,
    strict: bool = False,
    chunk: int = CHUNK,
) -> Iterator[dict[str, Any] | Skipped]:
    """`pooled` for work whose results are plain data, kept in the file `journal`: what it holds is not done again.

    Results come in the order of the items, earlier ones as well. `key` identifies an item and the state of what it is
    made from.
    """
    done = _read_journal(journal)
    keys = [key(item) for item in items]
    rest = [item for item, one in zip(items, keys, strict=True) if one not in done]
    if len(rest) < len(items):
        say(f"{len(items) - len(rest)} of {len(items)} are done already; going on.")
    results = pooled(work, rest, label=label, name=name, load=load, workers=workers, strict=strict, chunk=chunk)
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


class _Attempt:
    """Work on a chunk of items, errors sorted."""

    def __init__(self, work: Callable[[Any], Any], name: Named[Any], strict: bool) -> None:
        self.work, self.name, self.strict = work, name, strict

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        return [self.one(item) for item in items]

    def one(self, item: Any) -> Any:
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
    attempt: _Attempt, items: Sequence[Any], load: Callable[[Any], Any] | None, workers: int | None, most: int
) -> Iterator[Any]:
    keep_freed_memory()
    cores = _cores()
    loaded = iter(items) if load is None else map(load, items)
    if workers == 0:
        yield from map(attempt.one, loaded)
        return
    done = 0
    if workers is None:
        began = time.perf_counter()
        with ThreadPoolExecutor(min(8, cores)) as pool:
            first = _until(began + TRIAL_SECONDS, loaded)
            for result in _in_order(pool, attempt, first, 1, AHEAD * cores):
                done += 1
                yield result
            rest_seconds = (time.perf_counter() - began) / max(done, 1) * (len(items) - done)
            if cores == 1 or rest_seconds < WORTH_SECONDS:
                yield from _in_order(pool, attempt, loaded, 1, AHEAD * cores)
                return
    yield from _in_processes(attempt, loaded, len(items) - done, workers or cores, most)


def _until(moment: float, items: Iterator[T]) -> Iterator[T]:
    for item in items:
        yield item
        if time.perf_counter() >= moment:
            return


def _in_processes(attempt: _Attempt, items: Iterator[Any], count: int, workers: int, most: int) -> Iterator[Any]:
    # A forked copy of a process that runs threads (OpenCV, OpenMP) may hang, hence spawn.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_process, initargs=(attempt,)
    )
    chunk = max(1, min(most, count // (AHEAD * workers)))
    working, finished = False, False
    try:
        for result in _in_order(pool, _in_process, items, chunk, AHEAD * workers):
            working = True
            yield result
        finished = True
    except BrokenProcessPool as error:
        raise TargetError(KILLED if working else NOT_STARTED) from error
    finally:
        if not finished:
            for process in list((pool._processes or {}).values()):  # Python 3.14 has a public name for this
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: Executor, call: Any, items: Iterator[Any], chunk: int, ahead: int) -> Iterator[Any]:
    waiting: deque[Future[list[Any]]] = deque()
    try:
        while taken := list(islice(items, chunk)):
            with _interrupts_held():
                waiting.append(pool.submit(call, taken))
            if len(waiting) >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that starts here never gets Ctrl-C, not even while it imports: the parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> int:
    """Those that this process may use; a scheduler may have lent it a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let the allocator keep what is freed, for the next image.

    glibc hands planes of pixels back to the system one by one and takes them anew: the page faults took half of the
    time of painting masks. Elsewhere nothing happens.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    for parameter, value in ((mmap_threshold, 1 << 25), (trim_threshold, KEPT_BYTES), (top_pad, 1 << 24)):
        mallopt(parameter, value)


_attempt: _Attempt | None = None


def _start_process(attempt: _Attempt) -> None:
    """In a worker process: keep the work, leave Ctrl-C to the parent, use one core, end when the parent is gone."""
    global _attempt
    _attempt = attempt
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _in_process(items: Sequence[Any]) -> list[Any]:
    assert _attempt is not None
    return _attempt(items)
