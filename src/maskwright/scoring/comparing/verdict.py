"""What the numbers of a comparison allow one to say, in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from maskwright.metrics.intervals import units_needed

# A permutation test of 5 units cannot give a p below 2 / 2^5 = 0.06.
FEWEST_UNITS = 6
ALPHA = 0.05
METRIC_WORDS = {"mean_iou": "mean IoU", "mean_iou_no_background": "mean IoU without background"}
RULE = (
    "One is called better only where both agree: the 95 % interval of the difference leaves out 0, and the p of the "
    "permutation test, corrected after Holm, is at most 0.05."
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A difference (second minus first, as a fraction) and how sure it is."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    error: float
    adjusted: float
    same: bool


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A metric in words, units and 'images' or 'groups' `of` which they are; `tests`: how many p were corrected."""

    metric: str
    units: int
    of: str
    tests: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A sentence, and the name of the better one where one is shown to be."""

    text: str
    better: str | None = None


def verdict(pair: Pair, setting: Setting) -> Verdict:
    """What can be said of a pair; see RULE."""
    first, second = pair.first, pair.second
    if pair.same:
        return Verdict(text=f"{first} and {second} predict the same: every count is equal.")
    if setting.units < FEWEST_UNITS:
        return Verdict(
            text=f"Nothing can be said of {first} and {second} with {_count(setting.units, setting.of)}: "
            f"fewer than {FEWEST_UNITS} cannot show any difference."
        )
    if math.isnan(pair.difference) or math.isnan(pair.adjusted):
        return Verdict(text=f"{first} and {second} cannot be compared: no class has a score.")
    better, worse = (second, first) if pair.difference >= 0 else (first, second)
    low, high = (pair.low, pair.high) if pair.difference >= 0 else (-pair.high, -pair.low)
    numbers = f"95 % interval {_points(low)} to {_points(high)}, {p_words(pair.adjusted, setting.tests)}"
    by = _count_points(abs(pair.difference), setting.metric)
    if low > 0 and pair.adjusted <= ALPHA:
        return Verdict(text=f"{better} is better than {worse} by {by} ({numbers}).", better=better)
    lead = f"{better} scores {by} more than {worse}" if pair.difference else f"{better} and {worse} score the same"
    return Verdict(
        text=f"No difference can be shown with {_count(setting.units, setting.of)}: {lead} "
        f"({numbers}){_more(pair, setting)}."
    )


def p_words(p: float, tests: int) -> str:
    """'p = 0.012', with the number of tests that it is corrected for where there are several."""
    value = "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
    return value if tests < 2 else f"{value} corrected for {tests} comparisons"


def _more(pair: Pair, setting: Setting) -> str:
    """How many more would be needed to show a difference as large as this, where that can be told."""
    if not pair.difference or not pair.error > 0:
        return ""
    level = 1 - ALPHA / setting.tests
    needed = units_needed(pair.difference, pair.error, setting.units, level=level)
    more = needed - setting.units
    if more <= 0:
        return "; the two tests do not agree, so it is too close to call"
    if more > 1_000_000:
        return f"; over a million more {setting.of} would be needed to show one as small as this"
    return f"; about {_rounded(more):,} more would be needed to show one as large as this"


def _rounded(count: int) -> int:
    """Two digits: nobody knows such a number better."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / step) * step


def _points(fraction: float) -> str:
    text = f"{100 * fraction:.1f}"
    return "0.0" if text == "-0.0" else text


def _count_points(fraction: float, metric: str) -> str:
    text = _points(fraction) if fraction >= 0.0005 else "less than 0.1"
    return f"{text} points of {metric}"


def _count(count: int, of: str) -> str:
    return f"{count:,} {of if count != 1 else of.removesuffix('s')}"


def letters(order: Sequence[str], different: Collection[frozenset[str]]) -> dict[str, str]:
    """Name -> letters, from the best to the worst in `order`: two names share one unless they are shown to differ.

    The compact letter display of Piepho (2004), by insertion and absorption.
    """
    groups: list[set[str]] = [set(order)]
    for pair in sorted(different, key=lambda pair: sorted(order.index(name) for name in pair)):
        one, other = pair
        split: list[set[str]] = []
        for group in groups:
            split += [group - {one}, group - {other}] if pair <= group else [group]
        groups = [g for i, g in enumerate(split) if not any(g < h or (g == h and j < i) for j, h in enumerate(split))]
    groups.sort(key=lambda group: sorted(order.index(name) for name in group))
    return {name: "".join(_letter(place) for place, group in enumerate(groups) if name in group) for name in order}


def _letter(place: int) -> str:
    cycle, index = divmod(place, len(ascii_lowercase))
    return ascii_lowercase[index] + ("" if not cycle else str(cycle + 1))
