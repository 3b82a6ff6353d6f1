"""Controlled comparisons: one key of a recipe varied at a time, everything else, seeds and budget the same."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.training.series import Series, Variant, folder_name, run_series
from maskwright.types import InputError

BASELINE = "baseline"


def ablate(
    dataset: Dataset | str | Path,
    recipe: Recipe | str = "default",
    *,
    vary: Sequence[str],
    out: str | Path,
    seeds: int = 3,
    sets: Sequence[str] = (),
    product: bool = False,
    split: str = "val",
    strict: bool = False,
) -> Series:
    """Train variants of a recipe, each with the same seeds, and write a leaderboard with the spread.

    `vary` holds `KEY=a,b,c`, values in YAML (`model.widths=[8,16],[8,32]`). Each value is tried alone against the
    recipe as it is; with `product` every combination of all keys is. The same call goes on where it stopped. Scores
    are validation scores; `split` 'test' is for a last look. Raises InputError as `train` does, for all variants
    before the first is trained.
    """
    base = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, sets)
    variants = plan_variants(base, [parse_vary(text) for text in vary], product=product)
    return run_series(dataset, variants, out=Path(out), seeds=seeds, split=split, strict=strict)


def parse_vary(text: str) -> tuple[str, list[Any]]:
    """'KEY=a,b' -> key and values; commas within brackets and quotes belong to a value."""
    key, equals, listed = text.partition("=")
    key = key.strip()
    try:
        values = yaml.safe_load(f"[{listed}]") if equals and listed.strip() else None
    except yaml.YAMLError:
        values = None
    if not key or not values:
        raise InputError(f"--vary {text} is not of the form KEY=a,b,c, for example --vary optim.lr=0.001,0.003.")
    if key == "train.seed":
        raise InputError("train.seed is varied by --seeds; leave it out of --vary.")
    return key, values


def plan_variants(base: Recipe, varied: Sequence[tuple[str, list[Any]]], *, product: bool) -> list[Variant]:
    """The recipe as it is, and its variants; what comes out equal is tried once.

    Raises InputError for unknown keys, values that a key cannot have, and where nothing differs.
    """
    if not varied:
        raise InputError("Nothing is varied; name a key and its values, for example --vary optim.lr=0.001,0.003.")
    if twice := [key for key, count in Counter(key for key, _ in varied).items() if count > 1]:
        raise InputError(f"{twice[0]} is varied twice; list all its values in one --vary.")
    if product:
        keys = [key for key, _ in varied]
        combinations = [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*(v for _, v in varied))]
    else:
        combinations = [{key: value} for key, values in varied for value in values]
    found = [Variant(name=BASELINE, recipe=base, place=BASELINE)]
    for changes in combinations:
        recipe = base.with_values(**{key.replace(".", "__"): value for key, value in changes.items()})
        if all(recipe != variant.recipe for variant in found):
            name = " ".join(f"{key}={_word(value)}" for key, value in changes.items())
            found.append(Variant(name=name, recipe=recipe, place=folder_name(name)))
    if len(found) == 1:
        raise InputError("Every variant equals the recipe itself; vary a key to other values than it has.")
    if twice := [place for place, count in Counter(variant.place for variant in found).items() if count > 1]:
        # Names that differ only in what a folder cannot be called.
        found = [
            Variant(name=v.name, recipe=v.recipe, place=f"{v.place}-{number}" if v.place in twice else v.place)
            for number, v in enumerate(found)
        ]
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
