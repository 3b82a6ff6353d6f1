"""What predictions are written as: each gives the mask back, however it is read."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawing import photo
from numpy.typing import NDArray
from pycocotools.coco import COCO

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares
from maskwright.data.formats.listing import Options
from maskwright.imageio import decode_plane, write_image
from maskwright.infer.predicting.outputs import EACH, GATHERED, check_outputs, each_of
from maskwright.infer.predicting.outputs.answer import Answer, Gathering, Row, count_pixels
from maskwright.infer.predicting.outputs.polygons import geojson_of, pieces
from maskwright.infer.predicting.outputs.tables import areas_of, start_lengths
from maskwright.infer.predicting.results import row_of
from maskwright.run import read_csv
from maskwright.types import Classes, InputError, Mask

THREE = Classes.from_names(["background", "disc", "box"])
PLAIN = Classes.from_names(["sky", "road"], background=None)


def ring(seed: int = 0, hw: tuple[int, int] = (40, 56)) -> Mask:
    """Noise, a disc with a hole and an island in it, and a box at the border."""
    mask = np.zeros(hw, np.uint8)
    cv2.circle(mask, (20, 20), 15, 1, -1)
    cv2.circle(mask, (20, 20), 8, 0, -1)
    cv2.circle(mask, (21, 21), 3, 1, -1)
    mask[5:30, 45:] = 2
    noise = np.random.default_rng(seed).random(hw)
    mask[noise < 0.04] = 2
    return mask


def answer(mask_HW: Mask, classes: Classes = THREE, name: str = "sub/a") -> Answer:
    scores = np.eye(len(classes), dtype=np.float32)[mask_HW].transpose(2, 0, 1)
    return Answer(
        name=name,
        file=f"{name}.png",
        target=Path("out"),
        image_HW3=photo(mask_HW.shape[:2]),
        mask_HW=mask_HW,
        classes=classes,
        scores_KHW=scores,
    )


def painted(features: list[dict[str, Any]], hw: tuple[int, int]) -> NDArray[np.uint8]:
    """GeoJSON polygons as a mask, by counting crossings to the left of each pixel's centre."""
    mask = np.zeros(hw, np.uint8)
    for feature in features:
        inside = np.zeros(hw, bool)
        for corners in feature["geometry"]["coordinates"]:
            assert corners[0] == corners[-1]
            for (x0, y0), (x1, y1) in pairwise(corners):
                if x0 == x1:
                    inside[min(y0, y1) : max(y0, y1), x0:] ^= True
        mask[inside] = feature["properties"]["id"]
    return mask


@pytest.mark.parametrize("seed", range(3))
def test_geojson_gives_the_mask_back_holes_and_all(seed: int) -> None:
    mask = ring(seed)
    content = geojson_of(mask, THREE)
    assert content["type"] == "FeatureCollection"
    assert np.array_equal(painted(content["features"], (40, 56)), mask)
    assert any(len(feature["geometry"]["coordinates"]) > 1 for feature in content["features"])
    for feature in content["features"]:
        outer = np.array(feature["geometry"]["coordinates"][0])
        x, y = outer[:-1].T
        assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0  # RFC 7946: counterclockwise, numbers as they are
        assert feature["properties"]["name"] == THREE.names[feature["properties"]["id"]]


def test_areas_of_pieces_are_pixels_and_a_table_without_background_is_covered() -> None:
    mask = ring()
    for class_id in (1, 2):
        found = sum(piece.area_px for piece in pieces(mask, THREE) if piece.class_id == class_id)
        assert found == (mask == class_id).sum()
    plain = (mask > 0).astype(np.uint8)
    assert sum(piece.area_px for piece in pieces(plain, PLAIN)) == mask.size


def test_simplified_polygons_have_fewer_points_and_stay_close() -> None:
    disc = np.zeros((80, 80), np.uint8)
    cv2.circle(disc, (40, 40), 30, 1, -1)
    (exact,), (simple,) = list(pieces(disc, THREE)), list(pieces(disc, THREE, simplify_px=1.0))
    assert len(simple.outer) < len(exact.outer) / 3
    assert abs(simple.area_px - exact.area_px) < 0.03 * exact.area_px


def test_areas_are_counted_by_class() -> None:
    mask = ring()
    rows = areas_of(mask, THREE)
    assert [row["pixels"] for row in rows] == [(mask == value).sum() for value in range(3)]
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-5)
    assert count_pixels(np.full((2, 2), 255, np.uint8), THREE) == [0, 0, 0]


@pytest.mark.parametrize("kind", EACH)
def test_each_output_is_the_same_bytes_for_the_same_answer(kind: str) -> None:
    first, second = EACH[kind].encode(answer(ring())), EACH[kind].encode(answer(ring()))
    assert first
    assert kind == "probabilities" or first == second  # a .npz carries the time
    if EACH[kind].suffix in (".json", ".geojson"):
        json.loads(first)


