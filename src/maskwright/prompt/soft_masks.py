"""From a network's small plane of logits to soft masks at the photo's size that respect what was clicked."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.compiled import compiled
from maskwright.prompt.prompter import HALF, Candidates
from maskwright.types import InputError, Prompt

Logits = NDArray[np.float32]
Soft = NDArray[np.uint8]

_NOTHING = -6.24  # below this logit 255 * sigmoid rounds to 0
_LAST_LOGIT, _STEPS = 8, 256  # the table's reach and resolution: an entry is at most a quarter of 1/255 wide
_TABLE = (255 / (1 + np.exp(-np.arange(-_LAST_LOGIT, _LAST_LOGIT, 1 / _STEPS))) + 0.5).astype(np.uint8)
_BOX_MARGIN = 0.1  # people rarely draw a box to the pixel


def cleaned(
    logits_HW: Logits, share: float, keep: Iterable[tuple[int, int]], spare: Iterable[tuple[int, int]]
) -> Logits:
    """Logits without islands and holes that are smaller than `share` of the mask's area.

    The largest island stays, as does every one with a (row, column) of `keep` in it, and every hole with one of
    `spare`. Predictions of SAM 2 are known for both (github.com/facebookresearch/sam2/issues/316).
    """
    mask_HW = (logits_HW >= 0).astype(np.uint8)
    limit = share * float(mask_HW.sum())
    if not limit:
        return logits_HW
    flip = _small(mask_HW, limit, keep, 8, largest_stays=True) | _small(1 - mask_HW, limit, spare, 4)
    return np.where(flip, -logits_HW, logits_HW)


def _small(
    mask_HW: Soft, limit: float, keep: Iterable[tuple[int, int]], connectivity: int, *, largest_stays: bool = False
) -> NDArray[np.bool_]:
    """The pixels of components with fewer pixels than `limit`."""
    count, labels_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW, connectivity=connectivity)
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < limit
    small[0] = False
    if largest_stays and count > 1:
        small[1 + np.argmax(areas[1:])] = False
    for row, column in keep:
        small[labels_HW[row, column]] = False
    found: NDArray[np.bool_] = small[labels_HW]
    return found


def soft_at(logits_hw: Logits, soft_HW: Soft) -> None:
    """Write the probability in 255ths into `soft_HW`, zeros so far, from logits of any size, interpolated linearly.

    Only where there is something, so that at 50 megapixels an object costs its own size.
    """
    size_hw = soft_HW.shape
    some: NDArray[np.bool_] = logits_hw > _NOTHING
    if not some.any():
        return
    top, bottom = _reach(np.flatnonzero(some.any(axis=1)), len(some), size_hw[0])
    left, right = _reach(np.flatnonzero(some.any(axis=0)), some.shape[1], size_hw[1])
    first, second, share = _neighbours(left, right, size_hw[1], logits_hw.shape[1])
    small = (logits_hw + np.float32(_LAST_LOGIT)) * np.float32(_STEPS)  # places in the table
    wide = small[:, first] * (1 - share) + small[:, second] * share
    _spread(wide, *_neighbours(top, bottom, size_hw[0], logits_hw.shape[0]), soft_HW, (top, left))


@compiled
def _spread(
    wide_hW: Logits,
    first_H: NDArray[np.intp],
    second_H: NDArray[np.intp],
    share_H: Logits,
    soft_HW: Soft,
    corner: tuple[int, int],
) -> None:
    places_W = np.empty(wide_hW.shape[1], np.int32)  # arithmetic and look-ups apart: the first runs in vectors
    for row in range(len(first_H)):
        above, below, share = wide_hW[first_H[row]], wide_hW[second_H[row]], share_H[row]
        for column in range(len(places_W)):
            place = above[column] + (below[column] - above[column]) * share
            places_W[column] = np.int32(min(max(place, np.float32(0)), np.float32(_TABLE.size - 1)))
        line_W = soft_HW[corner[0] + row, corner[1] : corner[1] + len(places_W)]
        for column in range(len(places_W)):
            line_W[column] = _TABLE[places_W[column]]


@compiled
def _area(soft_HW: Soft) -> int:
    area = 0
    for row in range(soft_HW.shape[0]):
        for column in range(soft_HW.shape[1]):
            area += soft_HW[row, column] >= HALF
    return area


def warm_up() -> None:
    """Have what is compiled ready before the first answer is asked for."""
    soft_HW = np.zeros((1, 1), np.uint8)
    soft_at(np.zeros((1, 1), np.float32), soft_HW)
    _area(soft_HW)


def _reach(places: NDArray[np.intp], small: int, size: int) -> tuple[int, int]:
    """First and last (exclusive) place of `size` that the given places of a `small` plane have a part in."""
    scale = size / small
    return max(0, int((places[0] - 0.5) * scale) - 1), min(size, int((places[-1] + 1.5) * scale) + 2)


def _neighbours(start: int, stop: int, size: int, small: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Logits]:
    place = np.clip((np.arange(start, stop) + 0.5) * (small / size) - 0.5, 0, small - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, small - 1), (place - first).astype(np.float32)


def hold_prompt(soft_HW: Soft, prompt: Prompt) -> None:
    """Make a soft mask agree with its prompt, in place: it has what was clicked, and not what was clicked away.

    A disc of a hundredth of the photo's shorter side is drawn where a click is contradicted. Where all that is known
    is boxes, nothing stays outside their union, grown by a tenth.
    """
    if prompt.boxes_xyxy and prompt.previous_HW is None:
        _cut(soft_HW, prompt)
    for stroke in prompt.strokes:
        if stroke.points_xy:
            line = np.array([pixel_of(point, soft_HW.shape)[::-1] for point in stroke.points_xy], np.int32)
            width = max(1, round(2 * stroke.radius_px))
            cv2.polylines(soft_HW, [line], False, 255 if stroke.positive else 0, width)
    clicks = [
        (pixel_of(point, soft_HW.shape), positive)
        for point, positive in zip(prompt.points_xy, prompt.positive, strict=True)
    ]
    for (row, column), positive in clicks:
        if (soft_HW[row, column] >= HALF) != positive:
            others = [np.hypot(row - r, column - c) for (r, c), other in clicks if other != positive]
            radius = min([max(2, 0.01 * min(soft_HW.shape)), *(distance / 3 for distance in others)])
            cv2.circle(soft_HW, (column, row), int(radius), 255 if positive else 0, -1)
    for (row, column), positive in clicks:
        if (soft_HW[row, column] >= HALF) != positive:
            soft_HW[row, column] = 255 if positive else 0


def _cut(soft_HW: Soft, prompt: Prompt) -> None:
    """Clear what is outside the boxes, unless something outside them was clicked on."""
    rows, columns = soft_HW.shape
    grown: list[tuple[int, int, int, int]] = []
    for x0, y0, x1, y1 in prompt.boxes_xyxy:
        dx, dy = _BOX_MARGIN * (x1 - x0), _BOX_MARGIN * (y1 - y0)
        grown.append((max(0, int(x0 - dx)), max(0, int(y0 - dy)), int(np.ceil(x1 + dx)), int(np.ceil(y1 + dy))))
    wanted = [point for point, positive in zip(prompt.points_xy, prompt.positive, strict=True) if positive]
    wanted += [point for stroke in prompt.strokes if stroke.positive for point in stroke.points_xy]
    if not all(any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in grown) for x, y in wanted):
        return
    if len(grown) == 1:
        x0, y0, x1, y1 = grown[0]
        soft_HW[:y0], soft_HW[y1:], soft_HW[:, :x0], soft_HW[:, x1:] = 0, 0, 0, 0
        return
    inside_HW = np.zeros((rows, columns), bool)
    for x0, y0, x1, y1 in grown:
        inside_HW[y0:y1, x0:x1] = True
    soft_HW[~inside_HW] = 0


def pixel_of(point_xy: tuple[float, float], size_hw: tuple[int, ...]) -> tuple[int, int]:
    """(row, column) of the pixel under a point; the right and the lower edge belong to the last one."""
    return min(int(point_xy[1]), size_hw[0] - 1), min(int(point_xy[0]), size_hw[1] - 1)


def in_order(soft_NHW: Soft, scores_N: NDArray[np.float32], chosen: int) -> Candidates:
    """Candidates, smallest extent first, without empty ones; raises InputError where there are no others."""
    areas_N = np.array([_area(soft_HW) for soft_HW in soft_NHW])
    order = [int(i) for i in np.argsort(areas_N, kind="stable") if areas_N[i]]
    if not order:
        raise InputError("There is nothing that fits this prompt; add a click on the object.")
    scores_N = scores_N[order]
    return Candidates(
        soft_NHW=soft_NHW if order == list(range(len(soft_NHW))) else soft_NHW[order],
        scores_N=scores_N,
        chosen=order.index(chosen) if chosen in order else int(np.argmax(scores_N)),
    )
