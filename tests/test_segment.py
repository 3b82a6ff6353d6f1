"""Images of any size: whole or in tiles, in memory or by rows of a file, seen once or several times."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from drawing import photo, shapes
from PIL import Image as PILImage
from test_predictor import THREE, make_run

from maskwright.imageio import read_image, read_mask, read_plane, write_image
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.infer.segmenting.segment import How, Segmenter, by_parts, parse_tiles, segment_file, write_bands
from maskwright.infer.segmenting.thumbnail import Thumbnail
from maskwright.types import Classes, Image, InputError

WORKING = (32, 48)  # of `make_run`


def load(path: Path, image_hw: tuple[int, int] | None = WORKING, **options: Any) -> Predictor:
    """A tiny random network that learned from photos of `image_hw`."""
    run = make_run(path / "run", **options)
    if image_hw is not None:
        run.write_about({"data": {"path": "", "image_hw": list(image_hw)}})
    return Predictor.load(run, device="cpu", precision="fp32")


def large(seed: int = 1, hw: tuple[int, int] = (100, 150)) -> Image:
    return shapes(seed, hw)[0]


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_what_is_not_much_larger_than_the_training_photos_goes_whole(tmp_path: Path, fit: str) -> None:
    predictor = load(tmp_path, (64, 96), fit=fit)
    segmenter = Segmenter(predictor)
    images = [shapes(seed, hw)[0] for seed, hw in enumerate([(64, 96), (20, 30), (96, 144), (90, 20)])]
    assert [segmenter.tile_hw((image.shape[0], image.shape[1])) for image in images] == [None] * 4
    for image in images:
        assert np.array_equal(segmenter.probabilities(image), predictor.probabilities(image))
        assert np.array_equal(segmenter.ids(image), predictor.ids(image))
    assert segmenter.tile_hw((97, 96)) == segmenter.tile_hw((64, 145)) == (64, 96)


def test_where_nobody_knows_the_training_photos_nothing_is_cut(tmp_path: Path) -> None:
    segmenter = Segmenter(load(tmp_path, None))
    assert segmenter.photo_hw is None
    assert segmenter.tile_hw((5000, 9000)) is None


def test_a_tile_as_large_as_the_image_is_the_image(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    image = large()
    one = Segmenter(predictor, How(tiles=(100, 150)))
    assert np.array_equal(one.probabilities(image), predictor.probabilities(image))
    assert np.array_equal(one.ids(image), Segmenter(predictor, How(tiles="off")).ids(image))


def test_tiles_answer_as_the_whole_image_does_at_the_same_scale(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    image = large(3, (96, 144))
    whole = copy(predictor)
    whole.size_hw = (96, 144)
    expected_KHW = whole.probabilities(image)
    # Half of a tile is shared, so that they begin where the network's cells begin; what differs is what tiles see.
    found_KHW = Segmenter(predictor, How(overlap=0.5)).probabilities(image)
    assert np.abs(found_KHW - expected_KHW).mean() < 0.01
    assert (found_KHW.argmax(0) == expected_KHW.argmax(0)).mean() > 0.97
    shrunk_KHW = predictor.probabilities(image)
    assert np.abs(shrunk_KHW - expected_KHW).mean() > 4 * np.abs(found_KHW - expected_KHW).mean()


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("hw", [(100, 150), (20, 400), (300, 10), (33, 300), (1, 500)])
def test_any_shape_has_probabilities_that_sum_to_one(tmp_path: Path, hw: tuple[int, int], fit: str) -> None:
    segmenter = Segmenter(load(tmp_path, fit=fit), batch=3)
    image = photo(hw)
    scores_KHW, ids_HW = segmenter.probabilities(image), segmenter.ids(image)
    assert scores_KHW.shape == (3, *hw)
    assert scores_KHW.dtype == np.float32
    assert np.allclose(scores_KHW.sum(0), 1, atol=1e-5)
    assert ids_HW.shape == hw
    assert ids_HW.dtype == np.uint8
    assert np.array_equal(ids_HW, scores_KHW.argmax(0))


def test_a_low_image_keeps_its_scale_where_photos_are_stretched(tmp_path: Path) -> None:
    segmenter = Segmenter(load(tmp_path, fit="stretch"))
    strip = np.ascontiguousarray(large(2, (32, 400))[:20])
    mirrored_below = np.concatenate([strip, strip[:-13:-1]])
    assert np.allclose(segmenter.probabilities(strip), segmenter.probabilities(mirrored_below)[:, :20], atol=1e-5)


def test_batches_change_nothing(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    images = [large(1), shapes(2, (32, 48))[0], large(3, (40, 200)), shapes(4, (30, 40))[0], shapes(5, (20, 20))[0]]
    singly = [Segmenter(predictor).ids(image) for image in images]
    for batch in (2, 100):
        together = Segmenter(predictor, batch=batch).ids_of(images)
        for one, other in zip(singly, together, strict=True):
            assert one.shape == other.shape
            assert (one != other).mean() < 1e-3, "but for ties in the last bit"
    assert Segmenter(predictor).ids_of([]) == []


def test_a_temperature_changes_no_class_of_a_tiled_image(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    before_KHW = Segmenter(predictor).probabilities(large())
    predictor.temperature = 3.0
    segmenter = Segmenter(predictor)
    scores_KHW = segmenter.probabilities(large())
    assert scores_KHW.max(0).mean() < before_KHW.max(0).mean() - 0.02
    assert np.array_equal(scores_KHW.argmax(0), before_KHW.argmax(0))
    assert np.array_equal(segmenter.ids(large()), before_KHW.argmax(0))


def test_with_flips_a_mirrored_image_has_the_mirrored_answer(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    for image in (shapes(4, (32, 48))[0], large(5, (96, 144))):
        both = Segmenter(predictor, How(flips=True, overlap=0.5))
        there, back = both.probabilities(image), both.probabilities(np.ascontiguousarray(image[:, ::-1]))
        assert np.allclose(there, back[:, :, ::-1], atol=1e-5)
        assert not np.allclose(there, Segmenter(predictor, How(overlap=0.5)).probabilities(image), atol=1e-3)
        assert np.array_equal(both.ids(image), there.argmax(0))


def test_scales_add_views_at_other_working_sizes(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    image = shapes(4, (32, 48))[0]
    half = copy(predictor)
    half.size_hw = (16, 24)
    expected = (predictor.probabilities(image) + half.probabilities(image)) / 2
    assert np.allclose(Segmenter(predictor, How(scales=(0.5,))).probabilities(image), expected, atol=1e-6)
    four = Segmenter(predictor, How(scales=(0.5,), flips=True))
    assert np.array_equal(four.ids(image), four.probabilities(image).argmax(0))
    assert predictor.size_hw == WORKING


def test_scales_need_a_backend_that_has_them(tmp_path: Path) -> None:
    predictor = load(tmp_path)
    predictor.backend = "openvino"
    with pytest.raises(InputError, match="take --backend torch"):
        Segmenter(predictor, How(scales=(0.5,)))
    Segmenter(predictor, How(flips=True))


@pytest.mark.parametrize(
    "options",
    [
        {"tiles": (4, 900)},
        {"tiles": (0, 0)},
        {"tiles": (64,)},
        {"tiles": "512"},
        {"overlap": -0.1},
        {"overlap": 0.9},
        {"overlap": float("nan")},
        {"scales": (1.0,)},
        {"scales": (0.5, 0.0)},
        {"scales": (-2.0,)},
        {"scales": (float("inf"),)},
    ],
    ids=str,
)
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"not known|makes? no sense"):
        How(**options)


def test_tiles_as_people_write_them() -> None:
    assert parse_tiles("auto") == "auto"
    assert parse_tiles("off") == "off"
    assert parse_tiles("512") == (512, 512)
    assert parse_tiles("768x1024") == (768, 1024)
    for text in ("", "on", "512x", "x512", "1e3", "-5", "512x512x3", "99999999"):
        with pytest.raises(InputError, match="rows x columns"):
            parse_tiles(text)


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of more than 12,000 pixels are too large."""
    monkeypatch.setattr(PILImage, "MAX_IMAGE_PIXELS", 12_000)


