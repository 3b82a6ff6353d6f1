"""nnU-Net v2: a written folder held to its documentation, and folders of other people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import shapes, write_shapes
from foreign import ALL, bring_in, put, rows_of
from numpy.typing import NDArray
from PIL import Image as PILImage

from maskwright.data.dataset import Dataset
from maskwright.data.doors import convert_dataset, import_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.listing import Options
from maskwright.types import Classes, InputError, Mask


def read_pixels(path: Path) -> NDArray[Any]:
    """As scikit-image sees it, which nnU-Net reads with: a palette becomes colours."""
    with PILImage.open(path) as image:
        return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def assert_as_nnunet_documents(folder: Path) -> dict[str, int]:
    """The rules of documentation/dataset_format.md and verify_dataset_integrity.py of nnU-Net v2; returns labels."""
    about = json.loads((folder / "dataset.json").read_text())
    assert {"channel_names", "labels", "numTraining", "file_ending"} <= set(about)
    labels: dict[str, int] = about["labels"]
    assert labels["background"] == 0
    values = sorted(labels.values())
    assert values == list(range(len(values))), "consecutive"
    assert "ignore" not in labels or labels["ignore"] == values[-1]
    ending = about["file_ending"]
    cases = {path.name[: -len(ending) - 5] for path in (folder / "imagesTr").iterdir()}
    assert {path.name for path in (folder / "imagesTr").iterdir()} == {f"{case}_0000{ending}" for case in cases}
    assert {path.name for path in (folder / "labelsTr").iterdir()} == {f"{case}{ending}" for case in cases}
    assert len(cases) == about["numTraining"]
    for case in cases:
        image, label = read_pixels(folder / f"imagesTr/{case}_0000{ending}"), folder / f"labelsTr/{case}{ending}"
        plane = read_pixels(label)
        assert plane.ndim == 2, "one channel"
        assert plane.shape == image.shape[:2]
        assert len(about["channel_names"]) == image.shape[2] == 3
        assert set(np.unique(plane).tolist()) <= set(values)
    splits = folder / "splits_final.json"
    for fold in json.loads(splits.read_text()) if splits.is_file() else []:
        assert set(fold) == {"train", "val"}
        assert set(fold["train"]) | set(fold["val"]) == cases
        assert not set(fold["train"]) & set(fold["val"])
    return labels


def test_nnunet_written_folder_obeys_its_documentation(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 3, "val": 2, "test": 1})
    convert_dataset(data, "nnunet", tmp_path / "Dataset101_Shapes")
    labels = assert_as_nnunet_documents(tmp_path / "Dataset101_Shapes")
    assert labels == {"background": 0, "disc": 1, "box": 2, "ignore": 3}
    fold = json.loads((tmp_path / "Dataset101_Shapes/splits_final.json").read_text())
    assert fold == [{"train": ["shape-000", "shape-001", "shape-002"], "val": ["shape-003", "shape-004"]}]
    assert (tmp_path / "Dataset101_Shapes/imagesTs/shape-005_0000.png").is_file()
    assert (tmp_path / "Dataset101_Shapes/labelsTs/shape-005.png").is_file()


@pytest.mark.parametrize("background", [None, 0, 1, 2])
def test_nnunet_background_is_0_wherever_ours_is(tmp_path: Path, background: int | None) -> None:
    plain = write_shapes(tmp_path / "data", {"train": 3}, ignored=False)
    classes = Classes.from_names(["sky", "disc", "box"], background=background)
    data = replace(plain, classes=classes)
    convert_dataset(data, "nnunet", tmp_path / "Dataset001_X")
    labels = assert_as_nnunet_documents(tmp_path / "Dataset001_X")
    assert "ignore" not in labels, "declared only where it is used"
    assert len(labels) == (4 if background is None else 3)
    plane = read_pixels(tmp_path / "Dataset001_X/labelsTr/shape-000.png")
    mask = data.mask(data.samples[0])
    for item in classes.items:
        label = 0 if item.id == background else labels[item.name]
        assert np.array_equal(plane == label, mask == item.id)
    again = import_dataset("nnunet", tmp_path / "Dataset001_X", tmp_path / "again", shares=ALL).dataset
    assert again.classes == classes
    assert np.array_equal(again.mask(again.samples[0]), mask)


def test_nnunet_jpeg_photos_become_png_without_loss(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1})
    sample = data.samples[0]
    PILImage.fromarray(data.image(sample)).save(data.path / "images/a.jpg")
    jpeg = Dataset.create(data.path, data.classes, [replace(sample, image="images/a.jpg")], {})
    convert_dataset(jpeg, "nnunet", tmp_path / "out")
    assert np.array_equal(read_pixels(tmp_path / "out/imagesTr/shape-000_0000.png"), jpeg.image(jpeg.samples[0]))


def test_nnunet_refuses_reserved_names_and_test_only(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"test": 1})
    with pytest.raises(InputError, match="labelled test images only"):
        convert_dataset(data, "nnunet", tmp_path / "out")
    train = replace(data, samples=tuple(replace(sample, split="train") for sample in data.samples))
    for names, background in ((["a", "ignore", "c"], 0), (["a", "background", "c"], 0)):
        odd = replace(train, classes=Classes.from_names(names, background=background))
        with pytest.raises(InputError, match=f"class '{names[1]}' has a name that nnU-Net reserves"):
            convert_dataset(odd, "nnunet", tmp_path / "out")
    full = replace(train, classes=Classes.from_names([f"c{i}" for i in range(255)]))
    with pytest.raises(InputError, match="leave no label for ignore"):
        convert_dataset(full, "nnunet", tmp_path / "out")


def nn_folder(root: Path, about: dict[str, Any], cases: dict[str, tuple[str, str]]) -> dict[str, Mask]:
    found = {}
    for index, (case, (images, labels)) in enumerate(cases.items()):
        image, found[case] = shapes(index, ignored=False)
        put(root / images / f"{case}_0000.png", image)
        if labels:
            put(root / labels / f"{case}.png", found[case])
    (root / "dataset.json").write_text(json.dumps(about))
    return found


ABOUT: dict[str, Any] = {
    "channel_names": {"0": "R", "1": "G", "2": "B"},
    "labels": {"background": 0, "road": 1, "ignore": 2},
    "numTraining": 2,
    "file_ending": ".png",
}
TR, TS = ("imagesTr", "labelsTr"), ("imagesTs", "")


def test_nnunet_reads_a_folder_of_somebody_else(tmp_path: Path) -> None:
    masks = nn_folder(tmp_path / "src", ABOUT, {"img-1": TR, "img_2": TR, "img-3": TS})
    put(tmp_path / "src/imagesTr/two_0000.png", masks["img-1"])
    put(tmp_path / "src/imagesTr/two_0001.png", masks["img-1"])
    put(tmp_path / "src/labelsTr/alone.png", masks["img-1"])
    put(tmp_path / "src/imagesTr/bare_0000.png", masks["img-1"])
    built = bring_in("nnunet", tmp_path / "src")
    data = built.dataset
    assert data.classes.names == ["background", "road"]
    assert rows_of(data) == [
        ("img-1", "train", "labelled"),
        ("img-3", "test", "unlabelled"),
        ("img_2", "train", "labelled"),
    ]
    assert np.array_equal(data.mask(data.samples[0]), np.array([0, 1, 255])[masks["img-1"]])
    reasons = {Path(row.file).name: row.reason for row in built.skipped}
    assert set(reasons) == {"two_0000.png", "alone.png", "bare_0000.png"}
    assert "one channel of 2" in reasons["two_0000.png"]
    (tmp_path / "src/splits_final.json").write_text(
        '[{"train": ["img-1"], "val": ["img_2"]}, {"train": [], "val": []}]'
    )
    listing = FORMATS["nnunet"].read(tmp_path / "src", Options(names=("ground", "street")))
    assert {item.id: item.split for item in listing.items} == {"img-1": "train", "img_2": "val", "img-3": "test"}
    assert listing.classes.names == ["ground", "street"]
    assert "the first of 2 folds" in listing.notes[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file_ending": ".nii.gz"}, "files end in '.nii.gz'; only two-dimensional"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "trains on regions"),
        ({"labels": {"background": 0, "a": -1}}, "whole numbers from 0"),
        ({"labels": {"background": 0, "a": "1"}}, "whole numbers from 0"),
        ({"labels": {"ignore": 0}}, "names no label"),
        ({"labels": {"background": 0, "a": 255}}, "label 255 means ignore here"),
        ({"labels": ["a"]}, "has no labels"),
        ({"dataset": {"a": {"images": ["../../x.png"], "label": "y.png"}}}, "lists its files itself"),
    ],
)
def test_nnunet_of_another_kind_is_explained(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    nn_folder(tmp_path / "src", {**ABOUT, **change}, {"a": TR})
    with pytest.raises(InputError, match=says) as caught:
        FORMATS["nnunet"].read(tmp_path / "src", Options())
    assert "dataset.json" in str(caught.value)


def test_nnunet_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.json does not exist"):
        FORMATS["nnunet"].read(tmp_path, Options())
    (tmp_path / "dataset.json").write_text('{"labels": {')
    with pytest.raises(InputError, match="not valid JSON"):
        FORMATS["nnunet"].read(tmp_path, Options())
    nn_folder(tmp_path, ABOUT, {})
    with pytest.raises(InputError, match="holds no case"):
        FORMATS["nnunet"].read(tmp_path, Options())
    nn_folder(tmp_path, ABOUT, {"a": TR})
    for text in ("[]", "{}", '[{"train": 3, "val": []}]'):
        (tmp_path / "splits_final.json").write_text(text)
        with pytest.raises(InputError, match="must be a list of folds"):
            FORMATS["nnunet"].read(tmp_path, Options())
