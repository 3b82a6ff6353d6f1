"""What lies in a box: colour models of inside and outside that are re-estimated in turns, smoothed over the pieces.

GrabCut (Rother et al., SIGGRAPH 2004) on pieces, with the random walker's smoothing (Grady 2005) in place of a cut, so
that the answer is a probability; a tight box is filled by its object to about two thirds, more so in its middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskwright.prompt.classical.graph import walked
from maskwright.prompt.classical.pieces import Floats, Pieces

_ROUNDS = 4
_OUTSIDE = -6.0
_SURROUND = 0.5
_COLOUR = 1.5
_COUPLING = 0.25


def box_logits(pieces: Pieces, boxes_xyxy: Sequence[tuple[float, float, float, float]]) -> Floats:
    """Logits of the object in the union of boxes (at the working size), for every pixel there."""
    rows, columns = pieces.labels_HW.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) + 0.5
    prior_hw = np.full((rows, columns), _OUTSIDE, np.float32)
    near_hw = np.zeros((rows, columns), np.bool_)
    for x0, y0, x1, y1 in boxes_xyxy:
        across, down = (2 * x - x0 - x1) / max(x1 - x0, 1), (2 * y - y0 - y1) / max(y1 - y0, 1)
        inside = (np.abs(across) <= 1) & (np.abs(down) <= 1)
        prior_hw = np.where(inside, np.maximum(prior_hw, 1.5 - 2 * (across**2 + down**2)), prior_hw)
        near_hw |= (np.abs(across) <= 1 + 2 * _SURROUND) & (np.abs(down) <= 1 + 2 * _SURROUND)
    inside_hw = prior_hw > _OUTSIDE
    if not inside_hw.any():  # narrower than a pixel
        return np.asarray(prior_hw, np.float32)
    within = pieces.share_of(inside_hw)
    total = np.bincount(pieces.labels_HW.ravel(), weights=(prior_hw * inside_hw).ravel(), minlength=pieces.count)
    prior = (total / np.maximum(within * pieces.sizes_N, 1e-3)).astype(np.float32)
    logit = np.where(within > 0, prior, np.float32(_OUTSIDE))
    size_in, size_out = pieces.sizes_N * within, pieces.sizes_N * (pieces.share_of(near_hw) - within)
    coupling = pieces.lengths_E / 8 * np.exp(-2 * pieces.strengths_E) * np.float32(_COUPLING)
    for _ in range(_ROUNDS):
        likely = 1 / (1 + np.exp(-logit))
        thing, rest = (size_in * likely) @ pieces.words_NK, (size_in * (1 - likely) + size_out) @ pieces.words_NK
        base = pieces.sizes_N @ pieces.words_NK
        base *= 20 / base.sum()
        ratio = np.log((thing + base) / (thing + base).sum()) - np.log((rest + base) / (rest + base).sum())
        wanted = np.clip(prior + _COLOUR * (pieces.words_NK @ ratio), -5, 5)
        wanted = np.where(within > 0.05, wanted, _OUTSIDE).astype(np.float32)
        trust = np.where(within > 0.05, 0.3, 10).astype(np.float32)
        logit = walked(pieces.starts, pieces.others, coupling[pieces.edges], wanted, trust, 12)
    plane = np.where(inside_hw, logit[pieces.labels_HW], np.float32(_OUTSIDE)).astype(np.float32)
    return np.minimum(plane, np.float32(6))
