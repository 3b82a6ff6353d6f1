"""One HTML file about a comparison: who is better, how sure that is, at what cost, and where they disagree."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting import compare_plots
from maskwright.reporting.pictures import embedded
from maskwright.reporting.render import write_page
from maskwright.reporting.words import DASH, NARROW, count_text
from maskwright.types import InputError

FORMAT = 1
MINUS = "\N{MINUS SIGN}"
MOST_VERDICTS = 6
MOST_DETAILS = 30
LARGEST_MATRIX = 30
PANELS = {"photo": "photo", "label": "label", "a": "", "b": "", "map": "who is right"}
WITHOUT_PHOTOS = ("map",)


def compare_page(folder: str | Path, *, out: Path | None = None, photos: bool = True) -> Path:
    """Write FOLDER/report.html (or `out`) from the `comparison.json` and pictures of a comparison; returns its path.

    One file that needs no other and no network. Without `photos` no panel shows one, so that the page may go where
    they may not. The same comparison gives the same bytes. Raises InputError if the folder holds no comparison or the
    page cannot be written.
    """
    folder = Path(folder)
    path = folder / "comparison.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no comparison.json; make one with 'maskwright compare A B --out FOLDER'.")
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{path} has a format this version does not know; compare again.")
    return write_page(out or folder / "report.html", "compare.html", contents(found, folder, photos))


def contents(found: Mapping[str, Any], folder: Path, photos: bool) -> dict[str, Any]:
    """Everything that the template prints, in the page's order."""
    ranked = sorted((dict(source) for source in found["sources"]), key=lambda source: int(source["rank"]))
    for source in ranked:
        source["colour"] = compare_plots.colour_of(source["rank"])
    by_name = {source["name"]: source for source in ranked}
    pairs = [seen_from(pair, by_name) for pair in found["pairs"]]
    leading = [pair for pair in pairs if ranked[0]["name"] in (pair["better"], pair["worse"])]
    return {
        "title": title(found["sources"]),
        "found": found,
        "sources": ranked,
        "headline": headline(found, ranked),
        "facts": facts(found),
        "span": span(ranked),
        "gaps": {pair["worse"]: pair for pair in leading if pair["better"] == ranked[0]["name"]},
        "verdicts": verdicts(pairs, leading),
        "matrix": matrix(ranked, pairs),
        "classes": class_rows(found, ranked),
        "details": leading[:MOST_DETAILS],
        "figures": figures(found, ranked),
        "unknown_cost": [source["name"] for source in ranked if not source.get("latency_ms")],
        "shots": shots(found["disagreements"], folder, list(PANELS) if photos else WITHOUT_PHOTOS),
        "photos": photos,
        "words": {
            "points": points,
            "p": p_text,
            "bytes": bytes_text,
            "time": time_text,
            "short": compare_plots.short_number,
        },
        "command": "maskwright compare "
        + " ".join(shlex.quote(source["path"]) for source in found["sources"])
        + f" --dataset {shlex.quote(found['dataset']['given'])} --split {shlex.quote(found['split'])}"
        + ("" if photos else " --no-photos"),
    }


def title(sources: Sequence[Mapping[str, Any]]) -> str:
    """'a, b and c', or how many there are."""
    names = [str(source["name"]) for source in sources]
    return f"{len(names)} sources" if len(names) > 4 else f"{', '.join(names[:-1])} and {names[-1]}"


def headline(found: Mapping[str, Any], ranked: Sequence[Mapping[str, Any]]) -> str:
    """The one sentence for who reads nothing else."""
    if len(ranked) == 2:
        return typeset(found["pairs"][0]["verdict"])
    first = ranked[0]
    if first["score"] is None:
        return "Nothing could be scored."
    beside = [source["name"] for source in ranked[1:] if source["with_the_best"]]
    score = f"{first['name']} scores highest: {found['metric']['title']} {first['score']:.3f}"
    if not beside:
        return f"{score}, shown to be better than each of the {len(ranked) - 1} others."
    if len(beside) == len(ranked) - 1:
        return f"{score}; but none of the others is shown to be worse."
    who = beside[0] if len(beside) == 1 else f"{len(beside)} of the {len(ranked) - 1} others"
    return f"{score}; {who} cannot be told apart from it."


