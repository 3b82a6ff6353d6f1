"""Polygons as text to numbers: the very numbers that a JSON reader gives, or nothing."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.data.pixels.numbers import read_polygons

DECIMALS = st.one_of(
    st.integers(-(10**15), 10**15).map(str),
    st.floats(-1000, 1000).map(lambda number: f"{number:.2f}"),
    st.floats(-1e4, 1e4).map(lambda number: f"{number:.9f}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
TOKENS = st.sampled_from(
    ["[", "]", ",", "-", ".", "0", "1", "12.5", "7e2", " ", "\n", "null", '"a"', "{", "]]", "[[", ""]
)


def numbers_in(text: str) -> list[list[list[float]]] | None:
    read = read_polygons([text.encode()])
    if read is None:
        return None
    numbers, parts, instances = read
    assert instances.tolist() == [0, len(parts) - 1]
    return [[numbers[a:b].tolist() for a, b in pairwise(parts)]]


@given(
    parts=st.lists(st.lists(DECIMALS, min_size=6, max_size=10), min_size=1, max_size=3),
    gap=st.sampled_from(["", " ", "\n\t"]),
)
def test_numbers_are_those_of_a_json_reader_to_the_last_bit(parts: list[list[str]], gap: str) -> None:
    text = f"[{gap}" + f",{gap}".join("[" + f"{gap},".join(part) + f"{gap}]" for part in parts) + "]"
    expected = [[float(number) for number in part] for part in json.loads(text)]
    found = numbers_in(text)
    plain = all(
        len(number.strip("-").replace(".", "")) <= 15 and "e" not in number for part in parts for number in part
    )
    assert (found == [expected]) if plain else (found in (None, [expected]))


@given(tokens=st.lists(TOKENS, max_size=40))
def test_any_other_text_is_left_to_a_full_reader(tokens: list[str]) -> None:
    text = "".join(tokens)
    found = numbers_in(text)
    if found is not None:
        assert [json.loads(text)] == found
        assert all(len(part) >= 6 for part in found[0])


NOT_PLAIN = """
[ [] [[]] [[1,2,3,4]] [1,2,3,4,5,6] [[[1,2],[3,4],[5,6]]] [[1,2,3,4,5,6],] [[1,2,3,4,5,6,]] [[1,2,3,4,5,6]]] {} null
[[1,2,3,4,5,6]][ [[01,2,3,4,5,6]] [[1.,2,3,4,5,6]] [[.5,2,3,4,5,6]] [[-,2,3,4,5,6]] [[--1,2,3,4,5,6]] [[+1,2,3,4,5,6]]
[[1e2,2,3,4,5,6]] [[null,2,3,4,5,6]] [[1,2,3,4,5,6] [[1,2,3,4,5,6 [[1234567890123456,2,3,4,5,6]] "[[1,2,3,4,5,6]]"
[[1,2,3,4,5,6],[1,2]]
"""


@pytest.mark.parametrize("text", ["", " ", "[[1 2,3,4,5,6,7]]", "[[1,2,3,4,5,6]] ]", *NOT_PLAIN.split()])
def test_what_is_not_plain_is_nothing(text: str) -> None:
    assert numbers_in(text) is None


def test_instances_stay_apart() -> None:
    texts = [b"[[1,2,3,4,5,6],[7,8,9,10,11,12.5]]", b"[[-1,0,0.25,3,4,5,6]]"]
    read: Any = read_polygons(texts)
    numbers, parts, instances = read
    assert instances.tolist() == [0, 2, 3]
    assert parts.tolist() == [0, 6, 12, 19]
    assert numbers[[0, 11, 12, 14]].tolist() == [1, 12.5, -1, 0.25]
    assert read_polygons([texts[0], b"[]"]) is None
    nothing: Any = read_polygons([])
    assert [len(array) for array in nothing] == [0, 1, 1]
    assert nothing[0].dtype == np.float64
