"""The documentation keeps up: every verb and format has its place in it, and what it says can be typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from maskwright.cli import SYNTH, VERBS, app
from maskwright.data.formats import FORMATS

HOME = Path(__file__).parents[1]
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").rglob("*.md"))]
CALL = re.compile(r"^(?: {4}|.*?`)(?:\$ )?maskwright ([a-z-]+)([^`\n]*)", re.MULTILINE)


def calls(page: Path) -> list[tuple[str, str]]:
    """Verb and the rest of every command line that a page shows."""
    return [(match[1], match[2].split(" #")[0]) for match in CALL.finditer(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(HOME).as_posix())
def test_commands_in_the_documentation_exist(page: Path) -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for verb, rest in calls(page):
        assert verb in known, f"{page.name}: maskwright {verb}"
        command = known[verb].commands[rest.split()[0]] if verb == "synth" and rest.split() else known[verb]
        options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest):
            assert option in {*options, "--help"}, f"{page.name}: maskwright {verb} {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(HOME).as_posix())
def test_links_in_the_documentation_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_verb_is_documented() -> None:
    shown = {verb for page in PAGES for verb, _ in calls(page)}
    assert {*VERBS, "synth"} <= shown
    assert SYNTH


def test_every_format_has_a_page() -> None:
    pages = {path.stem for path in (HOME / "docs/formats").glob("*.md")}
    table = (HOME / "docs/formats/README.md").read_text("utf-8")
    for format in FORMATS:
        assert f"| [{format}](" in table
        assert format.removesuffix("-polygons") in pages
