"""Who may import whom, what a bare import may load, and how long things may get."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import maskwright

HOME = Path(maskwright.__file__).parent
FILES = sorted(HOME.rglob("*.py"))
LAYERS = [
    {"types", "config", "run", "files", "png", "imageio", "geometry", "console", "compiled"}
    | {"bundle", "bundle_check", "cache", "safe_yaml"},
    {"data", "models", "losses", "metrics"},
    {"infer"},
    {"scoring", "prompt"},
    {"training", "reporting"},
    {"__init__", "story", "bundling"},
    {"web", "serving"},
    {"cli", "__main__"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# Parts that use the public names, and what else they may import.
PUBLIC_ONLY: dict[str, set[str]] = {
    "cli": set(),
    "web": {"cache"},  # port and token of the last time
    "serving": {"imageio"},  # bytes to pixels and back
}
SERVERS = {"cli/label.py": "web", "cli/serve.py": "serving"}  # verbs whose function is not in the package
LONG_FILES = {"config.py": "a line or two for every key of the recipe, on one page"}
LONG_FUNCTIONS = {
    "cli/doors.py:import_": "most lines declare its options",
    "cli/evaluate.py:evaluate": "most lines declare its options",
    "cli/patches.py:patches": "most lines declare its options",
    "cli/predict.py:predict": "most lines declare its options",
    "cli/serve.py:serve": "most lines declare its options",
    "cli/synth.py:raindrops": "most lines declare its options",
    "cli/stress.py:stress": "most lines declare its options",
    "cli/runs.py:train": "most lines declare its options",
    "training/fit.py:fit": "data, model, optimiser, loop, evaluation, in that order, on one page",
}
WIDE_FUNCTIONS: dict[str, str] = {}


def name_of(path: Path) -> str:
    return path.relative_to(HOME).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(HOME).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            yield node.module or ""


def own_parts(path: Path) -> set[str]:
    found = [module.split(".") for module in imports(path)]
    return {names[1] if len(names) > 1 else "__init__" for names in found if names[0] == "maskwright"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = part_of(path)
    assert own in LEVEL, f"give '{own}' a layer"
    for other in own_parts(path) - {own}:
        together = LEVEL[own] == LEVEL[other] and own in LAYERS[0] | {"__init__"}
        assert LEVEL[other] < LEVEL[own] or together, f"{own} may not import {other}"
        assert own != "reporting" or other in LAYERS[0], "a report reads run folders, not objects"


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) in PUBLIC_ONLY], ids=name_of)
def test_the_command_line_uses_public_names_only(path: Path) -> None:
    extra = {SERVERS[name_of(path)]} if name_of(path) in SERVERS else PUBLIC_ONLY[part_of(path)]
    assert own_parts(path) <= {"__init__", "types", "console", part_of(path), *extra}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "maskwright":
            assert node.attr in {*maskwright.__all__, "__version__"}, node.attr


def test_every_public_name_is_there() -> None:
    for name in maskwright.__all__:
        assert getattr(maskwright, name) is not None
    assert set(maskwright.__all__) <= set(dir(maskwright))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        maskwright.nothing  # noqa: B018


def test_only_the_loader_knows_torch_among_the_data() -> None:
    found = {
        name_of(path) for path in (HOME / "data").rglob("*.py") if any(m.startswith("torch") for m in imports(path))
    }
    assert found == {"data/loader.py"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"]], ids=" ".join)
def test_a_bare_start_loads_neither_torch_nor_opencv(arguments: list[str]) -> None:
    call = (
        f"import maskwright.cli; sys.argv = ['maskwright', *{arguments!r}]; maskwright.cli.main()" if arguments else ""
    )
    code = f"""
import sys, maskwright
try:
    {call or "pass"}
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"torch", "cv2", "lightning", "matplotlib", "PIL"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name_of(path)}:{node.name}", node


def test_files_and_functions_stay_short_unless_a_reason_is_given() -> None:
    every = [(name, node) for path in FILES for name, node in functions(path)]
    files = {name_of(path) for path in FILES if len(path.read_text("utf-8").splitlines()) > 300}
    long = {name for name, node in every if (node.end_lineno or 0) - node.lineno >= 50}
    wide = {
        name
        for name, node in every
        if len([a for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]) > 6
    }
    # Equal, so that an exception that is no longer needed goes too.
    assert files == set(LONG_FILES)
    assert long == set(LONG_FUNCTIONS)
    assert wide == set(WIDE_FUNCTIONS)
