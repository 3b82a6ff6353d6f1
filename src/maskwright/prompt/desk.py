"""Prompters for a page: loaded and fed in the background, their states always known, answers cached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from maskwright.prompt import check_spec, label_of, load_prompter
from maskwright.prompt.encodings import Disk, Memory
from maskwright.prompt.prompter import Candidates, Prompter
from maskwright.prompt.seat import ReadImage, Seat
from maskwright.types import InputError, Prompt, unknown_name


class PromptDesk:
    """Several prompters, by their spec (see `load_prompter`), ready to be asked from any thread.

    `cache` is a folder for encodings that outlive the program, `memory_mb` and `disk_mb` bound what is kept (in
    10^6 bytes). Raises InputError for an unknown spec; what is missing beyond that shows in `states`.

    >>> desk = PromptDesk(["classical", "sam2"], cache=Path("photos/.label/encodings"))      # doctest: +SKIP
    >>> desk.prepare("sam2", image_hash, read_image)                                          # doctest: +SKIP
    >>> desk.predict("sam2", image_hash, read_image, prompt).mask_HW                          # doctest: +SKIP
    """

    def __init__(
        self,
        specs: Sequence[str],
        *,
        cache: Path,
        memory_mb: int = 512,
        disk_mb: int = 4096,
        download: bool = False,
        load: Callable[[str], Prompter] | None = None,
    ) -> None:
        self._load = load or (lambda spec: load_prompter(spec, download=download))
        self._memory = Memory(memory_mb * 10**6)
        self._disk = Disk(cache, disk_mb * 10**6)
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._seats: dict[str, Seat] = {}
        self._closed = False
        labels = {spec: label_of(spec) for spec in specs}  # says what is unknown before any thread starts
        for spec in labels:
            self.add(spec)

    def states(self) -> list[dict[str, str]]:
        """One `{"name", "label", "state", "message"}` a prompter, in order; state is loading, ready or failed."""
        with self._lock:
            seats = list(self._seats.values())
        return [
            {"name": seat.spec, "label": seat.label, "state": seat.state, "message": seat.message} for seat in seats
        ]

    def add(self, spec: str) -> None:
        """Load another prompter in the background; one that failed is tried again. Raises InputError if unknown."""
        label = label_of(spec)
        with self._lock:
            if self._closed:
                raise InputError("The prompters have been closed; start the page again.")
            if spec in self._seats and self._seats[spec].state != "failed":
                return
            self._memory.forget(spec)
            self._seats[spec] = Seat(
                spec, label, lambda: self._load(spec), turn=self._turn, memory=self._memory, disk=self._disk
            )

    def prepare(self, spec: str, key: str, read_image: ReadImage, ahead: bool = False) -> None:
        """Encode an image in the background: at once if it is looked at, later if it is `ahead`.

        `key` identifies the image's content (its hash). What else was to be prepared by this prompter is dropped by
        an image that is looked at: name the next ones after it. Raises InputError where the prompter has failed.
        """
        self._seat(spec).prepare(key, read_image, ahead=ahead)

    def state_of(self, spec: str, key: str) -> str:
        """'ready', 'embedding', 'waiting' (nothing happens with it yet), or 'failed: ' and one sentence."""
        return self._seat(spec).state_of(key)

    def predict(self, spec: str, key: str, read_image: ReadImage, prompt: Prompt) -> Candidates:
        """Candidates for a prompt; waits until the prompter is loaded and the image encoded.

        One prompter answers one prompt at a time. Raises InputError with the reason on any failure.
        """
        return self._seat(spec).predict(key, read_image, prompt)

    def close(self, *, seconds: float = 5.0) -> None:
        """Stop: whoever waits gets an InputError; at most `seconds` are given to work that cannot be interrupted."""
        with self._lock:
            self._closed = True
            seats = list(self._seats.values())
        for seat in seats:
            seat.close()
        for seat in seats:
            seat.join(seconds / max(1, len(seats)))

    def _seat(self, spec: str) -> Seat:
        with self._lock:
            if spec in self._seats:
                return self._seats[spec]
            known = list(self._seats)
        check_spec(spec)
        raise unknown_name("prompter of this page", spec, known)
