"""Numbers and settings as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath

DASH = "\N{EN DASH}"
NARROW = "\u202f"  # a thin space at which no line breaks


def short_command(command: str) -> str:
    """The command without the folder of its program, which differs from machine to machine."""
    program, space, rest = command.partition(" ")
    return PurePath(program).name + space + rest


def css_colour(colour: Sequence[int]) -> str:
    """'rgb(1, 2, 3)'."""
    return f"rgb({', '.join(str(int(channel)) for channel in colour)})"


def score_text(value: float | None, digits: int = 3) -> str:
    """'0.574', or a dash where there is no score."""
    return DASH if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """'12.3 %'; no small rest is rounded away."""
    if share is None or math.isnan(share):
        return DASH
    if 0 < share < 0.001:
        return f"<{NARROW}0.1{NARROW}%"
    return f">{NARROW}99.9{NARROW}%" if 0.999 < share < 1 else f"{100 * share:.1f}{NARROW}%"


def cell_text(share: float, classes: int) -> str:
    """Percent in a matrix cell: with a decimal where there is room."""
    if share == 0:
        return "0"
    if classes <= 12:
        return "<0.1" if share < 0.001 else ">99.9" if 0.999 < share < 1 else f"{100 * share:.1f}"
    return "<1" if share < 0.01 else ">99" if 0.99 < share < 1 else f"{100 * share:.0f}"


def count_text(value: float) -> str:
    """'12 345 678' with thin spaces that do not break."""
    return f"{value:,}".replace(",", NARROW)


def parameters_text(count: int | None) -> str:
    """'2.9 million'."""
    if count is None:
        return ""
    return f"{count / 1e6:.1f} million" if count >= 1e6 else count_text(count)


def duration(seconds: float) -> str:
    """'48 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def value_text(value: object) -> str:
    """A setting as a person reads it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def listed(words: Sequence[str], most: int | None = None) -> str:
    """'a, b and c', or 'a, b and 7 more'."""
    shown = list(words[:most])
    if len(words) > len(shown):
        return f"{', '.join(shown)} and {len(words) - len(shown)} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def minute(time: str) -> str:
    """'2026-05-01T12:30:59+02:00' -> '2026-05-01 12:30'."""
    return str(time)[:16].replace("T", " ")


# What the template calls them.
FILTERS = {
    "score": score_text,
    "percent": percent,
    "count": count_text,
    "value": value_text,
    "colour": css_colour,
    "minute": minute,
}