def test_ids_are_the_mask_and_probabilities_its_scores() -> None:
    mask = ring()
    assert np.array_equal(decode_plane(EACH["ids"].encode(answer(mask)), Path("x.png")), mask)
    with np.load(io.BytesIO(EACH["probabilities"].encode(answer(mask)))) as arrays:
        assert np.array_equal(arrays["probabilities"].argmax(0), mask)


def gather(folder: Path, masks: dict[str, Mask], kind: str, classes: Classes = THREE) -> Path:
    rows = [row_of(answer(mask, classes, name), []) for name, mask in masks.items()]

    def ids_of(row: Row) -> Mask:
        return masks[row.name]

    path = folder / GATHERED[kind].file
    GATHERED[kind].write(path, Gathering(rows=rows, ids_of=ids_of, classes=classes))
    return path


@pytest.fixture
def masks() -> dict[str, Mask]:
    return {"a": ring(1), "sub/b": ring(2, (40, 70)), "c": np.zeros((20, 30), np.uint8)}


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of pycocotools
def test_coco_is_read_alike_by_its_own_tools(tmp_path: Path, masks: dict[str, Mask]) -> None:
    coco = COCO(gather(tmp_path, masks, "coco"))
    assert [coco.imgs[number]["file_name"] for number in (1, 2, 3)] == ["a.png", "sub/b.png", "c.png"]
    for number, mask in enumerate(masks.values(), start=1):
        found = np.zeros_like(mask)
        for entry in coco.loadAnns(coco.getAnnIds([number])):
            region = coco.annToMask(entry)
            assert entry["area"] == region.sum()
            assert entry["bbox"] == list(cv2.boundingRect(region))
            found[region > 0] = entry["category_id"] - 1
        assert np.array_equal(found, mask)


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_polygons_come_back_as_the_same_masks_by_import(tmp_path: Path, kind: str) -> None:
    mask = ring(4)
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "photos/a.png", photo((40, 56)))
    if kind == "coco":
        source = gather(tmp_path, {"a": mask}, "coco")
    else:
        source = tmp_path / "labelme"
        source.mkdir()
        (source / "a.json").write_bytes(EACH["labelme"].encode(answer(mask, THREE, "a")))
    options = Options(images=tmp_path / "photos", names=tuple(THREE.names))
    built = maskwright.import_dataset(kind, source, tmp_path / "data", options=options, shares=Shares(val=0, test=0))
    data = Dataset.open(built.dataset.path)
    assert np.array_equal(data.mask(data.samples[0]), mask)


def test_labelme_points_at_the_photo_or_holds_it(tmp_path: Path) -> None:
    alone = json.loads(EACH["labelme"].encode(answer(ring())))
    assert alone["imageData"]
    assert alone["imagePath"] == "a.png"
    there = Answer(**(vars(answer(ring())) | {"origin": tmp_path / "photos/a.jpg", "target": tmp_path / "out"}))
    content = json.loads(EACH["labelme"].encode(there))
    assert content["imageData"] is None
    assert content["imagePath"] == "../../../photos/a.jpg"


def test_a_submission_of_planes_holds_every_image_under_its_name(tmp_path: Path, masks: dict[str, Mask]) -> None:
    path = gather(tmp_path, masks, "npz")
    with np.load(path) as arrays:
        assert set(arrays.files) == set(masks)
        for name, mask in masks.items():
            assert np.array_equal(arrays[name], mask)
    before = path.read_bytes()
    assert gather(tmp_path, masks, "npz").read_bytes() == before


def test_a_submission_of_run_lengths_can_be_decoded(tmp_path: Path, masks: dict[str, Mask]) -> None:
    rows = read_csv(gather(tmp_path, masks, "csv"))
    assert len(rows) == 3 * 2  # every class but the background
    for row in rows:
        mask = masks[row["ImageId"]]
        flat = np.zeros(mask.size, bool)
        numbers = list(map(int, row["EncodedPixels"].split()))
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] = True
        assert np.array_equal(flat.reshape(mask.shape, order="F"), mask == int(row["ClassId"]))
    assert start_lengths(np.array([[False, True], [True, True]])) == "2 3"


def test_areas_have_a_line_for_every_image_and_class(tmp_path: Path, masks: dict[str, Mask]) -> None:
    rows = read_csv(gather(tmp_path, masks, "areas"))
    assert len(rows) == 9
    assert {row["image"] for row in rows} == set(masks)
    boxes = next(row for row in rows if row["image"] == "sub/b" and row["class"] == "box")
    assert int(boxes["pixels"]) == (masks["sub/b"] == 2).sum()
    assert (boxes["width"], boxes["height"]) == ("70", "40")


def test_outputs_are_known_by_name() -> None:
    assert check_outputs(["ids", "coco", "ids"]) == ("ids", "coco")
    assert each_of(("overlay", "coco")) == ("overlay", "ids")
    assert each_of(("overlay", "areas")) == ("overlay",)
    with pytest.raises(InputError, match="Did you mean 'colour'"):
        check_outputs(["color"])
    with pytest.raises(InputError, match="Name what to write"):
        check_outputs([])
