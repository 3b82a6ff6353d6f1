"""A recipe that trains in a second."""

from __future__ import annotations

from maskwright.config import Recipe

QUICK = [
    "data.size=[32, 40]",
    "data.cache=false",
    "model.widths=[4, 8, 8]",
    "train.batch=2",
    "train.epochs=3",
    "train.device=cpu",
    "train.precision=fp32",
    "train.deterministic=true",
    "optim.lr=0.01",
]


def quick(*sets: str) -> Recipe:
    """The default recipe made tiny, with changes."""
    return Recipe.load("default", [*QUICK, *sets])
