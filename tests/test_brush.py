"""Label Studio's brush: bits written by hand say what is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from maskwright.data.pixels.brush import (
    decode_labelstudio,
    encode_labelstudio,
    labelstudio_from_mask,
    mask_from_labelstudio,
)


def packed(*fields: tuple[int, int]) -> list[int]:
    """(value, bits) one after the other, filled up with zeros to whole bytes."""
    bits = "".join(f"{value:0{count}b}" for value, count in fields)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def header(number: int, word: int = 8, widths: tuple[int, ...] = (3, 4, 8, 16)) -> list[tuple[int, int]]:
    return [(number, 32), (word - 1, 5), *((width - 1, 4) for width in widths)]


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_masks_survive(mask_HW: NDArray[np.bool_]) -> None:
    code = labelstudio_from_mask(mask_HW)
    assert code == encode_labelstudio(np.repeat(np.where(mask_HW, 255, 0).astype(np.uint8).reshape(-1), 4))
    np.testing.assert_array_equal(mask_from_labelstudio(code, (mask_HW.shape[0], mask_HW.shape[1])), mask_HW)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.sampled_from([1, 2, 8, 9, 16, 17, 256, 257, 65536, 65537])), max_size=6)
)
def test_any_values_survive(runs: list[tuple[int, int]]) -> None:
    values = np.repeat(np.array([value for value, _ in runs], np.uint8), [length for _, length in runs])
    np.testing.assert_array_equal(decode_labelstudio(encode_labelstudio(values)), values)


def test_bits_written_by_hand() -> None:
    runs = [(1, 1), (0, 2), (4, 3), (200, 8), (0, 1), (1, 2), (2, 4), (1, 8), (2, 8), (3, 8)]
    code = packed(*header(8), *runs)
    assert decode_labelstudio(code).tolist() == [200] * 5 + [1, 2, 3]
    assert decode_labelstudio([*code, 0, 0]).tolist() == [200] * 5 + [1, 2, 3]  # encoders fill up with zeros
    assert decode_labelstudio(np.array(code)).tolist() == [200] * 5 + [1, 2, 3]
    narrow = packed(*header(6, 2, (1, 2, 3, 4)), (1, 1), (3, 2), (5, 4), (3, 2))
    assert decode_labelstudio(narrow).tolist() == [3] * 6


def test_the_encoder_writes_the_shortest_width() -> None:
    assert encode_labelstudio(np.array([7, 7, 7, 9], np.uint8)) == packed(
        *header(4), (1, 1), (0, 2), (2, 3), (7, 8), (0, 1), (0, 2), (0, 3), (9, 8)
    )
    assert encode_labelstudio(np.full(300, 7, np.uint8)) == packed(*header(300), (1, 1), (3, 2), (299, 16), (7, 8))
    assert encode_labelstudio(np.empty(0, np.uint8)) == packed(*header(0))


def test_a_mask_is_what_is_not_transparent() -> None:
    red, clear = [255, 0, 0, 90], [255, 0, 0, 0]
    code = encode_labelstudio(np.array([*red, *clear, *clear, *red, *red, *clear], np.uint8))
    assert mask_from_labelstudio(code, (2, 3)).tolist() == [[True, False, False], [True, True, False]]
    with pytest.raises(ValueError, match="24 values, not 36"):
        mask_from_labelstudio(code, (3, 3))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ([], "ends before"),
        ([0, 0, 0, 4], "ends before"),
        (packed(*header(4)), "ends before"),
        (packed(*header(4), (1, 1), (0, 2), (2, 3)), "ends before"),
        (packed(*header(4), (0, 1), (0, 2), (3, 3), (1, 8)), "ends before"),
        (packed(*header(4), (1, 1), (0, 2), (7, 3), (1, 8)), "announces"),
        (packed(*header(4, 16), (1, 1), (0, 2), (3, 3), (1, 16)), "8 bits"),
        ([256], "0 to 255"),
        ([-1], "0 to 255"),
        ([1.5], "0 to 255"),
        (["a"], "0 to 255"),
        ("abc", "0 to 255"),
        (10**12, "0 to 255"),
        (None, "0 to 255"),
    ],
)
def test_damaged_codes_are_refused(code: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_labelstudio(code)


@given(st.binary(max_size=40))
def test_no_bytes_do_harm(code: bytes) -> None:
    with pytest.raises(ValueError, match="brush"):
        decode_labelstudio(packed(*header(100))[:6] + list(code), expected=77)


@given(arrays(np.uint8, 60), st.integers(0, 500))
def test_cut_off_codes_are_refused(values: NDArray[np.uint8], cut: int) -> None:
    code = encode_labelstudio(values)
    short = code[: min(cut, len(code) - 1)]
    with pytest.raises(ValueError, match="ends before"):
        decode_labelstudio(short)
