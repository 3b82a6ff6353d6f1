"""Prompters behind a page: what is done first, what is kept, and that nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from maskwright.prompt.desk import PromptDesk
from maskwright.prompt.encodings import Disk, Memory
from maskwright.prompt.prompter import Candidates, Encoding
from maskwright.types import Image, InputError, Prompt

CLICK = Prompt(points_xy=((1.5, 1.5),), positive=(True,))
SIZE_HW = (4, 6)


class Slow:
    """A prompter whose image is a number, and which encodes when it is let."""

    name = "slow"

    def __init__(self, fingerprint: str = "f1") -> None:
        self.fingerprint = fingerprint
        self.gate = threading.Semaphore(0)
        self.encoded: list[int] = []
        self.began: list[int] = []
        self.taken: list[int] = []
        self.trouble: Exception | None = None
        self.busy = 0

    def encode(self, image_HW3: Image) -> Encoding:
        number = int(image_HW3[0, 0, 0])
        self.began.append(number)
        assert self.gate.acquire(timeout=20)
        if self.trouble:
            raise self.trouble
        self.encoded.append(number)
        return {"number": np.array([number]), "bulk": np.zeros(1000, np.uint8), "size_hw": np.array(SIZE_HW)}

    def set_image(self, image_HW3: Image) -> None:
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        self.taken.append(int(encoding["number"][0]))

    def predict(self, prompt: Prompt) -> Candidates:
        prompt.check(SIZE_HW)
        self.busy += 1
        assert self.busy == 1, "one prompt at a time"
        time.sleep(0.001)
        self.busy -= 1
        soft_NHW = np.full((1, *SIZE_HW), self.taken[-1], np.uint8)
        return Candidates(soft_NHW=soft_NHW, scores_N=np.ones(1, np.float32), chosen=0)


def photo(number: int) -> Callable[[], Image]:
    return lambda: np.full((*SIZE_HW, 3), number, np.uint8)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(4000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it does not come to that")


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def desk(slow: Slow, tmp_path: Path) -> Iterator[PromptDesk]:
    desk = PromptDesk(["classical"], cache=tmp_path / "cache", load=lambda spec: slow)
    yield desk
    slow.gate.release(1000)
    desk.close()


def answer(desk: PromptDesk, number: int) -> int:
    return int(desk.predict("classical", f"k{number}", photo(number), CLICK).soft_NHW[0, 0, 0])


def prepare(desk: PromptDesk, number: int, *, ahead: bool = False) -> None:
    desk.prepare("classical", f"k{number}", photo(number), ahead)


def test_the_image_on_the_screen_is_first_and_what_was_left_is_dropped(desk: PromptDesk, slow: Slow) -> None:
    prepare(desk, 1)
    until(lambda: slow.began == [1])
    assert desk.state_of("classical", "k1") == "embedding"
    prepare(desk, 11, ahead=True)
    prepare(desk, 2)
    prepare(desk, 21, ahead=True)
    prepare(desk, 3)  # 2 and its next one were never begun
    prepare(desk, 31, ahead=True)
    prepare(desk, 32, ahead=True)
    assert desk.state_of("classical", "k2") == "waiting"
    slow.gate.release(4)
    until(lambda: len(slow.encoded) == 4)
    assert slow.encoded == [1, 3, 31, 32]
    until(lambda: desk.state_of("classical", "k32") == "ready")
    assert desk.state_of("classical", "k2") == "waiting"


def test_who_waits_for_an_answer_is_never_dropped(desk: PromptDesk, slow: Slow) -> None:
    prepare(desk, 1)
    until(lambda: slow.began == [1])
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(answer, desk, 5), pool.submit(answer, desk, 6)
        time.sleep(0.05)
        prepare(desk, 7)  # another tab
        slow.gate.release(4)
        assert (first.result(20), second.result(20)) == (5, 6)
    until(lambda: len(slow.encoded) == 4)
    assert slow.encoded[-1] == 7


def test_many_threads_get_their_own_answers(desk: PromptDesk, slow: Slow) -> None:
    slow.gate.release(1000)
    with ThreadPoolExecutor(8) as pool:
        numbers = [i % 5 for i in range(200)]
        assert list(pool.map(lambda number: answer(desk, number), numbers)) == numbers
    assert sorted(slow.encoded) == [0, 1, 2, 3, 4]


def test_an_image_is_answered_while_another_is_encoded(desk: PromptDesk, slow: Slow) -> None:
    slow.gate.release(1)
    assert answer(desk, 1) == 1
    prepare(desk, 2, ahead=True)
    until(lambda: slow.began == [1, 2])
    assert answer(desk, 1) == 1  # 2 is still at the gate
    assert slow.encoded == [1]


def test_only_so_many_bytes_stay_in_memory(slow: Slow) -> None:
    memory = Memory(2500)
    encoding = {"bulk": np.zeros(1000, np.uint8)}
    for name in "abcd":
        memory.put(("p", name), encoding, stay={("p", "a")})
    assert [name for name in "abcd" if ("p", name) in memory] == ["a", "d"]
    memory.get(("p", "a"))
    memory.put(("p", "e"), encoding)
    assert [name for name in "ade" if ("p", name) in memory] == ["a", "e"], "what was used last stays"
    memory.put(("p", "huge"), {"bulk": np.zeros(9000, np.uint8)})
    assert ("p", "huge") in memory, "one image always fits"
    assert ("p", "e") not in memory


def test_another_session_finds_encodings_on_disk(tmp_path: Path) -> None:
    for fingerprint, encodes in (("f1", 1), ("f1", 0), ("f2", 1), ("", 1), ("", 1)):
        slow = Slow(fingerprint)
        slow.gate.release(1000)
        desk = PromptDesk(["classical"], cache=tmp_path / "cache", load=lambda spec, slow=slow: slow)  # type: ignore[misc]
        assert answer(desk, 9) == 9
        assert len(slow.encoded) == encodes, fingerprint or "without a fingerprint nothing is kept"
        desk.close()
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("broken", [b"", b"PK\x03\x04", b"not a zip", "cut", "flipped", "list", "pickle"])
def test_a_broken_file_counts_as_none_and_is_replaced(tmp_path: Path, broken: bytes | str) -> None:
    disk = Disk(tmp_path, 10**6)
    whole = {"a": np.arange(500), "size_hw": np.array([4, 6])}
    disk.put("key", "f", whole)
    path = disk.path_of("key", "f")
    data = path.read_bytes()
    if broken == "cut":
        path.write_bytes(data[:700])
    elif broken == "flipped":
        path.write_bytes(data[:300] + b"\xff" + data[301:])
    elif broken == "list":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif broken == "pickle":
        with path.open("wb") as file:
            np.savez(file, size_hw=np.array([{}], object))
    else:
        assert isinstance(broken, bytes)
        path.write_bytes(broken)
    assert disk.get("key", "f") is None
    assert not path.exists()
    disk.put("key", "f", whole)
    found = disk.get("key", "f")
    assert found is not None
    np.testing.assert_array_equal(found["a"], whole["a"])


def test_a_kill_while_writing_leaves_no_broken_file(tmp_path: Path) -> None:
    code = f"""
