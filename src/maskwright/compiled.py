"""numba kernels: compiled at the first call and kept on disk wherever there is a place to keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile at the first call, to run without the interpreter's lock; kept for later processes.

    numba keeps the machine code beside the source, in the user's cache folder or in `NUMBA_CACHE_DIR`. Where none of
    them can be written (a read-only installation without a home), each process compiles anew: seconds, not an error.
    A kernel calls kernels of its own file only: numba does not notice a change in another one.
    """
    try:
        return cast(F, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # "no locator available"
        return cast(F, njit(nogil=True)(function))
