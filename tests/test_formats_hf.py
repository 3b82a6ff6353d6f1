"""Image folders of Hugging Face Datasets, as its documentation has them and as people make them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawing import shapes, write_shapes
from foreign import NAMES, bring_in, put, rows_of

from maskwright.data.doors import convert_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.listing import Options
from maskwright.types import InputError, Mask


def hub_folder(root: Path, metadata: dict[str, str], photos: list[str], masks: list[str]) -> dict[str, Mask]:
    found = {}
    for index, (photo, mask) in enumerate(zip(photos, masks, strict=True)):
        image, found[photo] = shapes(index)
        put(root / photo, image)
        put(root / mask, found[photo])
    for name, text in metadata.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return found


def test_hf_reads_two_file_name_columns_splits_and_labels(tmp_path: Path) -> None:
    labels = json.dumps({"0": "background", "1": "disc", "2": "box", "255": "ignore"})
    lines = [
        {"file_name": "Müh, le.jpg", "mask_file_name": "m/1.png", "town": "Köln", "size": 3, "split": "x", "id": "q"},
        {"file_name": "b.jpg", "mask_file_name": None, "town": "Bonn", "boxes": [1, 2]},
    ]
    metadata = {
        "id2label.json": labels,
        "train/metadata.jsonl": "\n".join(map(json.dumps, lines)) + "\n\n",
        "validation/metadata.csv": "\ufefffile_name,mask_file_name,town\nimages/c.jpg,masks/c.png,Ulm\n",
    }
    photos = ["train/Müh, le.jpg", "train/b.jpg", "validation/images/c.jpg"]
    masks = hub_folder(tmp_path / "hub", metadata, photos, ["train/m/1.png", "unused.png", "validation/masks/c.png"])
    built = bring_in("hf", tmp_path / "hub")
    data = built.dataset
    assert built.skipped == []
    assert data.classes.names == list(NAMES)
    assert rows_of(data) == [
        ("Müh, le", "train", "labelled"),
        ("b", "train", "unlabelled"),
        ("c", "val", "labelled"),
    ]
    assert [sample.extra["town"] for sample in data.samples] == ["Köln", "Bonn", "Ulm"]
    assert data.samples[0].extra["size"] == "3"
    assert np.array_equal(data.mask(data.samples[0]), masks[photos[0]])


@pytest.mark.parametrize("column", ["label", "mask", "annotation", "output_file_name", "semantic_map_file_name"])
def test_hf_mask_columns_of_many_names(tmp_path: Path, column: str) -> None:
    image = "input_file_name" if column == "output_file_name" else "file_name"
    text = f"{image},caption,{column}\na.jpg,hello,a.png\n"
    masks = hub_folder(tmp_path / "hub", {"metadata.csv": text}, ["a.jpg"], ["a.png"])
    data = bring_in("hf", tmp_path / "hub", Options(names=NAMES)).dataset
    assert np.array_equal(data.mask(data.samples[0]), masks["a.jpg"])
    assert data.samples[0].extra["caption"] == "hello"


def test_hf_folders_without_metadata_and_ids_without_names(tmp_path: Path) -> None:
    hub_folder(tmp_path / "hub", {}, ["test/images/a.jpg"], ["test/masks/a.png"])
    data = bring_in("hf", tmp_path / "hub").dataset
    assert rows_of(data) == [("a", "test", "labelled")]
    assert data.classes.names == ["class-0", "class-1", "class-2"]
    with pytest.raises(InputError, match=r"no metadata\.csv or metadata\.jsonl, and no pairs of folders"):
        FORMATS["hf"].read(tmp_path / "hub/test/images", Options())


@pytest.mark.parametrize(
    "way",
    ["../../../etc/passwd", "/etc/passwd", "C:\\\\x.png", "file:///etc/passwd", "..\\\\..\\\\x", "a\\u0000.png", 5],
)
def test_hf_a_way_out_of_the_folder_is_left_out(tmp_path: Path, way: str | int) -> None:
    row = '{"file_name": "a.jpg", "mask_file_name": %s}\n' % (way if isinstance(way, int) else f'"{way}"')
    good = '{"file_name": "b.jpg", "mask_file_name": "b.png"}\n'
    hub_folder(tmp_path / "hub", {"metadata.jsonl": row + good}, ["a.jpg", "b.jpg"], ["a.png", "b.png"])
    built = bring_in("hf", tmp_path / "hub", Options(names=NAMES))
    assert rows_of(built.dataset) == [("b", "train", "labelled")]
    assert len(built.skipped) == 1
    assert "metadata.jsonl, row 1" in built.skipped[0].reason


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "metadata.csv",
            "file_name,label_text\na.jpg,cat\n",
            "needs a column file_name and one such as mask_file_name",
        ),
        ("metadata.csv", "name,mask\na.jpg,a.png\n", "needs a column file_name"),
        ("metadata.csv", "file_name,mask\n", "has no rows"),
        ("metadata.jsonl", '{"file_name": "a.jpg", "mas\n', "line 1 is not valid JSON"),
        ("metadata.jsonl", "[1]\n", "line 1 is not an object"),
        ("metadata.jsonl", "[" * 100_000, "line 1 is not valid JSON"),
        ("metadata.csv", "file_name,label\na.jpg,\n", "no row of the metadata names a mask"),
        ("data/train-00000-of-00001.parquet", "PAR1", r"is Parquet, .* with a metadata\.csv"),
    ],
)
def test_hf_metadata_that_says_too_little_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    hub_folder(tmp_path / "hub", {name: text}, ["a.jpg"], ["a.png"])
    with pytest.raises(InputError, match=says) as caught:
        FORMATS["hf"].read(tmp_path / "hub", Options())
    assert str(tmp_path / "hub") in str(caught.value)


@pytest.mark.parametrize("text", ["[]", '{"a": "b"}', "{}", '{"-1": "a"}', "{", '{"0": "a", "1": "a"}'])
def test_hf_labels_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    metadata = {"metadata.csv": "file_name,mask\na.jpg,a.png\n", "id2label.json": text}
    hub_folder(tmp_path / "hub", metadata, ["a.jpg"], ["a.png"])
    with pytest.raises(InputError):
        FORMATS["hf"].read(tmp_path / "hub", Options())


def test_hf_one_name_in_several_folders_gives_several_ids(tmp_path: Path) -> None:
    text = "file_name,mask\ntrain/a.jpg,1.png\ntest/a.jpg,2.png\ntest/deep/a.jpg,3.png\n"
    photos = ["train/a.jpg", "test/a.jpg", "test/deep/a.jpg"]
    hub_folder(tmp_path / "hub", {"metadata.csv": text}, photos, ["1.png", "2.png", "3.png"])
    data = bring_in("hf", tmp_path / "hub", Options(names=NAMES)).dataset
    assert [(s.id, s.split) for s in data.samples] == [("test-a-1", "test"), ("test-a-2", "test"), ("train-a", "train")]


def test_hf_written_folder_is_as_datasets_documents(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 2, "val": 1, "test": 1})
    convert_dataset(data, "hf", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "id2label.json",
        "test",
        "train",
        "validation",
    ]
    assert (tmp_path / "out/validation/metadata.csv").read_text() == (
        "file_name,mask_file_name\nimages/shape-002.png,masks/shape-002.png\n"
    )
    assert json.loads((tmp_path / "out/id2label.json").read_text()) == {"0": "background", "1": "disc", "2": "box"}
