"""Libraries that only some users have: one sentence says what to install."""

from __future__ import annotations

from importlib.util import find_spec

from maskwright.types import InputError


def require(*modules: str) -> None:
    """Raise InputError with the remedy where one of these modules of the extra `export` is not installed."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise InputError(f"{', '.join(missing)} is not installed; run: pip install 'maskwright[export]'.")
