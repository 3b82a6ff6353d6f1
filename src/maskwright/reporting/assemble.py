"""The pieces of a page put together: the way through it, and the sections of several runs side by side."""

from __future__ import annotations

import re

from markupsafe import Markup

# Templates escape quotes in whatever they print, so an attribute in the HTML is one that a template wrote.
_SECTION = re.compile(r'<section id="([^"]+)"(?: data-nav="([^"]*)")?[^>]*>\s*<h2[^>]*>(.*?)</h2>', re.DOTALL)
_OWN = re.compile(r'(\s(?:id|for|aria-labelledby|aria-describedby|aria-controls|name)="|\shref="#|url\(#)([^")]+)')
_HEADING = re.compile(r"(</?h)([1-5])(?=[\s>])")


def outline(html: str) -> list[tuple[str, Markup]]:
    """(id, name) of every section in the order of the page: its `data-nav`, or else its heading."""
    return [(id, Markup(nav or re.sub(r"<[^>]+>", "", title))) for id, nav, title in _SECTION.findall(html)]


def nested(html: str, prefix: str) -> str:
    """A run's sections for a page that holds others: ids of their own, headings a level deeper, pictures when seen."""
    own = _OWN.sub(rf"\g<1>{prefix}\g<2>", html)
    deeper = _HEADING.sub(lambda match: f"{match[1]}{int(match[2]) + 1}", own)
    return deeper.replace("<img ", '<img loading="lazy" ')
