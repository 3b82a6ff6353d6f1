"""A pool of processes on this machine: results in order, in bounded memory, and none of them outlives its job."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any

import cv2

from maskwright.types import TargetError

AHEAD = 4  # chunks a worker that wait or run: bounds memory
KEPT_BYTES = 128 << 20

OnChunk = Callable[[Sequence[Any]], list[Any]]  # one result an item

KILLED = (
    "A worker process was killed (out of memory, or by hand); run the same command again to go on, "
    "with fewer --workers if memory is short."
)
NOT_STARTED = (
    "A worker process ended before its first result: take fewer --workers if memory is short, and in a script of "
    "your own call this under `if __name__ == '__main__':`, because each worker reads the script."
)


def in_processes(attempt: OnChunk, items: Iterator[Any], count: int, workers: int, most: int) -> Iterator[Any]:
    """`attempt` on chunks of at most `most` items, in so many new processes; a TargetError if one of them is killed."""
    # A forked copy of a process that runs threads (OpenCV, OpenMP) may hang, hence spawn.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_process, initargs=(attempt,)
    )
    chunk = chunk_size(count, workers, most)
    working, finished = False, False
    try:
        for result in in_order(pool, _in_process, items, chunk, AHEAD * workers):
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


def chunk_size(count: int, workers: int, most: int) -> int:
    """So many of `count` items at a time that every worker gets several turns, and `most` in the end."""
    return max(1, min(most, count // (AHEAD * workers)))


def in_order(pool: Executor, call: Any, items: Iterator[Any], chunk: int, ahead: int) -> Iterator[Any]:
    """What `call` makes of chunks of items, item by item; at most `ahead` chunks wait or run."""
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


def settle() -> None:
    """What every worker process does first: keep freed memory, and leave the other cores to the others."""
    keep_freed_memory()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch and the runtimes of networks read it when they are loaded
    cv2.setNumThreads(0)


_attempt: OnChunk | None = None


def _start_process(attempt: OnChunk) -> None:
    """In a worker process: keep the work, leave Ctrl-C to the parent, use one core, end when the parent is gone."""
    global _attempt
    _attempt = attempt
    settle()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _in_process(items: Sequence[Any]) -> list[Any]:
    assert _attempt is not None
    return _attempt(items)
