"""How far contours are apart: the 95 % Hausdorff distance and surface Dice, for one image at a time.

Huttenlocher, Klanderman and Rucklidge, Comparing images using the Hausdorff distance, PAMI 1993 (the quantile instead
of the maximum is theirs as well); Nikolov et al., Deep learning to achieve clinically applicable segmentation of head
and neck anatomy, 2018 (surface Dice). As there, the edge of the image is a contour. An edge against ignored pixels is
none, and what is predicted on ignored pixels changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.planes import Flags, Plane, contour, known_planes, set_rim
from maskwright.types import Mask

Floats = NDArray[np.float64]

LABEL_SURFACE, LABEL_SURFACE_HIT, GUESS_SURFACE, GUESS_SURFACE_HIT = range(4)


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """Distances between the contours of label and prediction, one entry a class.

    `hd95_px` (K,): the larger of the two 95th percentiles of the distances from a contour pixel of the one to the
    nearest contour pixel of the other. NaN where neither has a contour of the class, infinite where only one has.
    `dice_4K`: contour pixels of the label, those within the tolerance of the prediction's contour, and the reverse.
    """

    hd95_px: Floats
    dice_4K: NDArray[np.int64]


def surface_distances(
    truth_HW: Mask, guess_HW: Mask, classes: int, tolerance_px: float, *, percentile: float = 95.0
) -> SurfaceDistances:
    """Measure one image; ids outside 0..K-1 are ignored.

    `percentile` 100 gives the Hausdorff distance itself. Raises ValueError where the masks differ in size.
    """
    planes = known_planes(truth_HW, guess_HW, classes)
    found = SurfaceDistances(hd95_px=np.full(classes, np.nan), dice_4K=np.zeros((4, classes), np.int64))
    if not planes[0].size:
        return found
    edges = [_surface(plane) for plane in planes]
    present = np.flatnonzero(np.bincount(np.concatenate([edge.ravel() for edge in edges]))[1:])
    for k in present:
        label, guess = (edge == k + 1 for edge in edges)
        left, top, width, height = cv2.boundingRect((label | guess).view(np.uint8))
        box = slice(top, top + height), slice(left, left + width)
        there, back = _distances(label[box], guess[box]), _distances(guess[box], label[box])
        hits = [int((far <= tolerance_px).sum()) for far in (there, back)]
        found.dice_4K[:, k] = len(there), hits[0], len(back), hits[1]
        if len(there) and len(back):
            found.hd95_px[k] = max(float(np.percentile(far, percentile)) for far in (there, back))
        else:
            found.hd95_px[k] = np.inf
    return found


def surface_dice(counts: NDArray[np.int64]) -> Floats:
    """Surface Dice a class, (..., K), of counts (..., 4, K) that may be summed over images.

    Share of the contour pixels of both that lie within the tolerance of the other's contour; NaN where there are none.
    """
    label, label_hit, guess, guess_hit = (counts[..., row, :] for row in range(4))
    whole = label + guess
    ratio: Floats = np.divide(label_hit + guess_hit, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio


def _surface(plane_HW: Plane) -> Plane:
    found_HW = contour(plane_HW)
    rim_HW = np.zeros(plane_HW.shape, bool)
    set_rim(rim_HW, 1)
    return np.where(rim_HW, plane_HW, found_HW)


def _distances(from_HW: Flags, to_HW: Flags) -> Floats:
    """From every set pixel of the one to the nearest of the other, in pixels; infinite where there is none."""
    if not to_HW.any():
        return np.full(np.count_nonzero(from_HW), np.inf)
    away = cv2.distanceTransform((~to_HW).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[from_HW]
    # Its last bits change from call to call. The square is a whole number; rounded, the same is always the same.
    return np.asarray(np.sqrt(np.rint(np.square(away, dtype=np.float64))))
