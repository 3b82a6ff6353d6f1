"""Tiles cover every pixel, their weights sum to 1, and scores that are cut into tiles come back as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import make_run

from maskwright.geometry import Letterbox
from maskwright.infer.segmenting.tiling import Axis, Grid, Scores, blended, photo_hw, tile_of, usual_hw
from maskwright.run import write_csv

SIDES = st.integers(1, 90)
OVERLAPS = st.floats(0, 0.75)


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    length = draw(st.integers(1, 400))
    return Axis(length=length, tile=draw(st.integers(1, length)), overlap=draw(OVERLAPS))


@given(axis=axes())
def test_every_pixel_is_covered_and_neighbours_overlap_as_asked(axis: Axis) -> None:
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == axis.length
    assert list(axis.starts) == sorted(set(axis.starts))
    steps = np.diff(axis.starts)
    assert (steps <= max(1, axis.tile * (1 - axis.overlap)) + 0.5).all(), "rounded starts may share half a pixel less"
    assert sum(axis.done) == axis.length


@given(axis=axes())
def test_weights_sum_to_one_at_every_pixel(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        assert weights.shape == (axis.tile,)
        assert weights.min() >= 0
        total[start : start + axis.tile] += weights
    assert np.allclose(total, 1, atol=1e-6)


def test_the_edge_of_a_tile_counts_nothing_but_at_the_edge_of_the_image() -> None:
    axis = Axis(length=250, tile=100, overlap=0.25)
    first, second, last = axis.weights()
    assert axis.starts == (0, 75, 150)
    assert first[0] == last[-1] == 1
    assert max(first[-1], second[0], second[-1], last[0]) < 0.01
    assert second[12] == pytest.approx(0.5, abs=0.1), "half way through the overlap"
    assert (np.diff(second[:50]) >= 0).all()


@given(data=st.data(), rows=SIDES, columns=SIDES, overlap=OVERLAPS)
def test_scores_cut_into_tiles_come_back_as_they_were(
    data: st.DataObject, rows: int, columns: int, overlap: float
) -> None:
    tile_hw = data.draw(st.integers(1, 100)), data.draw(st.integers(1, 100))
    scores_KHW = np.random.default_rng(rows * columns).random((3, rows, columns), np.float32)
    grid = Grid.of((rows, columns), tile_hw, overlap)
    asked: list[int] = []

    def tiles() -> Any:
        for top in grid.rows.starts:
            for left in grid.columns.starts:
                asked.append(1)
                yield scores_KHW[:, top : top + grid.rows.tile, left : left + grid.columns.tile]

    result = np.full_like(scores_KHW, np.nan)
    for reached, (down, across, block_KHW) in enumerate(blended(grid, tiles()), 1):
        assert np.isnan(result[:, down, across]).all(), "blocks do not overlap"
        result[:, down, across] = block_KHW
        assert len(asked) == reached, "a block is finished as soon as its tile is there"
    assert len(asked) == len(grid)
    assert np.allclose(result, scores_KHW, atol=1e-6)


def test_what_tiles_were_given_stays_as_it_was() -> None:
    tile: Scores = np.ones((2, 8, 8), np.float32)
    grid = Grid.of((12, 12), (8, 8), 0.25)
    assert all(np.allclose(block, 1) for _, _, block in blended(grid, [tile] * len(grid)))
    assert (tile == 1).all()


def test_one_huge_photo_does_not_change_what_is_usual() -> None:
    assert usual_hw([(480, 640)] * 99 + [(4000, 6000)]) == (480, 640)
    assert usual_hw([(480, 640)] * 50 + [(640, 480)] * 50) == (640, 640)
    assert usual_hw([(7, 9)]) == (7, 9)


@pytest.mark.parametrize("photo", [(480, 640), (640, 480), (1000, 300), (90, 90)])
def test_a_tile_fills_the_working_size_at_the_scale_of_a_training_photo(photo: tuple[int, int]) -> None:
    working = (96, 128)
    trained = Letterbox.fit(photo, working, "pad")
    tile = tile_of(photo, working, "pad")
    box = Letterbox.fit(tile, working, "pad")
    assert min(a - b for a, b in zip(working, box.inner_hw, strict=True)) == 0
    assert max(a - b for a, b in zip(working, box.inner_hw, strict=True)) <= 1
    assert box.inner_hw[0] / tile[0] == pytest.approx(trained.inner_hw[0] / photo[0], rel=0.02)
    assert tile_of(photo, working, "stretch") == photo


def test_the_size_of_the_photos_is_what_the_training_noted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert photo_hw(run) is None, "its data set is gone"
    rows = [{"height": 30, "width": 40, "split": "train"}] * 20 + [{"height": 99, "width": 99, "split": "test"}]
    write_csv(tmp_path / "samples.csv", rows)
    run.write_about({"data": {"path": str(tmp_path)}})
    assert photo_hw(run) == (30, 40), "an older run: its data set is still there"
    run.write_about({"data": {"path": str(tmp_path), "image_hw": [31, 41]}})
    assert photo_hw(run) == (31, 41)


@pytest.mark.parametrize("odd", ["big", [1], [0, 5], ["a", "b"], [1.5, 2.5], None])
def test_a_record_that_makes_no_sense_counts_as_none(tmp_path: Path, odd: Any) -> None:
    run = make_run(tmp_path / "run")
    run.write_about({"data": {"path": "", "image_hw": odd}})
    assert photo_hw(run) is None


@pytest.mark.parametrize("text", ["id\n1\n", "height,width,split\nx,y,train\n", "height,width,split\n", "\0\1"])
def test_a_table_that_says_nothing_counts_as_none(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "samples.csv").write_text(text)
    run.write_about({"data": {"path": str(tmp_path)}})
    assert photo_hw(run) is None
