"""A run, and perhaps others with it, asked how sure it is of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.infer.temper import tempered
from maskwright.infer.uncertain import SINGLE, Members, dropout_layers, dropped, shares, views
from maskwright.run import Run
from maskwright.types import Image, InputError, Mask, unknown_name

Scores = NDArray[np.float32]

# Name -> what it is.
MEASURES = {
    "entropy": "entropy of the probabilities",
    "margin": "1 - gap between the two best classes",
    "confidence": "1 - highest probability",
    "tta": "variance over flips and two other scales",
    "dropout": "variance over passes with dropout",
    "ensemble": "what the runs disagree on (mutual information)",
}


@dataclass(frozen=True, kw_only=True)
class Team:
    """The run whose doubt is measured (the first), those that are an ensemble with it, and how they are asked."""

    names: list[str]
    predictors: list[Predictor]
    measures: list[str]
    flips: list[str]
    passes: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a team says of one image: scores of the first run before its temperature, and its doubt by measure.

    `shares_KHW` have the temperature and sum to 1; the planes lie from 0 to 1. `others` are the predictions of the
    further runs and `mean_KHW` the mean of all, empty and None without an ensemble.
    """

    scores_KHW: Scores
    shares_KHW: Scores
    guess_HW: Mask
    planes: dict[str, NDArray[np.float32]]
    others: list[Mask]
    mean_KHW: Scores | None


def ask(team: Team, image_HW3: Image, number: int) -> Answer:
    """Ask every run of every measure; what is random follows from the team's seed and the image's `number`."""
    own = team.predictors[0]
    scores_KHW = next(own.scores_of([image_HW3]))
    shares_KHW = shares(tempered(scores_KHW, own.temperature, each_class=own.each_class))
    planes = {name: SINGLE[name](shares_KHW) for name in team.measures if name in SINGLE}
    if "tta" in team.measures:
        seen = Members(shares_KHW.shape)
        seen.add(shares_KHW)
        for view_KHW in views(own, image_HW3, team.flips):
            seen.add(view_KHW)
        planes["tta"] = seen.variance()
    if "dropout" in team.measures:
        seen = Members(shares_KHW.shape)
        for pass_KHW in dropped(own, image_HW3, team.passes, (team.seed, number)):
            seen.add(pass_KHW)
        planes["dropout"] = seen.variance()
    others: list[Mask] = []
    runs = Members(shares_KHW.shape)
    if "ensemble" in team.measures:
        runs.add(shares_KHW)
        for other in team.predictors[1:]:
            theirs_KHW = shares(other.probabilities(image_HW3))
            others.append(first_maximum(theirs_KHW, other.classes))
            runs.add(theirs_KHW)
        planes["ensemble"] = runs.information()
    return Answer(
        scores_KHW=scores_KHW,
        shares_KHW=shares_KHW,
        guess_HW=first_maximum(scores_KHW, own.classes),
        planes=planes,
        others=others,
        mean_KHW=runs.mean() if runs.count else None,
    )


def expand(runs: Sequence[Run | str | Path]) -> list[Run]:
    """Runs as they are, and in place of a series its finished runs, by seed.

    Raises InputError where one is named twice, or where they have different classes.
    """
    found: list[Run] = []
    for item in runs:
        if isinstance(item, Run) or not (Path(item) / "series.json").is_file():
            found.append(item if isinstance(item, Run) else Run.open(item))
            continue
        folders = [path.parent for path in Path(item).glob("seed-*/run.yaml")]
        whole = [folder for folder in folders if (folder / "weights" / "best.safetensors").is_file()]
        if not whole:
            raise InputError(f"{item} is a series with no finished run of its own; name runs inside it instead.")
        found += [Run.open(folder) for folder in sorted(whole, key=lambda folder: (len(folder.name), folder.name))]
    if not found:
        raise InputError("No run is named; name one whose uncertainty is to be measured.")
    places = [run.path.resolve() for run in found]
    if twice := [path for path in places if places.count(path) > 1]:
        raise InputError(f"{twice[0]} is named twice; an ensemble is of different runs.")
    for other in found[1:]:
        if other.classes.names != found[0].classes.names:
            raise InputError(f"{other.path} and {found[0].path} have different classes; leave one of them out.")
    return found


def assemble(
    runs: Sequence[Run], measures: Sequence[str] | None, passes: int, seed: int, **how: Any
) -> tuple[Team, dict[str, str]]:
    """Load the runs for the measures wanted, or for all that they allow; with it the reasons against the others."""
    if unknown := [name for name in measures or () if name not in MEASURES]:
        raise unknown_name("measure", unknown[0], MEASURES)
    if measures is not None and not measures:
        raise InputError(f"No measure is named; choose of {', '.join(MEASURES)}, or leave --measures out.")
    if passes < 2:
        raise InputError(f"{passes} passes show no variance; take --passes 2 or more.")
    own = Predictor.load(runs[0], **how)
    against: dict[str, str] = {}
    if not dropout_layers(own.network):
        against["dropout"] = (
            f"{runs[0].path} has no dropout: train with --set model.spatial_dropout=0.1, or leave this measure out."
        )
    if len(runs) < 2:
        against["ensemble"] = "An ensemble is of two runs or more: name more, or a folder made by train --seeds 3."
    if measures is None:
        measures = [name for name in MEASURES if name not in against]
    elif impossible := [name for name in measures if name in against]:
        raise InputError(against[impossible[0]])
    # An upside-down photo is another kind of photo, unless the training had some.
    flips = ["horizontal", *(["vertical"] if runs[0].recipe.augment.flip_vertical > 0 else [])]
    further = [Predictor.load(run, **how) for run in runs[1:]] if "ensemble" in measures else []
    team = Team(
        names=names_of(runs[: 1 + len(further)]),
        predictors=[own, *further],
        measures=[name for name in MEASURES if name in measures],
        flips=flips,
        passes=passes,
        seed=seed,
    )
    return team, {name: why for name, why in against.items() if name not in measures}


def names_of(runs: Sequence[Run]) -> list[str]:
    """Names of folders, with the folder around them where two are called the same."""
    paths = [run.path.resolve() for run in runs]
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [f"{path.parent.name}/{path.name}" for path in paths]
