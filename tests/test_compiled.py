"""Where the machine code is kept, and that nobody loads numba without need."""

from __future__ import annotations

import os
import subprocess
import sys


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_place_to_keep_machine_code_is_no_error() -> None:
    # The only locator that is left wants a notebook.
    code = "from maskwright.data.pixels.rle import text_from_counts; print(text_from_counts([2, 3, 1]))"
    assert run(code, NUMBA_CACHE_LOCATOR_CLASSES="IPythonCacheLocator") == "231\n"


def test_a_bare_start_does_not_load_numba() -> None:
    assert run("import sys, maskwright.cli; print('numba' in sys.modules)") == "False\n"
