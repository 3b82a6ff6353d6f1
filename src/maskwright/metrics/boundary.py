"""How well contours are met: boundary IoU and boundary F, as counts that add up over images.

Boundary IoU (Cheng, Girshick, Dollár, Berg and Kirillov, Boundary IoU, CVPR 2021) is the IoU of two bands: the pixels
of a class no further than a distance from its contour, once in the label, once in the prediction. Boundary F (Csurka
et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013; Perazzi et al., DAVIS, CVPR 2016) is
the F1 of contour pixels that have a contour pixel of the same class within a tolerance.

An edge against ignored pixels is no edge, and what is predicted on ignored pixels changes nothing. As in the code of
Cheng et al. the edge of the image is a contour for the bands; as in DAVIS it is none for boundary F.
"""

from __future__ import annotations

from math import ceil, hypot, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.counts import confusion
from maskwright.metrics.planes import Plane, band, contour, known_planes
from maskwright.metrics.tally import tally_of
from maskwright.types import Mask

BoundaryCounts = NDArray[np.int64]
Floats = NDArray[np.float64]

BAND_HIT, BAND_LABELLED, BAND_PREDICTED, LABEL_EDGE, LABEL_EDGE_HIT, GUESS_EDGE, GUESS_EDGE_HIT = range(7)
BAND_RATIO = 0.02
TOLERANCE_RATIO = 0.0075

_KINDS = (np.uint8, np.uint16, np.uint32, np.uint64)


def boundary_counts(
    truth_HW: Mask, guess_HW: Mask, classes: int, *, ratio: float = BAND_RATIO, tolerance_px: float | None = None
) -> BoundaryCounts:
    """Counts (7, K) of one image, to be summed over images and given to `boundary_iou` and `boundary_f`.

    `ratio`: width of the band, as a share of the image's diagonal, at least one pixel. `tolerance_px`: how far two
    contour pixels may be apart; 0.0075 of the diagonal, rounded up, where None. Ids outside 0..K-1 are ignored.

    Raises ValueError where the masks differ in size.
    """
    truth, guess = known_planes(truth_HW, guess_HW, classes)
    counts = np.zeros((7, classes), np.int64)
    if not truth.size:
        return counts
    diagonal = hypot(*truth.shape)
    width_px = max(1, round(ratio * diagonal))
    reach_px = ceil(TOLERANCE_RATIO * diagonal) if tolerance_px is None else tolerance_px
    counts[BAND_HIT:LABEL_EDGE] = tally_of(confusion(band(truth, width_px), band(guess, width_px), classes + 1))[:, 1:]
    counts[LABEL_EDGE:] = _edge_counts(contour(truth), contour(guess), classes, reach_px)
    return counts


def boundary_iou(counts: BoundaryCounts) -> Floats:
    """Boundary IoU a class, (..., K), of counts (..., 7, K); NaN where a class has no band in label or prediction."""
    hit, labelled, predicted = (counts[..., row, :] for row in (BAND_HIT, BAND_LABELLED, BAND_PREDICTED))
    return _ratio(hit, labelled + predicted - hit)


def boundary_f(counts: BoundaryCounts) -> Floats:
    """Boundary F a class, (..., K), of counts (..., 7, K).

    2 P R / (P + R), P the share of predicted edge pixels that lie near a labelled edge, R the reverse. NaN where a
    class has no edge in label and prediction, 0 where it has one in only one of them.
    """
    label, label_hit, guess, guess_hit = (counts[..., row, :] for row in range(LABEL_EDGE, 7))
    precision, recall = _ratio(guess_hit, guess, empty=0.0), _ratio(label_hit, label, empty=0.0)
    harmonic = _ratio(2 * precision * recall, precision + recall, empty=0.0)
    return np.where(label + guess > 0, harmonic, np.nan)


def _edge_counts(truth_HW: Plane, guess_HW: Plane, classes: int, reach_px: float) -> BoundaryCounts:
    places = [np.flatnonzero(edge_HW) for edge_HW in (truth_HW, guess_HW)]
    values = [edge_HW.ravel()[place] for edge_HW, place in zip((truth_HW, guess_HW), places, strict=True)]
    label, guess = (_per_class(value, classes) for value in values)
    counts = np.stack([label, np.zeros_like(label), guess, np.zeros_like(guess)])
    both = np.flatnonzero((label > 0) & (guess > 0))
    for start in range(0, len(both), 64):
        some = both[start : start + 64]
        bit_of = np.zeros(classes + 1, next(kind for kind in _KINDS if 8 * np.dtype(kind).itemsize >= len(some)))
        bit_of[some + 1] = [1 << place for place in range(len(some))]
        bits = [bit_of[value] for value in values]
        for row, own, other in ((1, 0, 1), (3, 1, 0)):
            marked_HW = np.zeros(truth_HW.shape, bit_of.dtype)
            marked_HW.ravel()[places[other]] = bits[other]
            near = _within(marked_HW, reach_px).ravel()[places[own]] & bits[own] != 0
            counts[row] += _per_class(values[own][near], classes)
    return counts


def _per_class(values: Plane, classes: int) -> NDArray[np.int64]:
    return np.bincount(values, minlength=classes + 1)[1:].astype(np.int64)


def _within(bits_HW: Plane, radius_px: float) -> Plane:
    """Bits that are set no further than a radius away: each bit is a class, so that one pass serves up to 64.

    A disc is a stack of rows, the widest in its middle: each is made of the narrower one before it.
    """
    reached, wide, spare = np.zeros_like(bits_HW), bits_HW.copy(), np.empty_like(bits_HW)
    half_width, height = 0, len(bits_HW)
    for dy in range(int(radius_px), -1, -1):
        target = isqrt(int(radius_px * radius_px - dy * dy + 1e-9))
        while half_width < target:
            step = min(target - half_width, 2 * half_width + 1)
            np.copyto(spare, wide)
            spare[:, step:] |= wide[:, :-step]
            spare[:, :-step] |= wide[:, step:]
            wide, spare, half_width = spare, wide, half_width + step
        rows = max(0, height - dy)
        reached[height - rows :] |= wide[:rows]
        reached[:rows] |= wide[height - rows :]
    return reached


def _ratio(part: NDArray[Any], whole: NDArray[Any], empty: float = float("nan")) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(part.shape, empty), where=whole > 0)
    return ratio
