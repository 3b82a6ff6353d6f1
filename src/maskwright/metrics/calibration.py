"""Whether a confidence of 0.9 is right nine times in ten: a histogram that pixels are streamed into.

Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017; the score of Brier,
Verification of forecasts expressed in terms of probability, 1950.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.types import Mask

Values = NDArray[np.floating[Any]]
BINS = 15
# Logarithms are taken of nothing smaller: a float32 probability of 0 is one that was rounded to it.
SMALLEST = float(np.finfo(np.float32).eps)


class Calibration:
    """Counts, right ones and the sum of confidence in equal bins of confidence, over any number of images.

    Bin b holds confidences from b / bins up to, not including, (b + 1) / bins; the last one holds 1 as well.
    Memory does not grow. Instances of the same bins add up with `+`.
    """

    def __init__(self, bins: int = BINS) -> None:
        if bins < 1:
            raise ValueError(f"calibration needs at least one bin, not {bins}")
        self.bins = bins
        self.count = np.zeros(bins, np.int64)
        self.right = np.zeros(bins, np.int64)
        self.confidence = np.zeros(bins, np.float64)
        self.nll_sum, self.nll_count = 0.0, 0
        self.brier_sum, self.brier_count = 0.0, 0

    def add(
        self,
        confidence_HW: Values,
        right_HW: NDArray[np.bool_],
        *,
        true_probability_HW: Values | None = None,
        brier_HW: Values | None = None,
        known_HW: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count the pixels of one image; arrays of any one shape.

        `confidence_HW`: probability of the predicted class. `true_probability_HW`: of the labelled class.
        `brier_HW`: sum over classes of (p - y)^2, 0 to 2. `known_HW`: pixels to count, all where None.
        Raises ValueError where a value is not a probability or shapes differ.
        """
        planes = (confidence_HW, right_HW, true_probability_HW, brier_HW, known_HW)
        if any(plane is not None and plane.shape != confidence_HW.shape for plane in planes):
            raise ValueError("the planes of one image differ in shape")
        kept = slice(None) if known_HW is None else known_HW.ravel()
        confidence = _values(confidence_HW, kept, 1, "confidence")
        place = np.clip((confidence * self.bins).astype(np.intp), 0, self.bins - 1)
        self.count += np.bincount(place, minlength=self.bins)
        self.right += np.bincount(place[right_HW.ravel()[kept].astype(bool)], minlength=self.bins)
        self.confidence += np.bincount(place, weights=confidence, minlength=self.bins)
        if true_probability_HW is not None:
            true_probability = _values(true_probability_HW, kept, 1, "probability")
            self.nll_sum -= float(np.log(np.maximum(true_probability, SMALLEST)).sum(dtype=np.float64))
            self.nll_count += true_probability.size
        if brier_HW is not None:
            brier = _values(brier_HW, kept, 2, "Brier score")
            self.brier_sum += float(brier.sum(dtype=np.float64))
            self.brier_count += brier.size

    def add_probabilities(self, probabilities_KHW: Values, truth_HW: Mask, guess_HW: Mask | None = None) -> None:
        """Count one image from class probabilities (K, H, W), its label and what was predicted (the highest if None).

        Scores of classes against the rest (BCE and its like) do not sum to 1: they are divided by their sum first.
        Ids of the label outside 0..K-1 are ignored.
        """
        classes, pixels = len(probabilities_KHW), truth_HW.size
        flat_KN = probabilities_KHW.reshape(classes, pixels)
        sum_N = np.maximum(flat_KN.sum(0), SMALLEST)
        place_N = np.arange(pixels)
        guess_N = _highest(flat_KN) if guess_HW is None else guess_HW.ravel()

        def of(ids_N: NDArray[Any]) -> Values:
            # Twice as fast as an index of two arrays; what is ignored may point at any class.
            row_N = np.minimum(ids_N, classes - 1).astype(np.intp)
            return np.asarray(flat_KN.take(row_N * pixels + place_N) / sum_N)

        true_N = of(truth_HW.ravel())
        self.add(
            of(guess_N),
            truth_HW.ravel() == guess_N,
            true_probability_HW=true_N,
            brier_HW=np.einsum("kn,kn->n", flat_KN, flat_KN) / (sum_N * sum_N) - 2 * true_N + 1,
            known_HW=truth_HW.ravel() < classes,
        )

    def ece(self) -> float:
        """Expected calibration error: mean over pixels of the gap between confidence and accuracy of their bin."""
        gaps, share = self._gaps()
        return float((gaps * share).sum()) if gaps.size else float("nan")

    def mce(self) -> float:
        """Maximum calibration error: the largest gap of a bin that holds a pixel."""
        gaps, _ = self._gaps()
        return float(gaps.max()) if gaps.size else float("nan")

    def nll(self) -> float:
        """Mean of -log p of the labelled class, in nats; NaN where none was given."""
        return self.nll_sum / self.nll_count if self.nll_count else float("nan")

    def brier(self) -> float:
        """Mean Brier score, 0 (sure and right) to 2 (sure and wrong); NaN where none was given."""
        return self.brier_sum / self.brier_count if self.brier_count else float("nan")

    def curve(self) -> list[dict[str, float]]:
        """Mean confidence, accuracy and share of pixels of every bin that holds a pixel."""
        some, total = np.flatnonzero(self.count), self.count.sum()
        return [
            {
                "confidence": float(self.confidence[b] / self.count[b]),
                "accuracy": float(self.right[b] / self.count[b]),
                "share": float(self.count[b] / total),
            }
            for b in some
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` reads it back."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """What `to_dict` gave."""
        found = cls(data["bins"])
        for name, value in vars(found).items():
            setattr(found, name, np.array(data[name], value.dtype) if isinstance(value, np.ndarray) else data[name])
        return found

    def __add__(self, other: Calibration) -> Calibration:
        if self.bins != other.bins:
            raise ValueError(f"calibrations of {self.bins} and {other.bins} bins do not add up")
        total = Calibration(self.bins)
        for name in vars(total).keys() - {"bins"}:
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def _gaps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        some = self.count > 0
        count = self.count[some]
        return np.abs(self.confidence[some] - self.right[some]) / count, count / max(1, self.count.sum())


def _highest(flat_KN: Values) -> NDArray[np.uint16]:
    """The class of the highest value, the first of equals: argmax over the first axis at a fifth of its cost."""
    best_N, guess_N = flat_KN[0], np.zeros(flat_KN.shape[1], np.uint16)
    for k, plane_N in enumerate(flat_KN):
        guess_N = np.maximum(guess_N, (plane_N > best_N) * np.uint16(k))
        best_N = np.maximum(best_N, plane_N)
    return guess_N


def _values(plane_HW: Values, kept: slice | NDArray[np.bool_], most: int, name: str) -> Values:
    values = plane_HW.ravel()[kept]
    # Written so that NaN fails too; a hair of slack for sums of rounded probabilities.
    if values.size and not (values.min() >= -1e-4 and values.max() <= most + 1e-4):
        raise ValueError(f"a {name} lies outside 0..{most}; give values after the softmax")
    return values
