"""Pre-labels: what a run proposes for images that a person is about to label, made ahead of time and kept on disk."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from maskwright.files import content_hash, explained, write_bytes
from maskwright.run import Run
from maskwright.types import Classes, Image, InputError, Mask

if TYPE_CHECKING:
    from maskwright.infer.predictor import Predictor

FORMAT = 1
NAMED = 4  # classes that a sentence names

ReadImage = Callable[[], Image]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Class ids (H, W) of the data set, ignore where the run says what the data set has no class for; doubt 0..255."""

    mask_HW: Mask
    doubt_HW: NDArray[np.uint8]


class Proposals:
    """A run that proposes masks under a data set's class table; classes are matched by name.

    Weights are loaded on first use (torch is not imported before), one image is computed at a time, and what is done
    is kept in the folder `cache` by the hash of photo, weights and classes. May be used from several threads.

    Raises InputError where the folder is no run with weights, or shares no class with the table.

    >>> proposals = Proposals("runs/road", data.classes, Path("cache"))                      # doctest: +SKIP
    >>> one = proposals.proposal(sample.image_hash, lambda: data.image(sample))              # doctest: +SKIP
    """

    def __init__(
        self,
        run: Run | str | Path,
        classes: Classes,
        cache: str | Path,
        *,
        weights: str = "best",
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.run = run if isinstance(run, Run) else Run.open(run)
        self.classes, self.cache = classes, Path(cache)
        self.name = self.run.path.resolve().name
        self.message = mismatch(self.run.classes, classes, self.name)
        self._ids_K = matched(self.run.classes, classes)
        self._how: dict[str, Any] = {"weights": weights, "device": device, "precision": precision}
        names = repr((FORMAT, self.run.classes.names, classes.names)).encode()
        self._salt = content_hash(self.run.weights(weights).read_bytes()) + content_hash(names)
        self._predictor: Predictor | None = None
        self._computing = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: list[tuple[str, ReadImage]] = []
        self._working: str | None = None
        self._failed: dict[str, str] = {}
        self._worker: threading.Thread | None = None
        self._closed = False

    def proposal(self, key: str, read_image: ReadImage) -> Proposal:
        """The proposal for a photo, from the cache or computed now.

        `key` stands for the photo's pixels (`sample.image_hash`). Raises InputError where it cannot be read.
        """
        if (found := self._kept(key)) is not None:
            return found
        with self._computing:
            if (found := self._kept(key)) is not None:  # somebody else was quicker
                return found
            made = self._compute(read_image())
            self._keep(key, made)
            return made

    def prepare(self, items: Sequence[tuple[str, ReadImage]]) -> None:
        """Compute these in the background, in this order; what still waited from earlier calls is dropped."""
        with self._changed:
            for key, _ in items:
                self._failed.pop(key, None)
            self._waiting = [(key, read) for key, read in items if not self._path(key).is_file()]
            if self._closed or not self._waiting:
                return
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="proposals", daemon=True)
                self._worker.start()
            self._changed.notify_all()

    def state_of(self, key: str) -> str:
        """'ready', 'working', 'waiting', 'failed: reason', or 'unknown'."""
        with self._changed:
            if self._path(key).is_file():
                return "ready"
            if key in self._failed:
                return f"failed: {self._failed[key]}"
            if key == self._working:
                return "working"
            return "waiting" if any(key == other for other, _ in self._waiting) else "unknown"

    def close(self) -> None:
        """Finish the image under way and stop working in the background."""
        with self._changed:
            self._closed, self._waiting = True, []
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._working = None
                self._changed.wait_for(lambda: self._closed or bool(self._waiting))
                if self._closed:
                    return
                key, read_image = self._waiting.pop(0)
                self._working = key
            try:
                self.proposal(key, read_image)
            except Exception as error:  # a page that asks is told; the next image may go well
                with self._changed:
                    self._failed[key] = str(error) or type(error).__name__

    def _compute(self, image_HW3: Image) -> Proposal:
        from maskwright.infer.predictor import Predictor, first_maximum  # torch: seconds
        from maskwright.infer.uncertain import entropy, shares

        if self._predictor is None:
            self._predictor = Predictor.load(self.run, **self._how)
        scores_KHW = self._predictor.probabilities(image_HW3)
        guess_HW = first_maximum(scores_KHW, self.run.classes)
        doubt_HW = np.rint(entropy(shares(scores_KHW)) * 255).astype(np.uint8)
        mask_HW: Mask = self._ids_K[guess_HW]
        return Proposal(mask_HW=mask_HW, doubt_HW=doubt_HW)

    def _path(self, key: str) -> Path:
        return self.cache / f"{content_hash(f'{self._salt}{key}'.encode())}.npz"

    def _kept(self, key: str) -> Proposal | None:
        try:
            with np.load(io.BytesIO(self._path(key).read_bytes()), allow_pickle=False) as arrays:
                hw = tuple(arrays["hw"].tolist())
                mask_HW = unpacked(arrays["mask"], self.classes.dtype, hw)
                return Proposal(mask_HW=mask_HW, doubt_HW=unpacked(arrays["doubt"], np.uint8, hw))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
            return None  # none yet, or damaged: it is made again

    def _keep(self, key: str, made: Proposal) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, hw=made.mask_HW.shape, mask=packed(made.mask_HW), doubt=packed(made.doubt_HW))
        with explained(self.cache):
            self.cache.mkdir(parents=True, exist_ok=True)
        write_bytes(self._path(key), buffer.getvalue())


def matched(run: Classes, data: Classes) -> Mask:
    """The data set's id (or ignore) for every class of the run, shape (K,)."""
    ids = {item.name: item.id for item in data.items}
    return np.array([ids.get(name, data.ignore) for name in run.names], data.dtype)


def mismatch(run: Classes, data: Classes, name: str) -> str:
    """'' or a sentence that says which classes have no partner; raises InputError where none has."""
    unknown = [one for one in data.names if one not in run.names]
    foreign = [one for one in run.names if one not in data.names]
    if len(unknown) == len(data.names):
        raise InputError(
            f"{name} knows none of the classes of this data set ({listed(data.names)}), but {listed(run.names)}; "
            "choose a run that was trained on it, or rename classes."
        )
    parts = []
    if unknown:
        parts.append(f"{name} never proposes {listed(unknown)}, which it was not trained on")
    if foreign:
        parts.append(f"what it takes for {listed(foreign)} stays unlabelled, as this data set has no such class")
    return "; ".join(parts) + "." if parts else ""


def listed(names: Sequence[str]) -> str:
    """'a, b, c, d and 3 more'."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def packed(plane_HW: NDArray[Any]) -> NDArray[np.uint8]:
    """A plane as deflated bytes; level 1, as it is read again within the hour."""
    return np.frombuffer(zlib.compress(np.ascontiguousarray(plane_HW).tobytes(), 1), np.uint8)


def unpacked(bytes_N: NDArray[np.uint8], dtype: Any, hw: tuple[int, ...]) -> NDArray[Any]:
    """What `packed` packed."""
    return np.frombuffer(zlib.decompress(bytes_N.tobytes()), dtype).reshape(hw).copy()
