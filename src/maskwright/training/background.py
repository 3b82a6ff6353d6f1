"""A training beside a person who goes on labelling: a process of its own, watched through its run folder.

DATASET/.label/data/NAME    the snapshot it learns from, with training.log and training.json
DATASET/.label/runs/NAME    the run
"""

from __future__ import annotations

import _thread
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.files import explained
from maskwright.run import Run
from maskwright.training.snapshot import Snapshot, take_snapshot
from maskwright.types import InputError

PATIENCE_SECONDS = 120.0  # a stopped training finishes its batch, writes its weights and its report
LINES = 30
CHILD = (
    "from maskwright.training.background import end_with_parent, go_on; end_with_parent(); "
    "from maskwright.cli import main; import maskwright.training.fit; go_on(); main()"
)
IDLE: dict[str, Any] = {
    "state": "idle", "epoch": 0, "epochs": None, "share": 0.0, "score": None, "message": "", "run": None, "log": [],
}  # fmt: skip


class BackgroundTraining:
    """At most one training at a time of what is labelled in a data set; may be used from several threads.

    >>> training = BackgroundTraining("photos")                                    # doctest: +SKIP
    >>> training.start("default", minutes=5)                                       # doctest: +SKIP
    >>> training.state()["message"]                                                # doctest: +SKIP
    'Epoch 12 of 40, validation mean IoU 0.6113.'
    """

    def __init__(self, dataset: str | Path) -> None:
        self.home = Path(dataset)
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._run = self._data = Path()
        self._minutes: float | None = None
        self._began = 0.0
        self._stopping = False
        self._state = dict(IDLE)

    def start(
        self, recipe: str = "default", *, minutes: float | None = None, sets: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Train a recipe on all images that are labelled by now, for `minutes` where given; returns `state()`.

        Raises InputError while another training runs, for a recipe that cannot be used, and where fewer than 2 images
        or only one class are labelled.
        """
        with self._lock:
            if self._process is not None:
                raise InputError("A training is running already; stop it first, or wait for its end.")
            changes = [*sets, *([] if minutes is None else [f"train.budget={minutes}"])]
            loaded = Recipe.load(recipe, changes)
            name = self._free_name(Path(loaded.name).name)
            self._data, self._run = (self.home / ".label" / part / name for part in ("data", "runs"))
            try:
                snapshot = take_snapshot(Dataset.open(self.home), self._data)
                with explained(self._run.parent):
                    self._run.parent.mkdir(parents=True, exist_ok=True)
                self._launch(recipe, changes)
            except BaseException:
                shutil.rmtree(self._data, ignore_errors=True)
                raise
            self._minutes, self._began, self._stopping = minutes, time.monotonic(), False
            self._state = {**IDLE, "state": "running", "message": beginning(snapshot)}
            return self.state()

    def state(self) -> dict[str, Any]:
        """How it stands: `state` is idle, running, done or failed; `share` of the whole from 0 to 1; one sentence.

        `run` is the folder of a run that can be used, `score` the best validation mean IoU so far, `log` the last
        lines that the training printed.
        """
        with self._lock:
            found = dict(self._state)
            if found["state"] == "running":
                found |= self._progress()
            if self._data != Path() and found["state"] != "idle":
                found["log"] = last_lines(self._data / "training.log")
            return found

    def stop(self) -> None:
        """End the training as Ctrl-C does, and wait for it: after the batch under way, with a run that can be used."""
        with self._lock:
            process, watcher = self._process, self._watcher
            if process is None or watcher is None:
                return
            self._stopping = True
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()  # what the child waits for, see `end_with_parent`
        watcher.join(PATIENCE_SECONDS)
        if watcher.is_alive():
            process.kill()
            watcher.join()

    def close(self) -> None:
        """`stop`, for the end of the program that started it."""
        self.stop()

    def curve(self) -> list[dict[str, Any]]:
        """Labelled images, best validation mean IoU, name and time of every training that can be used, oldest first."""
        rows = []
        for path in self.home.glob(".label/runs/*/run.yaml"):
            with suppress(InputError):
                about = Run.open(path.parent).about
                facts, best = about.get("data") or {}, about.get("best") or {}
                if best.get("val_score", -1) >= 0:
                    images = sum(int(facts.get(f"{side}_images", 0)) for side in ("train", "val", "test"))
                    row = {"labelled": images, "score": best["val_score"], "run": path.parent.name}
                    rows.append({**row, "time": str(about.get("ended", ""))})
        return sorted(rows, key=lambda row: (row["time"], row["run"]))

    def _free_name(self, recipe: str) -> str:
        number = 1
        while any((self.home / ".label" / part / f"{recipe}-{number}").exists() for part in ("data", "runs")):
            number += 1
        return f"{recipe}-{number}"

    def _launch(self, recipe: str, changes: Sequence[str]) -> None:
        command = [sys.executable, "-c", CHILD, "train", str(self._data), "--recipe", recipe, "--out", str(self._run)]
        command += [word for change in changes for word in ("--set", change)]
        with (
            explained(self._data),
            (self._data / "training.log").open("wb") as log,
            (self._data / "training.json").open("wb") as answer,
        ):
            # In a session of its own: Ctrl-C in the terminal reaches the parent, which decides.
            self._process = subprocess.Popen(
                [*command, "--json"], stdin=subprocess.PIPE, stdout=answer, stderr=log, start_new_session=True
            )
        self._watcher = threading.Thread(target=self._watch, args=(self._process,), name="training", daemon=True)
        self._watcher.start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        with self._lock:
            self._state = self._ending(code)
            self._process = None
            shutil.rmtree(self._data / ".cache", ignore_errors=True)

    def _progress(self) -> dict[str, Any]:
        """What the run folder tells of a training that runs."""
        with suppress(InputError, OSError):  # not there yet
            run = Run.open(self._run)
            rows, epochs = run.metrics(), run.recipe.train.epochs
            spent = (time.monotonic() - self._began) / 60
            share = spent / self._minutes if self._minutes else len(rows) / epochs if epochs else 0.0
            scores = [float(row["val_score"]) for row in rows if "val_score" in row]
            if rows:
                of = "" if self._minutes or not epochs else f" of {epochs}"
                said = f"Epoch {len(rows)}{of}"
                said += f", validation mean IoU {max(scores):.4f}." if scores else "."
                return {
                    "epoch": len(rows),
                    "epochs": None if self._minutes else epochs,
                    "share": min(0.99, share),
                    "score": max(scores) if scores else None,
                    "message": "Stopping after this batch." if self._stopping else said,
                }
        return {"message": "Stopping."} if self._stopping else {}

    def _ending(self, code: int) -> dict[str, Any]:
        """The last state: done with a run, stopped before there was one, or failed with the reason."""
        if not (self._run / "weights" / "best.safetensors").is_file():
            reason = told(self._data / "training.json")
            shutil.rmtree(self._run, ignore_errors=True)
            if self._stopping:
                shutil.rmtree(self._data, ignore_errors=True)
                return {**IDLE, "message": "Stopped before there was a run."}
            log = self._data / "training.log"
            words = reason or f"The training ended with exit code {code} and no run; its last words are in {log}."
            return {**IDLE, "state": "failed", "message": words}
        run = Run.open(self._run)
        about, epochs = run.about, len(run.metrics())
        score = (about.get("best") or {}).get("val_score", -1.0)
        ended = "Stopped" if self._stopping else "Finished" if code == 0 else f"Broke off (exit code {code})"
        best = f", best validation mean IoU {score:.4f}" if score >= 0 else ""
        return {
            **IDLE,
            "state": "done",
            "epoch": epochs,
            "epochs": None if self._minutes else run.recipe.train.epochs,
            "share": 1.0,
            "score": score if score >= 0 else None,
            "message": f"{ended} after {epochs} epoch{'' if epochs == 1 else 's'}{best}.",
            "run": str(self._run),
        }


def beginning(snapshot: Snapshot) -> str:
    """What is said until the first epoch is done."""
    extra = f" ({snapshot.note})" if snapshot.note else ""
    return f"Starting: {snapshot.train} images to learn from, {snapshot.val} to validate{extra}."


def last_lines(path: Path) -> list[str]:
    """The end of a log, without empty lines."""
    with suppress(OSError):
        text = path.read_bytes()[-8192:].decode("utf-8", "replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-LINES:]
    return []


def told(path: Path) -> str:
    """The reason that a verb gave with --json, or ''."""
    with suppress(OSError, ValueError, IndexError):
        return str(json.loads(path.read_text("utf-8").splitlines()[-1]).get("error", ""))
    return ""


_asked_to_end = threading.Event()


def go_on() -> None:
    """In the child, once everything is imported: an interrupt that came in the middle of an import may be lost."""
    if _asked_to_end.is_set():
        raise SystemExit(130)


def end_with_parent() -> None:
    """In the child: when standard input ends, because the parent closes it or is gone in any way, stop as by Ctrl-C.

    Labelling comes first: the training yields to other processes.
    """
    if hasattr(os, "nice"):
        os.nice(5)

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        _asked_to_end.set()
        _thread.interrupt_main()
        time.sleep(PATIENCE_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
