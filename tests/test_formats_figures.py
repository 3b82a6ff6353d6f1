"""Shapes of labelling tools, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.data.formats.figures import box, ellipse, flat, placed_runs, turned
from maskwright.data.pixels.raster import fill
from maskwright.data.pixels.rle import mask_from_counts


@given(
    seed=st.integers(0, 999),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    left=st.integers(-14, 14),
    top=st.integers(-14, 14),
)
def test_placed_runs_are_the_mask_at_its_place(
    seed: int, size: tuple[int, int], window: tuple[int, int], left: int, top: int
) -> None:
    small = np.random.default_rng(seed).random(window) < 0.7
    wide = np.zeros((size[0] + 60, size[1] + 60), np.bool_)
    wide[30 + top : 30 + top + window[0], 30 + left : 30 + left + window[1]] = small
    expected = wide[30 : 30 + size[0], 30 : 30 + size[1]]
    assert np.array_equal(mask_from_counts(placed_runs(small, left, top, size), size), expected)


@pytest.mark.parametrize("degrees", [0.0, 30.0, -115.0])
@pytest.mark.parametrize(("radius_x", "radius_y"), [(3.0, 2.0), (150.0, 40.0), (0.7, 90.0)])
def test_ellipses_hold_the_pixels_whose_centre_is_inside(radius_x: float, radius_y: float, degrees: float) -> None:
    size_hw, x, y = (320, 330), 160.3, 158.8
    drawn = fill([np.array(ellipse(x, y, radius_x, radius_y, degrees=degrees)).reshape(-1, 2)], size_hw)
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    angle = np.radians(degrees)
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    for margin, expected in ((-0.6, True), (0.6, False)):
        wide, high = max(radius_x + margin, 0.01), max(radius_y + margin, 0.01)
        inside = (along / wide) ** 2 + (across / high) ** 2 < 1
        assert (drawn[inside] if expected else ~drawn[~inside]).all()


def test_turning_is_clockwise_on_the_screen() -> None:
    assert np.allclose(turned([1.0, 0.0], 0, 0, 90), [0.0, 1.0])  # to the right becomes downwards
    assert turned(box(0, 0, 2, 1), 1, 1, 0) == [0, 0, 2, 0, 2, 1, 0, 1]


@pytest.mark.parametrize("points", [None, 5, [[1, 2]], [[1, 2], [3, 4], [5]], [["a", 1], [2, 3], [4, 5]]])
def test_what_is_no_polygon_is_refused(points: object) -> None:
    with pytest.raises(ValueError, match="points"):
        flat(points)  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf")])
def test_ellipses_without_an_area_are_refused(radius: float) -> None:
    with pytest.raises(ValueError, match="radius is not positive"):
        ellipse(0, 0, radius, 1)
