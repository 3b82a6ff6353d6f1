"""A page from its template and its contents."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maskwright.files import write_text
from maskwright.reporting.words import FILTERS


def write_page(target: Path, template: str, contents: Mapping[str, Any]) -> Path:
    """Fill in a template of this package and write it; a name that the contents lack is an error."""
    write_text(target, fill(template, contents))
    return target


def fill(template: str, contents: Mapping[str, Any]) -> str:
    """A template of this package, filled in; a name that the contents lack is an error."""
    return environment().get_template(template).render(contents)


@cache
def environment() -> Environment:
    """The templates with the filters of `words`, and the one script of the pages with its hash for their policy."""
    templates = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= FILTERS
    code = resources.files(__package__).joinpath("templates", "page.js").read_text("utf-8")
    digest = b64encode(sha256(code.encode()).digest()).decode()
    templates.globals |= {"script": Markup(code), "script_hash": f"sha256-{digest}"}
    return templates
