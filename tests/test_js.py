"""The page's modules: their types by TypeScript, their behaviour by node. Both are skipped where they are missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "src" / "maskwright" / "web" / "static"
# What a module that runs in node too may not name.
WITH_PAGE = re.compile(r"\b(document|window)\b")
PURE = [
    "brush", "codec", "colours", "commands", "compose", "fill", "history", "labour", "marks", "morph", "outline",
    "plane", "polygon", "raster", "regions", "thread", "tools", "view",
]  # fmt: skip


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_types() -> None:
    done = run("tsc", "-p", "tsconfig.json")
    assert done.returncode == 0, done.stdout[:4000]


def test_behaviour() -> None:
    done = run("node", "--test", "tests/js/")
    assert done.returncode == 0, done.stdout[-8000:]
    assert re.search(r"^# pass [1-9]\d", done.stdout, re.M), done.stdout[-2000:]


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_know_no_page(name: str) -> None:
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", (STATIC / "js" / f"{name}.js").read_text("utf-8"), flags=re.S)
    assert not WITH_PAGE.search(code)


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in STATIC.rglob("*"):
        if path.suffix in {".js", ".css", ".html"}:
            found = re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", path.read_text("utf-8"))
            assert not [address for address in found if "www.w3.org" not in address], path
