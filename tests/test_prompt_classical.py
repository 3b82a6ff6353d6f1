"""The classical prompter on drawn scenes: what one click finds, and what further ones change."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from drawing import photo
from numpy.typing import NDArray

from maskwright.prompt.classical import Classical
from maskwright.prompt.clicking.play import play
from maskwright.prompt.prompter import Candidates
from maskwright.types import Image, InputError, Prompt, Stroke

Flags = NDArray[np.bool_]


def disc(hw: tuple[int, int], x: int, y: int, radius: int) -> Flags:
    plane = np.zeros(hw, np.uint8)
    cv2.circle(plane, (x, y), radius, 1, -1)
    return plane > 0


def coloured(hw: tuple[int, int], *things: tuple[Flags, tuple[int, int, int]], noise: float = 6) -> Image:
    """A noisy photo of things on grey-blue, the later ones on top."""
    image = np.full((*hw, 3), (70, 80, 110), np.float64)
    for flags, colour in things:
        image[flags] = colour
    return np.clip(image + np.random.default_rng(0).normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def iou(first: Flags, second: Flags) -> float:
    return float((first & second).sum() / max(1, (first | second).sum()))


def best(answer: Candidates, truth: Flags) -> float:
    return max(iou(mask, truth) for mask in answer.masks())


def clicks(*points: tuple[float, float, bool], **more: Any) -> Prompt:
    return Prompt(points_xy=tuple(p[:2] for p in points), positive=tuple(p[2] for p in points), **more)


HW = (240, 320)
ONE, TWO = disc(HW, 100, 120, 50), disc(HW, 235, 120, 40)
SCENE = coloured(HW, (ONE, (220, 60, 40)), (TWO, (60, 200, 80)))


@pytest.fixture
def prompter() -> Classical:
    found = Classical()
    found.set_image(SCENE)
    return found


def test_one_click_finds_a_disc_and_not_its_neighbour(prompter: Classical) -> None:
    for truth, x in ((ONE, 100), (TWO, 235)):
        answer = prompter.predict(clicks((x, 120, True)))
        assert best(answer, truth) > 0.95
        assert iou(answer.mask_HW, truth) > 0.9


def test_several_extents_smallest_first_each_with_its_score(prompter: Classical) -> None:
    head, body = disc(HW, 160, 80, 25), np.zeros(HW, np.bool_)
    body[100:200, 130:190] = True
    prompter.set_image(coloured(HW, (body, (200, 60, 50)), (head, (230, 180, 140))))
    answer = prompter.predict(clicks((160, 80, True)))
    masks = answer.masks()
    assert len(masks) >= 2
    for smaller, larger in pairwise(masks):
        assert smaller.sum() <= larger.sum()
        assert iou(smaller, larger) < 0.95
    assert answer.scores_N[answer.chosen] == answer.scores_N.max()


def test_two_clicks_join_two_things_and_a_negative_one_parts_them(prompter: Classical) -> None:
    both = prompter.predict(clicks((100, 120, True), (235, 120, True))).mask_HW
    assert both[120, 100]
    assert both[120, 235]
    assert iou(both, ONE | TWO) > 0.8
    again = prompter.predict(clicks((100, 120, True), (235, 120, False), previous_HW=ONE | TWO)).mask_HW
    assert iou(again, ONE) > 0.9


def test_a_correction_changes_nothing_far_away(prompter: Classical) -> None:
    drawn = ONE.copy()
    drawn[20:30, 20:300] = True  # a line that no photo supports, such as a person may have drawn
    answer = prompter.predict(clicks((235, 120, True), previous_HW=drawn))
    masks = answer.masks()
    for mask in masks:
        assert mask[drawn].all(), "a positive click takes nothing away"
        assert mask[120, 235]
    assert np.array_equal(masks[0][:, :170], drawn[:, :170])
    assert best(answer, drawn | TWO) > 0.95
    kept = prompter.predict(clicks((100, 120, True), previous_HW=drawn)).mask_HW
    assert np.array_equal(kept, drawn), "a click that agrees changes nothing"


def test_a_slider_moves_the_outline(prompter: Classical) -> None:
    enlarged = cv2.resize(photo((120, 160)), (320, 240), interpolation=cv2.INTER_CUBIC)
    prompter.set_image(np.asarray(enlarged, np.uint8))
    answer = prompter.predict(clicks((160, 120, True)))
    areas = [int(answer.masks(t)[answer.chosen].sum()) for t in (0.02, 0.2, 0.5, 0.8, 0.98)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[2] > areas[4]


def test_a_box_is_filled_by_what_is_in_it_and_nothing_beside_it(prompter: Classical) -> None:
    answer = prompter.predict(Prompt(boxes_xyxy=((48, 68, 152, 172),)))
    assert iou(answer.mask_HW, ONE) > 0.9
    assert not answer.masks()[:, :, 170:].any()
    united = prompter.predict(Prompt(boxes_xyxy=((48, 68, 152, 172), (193, 78, 277, 162)))).mask_HW
    assert iou(united, ONE | TWO) > 0.85
    corrected = prompter.predict(Prompt(boxes_xyxy=((48, 68, 152, 172),), points_xy=((235, 120),), positive=(True,)))
    assert corrected.mask_HW[120, 235]


def test_strokes_hold_from_end_to_end(prompter: Classical) -> None:
    wanted = Stroke(points_xy=((70, 120), (130, 120)), radius_px=3)
    unwanted = Stroke(points_xy=((70, 90), (130, 90)), positive=False, radius_px=3)
    assert iou(prompter.predict(Prompt(strokes=(wanted,))).mask_HW, ONE) > 0.9
    for mask in prompter.predict(Prompt(strokes=(wanted, unwanted))).masks():
        assert mask[120, 70:130].all()
        assert not mask[90, 70:130].any()


def test_something_thin_is_followed(prompter: Classical) -> None:
    pole = np.zeros(HW, np.bool_)
    pole[20:220, 150:157] = True
    prompter.set_image(coloured(HW, (pole, (230, 210, 60))))
    assert best(prompter.predict(clicks((153, 120, True))), pole) > 0.8


def test_texture_tells_what_colour_does_not(prompter: Classical) -> None:
    rng = np.random.default_rng(1)
    image = np.full((*HW, 3), 120.0)
    image[ONE] += rng.choice([-45.0, 45.0], (int(ONE.sum()), 1))
    prompter.set_image(np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8))
    game = play(prompter, ONE, np.zeros(HW, np.bool_), 4)
    assert max(game.iou) > 0.85


def test_clicks_bring_a_hard_scene_home() -> None:
    """Three touching discs of similar colours, one of them wanted."""
    prompter = Classical()
    left, right, lower = disc(HW, 110, 100, 45), disc(HW, 190, 100, 45), disc(HW, 150, 165, 45)
    prompter.set_image(coloured(HW, (left, (180, 90, 60)), (right, (165, 95, 80)), (lower, (190, 110, 60)), noise=12))
    truth = right & ~lower
    game = play(prompter, truth, np.zeros(HW, np.bool_), 10)
    assert max(game.iou) > 0.9


@pytest.mark.parametrize("corner", [(0, 0), (320, 240), (0, 240), (319.9, 0)])
def test_clicks_on_the_border(prompter: Classical, corner: tuple[float, float]) -> None:
    answer = prompter.predict(clicks((*corner, True)))
    row, column = min(int(corner[1]), 239), min(int(corner[0]), 319)
    assert answer.masks()[:, row, column].all()
    assert not answer.mask_HW[120, 100]


@pytest.mark.parametrize("hw", [(1, 1), (1, 900), (900, 1), (2, 3), (1300, 7)])
def test_strange_shapes(hw: tuple[int, int]) -> None:
    prompter = Classical()
    image = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    prompter.set_image(image)
    x, y = hw[1] / 2, hw[0] / 2
    answer = prompter.predict(clicks((x, y, True)))
    assert answer.soft_NHW.shape[1:] == hw
    assert answer.masks()[:, int(y), int(x)].all()
    prompter.predict(Prompt(boxes_xyxy=((0, 0, hw[1], hw[0]),), previous_HW=answer.mask_HW))
    if not answer.mask_HW.all() or answer.mask_HW.size > 6:
        return
    with pytest.raises(InputError, match="nothing that fits"):  # the only pixels there are were clicked away
        prompter.predict(clicks((x, y, False), previous_HW=answer.mask_HW))


def test_grey_and_flat_images(prompter: Classical) -> None:
    grey = SCENE.mean(axis=2, keepdims=True).astype(np.uint8)
    prompter.set_image(grey)
    assert best(prompter.predict(clicks((100, 120, True))), ONE) > 0.8
    prompter.set_image(np.full((*HW, 3), 128, np.uint8))
    answer = prompter.predict(clicks((30, 30, True), (300, 200, False)))
    assert answer.mask_HW[30, 30]
    assert not answer.mask_HW[200, 300]


def test_larger_than_the_working_size() -> None:
    prompter = Classical()
    hw = (1800, 2400)
    truth = disc(hw, 900, 900, 300)
    prompter.set_image(coloured(hw, (truth, (220, 60, 40))))
    answer = prompter.predict(clicks((900, 900, True)))
    assert best(answer, truth) > 0.98, "the edge is found again at a finer size"


def test_the_same_prompt_has_the_same_answer_on_a_kept_encoding(prompter: Classical) -> None:
    prompt = clicks((100, 120, True), (180, 120, False))
    first = prompter.predict(prompt)
    other = Classical()
    other.set_encoding({name: values.copy() for name, values in prompter.encode(SCENE).items()})
    again = other.predict(prompt)
    assert np.array_equal(first.soft_NHW, again.soft_NHW)
    assert np.array_equal(first.scores_N, again.scores_N)


def test_prompts_that_cannot_be_answered(prompter: Classical) -> None:
    with pytest.raises(InputError, match="No image was set"):
        Classical().predict(clicks((1, 1, True)))
    for prompt, words in (
        (Prompt(), "is empty"),
        (clicks((5, 5, False)), "only says what is not wanted"),
        (clicks((500, 5, True)), "outside the image"),
    ):
        with pytest.raises(InputError, match=words):
            prompter.predict(prompt)


def test_neither_torch_nor_scikit_image_is_loaded() -> None:
    code = """
import sys, numpy as np
from maskwright.prompt.classical import Classical
from maskwright.types import Prompt
prompter = Classical()
prompter.set_image(np.zeros((20, 30, 3), np.uint8))
prompter.predict(Prompt(points_xy=((5, 5),), positive=(True,)))
heavy = {"torch", "skimage", "transformers", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
