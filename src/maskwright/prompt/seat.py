"""One prompter at work: a thread that loads it and encodes images, the one that is looked at first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from itertools import count

from maskwright.prompt.encodings import Disk, Memory
from maskwright.prompt.prompter import Candidates, Encoding, Prompter
from maskwright.types import Image, InputError, Prompt

ReadImage = Callable[[], Image]
_MOST_AHEAD = 8


class Rank(IntEnum):
    """How soon an image is encoded: somebody waits for it, it is on the screen, or it comes next."""

    ASKED = 0
    CURRENT = 1
    AHEAD = 2


class _Job:
    def __init__(self, key: str, read_image: ReadImage, rank: Rank, number: int) -> None:
        self.key, self.read_image, self.rank, self.number = key, read_image, rank, number
        self.answer: Future[Encoding] = Future()


class Seat:
    """A prompter that is loaded and encodes in its own thread, and answers in the callers' threads, one at a time.

    `state` is 'loading', 'ready' or 'failed', `message` a sentence about it. `turn` lets one prompter load at a time:
    large libraries do not bear being imported by two threads.
    """

    def __init__(
        self, spec: str, label: str, load: Callable[[], Prompter], *, turn: threading.Lock, memory: Memory, disk: Disk
    ) -> None:
        self.spec, self.label = spec, label
        self.state, self.message = "loading", f"{label} is being loaded."
        self._load, self._turn, self._memory, self._disk = load, turn, memory, disk
        self._prompter: Prompter | None = None
        self._taken: str | None = None
        self._answering = threading.Lock()
        self._change = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._working: _Job | None = None
        self._failed: dict[str, str] = {}
        self._current = ""
        self._numbers = count()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"prompter {spec}", daemon=True)
        self._thread.start()

    def state_of(self, key: str) -> str:
        """'ready', 'embedding', 'waiting', or 'failed: ' and the reason, for one image."""
        with self._change:
            if self.state == "failed":
                return f"failed: {self.message}"
            if (self.spec, key) in self._memory:
                return "ready"
            if self._working is not None and self._working.key == key:
                return "embedding"
            if key in self._failed and key not in self._jobs:
                return f"failed: {self._failed[key]}"
            return "waiting"

    def prepare(self, key: str, read_image: ReadImage, *, ahead: bool) -> None:
        """Have an image encoded; unless it is `ahead`, whatever else was to be prepared is not any more."""
        if not ahead:
            with self._change:
                self._current = key
                for job in [job for job in self._jobs.values() if job.rank > Rank.ASKED and job.key != key]:
                    del self._jobs[job.key]
        if self._kept(key) is None:
            self._request(key, read_image, Rank.AHEAD if ahead else Rank.CURRENT)

    def predict(self, key: str, read_image: ReadImage, prompt: Prompt) -> Candidates:
        """Candidates on an image, which is encoded first if need be; raises InputError with the reason on failure."""
        encoding = None if self._taken == key else self._encoding(key, read_image)
        with self._answering:
            if self._prompter is None or self._closed:
                raise self._refusal()
            try:
                if self._taken != key:
                    self._taken = None
                    self._prompter.set_encoding(encoding or self._encoding(key, read_image))
                    self._taken = key
                return self._prompter.predict(prompt)
            except InputError:
                raise
            except Exception as error:  # prompters are open to extension: anything may come
                self._taken = None
                raise InputError(f"{self.label} could not answer ({_reason(error)}); try another prompter.") from error

    def close(self) -> None:
        """Stop; who waits is told so. Work that cannot be interrupted ends by itself, in the background."""
        with self._change:
            self._closed = True
            if self.state != "failed":
                self.state, self.message = "failed", f"{self.label} has been closed; start the page again."
            self._drop_all()
            self._change.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(seconds)

    def _encoding(self, key: str, read_image: ReadImage) -> Encoding:
        return self._kept(key) or self._request(key, read_image, Rank.ASKED).result()

    def _kept(self, key: str) -> Encoding | None:
        """The encoding from memory, or from disk."""
        found = self._memory.get((self.spec, key))
        if found is None and (fingerprint := self._fingerprint()):
            found = self._disk.get(key, fingerprint)
            if found is not None:
                self._keep(key, found)
        return found

    def _keep(self, key: str, encoding: Encoding) -> None:
        self._memory.put((self.spec, key), encoding, stay={(self.spec, self._current)})

    def _fingerprint(self) -> str:
        return getattr(self._prompter, "fingerprint", "")

    def _request(self, key: str, read_image: ReadImage, rank: Rank) -> Future[Encoding]:
        with self._change:
            if self.state == "failed":
                raise self._refusal()
            if self._working is not None and self._working.key == key:
                return self._working.answer
            job = self._jobs.get(key) or _Job(key, read_image, rank, next(self._numbers))
            job.rank = min(job.rank, rank)
            if job.rank < Rank.AHEAD or len(self._jobs) < _MOST_AHEAD:
                self._jobs[key] = job
                self._failed.pop(key, None)
                self._change.notify_all()
            return job.answer

    def _refusal(self) -> InputError:
        return InputError(self.message)

    def _work(self) -> None:
        try:
            with self._turn:
                prompter = None if self._closed else self._load()
            with self._change:
                if not self._closed:
                    self._prompter, self.state, self.message = prompter, "ready", f"{self.label} is ready."
            while (job := self._next()) is not None:
                self._encode(job)
        except Exception as error:  # whatever a library raises, the page is told and nobody waits for ever
            reason = str(error) if isinstance(error, InputError) else f"{self.label} has failed ({_reason(error)})."
            self._fail(reason)
        except BaseException:
            self._fail(f"{self.label} was stopped.")
            raise

    def _fail(self, reason: str) -> None:
        with self._change:
            if not self._closed:
                self.state, self.message = "failed", reason
            self._drop_all()

    def _next(self) -> _Job | None:
        """Wait for the job that is to be done first; None when closed."""
        with self._change:
            self._change.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                return None
            job = min(self._jobs.values(), key=lambda job: (job.rank, job.number))
            self._working = self._jobs.pop(job.key)
            return job

    def _encode(self, job: _Job) -> None:
        """Fill a job's answer, or say why not; then keep it on disk, which nobody waits for."""
        assert self._prompter is not None
        try:
            encoding = self._kept(job.key)
            fresh = encoding is None
            if encoding is None:
                encoding = self._prompter.encode(job.read_image())
                self._keep(job.key, encoding)
        except Exception as error:
            known = isinstance(error, InputError)
            self._end(job, str(error) if known else f"{self.label} could not take the image ({_reason(error)}).")
            return
        self._end(job, encoding)
        if fresh and (fingerprint := self._fingerprint()):
            try:
                self._disk.put(job.key, fingerprint, encoding)
            except (InputError, OSError) as error:
                self.message = f"{self.label} is ready, but keeps nothing for the next time: {error}"

    def _end(self, job: _Job, outcome: Encoding | str) -> None:
        with self._change:
            self._working = None
            if isinstance(outcome, str):
                self._failed[job.key] = outcome
            if job.answer.done():  # closed meanwhile
                return
            if isinstance(outcome, str):
                job.answer.set_exception(InputError(outcome))
            else:
                job.answer.set_result(outcome)

    def _drop_all(self) -> None:
        """Tell everybody who waits."""
        jobs = [*self._jobs.values(), *([self._working] if self._working else [])]
        self._jobs.clear()
        for job in jobs:
            if not job.answer.done():
                job.answer.set_exception(self._refusal())


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
