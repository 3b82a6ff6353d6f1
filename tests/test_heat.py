"""Prompts drawn as planes."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.data.clicks.heat import PLANES, boxes_plane, draw_planes, points_heat, strokes_heat, strokes_mask
from maskwright.types import Prompt, Stroke

HW = (40, 60)


def test_a_point_is_a_gaussian_of_its_sigma() -> None:
    heat_HW = points_heat([(20.5, 10.5)], HW, 10)
    assert heat_HW.dtype == np.float32
    assert divmod(int(heat_HW.argmax()), HW[1]) == (10, 20)
    assert heat_HW[10, 20] == 1
    # One sigma away the height is exp(-1/2), in every direction; two away exp(-2).
    assert heat_HW[20, 20] == pytest.approx(np.exp(-0.5))
    assert heat_HW[10, 30] == pytest.approx(np.exp(-0.5))
    assert heat_HW[10, 40] == pytest.approx(np.exp(-2))
    assert heat_HW[16, 28] == pytest.approx(np.exp(-0.5)), "6, 8, 10"


def test_of_several_points_the_nearest_counts() -> None:
    one, two = (points_heat([point], HW, 5) for point in ((5, 5), (50.5, 30)))
    np.testing.assert_array_equal(points_heat([(5, 5), (50.5, 30)], HW, 5), np.maximum(one, two))
    assert not points_heat([], HW, 5).any()


def test_a_box_is_filled_where_pixels_have_their_middle_in_it() -> None:
    plane_HW = boxes_plane([(3, 5, 10, 9)], HW)
    assert plane_HW.sum() == 7 * 4
    assert plane_HW[5:9, 3:10].all()
    assert boxes_plane([(3.4, 5.4, 9.6, 8.6)], HW)[5:9, 3:10].sum() == 28
    assert boxes_plane([(59.9, 39.9, 60, 40)], HW)[39, 59] == 1, "a thin one keeps a pixel"
    assert boxes_plane([(0, 0, 60, 40)], HW).all()


def test_a_stroke_is_one_all_along_and_fades_beside() -> None:
    stroke = Stroke(points_xy=((10.5, 20.5), (50.5, 20.5)), radius_px=1)
    mask_HW, heat_HW = strokes_mask([stroke], HW), strokes_heat([stroke], HW, 4)
    assert mask_HW[20, 10:51].all()
    assert not mask_HW[24].any()
    assert heat_HW[20, 10:51].min() == 1
    assert heat_HW[30, 30] < heat_HW[25, 30] < 1
    assert not strokes_heat([], HW, 4).any()
    edge = Stroke(points_xy=((60, 40),), radius_px=0.1)
    assert strokes_mask([edge], HW)[39, 59], "the far corner is in the image"


def test_planes_come_in_the_order_of_their_names() -> None:
    prompt = Prompt(
        points_xy=((10, 10), (50, 30)),
        positive=(True, False),
        boxes_xyxy=((5, 5, 20, 20),),
        strokes=(Stroke(points_xy=((30, 35), (40, 35)), positive=False),),
        previous_HW=np.eye(*HW, dtype=bool),
    )
    names = ("positive", "negative", "box", "previous")
    drawn_PHW = draw_planes(prompt, names, HW, 3)
    assert drawn_PHW.shape == (4, *HW)
    assert drawn_PHW.dtype == np.float32
    assert drawn_PHW[0, 10, 10] > 0.9 > 0.01 > drawn_PHW[0, 30, 50]
    assert drawn_PHW[1, 30, 50] > 0.9
    assert drawn_PHW[1, 35, 35] == 1
    np.testing.assert_array_equal(drawn_PHW[3], np.eye(*HW))
    wanted_HW = draw_planes(prompt, ("wanted",), HW, 3)[0]
    np.testing.assert_array_equal(wanted_HW, np.maximum(drawn_PHW[0], drawn_PHW[2]))


def test_an_empty_prompt_is_empty_planes() -> None:
    assert not draw_planes(Prompt(), tuple(PLANES), HW, 10).any()
