"""MMSegmentation: folders and configurations read, and written ones held to the rules of BaseSegDataset."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, shapes, write_shapes
from foreign import NAMES, bring_in, put, rows_of
from PIL import Image as PILImage

from maskwright.data.dataset import Dataset
from maskwright.data.doors import convert_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.listing import Options
from maskwright.files import content_hash
from maskwright.types import Classes, InputError, Mask


def mm_folder(root: Path, splits: dict[str, list[str]], *, suffix: str = ".png") -> dict[str, Mask]:
    found = {}
    for split, names in splits.items():
        for index, name in enumerate(names):
            image, found[name] = shapes(index)
            put(root / "img_dir" / split / f"{name}.jpg", image)
            put(root / "ann_dir" / split / f"{name}{suffix}", found[name])
    return found


CONFIG = """
from mmseg.registry import DATASETS
raise SystemExit('a configuration is never run')
class Mine(BaseSegDataset):
    METAINFO = dict(classes=('background', 'disc', "box's"), palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]])
"""


def test_mmseg_reads_splits_and_the_classes_of_a_configuration(tmp_path: Path) -> None:
    masks = mm_folder(tmp_path / "src", {"train": ["a", "b"], "val": ["c"]})
    put(tmp_path / "src/img_dir/test/d.jpg", shapes(5)[0])
    (tmp_path / "src" / "mine.py").write_text(CONFIG)
    built = bring_in("mmseg", tmp_path / "src")
    data = built.dataset
    assert built.skipped == []
    assert [(item.name, item.colour) for item in data.classes.items][2] == ("box's", (7, 8, 9))
    assert rows_of(data) == [
        ("a", "train", "labelled"),
        ("b", "train", "labelled"),
        ("c", "val", "labelled"),
        ("d", "test", "unlabelled"),
    ]
    assert np.array_equal(data.mask(data.samples[1]), masks["b"])


def test_mmseg_reduce_zero_label_ignores_0_and_shifts(tmp_path: Path) -> None:
    masks = mm_folder(tmp_path / "src", {"train": ["a"]})
    (tmp_path / "src/ade.py").write_text("train = dict(metainfo={'classes': ['x', 'y']}, reduce_zero_label=True)")
    data = bring_in("mmseg", tmp_path / "src").dataset
    assert data.classes.names == ["x", "y"]
    expected = np.full(256, 255)
    expected[[1, 2]] = 0, 1
    assert np.array_equal(data.mask(data.samples[0]), expected[masks["a"]])


def test_mmseg_without_a_configuration_and_with_longer_names(tmp_path: Path) -> None:
    mm_folder(tmp_path / "src", {"train": ["a"]}, suffix="_seg.png")
    with pytest.raises(InputError, match="no image has a mask of the same stem"):
        FORMATS["mmseg"].read(tmp_path / "src", Options())
    listing = FORMATS["mmseg"].read(tmp_path / "src", Options(mask_suffix="_seg"))
    assert listing.classes.names == ["class-0", "class-1", "class-2"]
    assert "name them with --classes" in listing.notes[0]
    (tmp_path / "src/broken.py").write_text("classes = (")
    with pytest.raises(InputError, match=r"broken\.py is not a Python configuration"):
        FORMATS["mmseg"].read(tmp_path / "src", Options(mask_suffix="_seg"))
    with pytest.raises(InputError, match="img_dir does not exist"):
        FORMATS["mmseg"].read(tmp_path, Options())


def test_mmseg_written_configuration_finds_every_pair_by_the_rules_of_basesegdataset(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 3, "val": 1, "test": 1})
    image, mask = shapes(9)
    turned = add_sample(data.path, "jpeg", image, mask, classes=data.classes)
    PILImage.fromarray(image).save(data.path / "images/jpeg.jpg")
    jpeg = (data.path / "images/jpeg.jpg").read_bytes()
    more = replace(turned, image="images/jpeg.jpg", image_hash=content_hash(jpeg))
    mixed = Dataset.create(data.path, data.classes, [*data.samples, more], {})
    convert_dataset(mixed, "mmseg", tmp_path / "out")
    config = runpy.run_path(str(tmp_path / "out/dataset.py"))
    for split, count in (("train", 4), ("val", 1), ("test", 1)):
        one = config[f"{split}_dataloader"]["dataset"]
        assert one["metainfo"]["classes"] == NAMES
        assert one["metainfo"]["palette"] == [list(item.colour) for item in data.classes.items]
        assert one["reduce_zero_label"] is False
        assert one["ignore_index"] == 255
        photos = sorted((tmp_path / "out" / one["data_prefix"]["img_path"]).iterdir())
        assert [photo.suffix for photo in photos] == [one["img_suffix"]] * count
        for photo in photos:
            name = photo.name.replace(one["img_suffix"], one["seg_map_suffix"])
            with PILImage.open(tmp_path / "out" / one["data_prefix"]["seg_map_path"] / name) as label:
                ids = np.asarray(label)
            assert ids.shape == np.asarray(PILImage.open(photo)).shape[:2]
            assert set(np.unique(ids)) <= {0, 1, 2, 255}


def test_mmseg_refuses_what_it_would_misread(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1})
    odd = add_sample(data.path, "a.png.b", *shapes(1), classes=data.classes)
    with pytest.raises(InputError, match=r"'a\.png\.b' holds '\.png', which MMSegmentation would replace"):
        convert_dataset(Dataset.create(data.path, data.classes, [odd], {}), "mmseg", tmp_path / "out")
    many = replace(data, classes=Classes.from_names([f"c{i}" for i in range(300)]))
    with pytest.raises(InputError, match="MMSegmentation reads 8-bit masks"):
        convert_dataset(many, "mmseg", tmp_path / "out")
    with pytest.raises(InputError, match="VOC's masks hold 255"):
        convert_dataset(many, "voc", tmp_path / "out")
