"""TIFFs read by rows equal the same files opened whole, whatever their layout; what cannot be read says so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from drawing import photo
from PIL import Image as PILImage

from maskwright.imageio import read_image
from maskwright.infer.segmenting.windows import ArrayRows, Rows, is_large_tiff, open_tiff
from maskwright.types import Image, InputError

PICTURE = photo((101, 130))
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "low strips": {"rowsperstrip": 7},
    "high strips": {"rowsperstrip": 70},
    "tiles": {"tile": (64, 48)},
    "tiles, packed": {"tile": (32, 32), "compression": "zlib", "predictor": True},
    "strips, packed, BigTIFF": {"bigtiff": True, "rowsperstrip": 16, "compression": "zlib"},
    "tiles, large end first": {"byteorder": ">", "tile": (32, 48), "compression": "zlib", "predictor": True},
    "several pages": {"tile": (64, 64), "metadata": None},
}


def agree(path: Path) -> None:
    """Rows in any portions are those of the whole."""
    whole = read_image(path)
    with open_tiff(path) as rows:
        assert rows.size_hw == whole.shape[:2]
        assert np.array_equal(rows.read(0, len(whole)), whole)
        for start in range(0, len(whole), 30):
            stop = min(start + 40, len(whole))
            assert np.array_equal(rows.read(start, stop), whole[start:stop])
        assert np.array_equal(rows.read(3, 4), whole[3:4]), "back to the start"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff="BigTIFF" in layout, byteorder=LAYOUTS[layout].get("byteorder")) as file:
        options = {key: value for key, value in LAYOUTS[layout].items() if key not in ("bigtiff", "byteorder")}
        file.write(PICTURE, photometric="rgb", **options)
        if layout == "several pages":
            file.write(PICTURE[::2, ::2], photometric="rgb", **options)
    agree(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1"])
@pytest.mark.parametrize("packing", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_modes_and_packings(tmp_path: Path, mode: str, packing: str | None) -> None:
    path = tmp_path / "a.tif"
    options = {} if packing is None else {"compression": packing, "strip_size": 4000}
    PILImage.fromarray(PICTURE).convert(mode).save(path, "TIFF", **options)
    agree(path)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_inside(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    PILImage.fromarray(PICTURE).convert(mode).save(path, "TIFF", compression="jpeg", strip_size=130 * 3 * 16)
    agree(path)


def test_jpeg_with_reduced_chroma_in_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def packed(tile: Image) -> bytes:
        buffer = io.BytesIO()
        PILImage.fromarray(tile).save(buffer, "JPEG", quality=90, subsampling=2)
        return buffer.getvalue()

    padded = np.pad(PICTURE, ((0, 27), (0, 62), (0, 0)), mode="edge")
    tiles = (packed(padded[y : y + 64, x : x + 64]) for y in (0, 64) for x in (0, 64, 128))
    # It is asked for although the tiles are packed already.
    monkeypatch.setattr("tifffile.tifffile.imagecodecs.jpeg_encode", None, raising=False)
    layout: dict[str, Any] = {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2), "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=PICTURE.shape, dtype=np.uint8, **layout)
    agree(tmp_path / "a.tif")


def test_what_is_see_through_counts_with_its_colour(tmp_path: Path) -> None:
    alpha = np.full((101, 130, 1), 255, np.uint8)
    alpha[:50] = 0
    layout: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "a.tif", np.concatenate([PICTURE, alpha], 2), **layout)
    with open_tiff(tmp_path / "a.tif") as rows:
        assert np.array_equal(rows.read(0, 101), PICTURE)


def test_tiles_that_are_left_out_are_black(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, photometric="rgb", tile=(64, 64))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        counts = file.pages.first.tags["TileByteCounts"]
        counts.overwrite((0, *counts.value[1:]))
    with open_tiff(tmp_path / "a.tif") as rows:
        found = rows.read(0, 101)
    assert not found[:64, :64].any()
    assert np.array_equal(found[64:], PICTURE[64:])
    assert np.array_equal(found[:64, 64:], PICTURE[:64, 64:])


def test_only_what_is_asked_for_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, photometric="rgb", rowsperstrip=10, compression="zlib")
    decoded: list[int] = []
    with open_tiff(tmp_path / "a.tif") as rows:
        decode = rows._decode

        def counted(row: int) -> Image:
            decoded.append(row)
            return decode(row)

        monkeypatch.setattr(rows, "_decode", counted)
        rows.read(0, 25)
        rows.read(15, 45)
        assert decoded == [0, 1, 2, 3, 4], "each strip once where readings overlap"
        assert sorted(rows._decoded) == [1, 2, 3, 4], "the others are let go"


BAD: dict[str, tuple[Any, str]] = {
    "turned": ({"Orientation": 6}, "upright"),
    "planes": ({"PlanarConfiguration": 2}, "INTERLEAVE=PIXEL"),
    "wider": ({"ImageWidth": 2_000_000_000}, "truncated"),
    "no tile": ({"TileWidth": 0}, "export it again"),
    "huge tile": ({"TileWidth": 1 << 20, "TileLength": 1 << 20}, "truncated|too large"),
    "odd colours": ({"PhotometricInterpretation": 60_000}, "cannot|damaged|no TIFF|not an image"),
    "odd bits": ({"BitsPerSample": (8, 8, 60_000)}, "more than 8 bits|damaged|no TIFF|not an image"),
    "elsewhere": ({"TileOffsets": (1 << 31,) * 6}, "truncated"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_by_parts_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", tile=(64, 64), extratags=[(274, 3, 1, 1, True)])
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag, value in BAD[name][0].items():
            file.pages.first.tags[tag].overwrite(value)
    with pytest.raises(InputError, match=BAD[name][1]), open_tiff(path) as rows:
        rows.read(0, 10)


def test_one_packed_strip_of_a_huge_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", compression="zlib", rowsperstrip=101)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag, value in {"ImageWidth": 20_000, "ImageLength": 20_000, "RowsPerStrip": 20_000}.items():
            file.pages.first.tags[tag].overwrite(value)
    with pytest.raises(InputError, match="in parts of 20000x20000 pixels, too large"), open_tiff(path):
        pass


@pytest.mark.parametrize("data", [b"", b"II*\0", b"\xff\xd8\xff\xe0", b"II*\0\xff\xff\xff\x7f", b"II+\0\x08\0\0\0" * 3])
def test_what_is_no_tiff_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    assert not is_large_tiff(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif"), open_tiff(tmp_path / "a.tif"):
        pass


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_cut_file_is_an_input_error(tmp_path: Path, part: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.asarray(PICTURE), photometric="rgb", tile=(32, 32), compression="zlib")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"a\.tif"), open_tiff(path) as rows:
        rows.read(0, 101)


def test_deep_tiffs_are_refused_as_ever(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PICTURE.astype(np.uint16) * 200, photometric="rgb", tile=(64, 64))
    with pytest.raises(InputError, match="more than 8 bits"), open_tiff(tmp_path / "a.tif") as rows:
        rows.read(0, 10)


def test_large_is_what_pillow_would_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb")
    assert not is_large_tiff(path)
    assert not is_large_tiff(tmp_path / "missing.tif")
    monkeypatch.setattr(PILImage, "MAX_IMAGE_PIXELS", 13_000)
    assert is_large_tiff(path)
    with pytest.raises(InputError, match="too many pixels"):
        read_image(path)
    assert not is_large_tiff(path.rename(tmp_path / "b.png")), "by its suffix it is none"


def test_an_array_is_read_by_rows_too() -> None:
    rows: Rows = ArrayRows(image_HW3=PICTURE)
    assert rows.size_hw == (101, 130)
    assert np.array_equal(rows.read(10, 20), PICTURE[10:20])
