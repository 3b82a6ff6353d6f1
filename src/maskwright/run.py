"""The run folder: everything about one training, and its only reader and writer.

RUN/run.yaml          format, status, command, environment, data fingerprint, derived defaults and why
RUN/recipe.yaml       the resolved recipe          RUN/classes.yaml   the class table
RUN/weights/          best.safetensors, last.safetensors
RUN/checkpoint.ckpt   what --resume needs          RUN/metrics.csv    one row an epoch
RUN/samples/          predictions during training  RUN/tensorboard/
RUN/evaluation/NAME/  scores.json (last: it marks the folder complete), scores.txt, classes.csv, images.csv, counts.npz,
                      weak.json, gallery/; a folder of prediction masks has the same below it
RUN/cost.json         parameters, operations and time of a prediction, as the last comparison measured them
RUN/backends/         the network for other runtimes, each with its proof (infer/backends/store.py); may be deleted
RUN/card.yaml         what only a person can know: licence, intended use (written by hand)
RUN/report.html
RUN/MANIFEST.json     in a run that came as a bundle: what its files were when it was packed
"""

from __future__ import annotations

import csv
import io
import platform
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from importlib import metadata
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from maskwright.bundle import MANIFEST, is_bundle
from maskwright.bundle_check import unpacked
from maskwright.config import Recipe, write_schema
from maskwright.files import (
    explained,
    read_bytes,
    read_json,
    read_yaml,
    require_free,
    write_bytes,
    write_json,
    write_text,
    write_yaml,
)
from maskwright.types import Classes, InputError

