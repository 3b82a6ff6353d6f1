"""Groups of categories: a YAML file says which names belong together, and which group wins where they overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from maskwright.files import read_yaml
from maskwright.types import Classes, ClassInfo, InputError, default_colour, unknown_name

SHIPPED = "coco-nine"


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Group -> category names and priority, in the order of the file."""

    names: Mapping[str, tuple[str, ...]]
    priority: Mapping[str, float]

    def classes(self) -> Classes:
        """Background and one class a group."""
        rows = ["background", *self.names]
        items = tuple(
            ClassInfo(id=i, name=name, colour=default_colour(i), priority=self.priority.get(name, 0.0))
            for i, name in enumerate(rows)
        )
        return Classes(items=items, background=0)

    def group_of(self) -> dict[str, str]:
        """Category name -> group."""
        return {name: group for group, names in self.names.items() for name in names}

    def strangers(self, known: Iterable[str]) -> list[str]:
        """Remarks on names that the source does not have, with the nearest that it has."""
        known = list(known)
        remarks = []
        for name in self.group_of():
            if name not in known:
                near = get_close_matches(name, known, n=1)
                remarks.append(f"'{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
        return remarks


def read_groups(given: Path | None) -> Groups:
    """Groups from a YAML file, or shipped ones by name; without either the nine groups of COCO.

    Raises InputError where the file is no mapping of groups to `names` and `priority`, or a name is in two groups.
    """
    text = str(given or SHIPPED)
    shipped = {
        item.name.removesuffix(".yaml"): item
        for item in (resources.files("maskwright") / "groups").iterdir()
        if item.name.endswith(".yaml")
    }
    if given is not None and (given.suffix or given.exists()):
        return _parse(read_yaml(given), text)
    if text not in shipped:
        raise unknown_name("groups file", text, shipped)
    return _parse(yaml.safe_load(shipped[text].read_text("utf-8")), text)


def _parse(data: Any, source: str) -> Groups:
    if isinstance(data, dict) and set(data) == {"groups"}:
        data = data["groups"]
    if not isinstance(data, dict) or not data:
        raise InputError(f"{source} must map each group to its names, as in 'fruit: {{priority: 2, names: [apple]}}'.")
    names: dict[str, tuple[str, ...]] = {}
    priority: dict[str, float] = {}
    for group, entry in data.items():
        listed = entry.get("names") if isinstance(entry, dict) else entry
        if not isinstance(listed, list) or not listed or any(isinstance(name, list | dict) for name in listed):
            raise InputError(f"{source}: group '{group}' needs a list of category names under 'names'.")
        odd = [one for one in (group, *listed) if one is None or isinstance(one, bool) or not str(one).strip()]
        if odd:
            raise InputError(
                f"{source}: group '{group}' has a name that YAML reads as {odd[0]!r}; put names such as no, yes, on in "
                "quotes, and leave none empty."
            )
        names[str(group)] = tuple(str(name) for name in listed)
        weight = entry.get("priority", 1.0) if isinstance(entry, dict) else 1.0
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise InputError(f"{source}: the priority of group '{group}' is no number; write for example 2.5.")
        priority[str(group)] = float(weight)
        if isinstance(entry, dict) and (alien := sorted(map(str, set(entry) - {"names", "priority"}))):
            raise InputError(f"{source}: group '{group}' has the key '{alien[0]}'; known are names and priority.")
    seen: dict[str, str] = {}
    for group, members in names.items():
        for name in members:
            if name in seen:
                where = (
                    f"twice in the group '{group}'" if seen[name] == group else f"in '{seen[name]}' and in '{group}'"
                )
                raise InputError(f"{source}: the name '{name}' is {where}; leave it in one place.")
            seen[name] = group
    if "background" in names:
        raise InputError(f"{source}: 'background' is what no group covers; name the group otherwise.")
    return Groups(names=names, priority=priority)
