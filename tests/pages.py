"""Reading the pages that the package writes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """Tags in order with their attributes, and the visible text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words += " " if tag in ("td", "th", "dt", "dd", "p", "h2", "h3", "h4") else ""

    def handle_data(self, data: str) -> None:
        self.words += "" if self.tags and self.tags[-1][0] in ("style", "script") else data

    def all(self, attribute: str) -> list[str]:
        return [str(attrs[attribute]) for _, attrs in self.tags if attribute in attrs]


def text_of(path: Path) -> str:
    """The words of a page, without tags and with single spaces."""
    return re.sub(r"\s+", " ", Page(path).words)
