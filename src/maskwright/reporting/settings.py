"""The settings of a run, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from maskwright.config import Recipe


def settings(recipe: Recipe, derived: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Every key of the recipe: those chosen or derived for this run, and those left at their default."""
    result: dict[str, list[dict[str, Any]]] = {"chosen": [], "default": []}
    for row, usual in zip(leaves(recipe), leaves(Recipe()), strict=True):
        reason = str(derived.get(row["key"], "")).partition(": ")[2]
        row |= {"default": usual["value"], "reason": reason}
        result["chosen" if reason or row["value"] != row["default"] else "default"].append(row)
    return result


def leaves(section: BaseModel, prefix: str = "") -> list[dict[str, Any]]:
    """Dotted key, value and meaning of every setting of a recipe, in its order."""
    found: list[dict[str, Any]] = []
    for name, value in section:
        if isinstance(value, BaseModel):
            found += leaves(value, f"{prefix}{name}.")
        else:
            meaning = type(section).model_fields[name].description or ""
            found.append({"key": prefix + name, "value": value, "meaning": meaning.partition("; derived")[0]})
    return found
