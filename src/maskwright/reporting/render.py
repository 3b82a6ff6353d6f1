"""A page from its template and its contents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from maskwright.files import write_text
from maskwright.reporting.words import FILTERS


def write_page(target: Path, template: str, contents: Mapping[str, Any]) -> Path:
    """Fill in a template of this package and write it; a name that the contents lack is an error."""
    templates = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= FILTERS
    write_text(target, templates.get_template(template).render(contents))
    return target
