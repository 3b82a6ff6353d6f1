"""Games in numbers: clicks to a good mask, IoU by click, and whether two prompters really differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.intervals import Interval, bootstrap, holm, paired_difference, permutation_p
from maskwright.prompt.clicking.play import AFTER, TARGETS

Floats = NDArray[np.float64]

DRAWS = 10_000
LEVEL = 0.95
ALPHA = 0.05
# A permutation test of 5 units cannot give a p below 2 / 2^5 = 0.06.
FEWEST_UNITS = 6

DEFINITIONS = {
    "click": "at the centre of the widest error: the maximum of the Euclidean distance transforms of the false "
    "negatives and of the false positives, the image's border counting as border (f-BRS, Sofiiuk et al. 2020; RITM, "
    "Sofiiuk et al. 2022)",
    "jittered": "at a random pixel of the connected error region around that centre, with a probability proportional "
    "to the square of the distance to the region's border",
    "noc": "number of clicks until the mask's IoU with the object first reaches 0.85 or 0.90, and the largest number "
    "allowed where it never does; mean over objects",
    "failed": "objects whose mask never reached the IoU with the largest number of clicks",
    "iou_after": "mean IoU over objects after so many clicks; nobody clicks on once 0.90 is reached after click 5 or "
    "later, or nothing is wrong: the last mask then stays",
    "best": "mean IoU of the best candidate at click 1: what a person gets who picks it among those shown",
    "single": "one random point or box an image (Oxford pets' prompted U-Net): the wanted mask is all of the class "
    "under it, foreground and background equally likely; IoU at threshold 0.5, mean over images",
    "single_two": "the same, with the pixels of all images counted first: mean of the IoU of wanted and rest",
    "seconds": "of one answer; encoding the image comes once before",
    "interval": "95 % bootstrap interval over images, or over groups of images where there are at least 10",
}
RULE = (
    "One needs fewer clicks only where both agree: the 95 % interval of the difference leaves out 0, and the p of the "
    "permutation test, corrected after Holm, is at most 0.05."
)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all prompters are measured on: the numbers of O objects, the unit (image or group) that each belongs to."""

    numbers: Sequence[int]
    units_O: NDArray[np.int64]
    of: str
    max_clicks: int
    seed: int

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(np.unique(self.units_O))


def key(target: float) -> str:
    """0.85 -> '85'."""
    return f"{100 * target:.0f}"


def clicks_needed(iou: Sequence[float], target: float, max_clicks: int) -> int:
    """The first click with such an IoU; `max_clicks` where there is none."""
    return next((place for place, value in enumerate(iou, 1) if value >= target), max_clicks)


def columns(game: dict[str, Any], max_clicks: int) -> list[float]:
    """NoC and failure of every target, best candidate, then the IoU after every click."""
    held = [*game["iou"], *[game["iou"][-1]] * (max_clicks - len(game["iou"]))]
    needed = [float(clicks_needed(held, target, max_clicks)) for target in TARGETS]
    return [*needed, *[float(max(held) < target) for target in TARGETS], game["best"], *held]


def by_object(games: Sequence[dict[str, Any]], ground: Ground) -> Floats:
    """(O, columns): the mean over an object's games."""
    rows: dict[int, list[list[float]]] = {number: [] for number in ground.numbers}
    for game in games:
        rows[game["object"]].append(columns(game, ground.max_clicks))
    return np.array([np.mean(one, axis=0) for one in rows.values()])


def with_count(values_OM: Floats) -> Floats:
    """A one before every row, so that sums become means."""
    return np.concatenate([np.ones((len(values_OM), 1)), values_OM], axis=1)


