"""Splits that do not leak: whole groups go to one side, decided by a hash, so that adding images moves none."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import PurePath

from maskwright.data.dataset import Dataset, Sample
from maskwright.types import InputError

FOLD = "fold"  # the column of samples.csv that holds a sample's fold, empty where it has none


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
    places = {key: place(key, seed) for key in set(keys)}
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


def place(key: str, seed: int, purpose: str = "") -> float:
    """Where in [0, 1) a key falls; draws for different purposes are independent."""
    salt = f"{seed}\0{purpose}\0" if purpose else f"{seed}\0"
    digest = hashlib.blake2b(f"{salt}{key}".encode(), digest_size=8).digest()
    # 53 bits, which a float holds exactly: 64 could be rounded up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def joined(keys: Mapping[str, str], twins: Iterable[Collection[str]]) -> dict[str, str]:
    """Sample id -> name of its unit, from id -> key (its group, or itself) and sets of ids that belong together.

    Keys that share a set become one unit, named by the first of them in alphabetical order.
    """
    parent = {key: key for key in keys.values()}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for together in twins:
        roots = {root(keys[id]) for id in together if id in keys}
        for other in roots:
            parent[other] = min(roots)
    return {id: root(key) for id, key in keys.items()}


def split_hash(samples: Iterable[Sample]) -> str:
    """32 hexadecimal digits over every row's id, split and fold (if it has one); independent of the order of rows."""
    digest = hashlib.blake2b(digest_size=16)
    for sample in sorted(samples, key=lambda sample: sample.id):
        fold = sample.extra.get(FOLD, "")
        digest.update("\0".join([sample.id, sample.split, *([fold] if fold else [])]).encode() + b"\n")
    return digest.hexdigest()


def with_fold(dataset: Dataset, fold: int | None) -> Dataset:
    """The data set with `fold` as its validation images and all other folds as training images; None changes nothing.

    Nothing is written. Raises InputError where the data set has no folds, or not this one.
    """
    if fold is None:
        return dataset
    folds = sorted({int(text) for s in dataset.samples if (text := s.extra.get(FOLD, "")).isdecimal()})
    if not folds:
        raise InputError(
            f"{dataset.path} has no folds, but data.fold is {fold}; make some with "
            f"'maskwright split {dataset.path} --folds 5', or leave data.fold out."
        )
    if fold not in folds:
        raise InputError(f"{dataset.path} has no fold {fold}; data.fold can be {', '.join(map(str, folds))}.")

    def side(sample: Sample) -> str:
        own = sample.extra.get(FOLD, "")
        return sample.split if not own else "val" if own == str(fold) else "train"

    return replace(dataset, samples=tuple(replace(sample, split=side(sample)) for sample in dataset.samples))
