"""Clicks as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def click_table(facts: Mapping[str, Any]) -> list[str]:
    """A row a prompter and way of clicking, the single prompts, and a sentence a pair."""
    most = facts["max_clicks"]
    lines = [
        f"{len(facts['objects'])} objects of {facts['images']} images, split {facts['split']}; at most {most} clicks",
        f"{'prompter':20} {'clicks':9} {'NoC@85':>15} {'missed':>6} {'NoC@90':>15} {'missed':>6}"
        + "".join(f" {'IoU ' + str(n):>6}" for n in facts["after"])
        + f" {'best 1':>6} {'ms p50':>7} {'ms p95':>7} {'encode':>7}",
    ]
    for one in facts["prompters"]:
        for way in ("centre", "jittered"):
            if one[way] is not None:
                lines.append(line(one, way, facts))
    for one in facts["prompters"]:
        if one["single"] is not None:
            single = one["single"]
            kinds = ", ".join(f"{kind} {value:.3f}" for kind, value in single["by_kind"].items())
            lines.append(
                f"{one['name']}, one random prompt an image: IoU {interval(single['mean_iou'], 3)} ({kinds}), "
                f"mean of wanted and rest {single['mean_iou_two']['mean']:.3f}, {single['prompts']} prompts"
            )
    for one in facts["prompters"]:
        if unanswered := sum(part["unanswered"] for part in (one["centre"], one["jittered"], one["single"]) if part):
            lines.append(f"{one['name']} could not answer {unanswered} prompts; they count as no change.")
    lines += [pair["sentence"] for pair in facts["pairs"]]
    return [*lines, *facts["notes"]]


def line(one: Mapping[str, Any], way: str, facts: Mapping[str, Any]) -> str:
    """One row of the table."""
    found, seconds = one[way], one["seconds"]
    text = f"{one['name'][:20]:20} {way:9}"
    for noc in found["noc"].values():
        text += f" {interval(noc, 1):>15} {noc['failed']:6.3g}"
    text += "".join(f" {found['iou_after'][str(n)]['mean']:6.3f}" for n in facts["after"])
    text += f" {found['best']['mean']:6.3f}"
    return text + "".join(f" {1000 * seconds[name]:7.0f}" for name in ("click_p50", "click_p95", "encode_p50"))


def interval(value: Mapping[str, float | None], digits: int) -> str:
    """'3.2 (2.5-4.1)'."""
    ends = "" if value["low"] is None else f" ({value['low']:.{digits}f}-{value['high']:.{digits}f})"
    return f"{value['mean']:.{digits}f}{ends}"
