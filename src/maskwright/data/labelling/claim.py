"""One server at a time on one data set: the second is told who has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from maskwright.files import explained
from maskwright.types import TargetError

if sys.platform != "win32":
    import fcntl


def claim(home: Path) -> BinaryIO:
    """Hold the folder `home` until the handle is closed or the process ends in any way.

    Raises TargetError where another process holds it, or where the folder cannot be written.
    """
    path = home / "lock"
    with explained(path):
        home.mkdir(exist_ok=True)
        handle = path.open("a+b")
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            owner = handle.read().decode(errors="replace").strip()
            handle.close()
            raise TargetError(
                f"{home.parent} is being labelled by process {owner or '(unknown)'}; use its page, or stop it first."
            ) from error
        except OSError:
            pass  # a file system without locks
    sign(handle, "")
    return handle


def sign(handle: BinaryIO, address: str) -> None:
    """Say in the claim which process holds it, and at which address."""
    with explained(Path(handle.name)):
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}{' at ' if address else ''}{address}".encode())
        handle.flush()
