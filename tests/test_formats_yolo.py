"""Ultralytics' two layouts: polygons in text files, and masks for the task `semantic`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from drawing import photo, write_shapes
from PIL import Image as PILImage

from maskwright.data.build import Built
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats.listing import Options
from maskwright.data.formats.yolo import read
from maskwright.imageio import write_image
from maskwright.types import Classes, InputError, Mask

ALL = Shares(val=0, test=0)
HW = (20, 40)
SQUARE = "0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3"  # 8 x 4 pixels from (4, 2)
DATA: dict[str, Any] = {
    "path": "/home/me/set",
    "train": "images/train",
    "val": "images/val",
    "names": {0: "cat", 1: "dog"},
}


def source_of(folder: Path, labels: Mapping[str, str | None], data: Any = DATA) -> Path:
    """A folder with a photo and, unless None, a label file for each 'train/a'."""
    for name, text in labels.items():
        image, label = folder / f"images/{name}.png", folder / f"labels/{name}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_image(image, photo(HW))
        if text is not None:
            label.write_text(text)
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    if data is not None:
        (folder / "data.yaml").write_text(yaml.safe_dump(data))
    return folder


def imported(source: Path, options: Options | None = None, format: str = "yolo") -> Built:
    return import_dataset(format, source, source.parent / "new", options=options, shares=ALL)


def masks(found: Built) -> dict[str, Mask]:
    return {sample.id: found.dataset.mask(sample) for sample in found.dataset.samples}


def test_polygons_splits_and_photos_without_labels(tmp_path: Path) -> None:
    labels = {"train/ä b.0": f"1 {SQUARE}\n\n0 0 0 0.05 0 0.05 0.1\n", "train/none": None, "val/empty": "\n"}
    source = source_of(tmp_path / "src", labels)
    assert read(source, Options()).notes == ["without a label file, so background only: 1 photos"]
    found = imported(source)
    assert found.skipped == []
    assert found.dataset.classes.names == ["background", "cat", "dog"]
    assert [(sample.id, sample.split) for sample in found.dataset.samples] == [
        ("empty", "val"),
        ("none", "train"),
        ("ä b.0", "train"),
    ]
    mask = masks(found)["ä b.0"]
    assert (mask[2:6, 4:12] == 2).all()
    assert int((mask == 2).sum()) == 32
    assert mask[0, 1] == 1
    assert not masks(found)["none"].any()
    assert not masks(found)["empty"].any()


@pytest.mark.parametrize(
    "data",
    [
        {"train": "../train/images", "val": "../valid/images", "nc": 2, "names": ["cat", "dog"]},
        {"path": "../datasets/set", "train": ["train/images"], "val": "valid/images", "names": ["cat", "dog"]},
        {"train": "train.txt", "val": "C:\\set\\valid\\images", "names": ["cat", "dog"]},
    ],
)
def test_layouts_of_others(tmp_path: Path, data: dict[str, Any]) -> None:
    for split in ("train", "valid"):
        for part in ("images", "labels"):
            (tmp_path / "src" / split / part).mkdir(parents=True)
        write_image(tmp_path / f"src/{split}/images/{split}.png", photo(HW))
        (tmp_path / f"src/{split}/labels/{split}.txt").write_text(f"0 {SQUARE}\n")
    (tmp_path / "src/train.txt").write_text("./train/images/train.png\n/elsewhere/../../../etc/passwd\n")
    (tmp_path / "src/data.yaml").write_text(yaml.safe_dump(data))
    found = imported(tmp_path / "src")
    assert [(sample.id, sample.split) for sample in found.dataset.samples] == [("train", "train"), ("valid", "val")]
    assert all(int(mask.sum()) == 32 for mask in masks(found).values())


def test_without_a_yaml_file_the_list_of_classes_or_the_options_name_them(tmp_path: Path) -> None:
    source = source_of(tmp_path / "src", {"train/a": f"1 {SQUARE}"}, data=None)
    with pytest.raises(InputError, match=r"data\.yaml gives no names"):
        imported(source)
    found = import_dataset("yolo", source, tmp_path / "x", options=Options(names=("cat", "dog")), shares=ALL)
    assert found.dataset.mask(found.dataset.samples[0])[3, 5] == 2
    (source / "classes.txt").write_text("cat\ndog\n")
    found = imported(source, Options(names=("dog",)))
    assert found.dataset.classes.names == ["background", "dog"]
    assert masks(found)["a"][3, 5] == 1


def test_lines_that_cannot_be_used_are_left_out_alone(tmp_path: Path) -> None:
    bad = {
        "bounding box": "0 0.5 0.5 0.2 0.2",
        "class 7 is not": f"7 {SQUARE}",
        "class 0.5 is not": f"0.5 {SQUARE}",
        "not a line of numbers": "cat 0.1 0.1",
        "odd number": f"0 {SQUARE} 0.5",
        "not a fraction": "0 10 10 30 10 30 30",
        "a fraction of": "0 nan 0.1 0.3 0.1 0.3 0.3",
        "at least three": "0 0.1 0.1",
    }
    source = source_of(tmp_path / "src", {"train/a": "\n".join([f"0 {SQUARE}", *bad.values()])})
    found = imported(source)
    assert [row.reason for row in found.skipped if not any(key in row.reason for key in bad)] == []
    assert len(found.skipped) == len(bad)
    assert all("a.txt, line " in row.file for row in found.skipped)
    assert int(masks(found)["a"].sum()) == 32


def test_a_photo_whose_lines_are_all_boxes_does_not_become_background(tmp_path: Path) -> None:
    labels = {"train/a": "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n", "train/b": f"0 {SQUARE}"}
    found = imported(source_of(tmp_path / "src", labels))
    assert list(masks(found)) == ["b"]
    assert "a.txt, line 1: it is a bounding box" in found.skipped[0].reason


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("- a", "is not a mapping"),
        ({"train": "images/train"}, "gives no names"),
        ({**DATA, "names": {"cat": 0}}, "keys of 'names' must be numbers"),
        ({**DATA, "names": ["cat", "cat"]}, "two classes share a name"),
        ({**DATA, "train": "photos"}, "nothing at 'photos'"),
        ({**DATA, "train": "../../../../etc"}, "nothing at"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_broken_yaml_file_is_explained(tmp_path: Path, data: Any, says: str) -> None:
    source = source_of(tmp_path / "src", {"train/a": f"0 {SQUARE}"}, data=None)
    (source / "data.yaml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    with pytest.raises(InputError, match=says):
        imported(source)


def test_folders_without_photos_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        imported(tmp_path / "src")
    with pytest.raises(InputError, match="holds no photos"):
        imported(source_of(tmp_path / "src", {}))


def test_what_is_written_is_yolos(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1, "val": 1}, ignored=False)
    convert_dataset(data, "yolo", tmp_path / "out")
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "disc", 1: "box"},
    }
    for line in (tmp_path / "out/labels/train/shape-000.txt").read_text().splitlines():
        number, *values = line.split()
        assert number in ("0", "1")
        assert len(values) >= 6
        assert len(values) % 2 == 0
        assert all(0 <= float(value) <= 1 for value in values)
    convert_dataset(write_shapes(tmp_path / "ignored", {"train": 1}), "yolo", tmp_path / "more")
    assert yaml.safe_load((tmp_path / "more/data.yaml").read_text())["names"] == {0: "disc", 1: "box", 2: "ignore"}


def test_holes_survive(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1}, ignored=False)
    (sample,) = data.samples
    rng = np.random.default_rng(0)
    noise = (rng.random(sample.size_hw) < 0.6).astype(np.uint8)
    noise[5:30, 5:40] = 2
    noise[10:20, 10:20] = 0
    noise[14:16, 14:16] = 1
    PILImage.fromarray(noise).save(data.path / sample.mask)
    for format in ("yolo", "labelme", "cvat-xml", "labelstudio"):
        convert_dataset(data, format, tmp_path / f"out-{format}")
        again = imported(tmp_path / f"out-{format}", format=format).dataset
        assert np.array_equal(again.mask(again.samples[0]), noise), format
        for path in sorted((tmp_path / "new").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


# --- the task 'semantic' ---

DOCUMENTED = {"path", "train", "val", "test", "masks_dir", "names", "label_mapping"}


def semantic(folder: Path, planes: dict[str, Mask], **data: Any) -> Path:
    source = source_of(folder, dict.fromkeys(planes), None)
    for name, plane in planes.items():
        path = folder / f"masks/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PILImage.fromarray(plane).save(path)
    names = {0: "background", 1: "road", 2: "building"}
    (folder / "data.yaml").write_text(yaml.safe_dump({**DATA, "masks_dir": "masks", "names": names, **data}))
    return source


def plane(*values: int) -> Mask:
    ids = np.zeros(HW, np.uint8)
    ids[:, : len(values)] = values
    return ids


def test_masks_of_ids(tmp_path: Path) -> None:
    source = semantic(tmp_path / "src", {"train/a": plane(1, 2, 255), "val/b": plane(2)})
    found = imported(source, format="ultralytics")
    assert found.dataset.classes.names == ["background", "road", "building"]
    assert [(sample.id, sample.split) for sample in found.dataset.samples] == [("a", "train"), ("b", "val")]
    assert masks(found)["a"][0, :4].tolist() == [1, 2, 255, 0]


def test_label_mapping_and_a_single_class(tmp_path: Path) -> None:
    mapping = {7: 1, "8": 2, 9: "ignore_label", 10: None, 11: 255}
    source = semantic(tmp_path / "map/src", {"train/a": plane(7, 8, 9, 10, 11, 1)}, label_mapping=mapping)
    assert masks(imported(source, format="ultralytics"))["a"][0, :7].tolist() == [1, 2, 255, 255, 255, 1, 0]
    source = semantic(tmp_path / "one/src", {"train/a": plane(1, 255)}, names=["crack"])
    found = imported(source, format="ultralytics")
    assert found.dataset.classes.names == ["background", "crack"]
    assert masks(found)["a"][0, :3].tolist() == [1, 255, 0]


def test_faults_of_semantic_folders_are_explained(tmp_path: Path) -> None:
    source = semantic(tmp_path / "src", {"train/a": plane(1), "train/b": plane(9), "val/c": plane(1)})
    (source / "masks/val/c.png").unlink()
    found = imported(source, format="ultralytics")
    assert list(masks(found)) == ["a"]
    assert sorted(Path(row.file).stem for row in found.skipped) == ["b", "c"]
    assert any("holds id 9, outside the class table" in row.reason for row in found.skipped)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"masks_dir": None}, "no masks_dir, so labels are polygons; use the yolo format"),
        ({"names": {1: "a", 2: "b"}}, "numbered 1 to 2, must be 0 to 1"),
        ({"label_mapping": [1]}, "must map numbers"),
        ({"label_mapping": {3: 9}}, "names the class 9, which has no name"),
    ]
    for number, (data, says) in enumerate(cases):
        bad = semantic(tmp_path / f"{number}/src", {"train/a": plane(1)}, **data)
        with pytest.raises(InputError, match=says):
            imported(bad, format="ultralytics")


def test_a_written_folder_is_what_ultralytics_documents(tmp_path: Path) -> None:
    """docs.ultralytics.com/datasets/semantic, and how its loader finds and reads masks."""
    data = write_shapes(tmp_path / "data", {"train": 2, "test": 1})
    convert_dataset(data, "ultralytics", tmp_path / "out")
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert set(content) <= DOCUMENTED
    assert {"train", "val", "masks_dir", "names"} <= set(content)
    assert content["names"] == {0: "background", 1: "disc", 2: "box"}
    assert "path" not in content, "its default is the folder of the YAML file, '.' would be the working directory"
    images = 0
    for split in ("train", "val", "test"):
        folder = tmp_path / "out" / content[split]
        assert folder.is_dir()
        for image in folder.iterdir():
            # What img2label_paths does: the last '/images/' becomes '/masks/', the suffix '.png'.
            head, _, tail = str(image).rpartition("/images/")
            mask = Path(f"{head}/{content['masks_dir']}/{tail.rsplit('.', 1)[0]}.png")
            grey = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
            (sample,) = (sample for sample in data.samples if sample.id == image.stem)
            assert grey is not None
            assert np.array_equal(grey, data.mask(sample)), "a palette would be turned into greys"
            with PILImage.open(mask) as opened:
                assert opened.mode == "L"
            images += 1
    assert images == 3


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1})
    many = Dataset.create(data.path, Classes.from_names([f"c{i}" for i in range(300)]), data.samples, {})
    with pytest.raises(InputError, match="300 classes; ultralytics holds 255 at most"):
        convert_dataset(many, "ultralytics", tmp_path / "out")
