"""The folder that predictions go to: what made them, and whether they may be added to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.files import JOURNAL, explained, read_json, write_bytes, write_json
from maskwright.infer.predicting.outputs import EACH
from maskwright.infer.predicting.outputs.answer import Answer, Row, count_pixels
from maskwright.types import TargetError

FACTS = "predict.json"


@dataclass(frozen=True, kw_only=True)
class Results:
    """The folder `target`, and the `job` that makes what is in it: settings that change what is predicted."""

    target: Path
    job: Mapping[str, Any]

    @property
    def journal(self) -> Path:
        """What is done."""
        return self.target / JOURNAL

    def check(self) -> None:
        """Raise TargetError where the folder holds anything but results of the same job."""
        with explained(self.target):
            if not self.target.exists() or (self.target.is_dir() and not any(self.target.iterdir())):
                return
        facts = read_json(self.target / FACTS) if (self.target / FACTS).is_file() else None
        if not isinstance(facts, dict) or not isinstance(facts.get("job"), dict):
            raise TargetError(f"{self.target} exists already and holds no predictions; choose a new folder.")
        old, new = facts["job"], json.loads(json.dumps(self.job))
        if other := [key for key in new if old.get(key) != new[key]]:
            raise TargetError(
                f"{self.target} holds predictions that were made otherwise ({other[0]}: {old.get(other[0])} there, "
                f"{new[other[0]]} now); choose another folder, or remove it."
            )

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Make the folder, and write into it what makes its contents."""
        with explained(self.target):
            self.target.mkdir(parents=True, exist_ok=True)
        write_json(self.target / FACTS, {"job": self.job, **facts})

    @property
    def begun(self) -> bool:
        """Whether anything is done."""
        return self.journal.is_file() and self.journal.stat().st_size > 0

    def tidy(self) -> None:
        """Leave no trace where nothing was done."""
        if self.journal.is_file() and not self.begun:
            self.journal.unlink()
            (self.target / FACTS).unlink(missing_ok=True)
            inner = sorted((path for path in self.target.rglob("*") if path.is_dir()), reverse=True)
            with suppress(OSError):  # something is in there after all
                for folder in (*inner, self.target):
                    folder.rmdir()

    def write(self, answer: Answer, kinds: Sequence[str]) -> Row:
        """Write the files of one image."""
        wrote = []
        for kind in kinds:
            file = f"{kind}/{answer.name}{EACH[kind].suffix}"
            self.place(file)
            write_bytes(self.target / file, EACH[kind].encode(answer))
            wrote.append(file)
        return row_of(answer, wrote)

    def place(self, file: str) -> Path:
        """Where a file goes; its folder is made."""
        path = self.target / file
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path


def row_of(answer: Answer, wrote: list[str]) -> Row:
    """What is remembered of an answer."""
    return Row(
        name=answer.name,
        file=answer.file,
        height=answer.mask_HW.shape[0],
        width=answer.mask_HW.shape[1],
        pixels=count_pixels(answer.mask_HW, answer.classes),
        wrote=wrote,
    )