import itertools, pathlib
import numpy as np
from maskwright.prompt.encodings import Disk
disk = Disk(pathlib.Path({str(tmp_path)!r}), 10**8)
for i in itertools.count():
    disk.put(f"k{{i % 4}}", "f", {{"a": np.full(2_000_000, i % 100, np.uint8), "size_hw": np.array([4, 6])}})
    print(i, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(6):
            assert process.stdout.readline()
        process.kill()
    disk = Disk(tmp_path, 10**8)
    for i in range(4):
        found = disk.get(f"k{i}", "f")
        assert found is not None
        assert np.all(found["a"] == found["a"][0])


def test_the_folder_is_bounded_and_what_a_kill_left_is_swept(tmp_path: Path) -> None:
    encoding = {"a": np.zeros(1000, np.uint8), "size_hw": np.array([4, 6])}
    disk = Disk(tmp_path, 5000)
    (tmp_path / ".half.npz.77.part").write_bytes(b"half")  # as a process killed while it wrote leaves it
    (tmp_path / ".young.npz.78.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours")
    os.utime(tmp_path / ".half.npz.77.part", (1, 1))
    for i in range(6):
        disk.put(f"k{i}", "f", encoding)
        os.utime(disk.path_of(f"k{i}", "f"), (1000 + i, 1000 + i))
        disk.get("k0", "f")  # used, so that it stays
    names = {path.name for path in tmp_path.iterdir()}
    assert disk.get("k0", "f") is not None
    assert disk.get("k5", "f") is not None
    assert disk.get("k1", "f") is None
    assert sum(path.stat().st_size for path in tmp_path.glob("*.npz")) <= 5000
    assert "notes.txt" in names
    assert ".young.npz.78.part" in names
    assert ".half.npz.77.part" not in names
    disk.put("huge", "f", {"a": np.zeros(9000, np.uint8)})
    assert disk.get("huge", "f") is None


def test_a_folder_that_cannot_be_written_is_said_and_does_not_matter(slow: Slow, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    slow.gate.release(1000)
    desk = PromptDesk(["classical"], cache=tmp_path / "file", load=lambda spec: slow)
    assert answer(desk, 3) == 3
    until(lambda: "keeps nothing" in desk.states()[0]["message"])
    assert desk.states()[0]["state"] == "ready"
    desk.close()


def test_states_while_loading_and_after_a_failure(tmp_path: Path) -> None:
    go, tries = threading.Event(), [0]

    def load(spec: str) -> Slow:
        assert go.wait(20)
        tries[0] += 1
        if tries[0] == 1:
            raise InputError("The weights are missing; get them.")
        slow = Slow()
        slow.gate.release(1000)
        return slow

    desk = PromptDesk(["sam2"], cache=tmp_path, load=load)
    assert desk.states() == [
        {"name": "sam2", "label": "SAM 2", "state": "loading", "message": "SAM 2 is being loaded."}
    ]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(desk.predict, "sam2", "k1", photo(1), CLICK)
        desk.prepare("sam2", "k2", photo(2))
        assert desk.state_of("sam2", "k2") == "waiting"
        go.set()
        with pytest.raises(InputError, match="weights are missing"):
            waiting.result(20)
    assert desk.states()[0]["state"] == "failed"
    assert desk.state_of("sam2", "k2") == "failed: The weights are missing; get them."
    for call in (lambda: desk.prepare("sam2", "k1", photo(1)), lambda: desk.predict("sam2", "k1", photo(1), CLICK)):
        with pytest.raises(InputError, match="weights are missing"):
            call()
    desk.add("sam2")  # they are there now
    assert desk.predict("sam2", "k1", photo(1), CLICK).soft_NHW[0, 0, 0] == 1
    assert desk.states()[0]["state"] == "ready"
    desk.add("sam2")
    assert tries == [2], "what is ready is not loaded again"
    desk.close()


@pytest.mark.parametrize("error", [RuntimeError("out of memory\nat 0x0"), InputError("It is too dark."), MemoryError()])
def test_a_failed_image_is_told_and_can_be_tried_again(desk: PromptDesk, slow: Slow, error: Exception) -> None:
    slow.gate.release(1000)
    slow.trouble = error
    prepare(desk, 1)
    until(lambda: desk.state_of("classical", "k1").startswith("failed: "))
    with pytest.raises(InputError) as caught:
        answer(desk, 1)
    assert "\n" not in str(caught.value)
    assert desk.state_of("classical", "k1") == f"failed: {caught.value}"
    slow.trouble = None
    assert answer(desk, 1) == 1
    assert desk.state_of("classical", "k1") == "ready"


def test_a_photo_that_cannot_be_read(desk: PromptDesk, slow: Slow) -> None:
    def gone() -> Image:
        raise InputError("a.jpg does not exist; check the path.")

    slow.gate.release(1000)
    with pytest.raises(InputError, match=r"a\.jpg does not exist"):
        desk.predict("classical", "k1", gone, CLICK)
    assert answer(desk, 2) == 2


def test_errors_while_answering(desk: PromptDesk, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    slow.gate.release(1000)
    with pytest.raises(InputError, match="The prompt is empty"):
        desk.predict("classical", "k1", photo(1), Prompt())
    with monkeypatch.context() as patch:
        patch.setattr(slow, "predict", lambda prompt: 1 // 0)
        with pytest.raises(InputError, match=r"Classical could not answer \(integer division"):
            answer(desk, 1)
    assert answer(desk, 1) == 1


def test_prompters_are_added_while_it_runs_and_unknown_ones_refused(desk: PromptDesk, slow: Slow) -> None:
    slow.gate.release(1000)
    desk.add("run:runs/new")
    assert [state["label"] for state in desk.states()] == ["Classical", "Run new"]
    assert desk.predict("run:runs/new", "k4", photo(4), CLICK).soft_NHW[0, 0, 0] == 4
    with pytest.raises(InputError, match="Unknown prompter 'nonsense'"):
        desk.add("nonsense")
    with pytest.raises(InputError, match="Unknown prompter of this page 'sam2'"):
        desk.state_of("sam2", "k1")
    with pytest.raises(InputError, match="Unknown prompter 'nonsense'"):
        PromptDesk(["classical", "nonsense"], cache=Path("nowhere"), load=lambda spec: slow)


def test_closing_while_busy_leaves_nobody_waiting(slow: Slow, tmp_path: Path) -> None:
    desk = PromptDesk(["classical"], cache=tmp_path, load=lambda spec: slow)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(answer, desk, number) for number in (1, 2)]
        until(lambda: len(slow.began) == 1)
        desk.close(seconds=0.05)
        for one in waiting:
            with pytest.raises(InputError, match="has been closed"):
                one.result(20)
    slow.gate.release(1000)
    with pytest.raises(InputError, match="closed"):
        answer(desk, 3)
    with pytest.raises(InputError, match="closed"):
        desk.add("sam2")
    desk.close()
    assert slow.began == [1] or slow.began == [2]
