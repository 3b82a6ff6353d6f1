"""Which classes are in masks that came from elsewhere, remembered so that each is looked at once."""

from __future__ import annotations

import threading
from pathlib import Path

from maskwright.data.labelling.planes import classes_present
from maskwright.files import read_json, write_json
from maskwright.imageio import read_mask
from maskwright.types import Classes, InputError


class Survey:
    """Class ids by image and hash of its mask; a damaged file is begun anew. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._new = 0
        try:
            found = read_json(path) if path.is_file() else {}
            self._known = {id: (str(digest), tuple(map(int, ids))) for id, (digest, ids) in found.items()}
        except (InputError, AttributeError, TypeError, ValueError):
            self._known = {}

    def known(self, id: str, mask_hash: str) -> tuple[int, ...] | None:
        """The ids in the mask with this hash; None where nobody has looked."""
        digest, ids = self._known.get(id, ("", ()))
        return ids if digest == mask_hash else None

    def look(self, mask: Path, id: str, mask_hash: str, classes: Classes) -> None:
        """Read a mask and remember its classes; raises InputError for one that breaks the contract."""
        ids = classes_present(read_mask(mask, classes), classes)
        with self._lock:
            self._known[id] = (mask_hash, ids)
            self._new += 1

    def write(self) -> None:
        """Keep what was found; raises TargetError where the disk is full or read-only."""
        with self._lock:
            if self._new:
                write_json(self._path, self._known)
                self._new = 0
