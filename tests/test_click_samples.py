"""Prompts drawn from masks: balance, what they mean, corrections."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from maskwright.config import PromptRecipe
from maskwright.data.clicks.sample import Question, corrected, draw_question, without_prompt
from maskwright.types import Classes, Mask

CLASSES = Classes.from_names(["background", "disc", "box"])


def mask() -> Mask:
    """Much background, two boxes of different size, one disc of 4 pixels, a corner that nobody labelled."""
    mask_HW = np.zeros((40, 60), np.uint8)
    mask_HW[5:15, 5:25] = 2
    mask_HW[30:35, 40:45] = 2
    mask_HW[20:22, 50:52] = 1
    mask_HW[:4, :4] = 255
    return mask_HW


def draw(count: int, mask_HW: Mask | None = None, classes: Classes = CLASSES, **keys: Any) -> list[Question]:
    recipe = PromptRecipe(**keys)
    drawn = [
        draw_question(mask() if mask_HW is None else mask_HW, classes, recipe, np.random.default_rng((seed, 1)))
        for seed in range(count)
    ]
    found = [one for one in drawn if one is not None]
    assert len(found) == count
    return found


def test_background_and_classes_are_balanced_whatever_their_pixels() -> None:
    count = Counter(one.prompt.class_id for one in draw(800))
    assert abs(count[0] / 800 - 0.5) < 0.06
    assert abs(count[1] / 800 - 0.25) < 0.05
    assert abs(count[2] / 800 - 0.25) < 0.05
    rare = Counter(one.prompt.class_id for one in draw(400, background=0.1))
    assert abs(rare[0] / 400 - 0.1) < 0.05
    assert 0 not in Counter(one.prompt.class_id for one in draw(100, background=0.0))
    none = Classes.from_names(["sky", "disc", "box"], background=None)
    even = Counter(one.prompt.class_id for one in draw(600, classes=none))
    assert all(abs(even[k] / 600 - 1 / 3) < 0.07 for k in range(3))


def test_points_and_boxes_are_mixed_as_asked() -> None:
    kinds = Counter(bool(one.prompt.boxes_xyxy) for one in draw(400, box=0.25))
    assert abs(kinds[True] / 400 - 0.25) < 0.07
    assert not any(one.prompt.boxes_xyxy for one in draw(50, box=0.0))
    assert all(one.prompt.boxes_xyxy and not one.prompt.points_xy for one in draw(50, box=1.0))


@pytest.mark.parametrize("target", ["class", "region"])
def test_a_prompt_lies_on_what_it_means(target: str) -> None:
    mask_HW = mask()
    for one in draw(200, target=target):
        one.prompt.check((40, 60))
        assert (one.ignored_HW == (mask_HW == 255)).all(), "what nobody labelled is neither right nor wrong"
        rows, columns = np.nonzero(one.object_HW)
        assert (mask_HW[rows, columns] == one.prompt.class_id).all()
        for x, y in one.prompt.points_xy:
            assert one.object_HW[int(y), int(x)]
        for x0, y0, x1, y1 in one.prompt.boxes_xyxy:
            assert x0 <= columns.min() < columns.max() + 1 <= x1
            assert y0 <= rows.min() < rows.max() + 1 <= y1
            assert x1 - x0 <= 1.2 * (columns.max() + 1 - columns.min()) + 1e-9


def test_a_class_is_all_of_it_and_a_region_is_connected() -> None:
    mask_HW = mask()
    whole = [one.object_HW.sum() for one in draw(200, target="class", background=0) if one.prompt.class_id == 2]
    assert set(whole) == {(mask_HW == 2).sum()}
    parts = Counter(
        int(one.object_HW.sum()) for one in draw(400, target="region", background=0) if one.prompt.class_id == 2
    )
    assert set(parts) == {200, 25}
    # By the root of the area: sqrt(200) against sqrt(25) is 74 % of them; by area it would be 89 %.
    assert abs(parts[200] / parts.total() - 0.74) < 0.09


def test_specks_are_asked_for_only_where_there_is_nothing_else() -> None:
    mask_HW = mask()
    mask_HW[38, 30:33] = 2
    sizes = {one.object_HW.sum() for one in draw(300, mask_HW, target="region", background=0)}
    assert sizes == {200, 25, 4}, "the disc has 4 pixels and no other region, the third box has 3"


def test_where_nobody_labelled_nothing_is_asked() -> None:
    empty = np.full((5, 6), 255, np.uint8)
    assert draw_question(empty, CLASSES, PromptRecipe(), np.random.default_rng(0)) is None
    one = empty.copy()
    one[2, 3] = 1
    (found,) = draw(1, one, box=0.0)
    assert found.prompt.points_xy == ((3.5, 2.5),)


def test_wide_masks_have_their_own_ignore_id() -> None:
    many = Classes.from_names([f"class {k}" for k in range(300)])
    wide_HW = np.full((6, 8), 65535, np.uint16)
    wide_HW[1:3, 2:5] = 299
    (found,) = draw(1, wide_HW, many)
    assert found.prompt.class_id == 299
    assert found.target_HW.dtype == np.uint8
    assert found.object_HW.sum() == 6
    assert found.ignored_HW.sum() == 42


def test_the_draw_depends_on_its_generator_alone() -> None:
    one, two, other = (
        draw_question(mask(), CLASSES, PromptRecipe(), np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one is not None
    assert two is not None
    assert other is not None
    assert one.prompt == two.prompt
    assert one.prompt != other.prompt


def test_corrections_click_on_the_largest_error_and_carry_the_answer() -> None:
    (question,) = draw(1, target="class", background=0, box=0.0)
    question = without_prompt(question)
    assert not question.prompt.points_xy
    nothing_HW = np.zeros((40, 60), bool)
    first = corrected(question, nothing_HW)
    assert first.prompt.positive == (True,)
    assert first.prompt.previous_HW is nothing_HW
    everything_HW = np.ones((40, 60), bool)
    second = corrected(first, everything_HW)
    assert second.prompt.positive == (True, False)
    x, y = second.prompt.points_xy[1]
    assert not question.object_HW[int(y), int(x)]
    done = corrected(second, question.object_HW)
    assert done.prompt.points_xy == second.prompt.points_xy, "nothing is wrong, nobody clicks"
    places = {corrected(question, nothing_HW, np.random.default_rng(seed)).prompt.points_xy for seed in range(9)}
    assert len(places) > 1
