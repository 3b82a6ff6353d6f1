"""How many clicks a good mask takes: a page of its own, and a section in the report of a run."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup

from maskwright.files import read_json
from maskwright.reporting.clicks_plots import done_curves, iou_curves
from maskwright.reporting.compare_plots import colour_of
from maskwright.reporting.render import write_page
from maskwright.reporting.words import count_text, listed
from maskwright.run import Run
from maskwright.types import InputError

FORMAT = 1
TITLES = {
    "click": "A click",
    "jittered": "Jittered",
    "noc": "Clicks to 0.85, 0.90 (NoC)",
    "failed": "Missed",
    "iou_after": "IoU after n clicks",
    "best": "Best of candidates",
    "single": "One random prompt",
    "single_two": "Mean of wanted and rest",
    "seconds": "Seconds",
    "interval": "Interval",
}


def clicks_page(folder: str | Path, *, out: Path | None = None) -> Path:
    """Write FOLDER/clicks.html (or `out`) from the `clicks.json` of `maskwright.clicks`; returns its path.

    One file that needs no other and no network. Raises InputError if the folder holds no such result.
    """
    folder = Path(folder)
    found = read_clicks(folder / "clicks.json")
    part = section(found, 1)
    names = [one["name"] for one in part["prompters"]]
    contents = {
        "title": f"Clicks: {listed(names, 4)}",
        "headline": headline(part),
        "facts": facts(found),
        "clicks": [part],
        "command": "maskwright clicks "
        + " ".join(shlex.quote(one["spec"]) for one in found["prompters"])
        + f" {shlex.quote(found['dataset']['path'])} {options(found)}",
        "found": found,
    }
    return write_page(out or folder / "clicks.html", "clicks.html", contents)


def clicks_sections(run: Run, *, few: bool = False) -> list[dict[str, Any]]:
    """One entry a split whose objects were clicked with this run; none where nothing was. With `few`, no figures."""
    found = sorted(run.path.glob("clicks/*/clicks.json"))
    return [section(read_clicks(path), place, few=few) for place, path in enumerate(found, 1)]


def read_clicks(path: Path) -> dict[str, Any]:
    """What `clicks.json` holds; raises InputError where it is missing or of another format."""
    if not path.is_file():
        raise InputError(f"{path.parent} holds no clicks.json; make one with 'maskwright clicks PROMPTER DATASET'.")
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{path} has a format this version does not know; click again.")
    return found


def section(found: Mapping[str, Any], place: int, *, few: bool = False) -> dict[str, Any]:
    """What a page says of one result, the `place`-th on it; prompters with the fewest clicks to 0.90 first."""
    goal = f"{100 * found['targets'][-1]:.0f}"
    ranked = sorted(found["prompters"], key=lambda one: (one["centre"]["noc"][goal]["mean"], one["name"]))
    prompters = [
        {**one, "rank": rank, "colour": colour_of(rank), "unanswered": unanswered(one)}
        for rank, one in enumerate(ranked, 1)
    ]
    name, most = f"clicks{place}", found["max_clicks"]
    figures = (
        []
        if few
        else [
            Markup(iou_curves(prompters, found["targets"], name)),
            Markup(done_curves(prompters, found["targets"][-1], most, name)),
        ]
    )
    counts = Counter(one["class"] for one in found["objects"])
    return {
        **found,
        "place": place,
        "name": found["split"],
        "goal": goal,
        "dataset_name": PurePath(found["dataset"]["path"]).name,
        "prompters": prompters,
        "ways": ["centre", *(["jittered"] if found["repeats"] else [])],
        "unanswered": sum(one["unanswered"] for one in prompters),
        "figures": figures,
        "sentences": [(pair["sentence"], pair["better"] is not None) for pair in found["pairs"]],
        "by_class": [f"{name} {count}" for name, count in counts.most_common()],
        "titles": TITLES,
    }


def unanswered(one: Mapping[str, Any]) -> int:
    """Prompts that a prompter could not answer."""
    return sum(part["unanswered"] for part in (one["centre"], one["jittered"], one["single"]) if part)


def headline(part: Mapping[str, Any]) -> str:
    """The one sentence for who reads nothing else."""
    first, goal, total = part["prompters"][0], part["goal"], len(part["objects"])
    noc = first["centre"]["noc"][goal]
    done = total - round(noc["failed"])
    said = f"{first['name']}: {noc['mean']:.1f} clicks to an IoU of 0.{goal}, which {done} of {total} objects reach"
    if len(part["prompters"]) == 1:
        return f"{said}."
    pairs = [
        pair
        for pair in part["pairs"]
        if first["name"] in (pair["a"], pair["b"]) and f"{100 * pair['target']:.0f}" == goal
    ]
    beaten = sum(pair["better"] == first["name"] for pair in pairs)
    if not beaten:
        return f"{said}; but none of the others is shown to need more."
    return (
        f"{said}; shown to be fewer than with {'each' if beaten == len(pairs) else beaten} of the {len(pairs)} others."
    )


def facts(found: Mapping[str, Any]) -> dict[str, str]:
    """Label -> value of the row under the headline."""
    return {
        "Data set": f"{PurePath(found['dataset']['path']).name}, {found['split']}",
        "Objects": f"{count_text(len(found['objects']))} of {count_text(found['objects_found'])}",
        "Images": count_text(found["images"]),
        "At most": f"{found['max_clicks']} clicks",
        "Jittered": ("no", "once an object", "twice an object")[found["repeats"]]
        if found["repeats"] < 3
        else f"{found['repeats']} times an object",
    }


def options(found: Mapping[str, Any]) -> str:
    """The options that make the same result again."""
    told = " --tell-class" if found["tell_class"] else ""
    classes = "".join(f" --classes {shlex.quote(','.join(found['classes']))}" if found.get("classes") else "")
    return (
        f"--split {shlex.quote(found['split'])} --objects {found['asked']} --min-area {found['min_area']} "
        f"--max-clicks {found['max_clicks']} --jitter {found['repeats']} --seed {found['seed']}{classes}{told}"
    )
