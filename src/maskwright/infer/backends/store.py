"""Where converted networks are kept: RUN/backends/NAME-PRECISION-KEY/, or the user's cache where a run may not
be written.

A folder holds the files of its runtime and `proof.json`, which is written last. The key is over everything that the
files and the proof depend on: weights, recipe, versions, processor. So whatever changes, nothing stale is used.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from maskwright.cache import user_cache
from maskwright.files import content_hash, explained, read_bytes, read_json, write_json
from maskwright.infer.backends.proof import Proof
from maskwright.infer.machine import processor
from maskwright.run import Run, now
from maskwright.types import InputError, TargetError

PROOF = "proof.json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A converted network on disk, and its proof."""

    folder: Path
    proof: Proof


@dataclass(frozen=True, kw_only=True)
class Key:
    """What a converted network depends on."""

    name: str
    precision: str
    weights: str
    recipe: str
    versions: dict[str, str]
    machine: str

    @classmethod
    def of(cls, run: Run, weights: str, name: str, precision: str, packages: Sequence[str]) -> Key:
        """The key of a run's weights for a backend that stands on `packages`."""
        return cls(
            name=name,
            precision=precision,
            weights=_hash_of(run.weights(weights)),
            recipe=_hash_of(run.path / "recipe.yaml"),
            versions={package: _version(package) for package in ("maskwright", *packages)},
            machine=processor(),
        )

    @property
    def folder(self) -> str:
        """The name of its folder."""
        text = json.dumps(vars(self), sort_keys=True)
        return f"{self.name}-{self.precision}-{content_hash(text.encode())[:12]}"


def find(run: Run, key: Key) -> Kept | None:
    """What is kept for a key, in the run or in the user's cache; a damaged proof counts as none."""
    for place in _places(run):
        folder = place / key.folder
        with suppress(InputError, TypeError, KeyError, AttributeError, ArithmeticError):
            if (folder / PROOF).is_file():
                proof = Proof.from_dict(read_json(folder / PROOF)["proof"])
                assert proof.speed >= 0  # its figures are figures
                return Kept(folder=folder, proof=proof)
    return None


def keep(run: Run, key: Key, fill: Callable[[Path], Proof]) -> Kept:
    """Let `fill` write a folder and prove what is in it; it is there whole or not at all.

    What older weights or versions left there is removed. Raises TargetError where neither the run nor
    the user's cache can be written.
    """
    stage = _stage(run, key)
    target = stage.with_name(key.folder)
    try:
        proof = fill(stage)
        about: dict[str, Any] = {"made": now(), "key": vars(key), "proof": proof.to_dict()}
        write_json(stage / PROOF, about)
        _replace(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    if target.parent == run.path / "backends":  # the user's cache holds those of other runs, too
        for other in target.parent.glob(f"{key.name}-{key.precision}-*"):
            if _is_stale(run, other, key):
                shutil.rmtree(other, ignore_errors=True)
    return Kept(folder=target, proof=proof)


def _hash_of(path: Path) -> str:
    about = path.stat()
    return _hashed(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=16)
def _hashed(path: Path, changed_ns: int, size: int) -> str:
    return content_hash(read_bytes(path))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from its source, or under another name
        return "unknown"


def _places(run: Run) -> list[Path]:
    # Beside a run that somebody else packed there may be graphs of theirs, with proofs of theirs.
    return [user_cache("backends")] if run.packed else [run.path / "backends", user_cache("backends")]


def _stage(run: Run, key: Key) -> Path:
    for place in _places(run):
        stage = place / f".{key.folder}.{os.getpid()}.part"
        with suppress(OSError):
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir(parents=True)
            return stage
    last = _places(run)[-1]
    raise TargetError(f"{last} may not be written, nor may the run; set XDG_CACHE_HOME to a folder that is yours.")


def _replace(stage: Path, target: Path) -> None:
    with explained(target):
        if target.exists():  # without a proof that can be read, or another process was quicker
            shutil.rmtree(target)
        stage.rename(target)


def _is_stale(run: Run, folder: Path, key: Key) -> bool:
    """Whether a folder is for weights that are no longer there, or for versions before this one on this machine."""
    with suppress(InputError, KeyError, TypeError):
        found = read_json(folder / PROOF)["key"]
        there = {_hash_of(path) for path in (run.path / "weights").glob("*.safetensors")}
        same_machine = found["machine"] == key.machine
        return found["weights"] not in there or (same_machine and found["versions"] != key.versions)
    return True
