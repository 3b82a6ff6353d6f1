"""Break sound input at random and read it: nothing but an InputError may come out, within seconds and little memory.

    python tests/fuzzing.py --seconds 600 --seed 1          what `make fuzz` runs; the seed names every case
    python tests/fuzzing.py --only coco --case 0:coco:4711  one case again, with its traceback

Each target has its own process, so that a crash of a decoder is a finding too. What broke is kept in --keep.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

MOST_SECONDS = 20  # of one case, as the processor counts them
MOST_MEMORY = 2 << 30  # bytes beyond what the process had before the first case
BYTES = (0x00, 0xFF, 0x7F, 0x80, 0x01, 0x20)
WORDS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000, 0x7FFF, 0xFFFF)
VALUES = (
    b"-1", b"0", b"1e308", b"1e999", b"NaN", b"Infinity", b"99999999999999999999", b"2147483648", b"-0.5", b"null",
    b"true", b"[]", b"{}", b'""', b'"x"', b"[[[]]]", b'"../../x"', b'"/etc/passwd"', b"~", b"0x10", b"''", b"1_000",
    b'"\\u0000"', b'"' + b"a" * 3000 + b'"', b"[" * 3000, b"*a", b"&a [*a]", b"!!python/object:x", b"2024-01-01",
    b"\xff",
)  # fmt: skip
forked = multiprocessing.get_context("fork")  # what is imported once is there in every target
TEXT = frozenset({".json", ".yaml", ".yml", ".xml", ".csv", ".txt", ".py", ".jsonl", ".md"})


class TooSlow(BaseException):
    """A case that took too long; no `except Exception` may swallow it."""


def broken(data: bytes, other: bytes, text: bool, rng: random.Random) -> bytes:
    """The data with one to four things done to it."""
    ways: list[Callable[[bytes, bytes, random.Random], bytes]] = [flip, byte, word, cut, repeat, shorten, splice]
    if text:
        ways = [value, value, value, value, key, line, *ways]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(ways)(data, other, rng)
    return data


def place(data: bytes, rng: random.Random) -> int:
    # Headers are at the start, tables of archives at the end.
    whole = max(1, len(data))
    near = min(whole, 200)
    return rng.choice((rng.randrange(whole), rng.randrange(near), whole - 1 - rng.randrange(near)))


def flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = place(data, rng)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :] if data else b"\0"


def byte(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = place(data, rng)
    return data[:at] + bytes([rng.choice((*BYTES, rng.randrange(256)))]) + data[at + 1 :]


def word(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at, size = place(data, rng), rng.choice((2, 4, 8))
    number = rng.choice(WORDS) & ((1 << 8 * size) - 1)
    return data[:at] + number.to_bytes(size, rng.choice(("big", "little"))) + data[at + size :]


def cut(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = place(data, rng)
    return data[:at] + data[at + rng.choice((1, 4, 16, 100)) :]


def repeat(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at, size = place(data, rng), rng.choice((1, 4, 16, 100))
    return data[: at + size] + data[at : at + size] * rng.choice((1, 2, 50)) + data[at + size :]


def shorten(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: place(data, rng)]


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: place(data, rng)] + other[place(other, rng) :]


def value(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Another value where there is a number, a word or a string."""
    found = list(re.finditer(rb'"[^"\n]{0,80}"|-?\d+\.?\d*|\b(?:true|false|null|\w+)\b', data[:20_000]))
    if not found:
        return data
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(VALUES) + data[one.end() :]


