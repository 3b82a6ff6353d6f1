"""Files and folders, atomically: the old content or the new, never a part; errors name the file and the remedy."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import yaml

from maskwright.safe_yaml import load_yaml
from maskwright.types import InputError, TargetError

if sys.platform != "win32":
    import fcntl

# Ten times as fast where PyYAML was built with libyaml.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_bytes(path: Path) -> bytes:
    """The file's bytes; a missing, unreadable or empty file is an InputError."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder where a file was expected.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and the disk.") from error
    if not data:
        raise InputError(f"{path} is empty; copy or export the file again.")
    return data


def read_json(path: Path) -> Any:
    """Read JSON; a malformed file is an InputError that names it."""
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid JSON ({error}); correct it or write it anew.") from error


def read_yaml(path: Path) -> Any:
    """Read YAML; a malformed file is an InputError that names it."""
    data = read_bytes(path)
    try:
        return load_yaml(data)
    except ValueError as error:
        raise InputError(f"{path} is not valid YAML ({error}); correct it there.") from error


def content_hash(data: bytes) -> str:
    """128-bit BLAKE2b of a file's bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def list_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files below `folder` with one of the suffixes, sorted by relative path; hidden files are left out."""
    if not folder.exists():
        raise InputError(f"Folder {folder} does not exist; check the path.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file where a folder was expected.")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def stem_of(path: Path) -> str:
    """The file's stem in one Unicode form: a decomposed umlaut from one system matches a composed one from another."""
    return unicodedata.normalize("NFC", path.stem)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: the old content or the new, never a part."""
    write_through(path, lambda temporary: _write_synced(temporary, data))


def put_bytes(path: Path, data: bytes) -> None:
    """Write a file inside a folder that is not in use yet: quicker than `write_bytes`, and not atomic."""
    try:
        with open(path, "wb", buffering=0) as file:
            rest = memoryview(data)
            while rest:  # a disk that is nearly full takes a part
                rest = rest[file.write(rest) :]
    except OSError:
        with explained(path):
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, atomically; NaN and infinity become null."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write YAML in the order given, atomically."""
    write_text(path, yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def write_through(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour, then rename it to `path`; failures leave nothing behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explained(path):
        try:
            write(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError while writing `path` into a TargetError with the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TargetError(f"The disk is full while writing {path}; free some space or write elsewhere.") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise TargetError(f"{path} may not be written; choose a folder that is yours to write.") from error
        if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ):
            raise InputError(f"{path} is no name for a file here ({error.strerror}); rename it.") from error
        if isinstance(error, FileExistsError | NotADirectoryError | FileNotFoundError | IsADirectoryError):
            raise TargetError(f"{path} cannot be written ({error.strerror}); choose another path.") from error
        raise


def require_free(target: Path) -> None:
    """Raise TargetError where `target` exists already and is not an empty folder."""
    with explained(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise TargetError(f"{target} exists already; remove it or choose another name.")


@contextmanager
def resumable_folder(target: Path, job: Mapping[str, Any]) -> Iterator[Path]:
    """A hidden neighbour of `target` to fill; it becomes `target` only if the block succeeds.

    What an interruption leaves is found again by the next call with the same `job`: after Ctrl-C, a crash or a
    TargetError (a full disk) the hidden neighbour stays if it holds a JOURNAL; after other errors it goes, as does one
    that another job left. Raises TargetError where `target` exists or another process fills it right now.
    """
    require_free(target)
    if not target.name:
        raise TargetError(f"{target} has no name of its own; name a new folder.")
    stage = target.with_name(f".{target.name}.part")
    with explained(target):
        new_parents = [parent for parent in target.parents if not parent.exists()]
        stage.parent.mkdir(parents=True, exist_ok=True)
        with _claimed(stage) as mark:
            try:
                require_free(target)  # another process may have been quicker
                _take_over(stage, mark, _job_hash(job))
                yield stage
                (stage / JOURNAL).unlink(missing_ok=True)
                if hasattr(os, "sync"):
                    os.sync()
                if target.exists():
                    target.rmdir()
                if sys.platform == "win32":
                    mark.close()  # no folder that holds an open file is moved there
                stage.rename(target)
                (target / _JOB).unlink()
            except BaseException as error:
                _leave(stage, new_parents, error)
                raise


JOURNAL = ".journal"
_JOB = ".job"


@contextmanager
def _claimed(stage: Path) -> Iterator[BinaryIO]:
    """The file that says which job fills `stage`, locked: the system lets go of it when its process ends in any way."""
    stage.mkdir(exist_ok=True)
    path = stage / _JOB
    with path.open("a+b") as mark:
        mark.seek(0)
        if sys.platform != "win32":
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = path.exists() and os.path.samestat(os.fstat(mark.fileno()), path.stat())
            except BlockingIOError:
                free = False
            except OSError:
                free = True  # a file system without locks
            if not free:
                owner = mark.read().decode(errors="replace").partition(" ")[2] or "(another one)"
                raise TargetError(f"Process {owner} is filling {stage} right now; wait for it, or stop it first.")
        yield mark


def hold(path: Path) -> BinaryIO:
    """Open a file that other processes shall not delete while the handle lives; they ask `is_held`."""
    handle = path.open("rb")
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def is_held(path: Path) -> bool:
    """Whether somebody holds the file open with `hold`."""
    if sys.platform == "win32":
        return False  # an open file cannot be deleted there anyway
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it is gone, or the file system has no locks
        return False
    return False


def _job_hash(job: Mapping[str, Any]) -> str:
    """What another version of this program has begun is another job."""
    try:
        version = metadata.version("maskwright")
    except metadata.PackageNotFoundError:
        version = "not installed"
    whole = {"job": _finite(job), "version": version}
    return content_hash(json.dumps(whole, sort_keys=True, default=str).encode())


def _take_over(stage: Path, mark: BinaryIO, job: str) -> None:
    """Keep what the same job left in the folder, and nothing else."""
    if mark.read().decode(errors="replace").partition(" ")[0] != job:
        for path in stage.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _JOB:
                path.unlink()
    mark.truncate(0)
    mark.write(f"{job} {os.getpid()}".encode())
    mark.flush()


def _leave(stage: Path, new_parents: list[Path], error: BaseException) -> None:
    """Keep what can be gone on with, and say so; otherwise leave no trace."""
    journal = stage / JOURNAL
    mended_elsewhere = isinstance(error, InputError) and not isinstance(error, TargetError)
    if journal.is_file() and journal.stat().st_size and not mended_elsewhere:
        error.add_note(f"What is done is kept in {stage}: the same command goes on from there.")
        return
    shutil.rmtree(stage, ignore_errors=True)
    with suppress(OSError):
        for parent in new_parents:
            parent.rmdir()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
