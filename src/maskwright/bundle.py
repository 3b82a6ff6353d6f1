"""A bundle: a run in one file. Anybody may have made it, so `bundle_check` looks it through before it is used.

NAME.maskwright is a zip archive whose members are stored as they are; the same run gives the same bytes.

MANIFEST.json         format, name, maskwright's version, and size and SHA-256 of every other member
README.md             the model card as model hubs show it        report.html   the page about the run
run.yaml, recipe.yaml, classes.yaml, weights/, metrics.csv, evaluation/, stress/, ...   as in a run folder

What may be in it is a list of names (`kind_of`), all of them data: reading a bundle runs no code of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maskwright.files import write_through
from maskwright.types import InputError

FORMAT = 1
SUFFIX = ".maskwright"
MANIFEST = "MANIFEST.json"
_CHUNK = 1 << 20
_BEGIN = b"PK\x03\x04"
_PART = r"""[^/\\:*?"<>|\x00-\x1f.][^/\\:*?"<>|\x00-\x1f]{0,199}"""  # a name that every system can write

# What a run may hold besides its pictures, and how large it may be.
KINDS: dict[str, tuple[str, int]] = {
    "manifest": (r"MANIFEST\.json", 4 << 20),
    "text": (rf"README\.md|(?:evaluation|stress|uncertainty|clicks)/{_PART}/\w+\.txt", 4 << 20),
    "page": (r"report\.html", 256 << 20),
    "yaml": (r"(?:run|recipe|classes|card)\.yaml", 4 << 20),
    "json": (rf"(?:cost|doctor)\.json|(?:evaluation|stress|uncertainty|clicks)/{_PART}/\w+\.json", 64 << 20),
    "csv": (rf"metrics\.csv|(?:evaluation|stress|uncertainty|clicks)/{_PART}/\w+\.csv", 256 << 20),
    "counts": (rf"evaluation/{_PART}/counts\.npz", 1 << 30),
    "weights": (r"weights/(?:best|last)\.safetensors", 1 << 40),
    "picture": (
        rf"(?:samples|(?:evaluation|stress|uncertainty)/{_PART}/(?:gallery|weak|cases|maps))/{_PART}\.(?:jpg|png)"
        rf"|evaluation/{_PART}/gallery/gallery\.json",
        64 << 20,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """Size and SHA-256 of one file of a bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle says of itself: the run's name, who packed it, and every member but the manifest."""

    name: str
    version: str
    members: Mapping[str, Member]


def kind_of(name: str) -> str | None:
    """What a member of that name is: 'weights', 'yaml', 'picture' and the like; None for what a bundle never holds."""
    return next((kind for kind, (pattern, _) in KINDS.items() if re.fullmatch(pattern, name)), None)


def largest(name: str) -> int:
    """The most bytes that a member of that name may have."""
    return KINDS[kind_of(name) or "text"][1]


def is_bundle(path: Path) -> bool:
    """Whether a path is a file that says it is a bundle, by its name or its first bytes."""
    if not path.is_file():
        return False
    if path.suffix == SUFFIX:
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def write_bundle(path: Path, folder: Path, manifest: Manifest) -> None:
    """Write the members that the manifest names, from `folder`, as one file: the same bytes for the same content."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            _put(archive, MANIFEST, manifest_bytes(manifest))
            for name in sorted(manifest.members):
                info = _info(name)
                info.file_size = manifest.members[name].bytes  # so that zipfile knows whether it needs 64 bits
                with (folder / name).open("rb") as source, archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target, _CHUNK)

    write_through(path, write)


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_info(name), data)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o100644 << 16
    return info


def manifest_bytes(manifest: Manifest) -> bytes:
    """MANIFEST.json of a bundle."""
    members = {name: vars(manifest.members[name]) for name in sorted(manifest.members)}
    whole = {"format": FORMAT, "name": manifest.name, "maskwright": manifest.version, "members": members}
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(data: bytes, path: Path) -> Manifest:
    """The manifest in the bytes of MANIFEST.json; `path` names the bundle in the InputError for a damaged one."""
    try:
        whole = json.loads(data)
        if whole["format"] != FORMAT:
            raise InputError(f"{path} has a format that this version does not know; use a newer maskwright.")
        members = {
            str(name): Member(bytes=int(row["bytes"]), sha256=str(row["sha256"]))
            for name, row in whole["members"].items()
        }
        found = Manifest(name=str(whole["name"]), version=str(whole["maskwright"]), members=members)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: its {MANIFEST} is damaged ({error!r}); get the file again.") from error
    if not re.fullmatch(_PART, found.name) or any(kind_of(name) in (None, "manifest") for name in members):
        raise InputError(f"{path}: its {MANIFEST} holds a name that no bundle has; get the file elsewhere.")
    return found
