from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.types import (
    IGNORE_COLOUR,
    Classes,
    ClassInfo,
    InputError,
    default_colour,
    parse_colour,
    unknown_name,
)

names = st.lists(
    st.text("abcdefgh ßü", min_size=1).filter(str.strip).map(str.strip), min_size=1, max_size=9, unique=True
)


def info(index: int, name: str = "", colour: tuple[int, int, int] = (1, 2, 3)) -> ClassInfo:
    return ClassInfo(id=index, name=name or f"c{index}", colour=colour)


@given(names)
def test_to_dict_and_back_is_the_same_table(given_names: list[str]) -> None:
    classes = Classes.from_names(given_names)
    assert Classes.from_dict(classes.to_dict()) == classes
    assert classes.names == given_names
    assert [classes.id_of(name) for name in given_names] == list(range(len(given_names)))


@pytest.mark.parametrize(
    ("items", "background", "says"),
    [
        ((), None, "at least one class"),
        ((info(0), info(2)), None, "renumber"),
        ((info(1), info(0)), None, "renumber"),
        ((info(0, "a"), info(1, "a")), None, "'a' appears twice"),
        ((info(0),), 1, "Background id 1"),
        ((info(0, "a", (0, 0, 256)),), None, "three numbers from 0 to 255"),
        ((info(0, "a", (0, -1, 0)),), None, "three numbers from 0 to 255"),
    ],
)
def test_a_broken_table_is_refused(items: tuple[ClassInfo, ...], background: int | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Classes(items=items, background=background)


@pytest.mark.parametrize(
    ("given_names", "background", "expected"),
    [
        (["background", "road"], "auto", 0),
        (["BG", "road"], "auto", 0),
        (["sky", "background"], "auto", None),
        (["sky", "road"], "road", 1),
        (["sky", "road"], 1, 1),
        (["background", "road"], None, None),
    ],
)
def test_background_is_a_property_of_the_table(
    given_names: list[str], background: int | str | None, expected: int | None
) -> None:
    assert Classes.from_names(given_names, background=background).background == expected


def test_unknown_background_and_class_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'road'"):
        Classes.from_names(["sky", "road"], background="raod")
    with pytest.raises(InputError, match=r"'skyy'.*'sky'.*Known: road, sky"):
        Classes.from_names(["sky", "road"]).id_of("skyy")
    assert "Did you mean" not in str(unknown_name("thing", "zzzzzz", ["a", "b"]))


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(InputError, match="commas"):
        Classes.from_names(["a", " "])


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"classes": None},
        {"classes": [{"id": 0, "name": "a"}]},
        {"classes": [{"id": "x", "name": "a", "colour": [1, 2, 3]}]},
        {"classes": [{"id": 0, "name": "a", "colour": [1, 2]}]},
    ],
)
def test_a_malformed_table_in_a_file_is_explained(rows: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"malformed.*needs id, name and colour"):
        Classes.from_dict(rows)


@pytest.mark.parametrize(
    ("count", "ignore", "dtype"), [(1, 255, np.uint8), (255, 255, np.uint8), (256, 65535, np.uint16)]
)
def test_ids_widen_beyond_255_classes(count: int, ignore: int, dtype: type) -> None:
    classes = Classes.from_names([f"c{i}" for i in range(count)])
    assert classes.ignore == ignore
    assert classes.dtype == dtype
    palette = classes.palette()
    assert palette.shape == (ignore + 1, 3)
    assert tuple(palette[ignore]) == IGNORE_COLOUR
    assert tuple(palette[count - 1]) == classes.items[-1].colour


def test_default_colours_are_all_different_and_never_white() -> None:
    colours = [default_colour(i) for i in range(255)]
    assert len(set(colours)) == 255
    assert IGNORE_COLOUR not in colours
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_are_read_in_every_spelling(colour: tuple[int, int, int]) -> None:
    r, g, b = colour
    for text in (
        f"{r},{g},{b}",
        f" {r} {g} {b} ",
        f"{r}; {g}; {b}",
        f"#{r:02x}{g:02x}{b:02x}",
        f"{r:02X}{g:02X}{b:02X}",
    ):
        assert parse_colour(text) == colour


@pytest.mark.parametrize("text", ["", "red", "1,2", "1,2,3,4", "256,0,0", "-1,0,0", "#12345", "1.5,0,0"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="255,0,0 or #ff0000"):
        parse_colour(text)
