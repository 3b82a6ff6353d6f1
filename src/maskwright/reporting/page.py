"""One HTML file about a run, or about several: to keep beside them or to send, from run folders alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup

from maskwright.reporting import plots
from maskwright.reporting.assemble import nested, outline
from maskwright.reporting.clicks_section import clicks_sections
from maskwright.reporting.cost_section import cost
from maskwright.reporting.evaluation_section import evaluation
from maskwright.reporting.exports_section import exports_section
from maskwright.reporting.model_card import model_card, of_data, of_slices, of_stress
from maskwright.reporting.overview import overview
from maskwright.reporting.pictures import limited, smaller
from maskwright.reporting.render import fill, write_page
from maskwright.reporting.settings import settings
from maskwright.reporting.stress_section import stress_sections
from maskwright.reporting.training_section import (
    audit_of,
    best_epoch,
    curves,
    facts,
    first_batch,
    redrawn,
    samples,
    shares,
)
from maskwright.reporting.uncertainty_section import uncertainty_sections
from maskwright.reporting.weak_section import weak_sections
from maskwright.reporting.words import DASH, score_text, short_command
from maskwright.run import Run
from maskwright.types import InputError

# Pictures on a page of several runs: so large, and so heavy all together, that one of twenty models opens at once.
SIDE_PX = 240
MOST_BYTES = 8_000_000


def report(*runs: Run | str | Path, out: Path | None = None) -> Path:
    """Write one file that needs no other and no network about a run, or about several side by side; returns its path.

    It is RUN/report.html for one run and maskwright-report.html in the working folder for several, unless `out` says
    otherwise. Says what is missing where a run was interrupted or not evaluated yet. The same runs give the same bytes.
    Raises InputError if one is no run folder or is named twice, or if the page cannot be written.
    """
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    if not opened:
        raise InputError("A report needs at least one run; name a run folder.")
    if len(opened) == 1:
        return write_page(out or opened[0].path / "report.html", "report.html", one(contents(opened[0])))
    return write_page(out or Path("maskwright-report.html"), "report.html", several(opened))


def one(found: Mapping[str, Any]) -> dict[str, Any]:
    """The page of one run from its `contents`: its head, its sections, and the way through them."""
    body = fill("_run.html", found)
    return {
        "title": f"{found['name']} {DASH} training report",
        "head": Markup(fill("_head.html", found)),
        "outline": outline(body),
        "body": Markup(body),
        "runs": [],
    }


def several(runs: Sequence[Run]) -> dict[str, Any]:
    """The page of several runs: what sets them apart, then the sections of each, folded and with fewer pictures."""
    names = own_names([run.path.resolve() for run in runs])
    told = [contents(run, name=name, few=True) for run, name in zip(runs, names, strict=True)]
    body = fill("_overview.html", overview(runs, told))
    folded = []
    for place, found in enumerate(told, 1):
        whole = fill("_head.html", found) + fill("_run.html", found)
        light = limited(smaller(whole, SIDE_PX), MOST_BYTES // len(runs))
        folded.append({**found, "place": place, "body": Markup(nested(light, f"r{place}-"))})
    return {
        "title": f"{len(runs)} runs side by side",
        "head": Markup(fill("_overview_head.html", {"runs": told})),
        "outline": outline(body),
        "body": Markup(body),
        "runs": folded,
    }


def own_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart; raises InputError where one is there twice."""
    if twice := sorted({str(path) for path in paths if paths.count(path) > 1}):
        raise InputError(f"{twice[0]} is named twice; name every run once.")
    deepest = max(len(path.parts) for path in paths)
    for depth in range(1, deepest + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def contents(run: Run, *, name: str = "", called: str = "", few: bool = False) -> dict[str, Any]:
    """Everything that the templates of one run print, in the page's order; with `few`, only a few pictures.

    Commands call the run by its folder, or as `called` says.
    """
    folder, recipe = (called, "recipe.yaml") if called else (str(run.path), str(run.path / "recipe.yaml"))
    about, rows = run.about, run.metrics()
    data, prompted = about.get("data") or {}, bool(about.get("prompted"))
    newest_first = sorted(run.evaluations().items(), key=lambda item: str(item[1]["time"]), reverse=True)
    evaluations = [evaluation(run, place, *item, data, few=few) for place, item in enumerate(newest_first, 1)]
    best = best_epoch(about, rows)
    audit, stress, weak = audit_of(data), stress_sections(run, few=few), weak_sections(run, few=few)
    return {
        "name": name or run.path.resolve().name,
        "folder": shlex.quote(folder),
        "about": about,
        "data": data,
        "skipped": about.get("skipped") or [],
        "environment": about.get("environment") or {},
        "dataset": PurePath(data.get("path", "")).name,
        "audit": audit,
        "classes": run.classes,
        "prompted": prompted,
        "headline": headline(evaluations, rows, best, prompted=prompted),
        "facts": facts(run, about, rows, best),
        "ended": "ended" in about and about.get("status") != "interrupted",
        "card": model_card(run, about, evaluations, [*of_stress(stress), *of_slices(weak), *of_data(audit)]),
        "shares": shares(run.classes, data.get("train_pixels") or []),
        "settings": settings(run.recipe, about.get("derived") or {}),
        "curves": curves(run.classes, rows, best),
        "evaluations": evaluations,
        "weak_spots": weak,
        "uncertainty": uncertainty_sections(run, few=few),
        "stress": stress,
        "clicks": clicks_sections(run, few=few),
        "cost": cost(run),
        "exports": exports_section(run),
        "samples": samples(run)[-1:] if few else samples(run),
        "redrawn": None if few else redrawn(run, about),
        "first": None if few else first_batch(run),
        "command": short_command(str(about.get("command", ""))),
        "recipe_path": shlex.quote(recipe),
        "seed": run.recipe.train.seed,
        "next": next_commands(shlex.quote(folder), bool(evaluations), prompted=prompted),
        "few": few,
    }


def headline(
    evaluations: Sequence[dict[str, Any]], rows: plots.Rows, best: int | None, *, prompted: bool = False
) -> dict[str, str]:
    """The main number and exactly what it is; a test on the run's own data set comes before other evaluations."""
    if evaluations:
        main = next((e for e in evaluations if e["split"] == "test" and e["own_data"]), evaluations[0])
        low, high = main["interval"] or (None, None)
        between = f"({score_text(low, 2)} to {score_text(high, 2)}) " if low is not None else ""
        return {
            "what": "Mean IoU",
            "number": score_text(main["main"], 2),
            "of": f"{between}over {main['over']} on {main['on']}",
        }
    scored = [row for row in rows if row["epoch"] == best and "val_score" in row]
    if not scored:
        return {"what": "No score yet,", "number": "", "of": "because the training did not reach its first validation"}
    what = "of what prompts mean " if prompted else ""
    return {
        "what": "Mean IoU",
        "number": score_text(scored[0]["val_score"], 2),
        "of": f"{what}on the validation images, which also chose the best epoch ({scored[0]['epoch'] + 1}); "
        "not yet scored on images held back for testing",
    }


def next_commands(folder: str, evaluated: bool, *, prompted: bool = False) -> list[tuple[str, str]]:
    """(command, what it is good for)."""
    if prompted:
        return [
            (f"maskwright clicks run:{folder} DATASET", "Measure how many clicks it needs for a good mask"),
            (f"maskwright label DATASET --prompter run:{folder}", "Label more photos of the same kind with it"),
        ]
    score = (f"maskwright evaluate {folder} --split test", "Score the run on images that it has never seen")
    elsewhere = (f"maskwright evaluate {folder} OTHER_DATASET --split test", "See whether it holds on other photos")
    return [
        elsewhere if evaluated else score,
        (f"maskwright predict {folder} PHOTOS -o predictions", "Segment new photos"),
        ("maskwright train DATASET --size base --budget 120", "Train a larger network for longer, here for two hours"),
    ]