def mean_of(counts: Floats) -> Floats:
    """The statistic: sums (D, 1 + M) to means (D, M)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = counts[:, 1:] / counts[:, :1]
    return means


def summary(games: Sequence[dict[str, Any]], ground: Ground) -> dict[str, Any]:
    """One prompter with one way of clicking, as numbers with intervals."""
    values_OM = by_object(games, ground)
    found = bootstrap(
        with_count(values_OM), mean_of, units_N=ground.units_O, draws=DRAWS, seed=ground.seed, level=LEVEL
    )
    targets = len(TARGETS)
    first = 2 * targets + 1
    return {
        "noc": {
            key(target): {
                **row(found, place),
                "failed": float(values_OM[:, targets + place].sum()),
                "clicks": values_OM[:, place].tolist(),
            }
            for place, target in enumerate(TARGETS)
        },
        "best": row(found, 2 * targets),
        "iou_after": {str(n): row(found, first + n - 1) for n in AFTER if n <= ground.max_clicks},
        "curve": {
            name: [known(value) for value in values[first:]]
            for name, values in (("mean", found.estimate_M), ("low", found.low_M), ("high", found.high_M))
        },
        "unanswered": sum(game["unanswered"] for game in games),
    }


def row(found: Interval, place: int) -> dict[str, float | None]:
    """One statistic and its interval."""
    named = {"mean": found.estimate_M, "low": found.low_M, "high": found.high_M}
    return {name: known(values[place]) for name, values in named.items()}


def known(value: float, digits: int = 6) -> float | None:
    """Rounded; None where there is none."""
    return None if math.isnan(value) else round(float(value), digits)


def single_summary(answers: Sequence[dict[str, Any]], units_N: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """The prompts of the single protocol in numbers."""
    values_NM = np.array([[one["iou"], *one["pixels"]] for one in answers], np.float64)

    def statistic(counts: Floats) -> Floats:
        both, extra, missed, neither = counts[:, 2:].T
        with np.errstate(invalid="ignore", divide="ignore"):
            two = (both / (both + extra + missed) + neither / (neither + extra + missed)) / 2
        return np.stack([mean_of(counts)[:, 0], two], axis=1)

    found = bootstrap(with_count(values_NM), statistic, units_N=units_N, draws=DRAWS, seed=seed, level=LEVEL)
    by_kind = {kind: [one["iou"] for one in answers if one["kind"] == kind] for kind in ("point", "box")}
    return {
        "prompts": len(answers),
        "mean_iou": row(found, 0),
        "mean_iou_two": row(found, 1),
        "by_kind": {kind: float(np.mean(values)) for kind, values in by_kind.items() if values},
        "counts": {kind: len(values) for kind, values in by_kind.items()},
        "unanswered": sum(not one["answered"] for one in answers),
    }


def seconds_of(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds a click and an encoding."""
    click = [value for result in results for game in result["games"] for value in game["seconds"]]
    encode = [result["encode_seconds"] for result in results]
    found = {"click_p50": np.quantile(click, 0.5), "click_p95": np.quantile(click, 0.95)}
    return {**{name: float(value) for name, value in found.items()}, "encode_p50": float(np.median(encode))}


def pair_rows(names: Sequence[str], steady: Sequence[Sequence[dict[str, Any]]], ground: Ground) -> list[dict[str, Any]]:
    """Every two prompters, clicks at the centre: difference of NoC (second minus first), interval, p, a sentence."""
    tables = [by_object(games, ground) for games in steady]
    values = [with_count(values_OM[:, : len(TARGETS)]) for values_OM in tables]
    how: dict[str, Any] = {"units_N": ground.units_O, "draws": DRAWS, "seed": ground.seed}
    pairs = list(combinations(range(len(names)), 2))
    differences = [paired_difference(values[a], values[b], mean_of, level=LEVEL, **how) for a, b in pairs]
    raw = np.array([permutation_p(values[a], values[b], mean_of, **how) for a, b in pairs]).reshape(-1, len(TARGETS))
    adjusted = np.stack([holm(raw[:, place]) for place in range(len(TARGETS))], axis=1)
    rows = []
    for number, (a, b) in enumerate(pairs):
        for place, target in enumerate(TARGETS):
            gap = differences[number]
            mean, low, high = (float(part[place]) for part in (gap.estimate_M, gap.low_M, gap.high_M))
            p, corrected = float(raw[number, place]), float(adjusted[number, place])
            same = bool((values[a][:, 1 + place] == values[b][:, 1 + place]).all())
            sure = ground.units >= FEWEST_UNITS and not same and corrected <= ALPHA and (low > 0 or high < 0)
            better = None if not sure else names[a] if mean > 0 else names[b]
            found = {"a": names[a], "b": names[b], "target": target, **row(gap, place), "p": p, "p_adjusted": corrected}
            never = all(bool(tables[one][:, len(TARGETS) + place].all()) for one in (a, b))
            found |= {"same": same, "never": never, "better": better}
            rows.append({**found, "sentence": sentence(found, ground, len(pairs))})
    return rows


def sentence(found: dict[str, Any], ground: Ground, tests: int) -> str:
    """What can be said of two prompters."""
    a, b, goal = found["a"], found["b"], f"an IoU of {found['target']:.2f}"
    if found["never"]:
        return f"Neither {a} nor {b} comes to {goal} on any object."
    if found["same"]:
        return f"{a} and {b} need the same clicks to {goal} on every object."
    units = f"{ground.units} {ground.of if ground.units != 1 else ground.of.removesuffix('s')}"
    if ground.units < FEWEST_UNITS:
        return f"Nothing can be said of {a} and {b} with {units}: fewer than {FEWEST_UNITS} cannot show any difference."
    fewer, more = (a, b) if found["mean"] >= 0 else (b, a)
    low, high = (found["low"], found["high"]) if found["mean"] >= 0 else (-found["high"], -found["low"])
    p = found["p_adjusted"]
    words = "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
    words += f" corrected for {tests} comparisons" if tests > 1 else ""
    said = f"{fewer} needs {abs(found['mean']):.1f} fewer clicks than {more} to {goal}"
    numbers = f"(95 % interval {low:.1f} to {high:.1f}, {words})".replace("-0.0 ", "0.0 ")
    return f"{said} {numbers}." if found["better"] else f"No difference can be shown with {units}: {said} {numbers}."
