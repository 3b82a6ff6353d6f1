"""YAML from anybody: plain data only, and no more of it than was written.

YAML may name a part again instead of repeating it, so that a few lines can stand for more than any memory holds.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_PARTS = 5_000_000
# The same safe subset of YAML, ten times as fast where PyYAML was built with libyaml.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(data: bytes) -> Any:
    """What the YAML holds; raises ValueError with a reason of one line where it is malformed or stands for too much."""
    try:
        found = yaml.load(data, _Loader)
        if _parts(found, {}) > MOST_PARTS:
            raise ValueError("its aliases stand for more than any file needs")
        return found
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).splitlines()[:1])) from error


def _parts(value: Any, known: dict[int, float]) -> float:
    """Lists, dicts and values in all, written out in full; what contains itself never ends."""
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in known:
        known[id(value)] = float("inf")  # until it is counted
        inside = value if isinstance(value, list) else value.values()
        known[id(value)] = 1 + sum(_parts(item, known) for item in inside)
    return known[id(value)]