def verdicts(pairs: Sequence[Mapping[str, Any]], leading: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """(sentence, whether a difference is shown) by 'main' and 'folded': of many, those about the best come first."""
    every = [(typeset(pair["verdict"]), pair["shown"]) for pair in pairs]
    if len(pairs) <= MOST_VERDICTS:
        return {"main": every, "folded": []}
    main = [sentence for sentence, pair in zip(every, pairs, strict=True) if pair in leading and not pair["shown"]]
    beaten = [pair for pair in leading if pair["shown"]]
    if beaten:
        gaps = sorted(pair["mean"]["difference"] for pair in beaten)
        by = f"by {100 * gaps[0]:.1f} to {100 * gaps[-1]:.1f} points"
        who = "each of the others" if not main else f"{len(beaten)} of the {len(leading)} others"
        main.append((f"{leading[0]['better']} is better than {who}, {by}.", True))
    return {"main": main, "folded": every}


def typeset(sentence: str) -> str:
    """With minus signs, and without line breaks inside 'p < 0.001'."""
    return re.sub(r"\bp ([<=]) ", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", re.sub(r"(?<= )-(?=\d)", MINUS, sentence))


def facts(found: Mapping[str, Any]) -> dict[str, str]:
    """Label -> value of the row under the headline."""
    units = found["units"]
    over = count_text(found["images"]) + (f" in {units['count']} groups" if units["of"] == "groups" else "")
    return {
        "Data set": f"{PurePath(found['dataset']['path']).name}, {found['split']}",
        "Images": over,
        "Compared by": str(found["metric"]["title"]),
        "Classes": str(len(found["classes"])),
        "Pairs": count_text(len(found["pairs"])),
    }


def span(ranked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The axis on which the intervals of all sources are drawn."""
    ends = [end for source in ranked for end in (*source["interval"], source["score"]) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.01
    return {"low": low - room, "width": high - low + 2 * room}


def seen_from(pair: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A pair with its two names by rank: `better` is the higher ranked, and differences are in its favour."""
    turned = by_name[pair["a"]]["rank"] < by_name[pair["b"]]["rank"]
    better, worse = (pair["a"], pair["b"]) if turned else (pair["b"], pair["a"])
    rows = [pair, *pair["classes"]]
    turned_rows = [turn(row) if turned else dict(row) for row in rows]
    return {
        "better": better,
        "worse": worse,
        "ranks": (by_name[better]["rank"], by_name[worse]["rank"]),
        "verdict": pair["verdict"],
        "shown": pair["better"] is not None,
        "mean": turned_rows[0],
        "classes": [row | {"shown": shown(row)} for row in turned_rows[1:]],
    }


def turn(row: Mapping[str, Any]) -> dict[str, Any]:
    """A difference seen from the other side."""
    low, high = row["low"], row["high"]
    return dict(row) | {
        "difference": None if row["difference"] is None else -row["difference"],
        "low": None if high is None else -high,
        "high": None if low is None else -low,
    }


def shown(row: Mapping[str, Any]) -> bool:
    """Whether a difference is shown: by its interval and by its corrected p."""
    known = row["low"] is not None and row["p_adjusted"] is not None
    return bool(known and (row["low"] > 0 or row["high"] < 0) and row["p_adjusted"] <= 0.05)


def matrix(ranked: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Every source against every other, row minus column in points; None for two, or for too many."""
    if not 2 < len(ranked) <= LARGEST_MATRIX:
        return None
    at = {(pair["better"], pair["worse"]): pair for pair in pairs}
    largest = max((abs(pair["mean"]["difference"] or 0) for pair in pairs), default=0) or 1
    rows = []
    for row in ranked:
        cells: list[dict[str, Any]] = []
        for column in ranked:
            pair = at.get((row["name"], column["name"])) or at.get((column["name"], row["name"]))
            if pair is None or pair["mean"]["difference"] is None:
                cells.append({"text": "" if pair is None else DASH, "shade": 0, "wins": False, "shown": False})
                continue
            wins = pair["better"] == row["name"]
            text = points(pair["mean"]["difference"] if wins else -pair["mean"]["difference"])
            shade = 0.2 + 0.8 * abs(pair["mean"]["difference"]) / largest if pair["shown"] else 0
            cells.append({"text": text, "shade": round(shade, 3), "wins": wins, "shown": pair["shown"]})
        rows.append({"source": row, "cells": cells})
    return rows


def class_rows(found: Mapping[str, Any], ranked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """IoU of every class by source: the best of each class, and which are shown to be worse than that one."""
    at = {(pair["a"], pair["b"]): pair for pair in found["pairs"]}
    rows = []
    for place, item in enumerate(found["classes"]):
        values = [source["classes"][place]["iou"] for source in ranked]
        known = [value for value in values if value is not None]
        best = ranked[values.index(max(known))]["name"] if known else None
        cells = []
        for source, value in zip(ranked, values, strict=True):
            pair = at.get((best, source["name"])) or at.get((source["name"], best))
            worse = pair is not None and source["name"] != best and shown(pair["classes"][place])
            cells.append({"value": value, "best": source["name"] == best, "worse": worse})
        rows.append({"item": item, "cells": cells})
    return rows


def figures(found: Mapping[str, Any], ranked: Sequence[Mapping[str, Any]]) -> dict[str, Markup | None]:
    """Every figure by name; None where there is nothing to draw."""
    trained = [source for source in ranked if source["curve"]]
    same_loss = all(source["loss"] == trained[0]["loss"] for source in trained)
    metric = str(found["metric"]["title"])
    drawn = {
        "epochs": compare_plots.score_curves(trained, "epoch", "Validation mean IoU by epoch"),
        "minutes": compare_plots.score_curves(trained, "minutes", "Validation mean IoU by minutes of training"),
        "loss": compare_plots.loss_curves(trained) if same_loss else None,
        "latency": compare_plots.pareto(ranked, "latency_ms", "Score against time", "milliseconds an image", metric),
        "parameters": compare_plots.pareto(ranked, "parameters", "Score against size", "parameters", metric),
    }
    return {name: None if svg is None else Markup(svg) for name, svg in drawn.items()}


def shots(disagreements: Sequence[Mapping[str, Any]], folder: Path, shown: Sequence[str]) -> list[dict[str, Any]]:
    """Pictures of the panels `shown` by pair, as data URIs; pictures that are gone are left out."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for shot in disagreements:
        captions = PANELS | {"a": shot["a"], "b": shot["b"]}
        paths = {caption: folder / shot["pictures"][panel] for panel, caption in captions.items() if panel in shown}
        panels = [{"caption": caption, "uri": embedded(path)} for caption, path in paths.items() if path.is_file()]
        groups.setdefault((shot["a"], shot["b"]), []).append({**shot, "panels": panels})
    return [{"a": a, "b": b, "shots": found} for (a, b), found in groups.items()]


def points(fraction: float | None) -> str:
    """'+1.2' of a fraction."""
    if fraction is None:
        return DASH
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def p_text(p: float | None) -> str:
    """'0.012'."""
    return DASH if p is None else "<0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def time_text(milliseconds: float | None) -> str:
    """'41', '4.1', '0.41'."""
    return DASH if not milliseconds else f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.2g}"


def bytes_text(count: int | None) -> str:
    """'11.7 MB'."""
    return DASH if count is None else f"{count / 1e6:.1f}{NARROW}MB"
