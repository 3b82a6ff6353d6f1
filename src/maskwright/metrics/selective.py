"""What is gained by leaving out what the model is unsure of: risk against coverage, streamed.

Geifman and El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017; the area and its excess over
the best possible order: Geifman, Uziel and El-Yaniv, Bias-reduced uncertainty estimation, ICLR 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A positive float32 and its bits have the same order. Cutting off the last 14 bits leaves 65,025 bins from 0 to 1
# that are never wider than 1/512 of the value: fine near 0, where a sure network puts nearly all its pixels.
_CUT = 14
_BINS = int(np.float32(1).view(np.uint32) >> _CUT) + 1


class RiskCoverage:
    """How many pixels have which uncertainty, and how many of them are wrong, over any number of images.

    Pixels are kept in order of uncertainty: at a coverage of 0.8 the fifth of which the model is least sure is left
    out, and the risk is the share of wrong ones among the rest. Memory does not grow; instances add up with `+`.
    """

    def __init__(self) -> None:
        self.count = np.zeros(_BINS, np.int64)
        self.wrong = np.zeros(_BINS, np.int64)

    def add(
        self, uncertainty_HW: NDArray[Any], right_HW: NDArray[np.bool_], *, known_HW: NDArray[np.bool_] | None = None
    ) -> None:
        """Count the pixels of one image: uncertainty in [0, 1], whether the class is right, and which to count.

        Raises ValueError where an uncertainty lies outside [0, 1] or shapes differ.
        """
        if any(plane is not None and plane.shape != uncertainty_HW.shape for plane in (right_HW, known_HW)):
            raise ValueError("the planes of one image differ in shape")
        kept = slice(None) if known_HW is None else known_HW.ravel()
        values, right = uncertainty_HW.ravel()[kept].astype(np.float32), right_HW.ravel()[kept].astype(bool)
        # Written so that NaN fails too.
        if values.size and not (values.min() >= -1e-4 and values.max() <= 1 + 1e-4):
            raise ValueError("an uncertainty lies outside 0..1; divide entropy by the logarithm of the class count")
        # Adding 0 turns the minus of -0 away, which has the bits of a large number.
        place = (np.clip(values, 0, 1) + np.float32(0)).view(np.uint32) >> _CUT
        self.count += np.bincount(place, minlength=_BINS)
        self.wrong += np.bincount(place[~right], minlength=_BINS)

    def curve(self, points: int = 101) -> tuple[Floats, Floats]:
        """Coverage and risk at `points` shares from 1 / points to 1; empty where nothing was counted."""
        total = int(self.count.sum())
        if not total:
            return np.zeros(0), np.zeros(0)
        coverage = np.arange(1, points + 1) / points
        kept, wrong = (np.concatenate([[0], np.cumsum(part)]) for part in self._some())
        return coverage, np.interp(coverage * total, kept, wrong) / (coverage * total)

    def risk(self) -> float:
        """Share of wrong pixels where all are kept."""
        return float(self.wrong.sum() / self.count.sum()) if self.count.any() else float("nan")

    def aurc(self) -> float:
        """Area under the curve: mean risk over the coverages 1 / n, 2 / n .. 1; equals are taken in random order."""
        return _area(*self._some())

    def excess(self) -> float:
        """The area above that of the best order, which leaves out all that is wrong first: 0 is perfect."""
        total, wrong = int(self.count.sum()), int(self.wrong.sum())
        return self.aurc() - _area(np.array([total - wrong, wrong]), np.array([0, wrong]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the bins that hold a pixel; `from_dict` reads it back."""
        some = np.flatnonzero(self.count)
        return {"bin": some.tolist(), "count": self.count[some].tolist(), "wrong": self.wrong[some].tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RiskCoverage:
        """What `to_dict` gave."""
        found = cls()
        found.count[data["bin"]], found.wrong[data["bin"]] = data["count"], data["wrong"]
        return found

    def __add__(self, other: RiskCoverage) -> RiskCoverage:
        total = RiskCoverage()
        total.count, total.wrong = self.count + other.count, self.wrong + other.wrong
        return total

    def _some(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        some = self.count > 0
        return self.count[some], self.wrong[some]


def _area(count: NDArray[np.int64], wrong: NDArray[np.int64]) -> float:
    total = int(count.sum())
    if not total:
        return float("nan")
    count, wrong = count[count > 0], wrong[count > 0]
    rate = wrong / count
    kept, missed = np.cumsum(count) - count, np.cumsum(wrong) - wrong
    # Sum over j = 1 .. count of (missed + j rate) / (kept + j), the mean over all orders of equals.
    harmonic = _harmonic(kept + count) - _harmonic(kept)
    return float((rate * count + (missed - rate * kept) * harmonic).sum() / total)


def _harmonic(n: NDArray[np.int64]) -> Floats:
    """1 + 1/2 + .. + 1/n, by the asymptotic series beyond a short table."""
    table = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, 64))])
    large = np.maximum(n, 64).astype(np.float64)
    series = np.log(large) + np.euler_gamma + 1 / (2 * large) - 1 / (12 * large**2) + 1 / (120 * large**4)
    return np.where(n < 64, table[np.minimum(n, 63)], series)
