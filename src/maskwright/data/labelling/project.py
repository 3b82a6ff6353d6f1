"""What the annotator edits: a data set whose masks are saved whole, in numbered revisions, and never lost.

DATASET/masks/ID.png            the labels, valid under the mask contract after every save; ignore where there are none
DATASET/.label/state/ID.json    revision, status, hash, clicks and seconds (`Record`): the truth after a crash
DATASET/.label/thumbs/          small pictures      DATASET/.label/present.json    classes in masks from elsewhere
DATASET/.label/settings.json    what the page remembers
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from maskwright.data.dataset import Dataset
from maskwright.data.labelling.claim import claim, sign
from maskwright.data.labelling.effort import budget, counts, learning_curve
from maskwright.data.labelling.labels import Labels
from maskwright.data.labelling.reclass import added, changed
from maskwright.data.labelling.shown import displayable, thumbnail
from maskwright.files import explained, read_json, write_json
from maskwright.types import Classes, Colour, Image, InputError

HOME = ".label"


class Project(Labels):
    """A data set, opened for labelling; the only writer of its labels, and one process at a time. Thread-safe.

    Use it as a context, or call `close`. `changed` tells whether `samples.csv` is behind: call `flush`.
    """

    def __init__(self, path: str | Path) -> None:
        data = Dataset.open(path)
        home = data.path / HOME
        self._claim = claim(home)
        self._changing = threading.Lock()
        try:
            with explained(home):
                for folder in (home / "state", home / "thumbs", data.path / "masks"):
                    folder.mkdir(exist_ok=True)
                    for rest in folder.glob(".*.part"):  # of a process that was killed while it wrote
                        rest.unlink()
            super().__init__(data, home)
            path = home / "settings.json"
            self._settle(read_json(path) if path.is_file() else {})
        except BaseException:
            self._claim.close()
            raise

    @classmethod
    def open(cls, path: str | Path) -> Project:
        """Open a data set for labelling.

        Raises InputError for what is no data set or names files outside of it, TargetError where it may not be written
        or another process is labelling it.
        """
        return cls(path)

    def _settle(self, settings: Any) -> None:
        self.settings: dict[str, Any] = settings if isinstance(settings, dict) else {}
        self.rest_is_background = self.settings.get("rest_is_background", True) is not False

    def image(self, id: str) -> Image:
        """The photo, RGB uint8 (H, W, 3), as a training sees it."""
        return self.table.data.image(self.sample(id))

    def photo(self, id: str, longest: int | None = None) -> tuple[bytes, str]:
        """The photo as browsers show it, upright, and its media type; at most `longest` pixels a side if given."""
        row = self.sample(id)
        return displayable(self.path / row.image, row, longest)

    def thumbnail(self, id: str) -> bytes:
        """A JPEG of the photo, 160 pixels at its longest side."""
        row = self.sample(id)
        return thumbnail(self.path / row.image, row, self.home / "thumbs")

    def counts(self) -> dict[str, int]:
        """Images by status."""
        return counts(map(self.record, self.ids()))

    def budget(self) -> dict[str, Any]:
        """What labelling took so far, and what the rest would take: see `effort.budget`."""
        return budget(map(self.record, self.ids()))

    def curve(self, runs: Path) -> list[dict[str, Any]]:
        """Finished trainings on this data set among the folders of `runs`: labelled images, best score, run."""
        return learning_curve(self.path, runs)

    def queue(self) -> list[str] | None:
        """The images that `maskwright suggest` wants labelled next; None where it was not asked."""
        path = self.home / "queue.json"
        try:
            rows = read_json(path)["suggestions"] if path.is_file() else None
            return None if rows is None else [row["id"] for row in rows if row["id"] in self]
        except (InputError, KeyError, TypeError):
            return None

    def add_class(self, name: str, colour: Colour | None = None) -> Classes:
        """A further class at the end of the table, written at once; raises InputError for a name that is taken."""
        with self._changing:
            return self.table.reclass(added(self.classes, name, colour))

    def change_class(self, id: int, *, name: str | None = None, colour: Colour | None = None) -> Classes:
        """Rename or recolour a class, written at once; its id stays, and so do all masks."""
        with self._changing:
            return self.table.reclass(changed(self.classes, id, name, colour))

    def keep_settings(self, settings: dict[str, Any]) -> None:
        """Remember what the page wants remembered; `rest_is_background` is the one key that is used here."""
        with self._changing:
            write_json(self.home / "settings.json", settings)
            self._settle(settings)

    def sign(self, address: str) -> None:
        """Say to those who come second where this project is being labelled."""
        sign(self._claim, address)

    def close(self) -> None:
        """Flush, and let others label."""
        try:
            self.flush()
        finally:
            self._claim.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
