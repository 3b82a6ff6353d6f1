"""Splits that do not leak: whole groups go to one side, decided by a hash, so that adding images moves none."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from maskwright.types import InputError


def group_of(name: str, pattern: str | None) -> str:
    """The part of an image's name that its group is: the first bracket of `pattern`, or its whole match.

    >>> group_of("0001TP_006690", r"^[^_]+")
    '0001TP'
    """
    if not pattern:
        return ""
    try:
        match = re.search(pattern, PurePath(name).as_posix())
    except re.error as error:
        raise InputError(f"--group '{pattern}' is not a regular expression ({error}).") from error
    group = match.group(1 if match.groups() else 0) if match else ""
    if not group:
        raise InputError(f"--group '{pattern}' does not match the name '{name}'; every image needs a group.")
    return str(group)


def assign_splits(keys: Iterable[str], *, val: float = 0.15, test: float = 0.15, seed: int = 0) -> dict[str, str]:
    """Group key -> 'train', 'val' or 'test', by a hash of key and seed against the shares wanted.

    With few groups a share above 0 still gets one: the group whose hash comes nearest. Raises InputError
    where shares leave nothing to train on or there are fewer groups than sides.
    """
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise InputError(f"Shares val {val} and test {test} leave nothing to train on; their sum must be below 1.")
    places = {key: _place(key, seed) for key in set(keys)}
    sides = 1 + (val > 0) + (test > 0)
    if len(places) < sides:
        raise InputError(
            f"{len(places)} groups cannot be split {sides} ways; add images, or set the share of val or test to 0."
        )
    order = sorted(places, key=lambda key: (places[key], key))
    split = {key: _side(places[key], val, test) for key in order}
    if test > 0 and "test" not in split.values():
        split[order[0]] = "test"
    if val > 0 and "val" not in split.values():
        split[next(key for key in order if split[key] != "test" or list(split.values()).count("test") > 1)] = "val"
    if "train" not in split.values():
        # The last group whose side keeps another one.
        count = Counter(split.values())
        split[next(key for key in reversed(order) if count[split[key]] > 1)] = "train"
    return split


def _side(place: float, val: float, test: float) -> str:
    if place < test:
        return "test"
    return "val" if place < test + val else "train"


def _place(key: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
