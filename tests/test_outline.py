"""Masks to polygons and back: `fill` and pycocotools must give the very same mask."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from maskwright.data.pixels.outline import keyhole, outlines, polygons
from maskwright.data.pixels.raster import fill

# pycocotools' own call of numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Noise of all densities, also magnified, or rings in rings: specks, diagonals, holes with pieces in them."""
    size_hw = draw(array_shapes(min_dims=2, max_dims=2, max_side=16))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        return draw(arrays(np.bool_, size_hw))
    noise = rng.random(size_hw) < draw(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
    grown = np.kron(noise, np.ones(draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), np.bool_))
    if draw(st.booleans()):
        for margin in range(0, min(grown.shape) // 2, 2):
            grown[margin : grown.shape[0] - margin, margin : grown.shape[1] - margin] ^= True
    return np.asarray(grown, np.bool_)


def shape_of(mask_HW: NDArray[Any]) -> tuple[int, int]:
    return mask_HW.shape[0], mask_HW.shape[1]


@given(masks())
def test_polygons_give_the_mask_back(mask_HW: NDArray[np.bool_]) -> None:
    found = polygons(mask_HW)
    np.testing.assert_array_equal(fill(found, shape_of(mask_HW)), mask_HW)
    if found:
        runs = coco.frPyObjects([polygon.reshape(-1).tolist() for polygon in found], *shape_of(mask_HW))
        np.testing.assert_array_equal(coco.decode(coco.merge(runs)), mask_HW)


@given(masks())
def test_pieces_are_disjoint_and_each_has_its_holes(mask_HW: NDArray[np.bool_]) -> None:
    total = np.zeros(mask_HW.shape, np.int64)
    found = outlines(mask_HW)
    for outline in found:
        piece = fill([keyhole(outline.outer, outline.holes)], shape_of(mask_HW))
        assert cv2.connectedComponents(piece.view(np.uint8), connectivity=4)[0] == 2
        filled = fill([outline.outer], shape_of(mask_HW))
        holes = [fill([hole], shape_of(mask_HW)) for hole in outline.holes]
        assert not (np.sum([piece, *holes], axis=0) > 1).any()
        np.testing.assert_array_equal(filled, np.any([piece, *holes], axis=0))
        total += piece
    np.testing.assert_array_equal(total, mask_HW)
    assert len(found) == cv2.connectedComponents(mask_HW.view(np.uint8), connectivity=4)[0] - 1
    outside = cv2.connectedComponents(np.pad(~mask_HW, 1, constant_values=True).view(np.uint8), connectivity=8)[0] - 2
    assert sum(len(outline.holes) for outline in found) == outside


@given(masks())
def test_rings_have_corners_only_and_run_the_right_way(mask_HW: NDArray[np.bool_]) -> None:
    for outline in outlines(mask_HW):
        for ring in (outline.outer, *outline.holes):
            steps = np.diff(ring, axis=0, append=ring[:1])
            assert ((steps != 0).sum(axis=1) == 1).all()  # along one axis
            assert ((steps[:, 0] != 0) != np.roll(steps[:, 0] != 0, 1)).all()  # and then along the other
            clockwise = float((ring[:, 0] * np.roll(ring[:, 1], -1) - np.roll(ring[:, 0], -1) * ring[:, 1]).sum())
            assert (clockwise > 0) == (ring is outline.outer)


@given(masks())
def test_bridges_leave_holes_open_under_the_winding_rule_too(mask_HW: NDArray[np.bool_]) -> None:
    """Count the signed crossings of a ray from each pixel's centre."""
    rows, columns = mask_HW.shape
    winding = np.zeros((rows, columns), np.int64)
    for polygon in polygons(mask_HW):
        for (xa, ya), (xb, yb) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if ya != yb:
                assert xa == xb  # boundaries and bridges are level or upright
                low, high = sorted((int(ya), int(yb)))
                winding[low:high, int(xa) :] += 1 if yb < ya else -1
    np.testing.assert_array_equal(winding, mask_HW)


def test_a_frame_with_a_speck_in_it() -> None:
    mask_HW = np.zeros((7, 8), np.uint8)
    mask_HW[1:6, 1:6] = 3
    mask_HW[2:5, 2:5] = 0
    mask_HW[3, 3] = 3
    frame, speck = outlines(mask_HW)
    assert frame.outer.tolist() == [[1, 1], [6, 1], [6, 6], [1, 6]]
    assert [hole.tolist() for hole in frame.holes] == [[[2, 5], [5, 5], [5, 2], [2, 2]]]
    assert speck.outer.tolist() == [[3, 3], [4, 3], [4, 4], [3, 4]]
    bridged = [[1, 1], [2, 1], [2, 2], [2, 5], [5, 5], [5, 2], [2, 2], [2, 1], [6, 1], [6, 6], [1, 6]]
    assert keyhole(frame.outer, frame.holes).tolist() == bridged


def test_corners_that_touch_join_holes_but_not_pieces() -> None:
    diagonal = np.eye(3, dtype=np.bool_)
    assert len(outlines(diagonal)) == 3
    around = np.pad(~diagonal, 1, constant_values=True)
    (outline,) = outlines(around)
    assert len(outline.holes) == 1


def test_empty_and_full_masks() -> None:
    assert outlines(np.zeros((4, 5), np.bool_)) == []
    assert polygons(np.zeros((4, 5), np.bool_)) == []
    assert [polygon.tolist() for polygon in polygons(np.ones((4, 5), np.bool_))] == [[[0, 0], [5, 0], [5, 4], [0, 4]]]


@given(masks(), st.sampled_from([0.5, 1.0, 2.5, 50.0]))
def test_a_tolerance_keeps_every_piece_and_hole(mask_HW: NDArray[np.bool_], tolerance_px: float) -> None:
    exact, close = outlines(mask_HW), outlines(mask_HW, tolerance_px=tolerance_px)
    assert [len(outline.holes) for outline in close] == [len(outline.holes) for outline in exact]
    for outline in close:
        points = len(outline.outer) + sum(len(hole) for hole in outline.holes)
        assert len(keyhole(outline.outer, outline.holes)) == points + 3 * len(outline.holes)


def test_a_tolerance_saves_points_and_costs_little() -> None:
    mask_HW = np.zeros((200, 300), np.uint8)
    cv2.circle(mask_HW, (150, 100), 80, 1, -1)
    cv2.circle(mask_HW, (150, 100), 30, 0, -1)
    exact, close = polygons(mask_HW), polygons(mask_HW, tolerance_px=1.5)
    assert len(close[0]) < len(exact[0]) / 4
    wrong = fill(close, shape_of(mask_HW)) != (mask_HW > 0)
    assert 0 < wrong.sum() < 0.05 * mask_HW.sum()


def test_a_hole_outside_of_its_piece_changes_nothing_but_itself() -> None:
    square = np.array([[2, 2], [9, 2], [9, 9], [2, 9]])
    beside = square + np.array([12, -1])
    np.testing.assert_array_equal(fill([keyhole(square, [beside])], (12, 24)), fill([square, beside], (12, 24)))


def test_a_picture_of_noise_takes_no_age() -> None:
    mask_HW = np.random.default_rng(0).random((300, 400)) < 0.7
    found = polygons(mask_HW)
    np.testing.assert_array_equal(fill(found, shape_of(mask_HW)), mask_HW)
