"""Several processes that train one network: started here (`train.devices`), or by torchrun.

In either case the environment says who is who (RANK, WORLD_SIZE), and process 0 is the only one that writes and
speaks. With one process nothing here does anything.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from maskwright.types import InputError

T = TypeVar("T")
# Others wait while the first process decodes a large data set.
LONGEST_WAIT = timedelta(days=1)
KILLED = (
    "A training process was killed (out of memory, or by hand); the run goes on with 'maskwright train --resume' from "
    "its last finished epoch, with a smaller train.batch if memory is short."
)


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def count_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", str(count())))


def join_group(rendezvous: str = "env://") -> None:
    """Join the other processes, if there are any."""
    if count() == 1 or distributed.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(
        backend, init_method=rendezvous, rank=rank(), world_size=count(), timeout=LONGEST_WAIT
    )


def shared(make: Callable[[], T]) -> T:
    """What `make` returns in process 0, in every process; an InputError there is raised in all."""
    if count() == 1:
        return make()
    box: list[Any] = [None]
    if rank() == 0:
        try:
            box = [make()]
        except InputError as error:
            box = [error]
    distributed.broadcast_object_list(box)
    if isinstance(box[0], InputError):
        raise box[0]
    found: T = box[0]
    return found


@contextmanager
def first_then_others() -> Iterator[None]:
    """Process 0 goes through the block before the others, which find there what it made."""
    if count() > 1 and rank() > 0:
        distributed.barrier()
    yield
    if count() > 1 and rank() == 0:
        distributed.barrier()


@contextmanager
def only_first_speaks() -> Iterator[None]:
    """Process 0 writes to standard error, the others into nothing."""
    if rank() == 0:
        yield
        return
    with redirect_stderr(io.StringIO()):
        yield


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, in each of them; takes and returns a tensor on the CPU."""
    if count() > 1:
        distributed.all_reduce(values)
    return values


def mean_of(values: Sequence[float]) -> float:
    """The mean of the numbers that all processes have; NaN where there are none."""
    both = summed(torch.tensor([float(sum(values)), float(len(values))], dtype=torch.float64))
    return float(both[0] / both[1]) if count() > 1 else float(np.mean(values)) if values else float("nan")


def of_first(value: float) -> float:
    """The number that process 0 has."""
    return float(summed(torch.tensor(value if rank() == 0 else 0.0, dtype=torch.float64)))


def any_of(flag: bool) -> bool:
    """Whether it holds in one of the processes."""
    return bool(summed(torch.tensor(int(flag))) > 0)


@torch.no_grad()
def align_statistics(network: nn.Module) -> None:
    """Give the running statistics of batch norm the mean over all processes, each of which saw other images."""
    if count() == 1:
        return
    for buffer in network.buffers():
        if buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer /= count()


def in_processes(number: int, work: Callable[..., T], *arguments: Any) -> T:
    """`work(*arguments)` in `number` new processes that form a group, or here if it is one or this is in a group.

    Returns what process 0 returns. The first InputError of any of them ends all and is raised here. Ctrl-C is passed
    on to them.
    """
    if number == 1 or count() > 1:
        return work(*arguments)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(number)]
        members = [
            context.Process(target=_member, args=(place, number, folder, pipe[1], work, arguments))
            for place, pipe in enumerate(pipes)
        ]
        for member, (_, sender) in zip(members, pipes, strict=True):
            member.start()
            sender.close()
        with _interrupt_passed_on(members):
            try:
                results = _results(members, [receiver for receiver, _ in pipes])
            finally:
                for member in members:
                    member.terminate()
                    member.join()
    found: T = results[0]
    return found


def _results(members: list[SpawnProcess], receivers: list[Connection]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    while len(found) < len(members):
        for ready in wait([receiver for place, receiver in enumerate(receivers) if place not in found]):
            place = receivers.index(ready)  # type: ignore[arg-type]
            try:
                kind, value = receivers[place].recv()
            except EOFError as error:
                raise InputError(KILLED) from error
            if kind == "mistake":
                raise value
            if kind == "failure":
                _raise_mistake([other for other in receivers if other is not ready])
                raise RuntimeError(f"training process {place} failed:\n{value}")
            found[place] = value
    return found


def _raise_mistake(receivers: list[Connection]) -> None:
    """Where one process ends, the others fail as they lose it: what it says comes before what they say."""
    for ready in wait(receivers, timeout=5):
        with suppress(EOFError):
            kind, value = receivers[receivers.index(ready)].recv()  # type: ignore[arg-type]
            if kind == "mistake":
                raise value


def _member(
    place: int, number: int, folder: str, sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """One process of the group."""
    names = {"RANK": place, "LOCAL_RANK": place, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    os.environ |= {name: str(value) for name, value in names.items()}
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches the first process alone, which passes it on
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(max(1, torch.get_num_threads() // number))
    message: tuple[str, Any]
    try:
        join_group((Path(folder) / "group").as_uri())
        with only_first_speaks():
            result = work(*arguments)
        message = ("done", result if place == 0 else None)
    except (InputError, KeyboardInterrupt) as error:
        message = ("mistake", error)
    except BaseException:
        message = ("failure", traceback.format_exc())
    sender.send(message)
    sender.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _interrupt_passed_on(members: list[SpawnProcess]) -> Iterator[None]:
    def pass_on(*_: Any) -> None:
        for member in members:
            if member.pid is not None and member.is_alive():
                os.kill(member.pid, signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