@pytest.mark.parametrize("layout", [{"tile": (32, 32), "compression": "zlib"}, {"rowsperstrip": 9}, {}], ids=str)
@pytest.mark.usefixtures("small_memory")
def test_a_file_that_is_read_by_parts_has_the_same_answer(tmp_path: Path, layout: dict[str, Any]) -> None:
    segmenter = Segmenter(load(tmp_path), batch=5)
    image = large(7, (130, 170))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", **layout)
    assert by_parts(tmp_path / "a.tif")
    told: list[tuple[int, int]] = []
    done = segment_file(
        segmenter,
        tmp_path / "a.tif",
        tmp_path / "new" / "a.png",
        overlay=tmp_path / "a.jpg",
        preview_px=85,
        progress=lambda now, whole: told.append((now, whole)),
    )
    ids_HW = read_mask(tmp_path / "new" / "a.png", THREE)
    assert np.array_equal(ids_HW, segmenter.ids(image))
    assert (tmp_path / "new" / "a.png").read_bytes()[25] == 3, "with a palette"
    assert done.size_hw == (130, 170)
    assert done.tiles == len(segmenter.grid((130, 170), WORKING)) > 20
    assert done.pixels_K.tolist() == np.bincount(ids_HW.ravel(), minlength=3).tolist()
    assert told == sorted(set(told))
    assert len(told) > 3
    assert told[-1] == (130, 130)
    assert read_image(tmp_path / "a.jpg").shape == (65, 85, 3)