def key(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A key with another name, or the value of another key."""
    found = list(re.finditer(rb"[\w\"]+\s*[:=]", data[:20_000]))
    if not found:
        return data
    one, two = rng.choice(found), rng.choice(found)
    return data[: one.start()] + rng.choice((two[0], b"zz:", b'"id":')) + data[one.end() :]


def line(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A line that is gone, twice there, or somewhere else."""
    lines = data.split(b"\n")
    one = lines[rng.randrange(len(lines))]
    at = rng.randrange(len(lines))
    return b"\n".join(rng.choice(([*lines[:at], *lines[at + 1 :]], [*lines[:at], one, *lines[at:]])))


def too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {MOST_SECONDS} seconds")


def one_case(name: str, case: str, sound: Path, work: Path) -> None:
    """Break one file of a fresh copy of the sound input, and read it; raises what the reader raises."""
    from fuzz_targets import TARGETS, attempt

    rng = random.Random(case)
    copy = work / "case"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sound, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    # Tables more often than pixels, which have a target of their own.
    tables = [path for path in files if path.suffix in TEXT] or files
    path = rng.choice(tables if rng.random() < 0.8 else files)
    other = rng.choice(files).read_bytes()
    path.write_bytes(broken(path.read_bytes(), other, path.suffix in TEXT, rng))
    if name in ("pictures", "tiffs", "recipes", "numbers"):
        for rest in files:
            if rest != path:
                rest.unlink()
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        attempt(lambda: TARGETS[name].read(copy))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def where(error: BaseException) -> str:
    """The kind of error and the innermost line of the package: equal ones are told once."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "maskwright" in frame.filename]
    last = frames[-1] if frames else None
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}" if last else type(error).__name__


def fuzz(name: str, seed: int, seconds: float, keep: Path, case: str | None) -> int:
    """Run the cases of one target for so long; prints findings and returns how many there are."""
    from fuzz_targets import TARGETS

    signal.signal(signal.SIGPROF, too_slow)
    warnings.simplefilter("ignore")  # Pillow's, on odd metadata
    told: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        work = Path(folder)
        sound = work / "sound"
        TARGETS[name].make(sound)
        TARGETS[name].read(sound)
        limit_memory()
        end, number = time.monotonic() + seconds, 0
        while case is not None or time.monotonic() < end:
            this = case or f"{seed}:{name}:{number}"
            (keep / f"{name}.now").write_text(this)
            try:
                one_case(name, this, sound, work)
            except (Exception, TooSlow) as error:
                if (kind := where(error)) not in told:
                    told[kind] = this
                    print(f"{name}: {kind}: {str(error)[:300]}\n  again: --only {name} --case {this}", flush=True)
                    if case is not None:
                        traceback.print_exc()
                    shutil.copytree(work / "case", keep / this.replace(":", "-"), dirs_exist_ok=True)
            number += 1
            if case is not None:
                break
        (keep / f"{name}.now").unlink()
        print(f"{name}: {number} cases, {len(told)} findings", flush=True)
    return len(told)


def limit_memory() -> None:
    """So much address space beyond what is in use: what asks for more gets a MemoryError, which is a finding."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        most = pages * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    """Every target in a process of its own, or one of them here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one target")
    parser.add_argument("--case", help="one case of it")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "maskwright-fuzz")
    asked = parser.parse_args()
    asked.keep.mkdir(parents=True, exist_ok=True)
    if asked.only:
        return min(1, fuzz(asked.only, asked.seed, asked.seconds, asked.keep, asked.case))
    from fuzz_targets import TARGETS

    failed = 0
    for name in TARGETS:
        one = forked.Process(target=alone, args=(name, asked.seed, asked.seconds / len(TARGETS), asked.keep))
        one.start()
        one.join()
        if one.exitcode not in (0, 1):
            now = (asked.keep / f"{name}.now").read_text() if (asked.keep / f"{name}.now").exists() else "the start"
            print(f"{name}: ended with {one.exitcode} at {now}", flush=True)
        failed += one.exitcode != 0
    return min(1, failed)


def alone(name: str, seed: int, seconds: float, keep: Path) -> None:
    """One target in this process, decoders' remarks in a file."""
    with (keep / f"{name}.log").open("w") as log:
        os.dup2(log.fileno(), 2)
        try:
            sys.exit(min(1, fuzz(name, seed, seconds, keep, None)))
        except Exception as error:
            print(f"{name}: its sound input cannot be used: {error}", flush=True)
            raise


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
