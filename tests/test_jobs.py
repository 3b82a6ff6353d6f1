"""Jobs: order, errors, bounded memory, killed workers, and going on where an earlier call ended."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from maskwright.console import Skipped
from maskwright.data import jobs
from maskwright.data.jobs import CHUNK, journaled, pooled
from maskwright.data.processes import AHEAD
from maskwright.types import InputError, TargetError

ITEMS = list(range(40))


@dataclass(frozen=True)
class Work:
    """Doubles a number; one number meets with an accident."""

    at: int = -1
    accident: str = ""

    def __call__(self, item: int) -> int:
        if item == self.at:
            if self.accident == "bad":
                raise InputError(f"{item} is bad")
            if self.accident == "full":
                raise TargetError("The disk is full.")
            if self.accident == "bug":
                raise ZeroDivisionError("a bug")
            if self.accident == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        return 2 * item


def process_of(item: int) -> int:
    return os.getpid()


def named(item: int) -> str:
    return f"number {item}"


@pytest.mark.parametrize("workers", [0, 1, 2, None])
def test_results_come_in_order_and_bad_items_in_their_place(workers: int | None) -> None:
    results = list(pooled(Work(3, "bad"), ITEMS, label="", name=named, workers=workers))
    assert results == [Skipped("number 3", "3 is bad") if i == 3 else 2 * i for i in ITEMS]


@pytest.mark.parametrize("workers", [0, 1, None])
@pytest.mark.parametrize("strict", [False, True])
def test_errors_are_sorted(workers: int | None, strict: bool) -> None:
    def run(accident: str) -> list[Any]:
        work = Work(17, accident)
        return list(pooled(work, ITEMS, label="", name=named, workers=workers, strict=strict))

    with pytest.raises(TargetError, match="disk is full"):
        run("full")
    with pytest.raises(ZeroDivisionError) as caught:
        run("bug")
    assert "while working on number 17" in caught.value.__notes__
    if strict:
        with pytest.raises(InputError, match="17 is bad"):
            run("bad")
    assert not multiprocessing.active_children(), "no process outlives its job"


def test_no_items_are_no_work() -> None:
    for workers in (0, 1, None):
        assert list(pooled(Work(), [], label="", workers=workers)) == []


@pytest.mark.parametrize(
    ("workers", "bound"), [(0, 1), (1, (AHEAD + 1) * CHUNK), (None, AHEAD * jobs.count_cores() + 1)]
)
def test_items_are_loaded_shortly_before_they_are_sent(workers: int | None, bound: int) -> None:
    loaded, most = 0, 0

    def load(item: int) -> int:
        nonlocal loaded
        assert threading.current_thread() is threading.main_thread()
        loaded += 1
        return item + 1000

    count = 1000
    for done, result in enumerate(pooled(Work(), range(count), label="", load=load, workers=workers)):
        assert result == 2 * (done + 1000), "what was loaded is worked on"
        most = max(most, loaded - done)
    assert loaded == count
    assert most <= bound


def test_long_work_goes_on_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "TRIAL_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "count_cores", lambda: 2)
    processes = list(pooled(process_of, ITEMS, label=""))
    assert processes[0] == os.getpid()
    assert os.getpid() not in processes[1:]


@pytest.mark.parametrize(
    ("at", "message"),
    [(35, "was killed .*run the same command again"), (0, "before its first result.*fewer --workers")],
)
def test_a_killed_worker_ends_the_work_with_one_sentence(at: int, message: str) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        list(pooled(Work(at, "kill"), ITEMS, label="", workers=1))
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from maskwright.data.jobs import pooled\n"
        "from operator import neg\n"
        "print(list(pooled(neg, [1, 2, 3], label='', workers=1)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100, check=False)
    assert "TargetError: A worker process ended before its first result" in done.stderr
    assert "__name__ == '__main__'" in done.stderr


def test_giving_up_early_ends_the_processes() -> None:
    results = pooled(Work(), range(1000), label="", workers=1)
    assert list(islice(results, 3)) == [0, 2, 4]
    results.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


class Log:
    """Work that counts its calls; not sent anywhere."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.bad: set[int] = set()
        self.stop: int | None = None

    def __call__(self, item: int) -> dict[str, Any]:
        if item == self.stop:
            raise KeyboardInterrupt
        self.calls.append(item)
        if item in self.bad:
            raise InputError("bad")
        return {"twice": 2 * item, "name": "ä\n"}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def run(work: Log, journal: Path, items: list[int], salt: str = "") -> Iterator[dict[str, Any] | Skipped]:
    return journaled(work, items, journal=journal, key=lambda item: f"{item}{salt}", label="", workers=0)


def test_what_is_done_is_not_done_again_and_keeps_its_place(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Log()
    list(run(work, journal, [5, 1]))
    again = list(run(work, journal, [1, 2, 5, 3]))
    assert [result["twice"] for result in again if not isinstance(result, Skipped)] == [2, 4, 10, 6]
    assert work.calls == [5, 1, 2, 3]
    assert "2 of 4 are done already; going on." in capsys.readouterr().err


def test_what_others_left_in_the_journal_is_no_news(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list(run(Log(), journal, [1, 2]))
    list(run(Log(), journal, [3]))
    assert capsys.readouterr().err == ""


def test_an_interruption_loses_nothing_that_was_done(journal: Path) -> None:
    work = Log()
    work.stop = 3
    with pytest.raises(KeyboardInterrupt):
        list(run(work, journal, [1, 2, 3, 4]))
    assert len(journal.read_bytes().splitlines()) == 2
    work.stop = None
    assert len(list(run(work, journal, [1, 2, 3, 4]))) == 4
    assert work.calls == [1, 2, 3, 4]


def test_a_changed_item_is_done_anew(journal: Path) -> None:
    work = Log()
    list(run(work, journal, [1, 2]))
    list(run(work, journal, [1, 2], salt=" changed"))
    assert work.calls == [1, 2, 1, 2]


def test_what_was_left_out_is_tried_again(journal: Path) -> None:
    work = Log()
    work.bad = {1}
    assert list(run(work, journal, [1, 2])) == [Skipped("1", "bad"), {"twice": 4, "name": "ä\n"}]
    work.bad = set()
    assert not any(isinstance(result, Skipped) for result in run(work, journal, [1, 2]))
    assert work.calls == [1, 2, 1]


@pytest.mark.parametrize(
    "torn", [b'{"key":"9","val', b"\0" * 40, b'{"key":"9","value":{}}', b"[1]\n", b"\xff\n", b"{}\n"]
)
def test_a_torn_end_is_cut_off(journal: Path, torn: bytes) -> None:
    work = Log()
    list(run(work, journal, [1, 2]))
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    assert len(list(run(work, journal, [1, 2, 9]))) == 3
    assert work.calls == [1, 2, 9]
    lines = journal.read_bytes().splitlines()
    assert journal.read_bytes().startswith(whole)
    assert [json.loads(line)["key"] for line in lines] == ["1", "2", "9"]


def test_an_error_in_the_work_is_not_blamed_on_the_journal(journal: Path) -> None:
    def denied(item: int) -> dict[str, Any]:
        raise PermissionError(13, "Permission denied", "photo.jpg")

    with pytest.raises(PermissionError, match=r"photo\.jpg"):
        list(journaled(denied, [1], journal=journal, key=str, label="", workers=0))
