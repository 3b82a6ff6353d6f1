"""Where this program keeps what it can make again: folders of the person, which may be deleted at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache(kind: str) -> Path:
    """The folder for one kind of thing in the user's cache (XDG_CACHE_HOME, ~/.cache); it need not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return (Path(home) if home else Path.home() / ".cache") / "maskwright" / kind
