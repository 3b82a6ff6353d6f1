"""Where encodings are kept: in memory by what was used last, and on disk from one session to the next."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

import numpy as np

from maskwright.files import content_hash, explained, write_bytes
from maskwright.prompt.prompter import Encoding

Key = tuple[str, str]
_FORMAT = "1"
_ABANDONED_SECONDS = 600.0


class Memory:
    """Encodings in memory, at most `limit` bytes of them: those go first that were not used for longest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[Key, Encoding] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Encoding | None:
        """The encoding, which now counts as used; None if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, encoding: Encoding, stay: Container[Key] = ()) -> None:
        """Keep an encoding; those in `stay` leave last of all."""
        with self._lock:
            self._kept[key] = encoding
            self._kept.move_to_end(key)
            total = sum(map(size_of, self._kept.values()))
            for old in sorted(self._kept, key=lambda key: key in stay):  # stable: by age within both
                if total <= self.limit or len(self._kept) == 1:
                    break
                total -= size_of(self._kept.pop(old))

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def forget(self, prompter: str) -> None:
        """Drop all that one prompter encoded."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == prompter]:
                del self._kept[key]


class Disk:
    """Encodings in a folder, one npz file each, at most `limit` bytes of them: the oldest go first.

    A file that cannot be read counts as none, and is removed. Files appear whole or not at all.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._lock = threading.Lock()

    def path_of(self, key: str, fingerprint: str) -> Path:
        """The file of an image's key and a prompter's fingerprint."""
        return self.folder / f"{content_hash(repr((_FORMAT, key, fingerprint)).encode())}.npz"

    def get(self, key: str, fingerprint: str) -> Encoding | None:
        """The encoding, which now counts as used; None if there is none, or a broken one."""
        path = self.path_of(key, fingerprint)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                encoding = {name: arrays[name] for name in arrays.files}
            if encoding["size_hw"].shape != (2,):
                raise ValueError("no size")
        except FileNotFoundError:
            return None
        except Exception:  # a broken archive raises a dozen types
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return encoding

    def put(self, key: str, fingerprint: str, encoding: Encoding) -> None:
        """Write an encoding; raises TargetError where the folder cannot be written or the disk is full."""
        data = io.BytesIO()
        np.savez(data, **encoding)  # type: ignore[arg-type]  # its options come after the arrays
        if data.getbuffer().nbytes > self.limit:
            return
        with self._lock:
            with explained(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(data.getbuffer().nbytes)
            write_bytes(self.path_of(key, fingerprint), data.getvalue())

    def _make_room(self, wanted: int) -> None:
        now = time.time()
        found: list[tuple[float, int, Path]] = []
        with explained(self.folder):
            for entry in os.scandir(self.folder):
                if not entry.name.endswith((".npz", ".part")):
                    continue
                with suppress(OSError):  # another process may have removed it
                    facts = entry.stat()
                    if entry.name.endswith(".npz"):
                        found.append((facts.st_mtime, facts.st_size, Path(entry.path)))
                    elif now - facts.st_mtime > _ABANDONED_SECONDS:  # its writer was killed
                        os.unlink(entry.path)
            total = wanted + sum(size for _, size, _ in found)
            for _, size, path in sorted(found):
                if total <= self.limit:
                    break
                path.unlink(missing_ok=True)
                total -= size


def size_of(encoding: Encoding) -> int:
    """Bytes of an encoding's arrays."""
    return sum(array.nbytes for array in encoding.values())