def test_ordinary_files_go_the_same_way(tmp_path: Path) -> None:
    segmenter = Segmenter(load(tmp_path))
    for name, image in {"whole.png": shapes(1, (30, 40))[0], "tiled.png": large()}.items():
        write_image(tmp_path / name, image)
        done = segment_file(segmenter, tmp_path / name, tmp_path / "ids.png", overlay=tmp_path / "o.png")
        assert np.array_equal(read_plane(tmp_path / "ids.png"), segmenter.ids(image))
        assert done.tiles == (1 if name == "whole.png" else len(segmenter.grid((100, 150), WORKING)))
        assert read_image(tmp_path / "o.png").shape == image.shape


@pytest.mark.usefixtures("small_memory")
def test_a_file_too_large_to_be_whole_needs_tiles(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", large(), photometric="rgb")
    unknown, off = Segmenter(load(tmp_path, None)), Segmenter(load(tmp_path / "b"), How(tiles="off"))
    for segmenter in (unknown, off):
        with pytest.raises(InputError, match="give --tiles ROWSxCOLUMNS"):
            segment_file(segmenter, tmp_path / "a.tif", tmp_path / "ids.png")
    told = Segmenter(load(tmp_path / "c", None), How(tiles=(32, 48)))
    assert segment_file(told, tmp_path / "a.tif", tmp_path / "ids.png").size_hw == (100, 150)


@pytest.mark.usefixtures("small_memory")
def test_other_files_that_are_too_large_name_the_remedy(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", large())
    assert not by_parts(tmp_path / "a.png")
    with pytest.raises(InputError, match="predict it as a TIFF"):
        segment_file(Segmenter(load(tmp_path)), tmp_path / "a.png", tmp_path / "ids.png")


@pytest.mark.usefixtures("small_memory")
def test_a_damaged_file_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, large(), photometric="rgb", rowsperstrip=8, compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[-2]
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tif is .*damaged"):
        segment_file(Segmenter(load(tmp_path)), path, tmp_path / "out" / "a.png", overlay=tmp_path / "out" / "a.jpg")
    assert list((tmp_path / "out").iterdir()) == []


def test_bands_of_16_bit_ids(tmp_path: Path) -> None:
    many = Classes.from_names([f"class {number}" for number in range(300)])
    plane = (np.arange(90 * 70).reshape(90, 70) % 300).astype(np.uint16)
    write_bands(tmp_path / "a.png", iter([plane[:1], plane[1:60], plane[60:]]), (90, 70), many)
    assert np.array_equal(read_mask(tmp_path / "a.png", many), plane)


@pytest.mark.parametrize("cuts", [(80,), (7, 13, 40, 80), tuple(range(1, 81))], ids=len)
def test_a_thumbnail_is_the_image_shrunk(cuts: tuple[int, ...]) -> None:
    image = photo((80, 120))
    mask = np.add.outer(np.arange(80), np.arange(120)).astype(np.uint8) // 70
    small = Thumbnail((80, 120), THREE, 12)
    for start, stop in zip((0, *cuts), cuts, strict=False):
        small.take_image(start, image[start:stop])
        small.take_ids(start, mask[start:stop])
    assert small.size_hw == (8, 12)
    assert np.array_equal(small.ids_HW, mask[5::10, 5::10])
    if len(cuts) == 1:
        assert np.abs(small.image_HW3.astype(int) - cv2.resize(image, (12, 8), interpolation=cv2.INTER_AREA)).max() <= 1
    else:
        assert np.abs(small.image_HW3.astype(int) - image[5::10, 5::10]).max() <= 16
    assert small.overlay().shape == (8, 12, 3)


@pytest.mark.parametrize("hw", [(1, 1), (1, 90), (90, 1), (31, 47)])
def test_a_thumbnail_of_a_small_image_is_the_image(hw: tuple[int, int]) -> None:
    small = Thumbnail(hw, THREE, 100)
    small.take_image(0, photo(hw))
    small.take_ids(0, np.ones(hw, np.uint8))
    assert np.array_equal(small.image_HW3, photo(hw))
    assert (small.ids_HW == 1).all()


def test_first_maximum_of_blocks_is_that_of_the_whole(tmp_path: Path) -> None:
    segmenter = Segmenter(load(tmp_path))
    ids_HW, scores_KHW = segmenter.ids(large()), segmenter.probabilities(large())
    assert np.array_equal(ids_HW, first_maximum(scores_KHW, THREE))
