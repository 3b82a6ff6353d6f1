"""A run as one file, or as the folder that a model hub shows: what others need, and nothing of this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from maskwright.bundle import MANIFEST, SUFFIX, Manifest, Member, kind_of, manifest_bytes, sha256_of, write_bundle
from maskwright.bundling.verify import check_run
from maskwright.files import (
    explained,
    read_json,
    read_yaml,
    require_free,
    write_bytes,
    write_json,
    write_text,
    write_yaml,
)
from maskwright.reporting.hub_card import hub_card
from maskwright.reporting.page import contents, one
from maskwright.reporting.render import write_page
from maskwright.run import Run, environment
from maskwright.types import InputError

MADE = ("README.md", "report.html", MANIFEST)  # made anew, whatever the run has
_PATH = re.compile(r"""(?<![^\s'"=(,:])(?:[A-Za-z]:)?(?:[\\/]|~[\\/])[^\s'"=,;()]+""")


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What was written: the bundle's `path` and the SHA-256 of it, the `folder`, and the members' names."""

    path: Path | None
    folder: Path | None
    sha256: str
    bytes: int
    members: list[str]


def pack(
    run: Run | str | Path,
    out: str | Path | None = None,
    *,
    folder: str | Path | None = None,
    last: bool = False,
    photos: bool = False,
) -> Packed:
    """Write a run as one file `out` (NAME.maskwright in the working folder), or as a new `folder`, or as both.

    In it are the best weights (with `last`, the last ones too), recipe, classes, metrics, the tables of evaluations,
    the report, and the model card as README.md. Only with `photos` are there pictures. Paths of this machine are cut to
    their last part. The same run gives the same bytes. Raises InputError where the run cannot be loaded, or its weights
    are not finite or do not fit its recipe, and TargetError where `folder` exists.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    run.weights("best")
    name = re.sub(r"""[\\/:*?"<>|\x00-\x1f]""", "_", run.path.resolve().name).lstrip(".") or "run"
    if folder is not None:
        require_free(Path(folder))
    if out is None and folder is None:
        out = f"{name}{SUFFIX}"
    if out is not None and Path(out).is_dir():
        raise InputError(f"{out} is a folder; name the file to write, or give --folder {out}/NAME.")
    with TemporaryDirectory(prefix="maskwright-pack-") as temporary:
        stage = Path(temporary) / "run"
        copy_members(run, stage, last=last, photos=photos)
        staged = Run.open(stage)
        check_run(staged)
        found = contents(staged, name=name, called=f"{name}{SUFFIX}")
        write_text(stage / "README.md", hub_card(staged, found))
        write_page(stage / "report.html", "report.html", one(found))
        manifest = manifest_of(stage, name)
        if out is not None:
            write_bundle(Path(out), stage, manifest)
        if folder is not None:
            write_bytes(stage / MANIFEST, manifest_bytes(manifest))
            with explained(Path(folder)):
                shutil.copytree(stage, folder, dirs_exist_ok=True)
    whole = None if out is None else Path(out)
    return Packed(
        path=whole,
        folder=None if folder is None else Path(folder),
        sha256="" if whole is None else sha256_of(whole),
        bytes=sum(member.bytes for member in manifest.members.values()) if whole is None else whole.stat().st_size,
        members=[*manifest.members, MANIFEST],
    )


def copy_members(run: Run, stage: Path, *, last: bool, photos: bool) -> None:
    """Copy what a bundle holds of a run, without the paths of this machine."""
    for name, path in found_members(run, last=last, photos=photos):
        target = stage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        kind = kind_of(name)
        if kind == "yaml":
            write_yaml(target, without_paths(read_yaml(path)))
        elif kind == "json":
            write_json(target, without_paths(read_json(path)))
        elif kind == "text":
            write_text(target, without_paths(path.read_text("utf-8")))
        else:
            shutil.copyfile(path, target)


def found_members(run: Run, *, last: bool, photos: bool) -> Iterator[tuple[str, Path]]:
    """Name and file of everything in a run folder that its bundle holds; of the pictures, those that reports show."""
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path).as_posix()
        kind = kind_of(name) if path.is_file() else None
        if kind is None or name in MADE or (kind == "picture" and not photos):
            continue
        if last or name != "weights/last.safetensors":
            yield name, path


def without_paths(value: Any) -> Any:
    """The same data with every absolute path in its texts cut to its last part."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if isinstance(value, str):
        return _PATH.sub(lambda found: PurePath(found[0].replace("\\", "/")).name, value)
    return value


def manifest_of(folder: Path, name: str) -> Manifest:
    """Size and hash of every file in a folder."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    members = {name: Member(bytes=path.stat().st_size, sha256=sha256_of(path)) for name, path in files.items()}
    return Manifest(name=name, version=environment()["maskwright"], members=members)