FORMAT = 1
# What numpy, zipfile and zlib raise for bytes that are no arrays; a header is parsed as Python's literals are.
NOT_ARRAYS = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, RecursionError, MemoryError),
    *(NotImplementedError, RuntimeError, AttributeError, TokenError, BadZipFile, zlib.error, struct.error),
)
LARGEST_COUNTS = 4 << 30  # bytes; an evaluation of 100,000 images with 150 classes has 3 GiB


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run folder, opened. `Run.open` reads one, `Run.create` starts one."""

    path: Path
    recipe: Recipe
    classes: Classes

    @classmethod
    def create(cls, path: Path, recipe: Recipe, classes: Classes, about: dict[str, Any]) -> Run:
        """Start a run folder; raises InputError if one with content is there already."""
        require_free(path)
        with explained(path):
            for folder in ("weights", "samples", "evaluation"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        write_schema(path / "recipe.schema.json")
        header = "# yaml-language-server: $schema=recipe.schema.json\n"
        write_text(path / "recipe.yaml", header + recipe.to_yaml())
        write_yaml(path / "classes.yaml", classes.to_dict())
        run = cls(path=path, recipe=recipe, classes=classes)
        run.write_about({"format": FORMAT, "status": "started", "started": now(), **about})
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run folder, or a bundle; raises InputError if it is none or was written by a newer version."""
        path = run_folder(path)
        if not (path / "run.yaml").is_file():
            raise InputError(f"{path} is not a run folder (it has no run.yaml); 'maskwright train' makes one.")
        about = read_yaml(path / "run.yaml")
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise InputError(f"{path}/run.yaml has a format this version does not know; use a newer maskwright.")
        recipe = Recipe.from_dict(read_yaml(path / "recipe.yaml"), source=str(path / "recipe.yaml"))
        classes = Classes.from_dict(read_yaml(path / "classes.yaml"), source=str(path / "classes.yaml"))
        return cls(path=path, recipe=recipe, classes=classes)

    @property
    def about(self) -> dict[str, Any]:
        """What `run.yaml` holds now."""
        return dict(read_yaml(self.path / "run.yaml"))

    def write_about(self, values: dict[str, Any]) -> None:
        """Add or replace keys of `run.yaml`."""
        path = self.path / "run.yaml"
        old = read_yaml(path) if path.is_file() else {}
        write_yaml(path, {**old, **values})

    def weights(self, which: str = "best") -> Path:
        """Path of the best or last weights; raises InputError if the training did not get that far."""
        path = self.path / "weights" / f"{which}.safetensors"
        if not path.is_file() and self.packed:
            raise InputError(f"{path} is missing: the run was packed without its {which} weights; take the others.")
        if not path.is_file():
            raise InputError(f"{path} is missing: the training stopped before its first validation; train again.")
        return path

    @property
    def packed(self) -> bool:
        """Whether the run came as a bundle, from anybody, and does not grow any more."""
        return (self.path / MANIFEST).is_file()

    @property
    def checkpoint(self) -> Path:
        """What a resumed training continues from."""
        return self.path / "checkpoint.ckpt"

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace `metrics.csv`: one row an epoch, columns in order of first appearance."""
        write_csv(self.path / "metrics.csv", rows)

    def metrics(self) -> list[dict[str, int | float]]:
        """Rows of `metrics.csv` as numbers; empty cells are left out."""
        path = self.path / "metrics.csv"
        if not path.is_file():
            return []
        try:
            return [{key: _number(value) for key, value in row.items() if value != ""} for row in read_csv(path)]
        except (ValueError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is damaged ({error}); copy the run folder again.") from error

    def evaluation_folder(self, name: str) -> Path:
        """Where the evaluation called `name` (usually the split) lives."""
        return self.path / "evaluation" / name

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """Name -> scores of every finished evaluation, the most recent last."""
        found = sorted(self.path.glob("evaluation/*/scores.json"), key=lambda path: (path.stat().st_mtime_ns, path))
        return {path.parent.name: read_json(path) for path in found}

    def write_scores(self, name: str, scores: dict[str, Any], images: list[dict[str, Any]]) -> None:
        """Write the tables of the evaluation called `name`; see `write_scores`."""
        write_scores(self.evaluation_folder(name), scores, images)


def is_run(path: str | Path) -> bool:
    """Whether a path is a run folder, or a bundle."""
    return (Path(path) / "run.yaml").is_file() or is_bundle(Path(path))


def run_folder(path: str | Path) -> Path:
    """The folder of a run: the path itself, or where its bundle is unpacked; see `maskwright.bundle_check.unpacked`."""
    path = Path(path)
    return unpacked(path) if is_bundle(path) else path


def write_scores(folder: Path, scores: dict[str, Any], images: list[dict[str, Any]], table: Sequence[str] = ()) -> None:
    """Write `images.csv`, `scores.txt` and, as the last file of an evaluation, `scores.json`: it marks it complete."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "images.csv", images)
    if table:
        write_text(folder / "scores.txt", "\n".join(table) + "\n")
    write_json(folder / "scores.json", scores)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What an evaluation counted, image by image: enough to score, resample and compare without a prediction.

    `tally_N3K` is hit, labelled and predicted pixels (`metrics.tally`); `boundary_N7K` as `metrics.boundary` has it;
    `objects_N4SK` objects by size, as `metrics.objects` has it. Rows are in the order of `ids`; `groups` are '' where
    an image has none.
    """

    ids: NDArray[np.str_]
    groups: NDArray[np.str_]
    tally_N3K: NDArray[np.int64]
    boundary_N7K: NDArray[np.int64]
    objects_N4SK: NDArray[np.int64]


def write_counts(folder: Path, counted: Counted) -> None:
    """Write `counts.npz` of an evaluation folder, atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **vars(counted))
    write_bytes(folder / "counts.npz", buffer.getvalue())


def read_counts(folder: Path) -> Counted:
    """Read `counts.npz` of an evaluation folder; raises InputError where there is none that can be read."""
    path = folder / "counts.npz"
    if not path.is_file():
        raise InputError(f"{path} is missing: run 'maskwright evaluate' again.")
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            if sum(info.file_size for info in arrays.zip.infolist()) > LARGEST_COUNTS:
                raise ValueError("it unpacks to more than any evaluation counts")
            counted = Counted(**{item.name: arrays[item.name] for item in fields(Counted)})
    except NOT_ARRAYS as error:
        raise InputError(f"{path} is damaged ({error}); run 'maskwright evaluate' again.") from error
    if len({len(array) for array in vars(counted).values()}) > 1:
        raise InputError(f"{path} is damaged (its arrays differ in length); run 'maskwright evaluate' again.")
    return counted


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def environment() -> dict[str, str]:
    """Versions that a result may depend on; asks package metadata, imports nothing."""
    packages = ("maskwright", "torch", "lightning", "numpy", "opencv-python-headless", "pillow")
    versions = {"python": sys.version.split()[0], "platform": platform.platform()}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def now() -> str:
    """Local time with offset, to the second, ISO 8601."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, atomically; columns in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read CSV with a header; a file that is no text is an InputError."""
    try:
        return list(csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a readable CSV file ({error}); save it as UTF-8.") from error
