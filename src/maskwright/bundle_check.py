"""Before anything of a bundle is used: its names, sizes and hashes, whoever made it; then it is unpacked once."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from maskwright.bundle import MANIFEST, Manifest, kind_of, largest, read_manifest, sha256_of
from maskwright.cache import user_cache
from maskwright.files import explained
from maskwright.types import InputError

MOST_MEMBERS = 10_000
LARGEST_TABLE = 8 << 20  # bytes of the archive's own table of members
_CHUNK = 1 << 20
_PICKLES = (".pkl", ".pickle", ".ckpt", ".pt", ".pth", ".bin", ".joblib", ".npy")
_PROGRAMS = (".py", ".pyc", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".js", ".pt2", ".onnx")


def unpacked(path: Path) -> Path:
    """The run folder that a bundle holds, in the user's cache: looked through and written there the first time.

    It is found again by the hash of the whole file, so another content is another folder. What is written about the
    run (evaluations, temperatures) goes there and not into the bundle. Raises InputError as `check_bundle` does.
    """
    with _readable(path):
        home = user_cache("bundles") / sha256_of(path)[:32]
    if (found := _run_in(home)) is not None:
        return found
    with explained(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{home.name}.", suffix=".part", dir=home.parent))
        try:
            manifest = check_bundle(path, into=stage / "run")
            (stage / "run").rename(stage / manifest.name)
            try:
                stage.rename(home)
            except OSError:  # another process was quicker
                if _run_in(home) is None:
                    raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    from maskwright.console import say  # rich, which most starts can do without

    place = home / manifest.name
    say(f"{path} is a bundle: its run is in {place}, and what is written about it goes there.")
    return place


def _run_in(home: Path) -> Path | None:
    return next((file.parent for file in home.glob("*/run.yaml")), None)


def check_bundle(path: Path, *, into: Path | None = None) -> Manifest:
    """Look through a bundle, or the same as a folder: names, sizes, hashes; with `into`, write its members there.

    Raises InputError, one sentence, for a member that is no data of a run (a pickle, a program, a name that leads out
    of the folder), for one that is missing, too large, or not what the manifest says, and for no bundle at all. In a
    folder, files that the manifest does not name are left alone.
    """
    with _members(path) as (sizes, opened):
        if MANIFEST not in sizes:
            raise InputError(f"{path} has no {MANIFEST}, so it is no bundle; 'maskwright pack RUN' makes one.")
        manifest = read_manifest(_read(path, opened, MANIFEST), path)
        listed = {*manifest.members, MANIFEST}
        if missing := sorted(listed - sizes.keys()):
            raise InputError(f"{path} lacks its member {missing[0]}; get the file again.")
        if not path.is_dir() and (more := sorted(sizes.keys() - listed)):
            raise InputError(f"{path} holds {more[0]}, which its {MANIFEST} does not name; get the file again.")
        for name, member in manifest.members.items():
            if sizes[name] != member.bytes or _copy(path, opened, name, into) != member.sha256:
                raise InputError(f"{path}: {name} is not what its {MANIFEST} says (its hash differs); get it again.")
        for name in ("run.yaml", "recipe.yaml", "classes.yaml"):
            if name not in manifest.members:
                raise InputError(f"{path} lacks {name}, so it holds no run; pack the run again.")
        if into is not None:
            _copy(path, opened, MANIFEST, into)
    return manifest


Opened = Callable[[str], Any]


@contextmanager
def _members(path: Path) -> Iterator[tuple[dict[str, int], Opened]]:
    """Size of every member by name, names and sizes checked, and what opens one for reading."""
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        sizes = {name: file.stat().st_size for name, file in files.items() if kind_of(name)}
        for name, size in sizes.items():
            _check_size(path, name, size)
        yield sizes, lambda name: files[name].open("rb")
        return
    with _readable(path):
        if _table_bytes(path) > LARGEST_TABLE:
            raise InputError(f"{path} names more members than any bundle has; get the file elsewhere.")
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_MEMBERS or sum(info.file_size for info in infos) > path.stat().st_size:
                raise InputError(f"{path} unpacks to more than it holds; get the file elsewhere.")
            for info in infos:
                _check_info(path, info)
            if len({info.filename.casefold() for info in infos}) < len(infos):
                raise InputError(f"{path} holds two members of one name; get the file elsewhere.")
            yield {info.filename: info.file_size for info in infos}, archive.open


def _table_bytes(path: Path) -> int:
    """Length of the archive's table of members, from its very end: zipfile builds an object for every row of it."""
    with path.open("rb") as file:
        file.seek(-min(98, path.stat().st_size), os.SEEK_END)
        end = file.read()
    if end[-22:-18] != b"PK\x05\x06":
        raise zipfile.BadZipFile("its end is missing")
    if end[-42:-38] == b"PK\x06\x07":  # an archive of more than 2 GiB
        return int.from_bytes(end[40:48], "little")
    return int.from_bytes(end[-10:-6], "little")


def _check_info(path: Path, info: zipfile.ZipInfo) -> None:
    """Raise InputError for a member that is not stored data under a name that is known."""
    name = info.orig_filename
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or re.match(r"[A-Za-z]:", name):
        raise InputError(f"{path} holds a member that would be written outside its folder ({name!r}); delete the file.")
    if kind_of(name) is None:
        what = "which a bundle never holds"
        if name.endswith(_PICKLES):
            what = "a pickle or the like, which may run code when it is loaded"
        elif name.endswith(_PROGRAMS):
            what = "a program"
        raise InputError(f"{path} holds {name!r}, {what}; pack the run again with 'maskwright pack'.")
    plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    regular = (info.external_attr >> 16) & 0o170000 in (0, 0o100000)
    if not plain or not regular or info.flag_bits & 1:
        raise InputError(f"{path}: {name} is compressed, encrypted or a link; pack the run with 'maskwright pack'.")
    _check_size(path, name, info.file_size)


def _check_size(path: Path, name: str, size: int) -> None:
    most = largest(name)
    if size > most:
        raise InputError(f"{path}: {name} has {size:,} bytes, more than the {most:,} that such a file may have.")


def _read(path: Path, opened: Opened, name: str) -> bytes:
    with _readable(path), opened(name) as source:
        return bytes(source.read())


def _copy(path: Path, opened: Opened, name: str, into: Path | None) -> str:
    """SHA-256 of a member; with `into`, it is written there on the way."""
    digest = hashlib.sha256()
    with _readable(path), opened(name) as source:
        target: BinaryIO | None = None
        if into is not None:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            target = (into / name).open("wb")
        try:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                if target is not None:
                    target.write(chunk)
        finally:
            if target is not None:
                target.close()
    return digest.hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what zipfile raises for a damaged archive into an InputError with the remedy."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read; check its permissions.") from error
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError, struct.error) as error:
        raise InputError(f"{path} is no whole bundle ({error}); get the file again.") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise InputError(f"{path} is no whole bundle ({error}); get the file again.") from error
