"""The model card: what a model is for, what it was trained on, and its limits, derived from what was measured.

After Mitchell et al. 2019, "Model cards for model reporting". What only a person can know stands in RUN/card.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from maskwright.files import read_yaml
from maskwright.reporting.words import count_text, listed, percent, score_text
from maskwright.run import Run
from maskwright.types import InputError, unknown_name

# What a person may write into RUN/card.yaml, and how the card calls it.
OWN_WORDS = {
    "intended_use": "Intended use",
    "not_for": "Not for",
    "licence": "Licence",
    "data_licence": "Licence of the data",
    "authors": "Authors",
    "contact": "Contact",
}
WEAK_IOU = 0.5
RARE_SHARE = 0.005
FEW_IMAGES = 30
CONFUSED_SHARE = 0.2
LOST_SHARE = 0.2
UNEVEN = 0.05
LEAST_OF_GROUP = 3
MOST_SLICES = 3
DOUBTFUL_ECE = 0.05


def model_card(
    run: Run,
    about: Mapping[str, Any],
    evaluations: Sequence[Mapping[str, Any]],
    further: Iterable[str] = (),
) -> dict[str, Any]:
    """Rows of the card and the limits as sentences: those of training and scores, and then `further` ones.

    Raises InputError if RUN/card.yaml holds a key that is not known, or no table.
    """
    own = own_words(run)
    data = about.get("data") or {}
    name = PurePath(data.get("path", "")).name
    main = next(
        (e for e in evaluations if e["split"] == "test" and e["own_data"]), evaluations[0] if evaluations else None
    )
    use = (
        f"Gives every pixel of a photo like those of {name or 'its data set'} one of {len(run.classes)} classes: "
        f"{listed(run.classes.names, 12)}. Nobody has written down a use beyond that."
    )
    if about.get("prompted"):
        use = (
            f"Turns clicks and boxes on photos like those of {name or 'its data set'} into masks, for a person who "
            "looks at each of them. Nobody has written down a use beyond that."
        )
    rows = {
        OWN_WORDS[key]: own.get(key, default)
        for key, default in {
            "intended_use": use,
            "not_for": "Photos from other cameras, places or conditions until they are tested; decisions about people "
            "without a person's check.",
            "licence": "Not stated.",
            "data_licence": "Not stated.",
        }.items()
    }
    rows |= {title: own[key] for key, title in OWN_WORDS.items() if key in own}
    scored = of_prompts() if about.get("prompted") else [*of_scores(run, main, data), *further]
    return {
        "rows": rows,
        "limits": [*of_training(about), *scored],
        "missing": [key for key in ("intended_use", "not_for", "licence", "data_licence") if key not in own],
    }


def own_words(run: Run) -> dict[str, str]:
    """What RUN/card.yaml says; nothing where there is none."""
    path = run.path / "card.yaml"
    if not path.is_file():
        return {}
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise InputError(f"{path} must be a table of {', '.join(OWN_WORDS)}; write lines like 'licence: CC BY 4.0'.")
    for key in found:
        if key not in OWN_WORDS:
            raise unknown_name(f"key in {path}", str(key), OWN_WORDS)
    return {
        key: listed([str(item) for item in value]) if isinstance(value, list) else str(value)
        for key, value in found.items()
    }


def of_training(about: Mapping[str, Any]) -> Iterable[str]:
    """What the training did not finish."""
    if about.get("status") in ("interrupted", "running", "started"):
        yield "The training did not end as planned, so another run of the same recipe may be better."


def of_prompts() -> Iterable[str]:
    """What nobody knows of a network that answers prompts."""
    yield "It learned from prompts that were drawn from masks, on photos like its own; others have not been tried."
    yield "What it answers is a proposal: a person has to look at every mask."


def of_scores(run: Run, main: Mapping[str, Any] | None, data: Mapping[str, Any]) -> Iterable[str]:
    """What the main evaluation shows to be weak, and what it could not show."""
    if main is None:
        yield "It has not been scored on images held back for testing: nothing is known of how good it is."
        return
    if main["split"] != "test":
        yield f"It was scored on {main['split']} images only, which took part in the training."
    if main["images"] < FEW_IMAGES:
        yield f"It was scored on {main['images']} images only, so its score may be off by more than it seems."
    rows = main["classes"]
    if absent := [row["name"] for row in rows if row["iou"] is None]:
        yield f"Nothing is known about {listed(absent, 8)}: the images that it was scored on hold none."
    weak = sorted((row for row in rows if row["iou"] is not None and row["iou"] < WEAK_IOU), key=lambda row: row["iou"])
    if weak:
        named = listed([f"{row['name']} ({score_text(row['iou'], 2)})" for row in weak], 8)
        yield f"Classes with an IoU below {WEAK_IOU:g}: {named}."
    pixels = data.get("train_pixels") or []
    rare = [
        item.name for item, n in zip(run.classes.items, pixels, strict=False) if n < RARE_SHARE * max(sum(pixels), 1)
    ]
    if rare:
        yield f"Seldom seen in training, each in less than {percent(RARE_SHARE)} of the pixels: {listed(rare, 8)}."
    names = run.classes.names
    for pair in [pair for pair in main["confused"] if pair["share"] >= CONFUSED_SHARE][:3]:
        yield f"{percent(pair['share'])} of the pixels of {names[pair['label']]} are taken for {names[pair['guess']]}."
    groups = {
        name: row["mean_iou"]
        for name, row in main["groups"].items()
        if row["mean_iou"] is not None and row["images"] >= LEAST_OF_GROUP
    }
    if groups and max(groups.values()) - min(groups.values()) > UNEVEN:
        worst, best = min(groups, key=groups.__getitem__), max(groups, key=groups.__getitem__)
        yield (
            f"It depends on the place: mean IoU {score_text(groups[worst], 2)} in group {worst}, "
            f"{score_text(groups[best], 2)} in group {best}."
        )
    if (found := main.get("calibration")) and found["ece"] > DOUBTFUL_ECE:
        yield f"Its confidence is off by {score_text(found['ece'], 2)} on average; do not take it for a probability."


def of_stress(suites: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Which disturbances cost more than a fifth of the score, or that nobody looked."""
    if not suites:
        yield "How it stands noise, blur, rain or darkness has not been measured ('maskwright stress')."
    for suite in suites:
        lost = sorted((kind for kind in suite["kinds"] if kind["retention"] is not None), key=lambda k: k["retention"])
        named = [
            f"{kind['title']} ({percent(1 - kind['retention'])})" for kind in lost if 1 - kind["retention"] > LOST_SHARE
        ]
        if named:
            yield f"It loses more than a fifth of its mean IoU, averaged over all levels, under {listed(named, 8)}."


def of_slices(weak: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """On which photos the newest evaluation found the model weak; that small things are hard, its tables say."""
    slices = [row for row in (weak[0]["slices"] if weak else []) if row["attribute"] not in ("share", "object size")]
    for row in slices[:MOST_SLICES]:
        part = row["range"].replace("third", "third of the images", 1)
        where = f"group {row['range']}" if row["attribute"] == "group" else f"the {part}"
        what = f"The IoU of {row['class']}" if row["class"] else "The mean IoU"
        yield f"{what} is {score_text(row['iou'], 2)} in {where}, {score_text(row['elsewhere'], 2)} elsewhere."


def of_data(audit: Mapping[str, Any] | None) -> Iterable[str]:
    """What the audit says of the data that it learned from."""
    if audit is None:
        yield "Nobody has looked for errors in its data set, or the audit is not at hand ('maskwright audit')."
    elif audit["errors"]:
        count = audit["errors"]
        yield f"The audit found {count_text(count)} error{'' if count == 1 else 's'} in its data set."
