"""The readers survive broken input: `fuzzing.py` for a few seconds here, for as long as one likes with `make fuzz`."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import broken

SECONDS = 12


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory and time as Linux does")
def test_nothing_but_an_input_error_comes_out(tmp_path: Path) -> None:
    words = [sys.executable, Path(__file__).with_name("fuzzing.py"), "--seconds", str(SECONDS), "--keep", tmp_path]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "findings" in done.stdout


def test_a_case_is_named_by_its_seed() -> None:
    sound = b'{"id": 1, "name": "a"}' * 9
    cases = [broken(sound, b"other", True, random.Random(f"0:json:{number}")) for number in range(50)]
    again = [broken(sound, b"other", True, random.Random(f"0:json:{number}")) for number in range(50)]
    assert cases == again
    assert len(set(cases)) > 40
