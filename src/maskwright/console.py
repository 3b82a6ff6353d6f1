"""What a person sees while it works: messages and progress, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why. Skipped files are counted and listed at the end."""

    file: str
    reason: str


def console() -> Console:
    """A console on standard error, made anew so that redirected streams are honoured."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line for the person, not for machines."""
    console().print(text, markup=False)


def progress_bar() -> Progress:
    """A bar with count, elapsed time and ETA; silent where standard error is no terminal."""
    screen = console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Iterate with a progress bar."""
    with progress_bar() as bar:
        yield from bar.track(items, description=label)


def say_skipped(skipped: Iterable[Skipped], *, shown: int = 20) -> None:
    """List what was left out, with file and reason; the count comes first."""
    rows = list(skipped)
    if not rows:
        return
    say(f"\nLeft out, {len(rows):,} in all:")
    for row in rows[:shown]:
        say(f"  {row.reason if row.file in row.reason else f'{row.file}: {row.reason}'}")
    if len(rows) > shown:
        say(f"  ... and {len(rows) - shown} more (all are in the JSON output, --json).")
