"""PNGs of class ids, against Pillow and OpenCV."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskwright.png import decode_plain, encode_plane
from maskwright.types import Mask

PALETTE = np.arange(768, dtype=np.uint32).reshape(256, 3).astype(np.uint8)[::-1].copy()
SIDES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
PLANES = st.sampled_from([np.uint8, np.uint16]).flatmap(lambda kind: arrays.arrays(kind, SIDES))


def decoded(data: bytes) -> Mask:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.copy())


@given(plane=PLANES)
def test_what_is_written_is_what_others_read(plane: Mask) -> None:
    data = encode_plane(plane, None)
    assert np.array_equal(decoded(data), plane)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == ("L" if plane.dtype == np.uint8 else "I;16")
        image.verify()  # checksums of all chunks
    second = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert second is not None
    assert second.dtype == plane.dtype
    assert np.array_equal(second, plane)


@given(plane=arrays.arrays(np.uint8, SIDES), colours=st.integers(1, 256))
def test_a_palette_changes_colours_and_no_id(plane: Mask, colours: int) -> None:
    plane = np.asarray(np.minimum(plane, colours - 1), np.uint8)
    data = encode_plane(plane, PALETTE[:colours])
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), plane)
        assert np.array_equal(np.asarray(image.convert("RGB")), PALETTE[plane])


@pytest.mark.parametrize("hw", [(1, 1), (1, 500), (500, 1), (3, 70000)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_thin_and_long_planes(hw: tuple[int, int], kind: Any) -> None:
    plane = np.asarray(np.random.default_rng(0).integers(0, np.iinfo(kind).max, hw, endpoint=True), kind)
    assert np.array_equal(decoded(encode_plane(plane, None)), plane)


@pytest.mark.parametrize("step", [2, -1, 3])
def test_views_with_gaps_are_written_as_they_look(step: int) -> None:
    kinds: tuple[Any, ...] = (np.uint8, np.uint16)
    for kind in kinds:
        plane = np.asarray(np.arange(600), kind).reshape(20, 30)[::step, ::step].T
        assert np.array_equal(decoded(encode_plane(plane, None)), plane)


def test_equal_planes_give_equal_files() -> None:
    plane = np.tile(np.arange(40, dtype=np.uint8), (30, 1))
    assert encode_plane(plane, None) == encode_plane(plane.copy(order="F"), None)


def test_equal_planes_give_equal_files_in_any_thread() -> None:
    planes = [np.full((5, 6), 255, np.uint8), np.eye(21, 25, dtype=np.uint8), np.ones((5, 6), np.uint8)] * 8
    alone = [encode_plane(plane, PALETTE) for plane in planes]
    for _ in range(20):
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(partial(encode_plane, palette_N3=PALETTE), planes)) == alone


def test_flat_masks_stay_small() -> None:
    plane = np.zeros((480, 640), np.uint8)
    plane[100:300, 200:400] = 3
    assert len(encode_plane(plane, PALETTE)) < 5000


@given(plane=arrays.arrays(np.uint8, SIDES) | arrays.arrays(np.uint16, SIDES), palette=st.booleans())
def test_what_was_written_is_read_back_without_pillow(plane: Mask, palette: bool) -> None:
    data = encode_plane(plane, PALETTE if palette and plane.dtype == np.uint8 else None)
    found = decode_plain(data)
    assert found is not None
    assert found.dtype == plane.dtype
    assert np.array_equal(found, plane)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1", "I;16", "LA"])
def test_pictures_of_others_are_left_to_pillow(mode: str) -> None:
    buffer = io.BytesIO()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8))
    picture = Image.fromarray(np.asarray(noise).astype(np.uint16)) if mode == "I;16" else noise.convert(mode)
    picture.save(buffer, "PNG", transparency=3 if mode == "P" else None)
    found = decode_plain(buffer.getvalue())
    assert found is None or np.array_equal(found, np.asarray(picture))


@given(data=st.data())
def test_damaged_files_are_left_to_pillow(data: st.DataObject) -> None:
    whole = encode_plane(np.tile(np.arange(30, dtype=np.uint8), (20, 1)), PALETTE)
    place = data.draw(st.integers(0, len(whole) - 13))
    assert decode_plain(whole[:place]) is None
    flipped = bytearray(whole)
    flipped[place] ^= data.draw(st.integers(1, 255))
    found = decode_plain(bytes(flipped))
    if 29 <= place < 33:  # the header's own checksum is not looked at
        return
    assert found is None or found.shape == (20, 30), "a palette or depth that fits as well"
