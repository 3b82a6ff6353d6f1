"""Why an image is suggested, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.scoring.suggesting.choose import Pick, distances, ranks
from maskwright.scoring.suggesting.describe import Points

Values = NDArray[np.float64]

MUCH = 0.7  # of the pool, by rank, that has less of something than what is called much
RANDOM = "taken at random"
FOR_SIDE = {
    "val": "for validation: taken at random, so that scores stay honest",
    "test": "for the test: taken at random, so that scores stay honest",
}


@dataclass(frozen=True, kw_only=True)
class Known:
    """The rank of every image of the pool by doubt, rarity and distance to what is labelled."""

    doubt_N: Values
    rarity_N: Values
    distance_N: Values
    labelled: bool

    @classmethod
    def of(cls, points_ND: Points, labelled_MD: Points, uncertainty_N: Values, rarity_N: Values) -> Known:
        """Ranks from the values themselves."""
        away = distances(points_ND, labelled_MD).min(1) if len(labelled_MD) else np.zeros(len(points_ND))
        return cls(
            doubt_N=ranks(uncertainty_N),
            rarity_N=ranks(rarity_N),
            distance_N=ranks(away.astype(np.float64)),
            labelled=bool(len(labelled_MD)),
        )


def reason(
    one: Pick, known: Known, doubt_NK: Values, share_NK: Values, classes: Sequence[str]
) -> tuple[str, str | None]:
    """'unsure about bicyclist; unlike anything labelled', and the class that the run is unsure about."""
    parts: list[str] = []
    doubtful = classes[unusual(doubt_NK, one.row)] if classes else None
    if classes and known.doubt_N[one.row] >= MUCH:
        parts.append(f"unsure about {doubtful}")
    if classes and known.rarity_N[one.row] >= MUCH:
        rare = classes[unusual(share_NK, one.row)]
        parts.append(f"seems to hold more {rare} than most")
    if known.labelled and known.distance_N[one.row] >= MUCH:
        parts.append("unlike anything labelled")
    if one.stands_for > 1:
        parts.append(f"stands for {one.stands_for} images like it")
    return "; ".join(parts) or "next in line", doubtful


def unusual(values_NK: Values, row: int) -> int:
    """The class in which an image exceeds the mean of all most, in units of the root of that mean."""
    mean_K = values_NK.mean(0)
    return int(((values_NK[row] - mean_K) / np.sqrt(mean_K + 1e-9)).argmax())
