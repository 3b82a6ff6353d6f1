"""Run-length codes: pycocotools and examples by hand say what is right, damaged codes are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from maskwright.data.pixels.rle import (
    BoxedRuns,
    area,
    boxed_from_mask,
    counts_from_mask,
    counts_from_text,
    mask_from_boxed,
    mask_from_counts,
    text_from_counts,
)

# pycocotools' own call of numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20))


@given(MASKS)
def test_masks_survive_and_equal_pycocotools(mask_HW: NDArray[np.bool_]) -> None:
    counts = counts_from_mask(mask_HW)
    theirs: dict[str, Any] = coco.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    assert text_from_counts(counts) == theirs["counts"].decode()
    assert counts_from_text(theirs["counts"]).tolist() == counts.tolist()
    assert area(counts) == int(coco.area(theirs)) == mask_HW.sum()
    size_hw = (mask_HW.shape[0], mask_HW.shape[1])
    np.testing.assert_array_equal(mask_from_counts(counts, size_hw), mask_HW)
    np.testing.assert_array_equal(mask_from_counts(counts.tolist(), size_hw), coco.decode(theirs))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=30))
def test_any_counts_survive_as_text(counts: list[int]) -> None:
    assert counts_from_text(text_from_counts(counts)).tolist() == counts


def test_a_known_example() -> None:
    mask_HW = np.array([[0, 1, 7], [0, 1, 0]])
    assert counts_from_mask(mask_HW).tolist() == [2, 3, 1]
    assert counts_from_mask(np.ones((2, 2), np.uint8)).tolist() == [0, 4]
    assert counts_from_mask(np.zeros((2, 2), np.float32)).tolist() == [4]
    assert text_from_counts([2, 3, 1]) == "231"
    np.testing.assert_array_equal(mask_from_counts([2, 3, 1], (2, 3)), mask_HW > 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3P", "middle of a number"),
        ("34 5", "character"),
        ("34é", "character"),
        ("34~", "character"),
        ("3O", "negative"),
        ("PPPPPPPPPPPPPP1", "32 bits"),
        ("oooooo4", "32 bits"),
    ],
)
def test_damaged_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        counts_from_text(text)


@given(st.text())
def test_no_text_does_harm(text: str) -> None:
    try:
        counts = counts_from_text(text)
    except ValueError:
        return
    assert (counts >= 0).all()


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([1, 2], "add up to 3 pixels, the image has 6"),
        ([], "add up to 0"),
        ([-1, 7], "negative"),
        ([2**62, 2**62, 2**62, 2**62, 6], "add up"),  # 6 in 64 bits
        ([2**80], "whole numbers"),
        ([1.5, 4.5], "whole numbers"),
        (["1", "5"], "whole numbers"),
        ([[1, 5]], "whole numbers"),
        ([[1], [2, 3]], "list of numbers"),
        (None, "whole numbers"),
    ],
)
def test_counts_that_are_no_mask_are_refused(counts: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mask_from_counts(counts, (2, 3))


def test_huge_sizes_take_no_memory_before_the_check() -> None:
    with pytest.raises(ValueError, match="add up"):
        mask_from_counts([1, 2], (10**9, 10**9))
    with pytest.raises(ValueError, match="add up"):
        mask_from_counts([10**15], (2, 3))
    with pytest.raises(ValueError, match="lie in the image"):
        mask_from_boxed(BoxedRuns.from_text("5", left=0, top=0, width=10**9, height=10**9), (2, 3))


@given(MASKS)
def test_boxed_runs_survive(mask_HW: NDArray[np.bool_]) -> None:
    if not mask_HW.any():
        with pytest.raises(ValueError, match="empty mask"):
            boxed_from_mask(mask_HW)
        return
    boxed = boxed_from_mask(mask_HW)
    again = BoxedRuns.from_text(boxed.text, left=boxed.left, top=boxed.top, width=boxed.width, height=boxed.height)
    np.testing.assert_array_equal(mask_from_boxed(again, (mask_HW.shape[0], mask_HW.shape[1])), mask_HW)
    ys, xs = np.nonzero(mask_HW)
    assert [boxed.left, boxed.top] == [xs.min(), ys.min()]
    assert [boxed.width, boxed.height] == [np.ptp(xs) + 1, np.ptp(ys) + 1]


def test_boxed_runs_go_row_by_row() -> None:
    boxed = BoxedRuns.from_text("0, 2,1 ,3", left=1, top=1, width=3, height=2)
    expected = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]])
    np.testing.assert_array_equal(mask_from_boxed(boxed, (3, 4)), expected > 0)
    assert boxed.text == "0, 2, 1, 3"


@pytest.mark.parametrize(
    ("text", "box", "reason"),
    [
        ("0, 2, 1", (1, 1, 3, 2), "add up to 3 pixels, the box has 6"),
        ("", (1, 1, 3, 2), "add up"),
        ("0, -2, 8", (1, 1, 3, 2), "negative"),
        ("6", (2, 1, 3, 2), "lie in the image"),
        ("6", (-1, 1, 3, 2), "lie in the image"),
        ("0", (1, 1, 0, 2), "lie in the image"),
        ("1; 2", (1, 1, 3, 2), "commas"),
        ("1, x", (1, 1, 3, 2), "commas"),
        ("1.5, 4.5", (1, 1, 3, 2), "commas"),
    ],
)
def test_boxed_runs_that_are_no_mask_are_refused(text: str, box: tuple[int, int, int, int], reason: str) -> None:
    left, top, width, height = box
    with pytest.raises(ValueError, match=reason):
        mask_from_boxed(BoxedRuns.from_text(text, left=left, top=top, width=width, height=height), (3, 4))
