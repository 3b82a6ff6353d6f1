"""The few hundred numbers that weigh the evidence; `benchmarks/prompters_fit.py` fits them and writes `fitted.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from maskwright.prompt.classical.pieces import Floats


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """A weighted sum of standardised numbers and, with `quadratic`, of the products of any two of them."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float
    quadratic: bool

    def __call__(self, facts_NF: Floats) -> Floats:
        """One number a row."""
        terms = (facts_NF - self.mean) / self.scale
        if self.quadratic:
            terms = with_products(np.clip(terms, -4, 4))
        return np.asarray(terms @ self.weights + np.float32(self.bias), np.float32)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How likely pieces belong (`order`), where to stop (`extent`), how good a corrected mask is (`score`)."""

    first_order: Weighing
    first_extent: Weighing
    correction_order: Weighing
    correction_extent: Weighing
    correction_score: Weighing


def with_products(terms_NF: Floats) -> Floats:
    """The columns, and the products of every two of them."""
    first, second = np.triu_indices(terms_NF.shape[1])
    return np.concatenate([terms_NF, terms_NF[:, first] * terms_NF[:, second]], axis=1)


def fitted_from(record: dict[str, Any]) -> Fitted:
    """The numbers of a dict as `fitted.json` holds it."""
    return Fitted(**{name: _weighing(**item) for name, item in record.items()})


def _weighing(mean: list[float], scale: list[float], weights: list[float], bias: float, quadratic: bool) -> Weighing:
    first, second, third = (np.array(values, np.float32) for values in (mean, scale, weights))
    return Weighing(mean=first, scale=second, weights=third, bias=bias, quadratic=quadratic)


@cache
def fitted() -> Fitted:
    """The numbers that come with the package."""
    return fitted_from(json.loads(files(__package__).joinpath("fitted.json").read_text("utf-8")))
