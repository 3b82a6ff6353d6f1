"""Label Studio's JSON export, as it writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from drawing import photo, write_shapes

from maskwright.data.build import Built
from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats.labelstudio import read
from maskwright.data.formats.listing import Options
from maskwright.data.pixels.brush import labelstudio_from_mask
from maskwright.imageio import write_image
from maskwright.types import InputError, Mask

HW = (20, 40)


def region(kind: str, label: str | list[str], **value: Any) -> dict[str, Any]:
    """One result of an annotation; coordinates are percentages."""
    labels = {kind: [label] if isinstance(label, str) else label}
    return {
        "id": "djbpw94CXj",
        "type": kind,
        "value": {**value, **labels},
        "origin": "manual",
        "to_name": "image",
        "from_name": "label",
        "image_rotation": 0,
        "original_width": HW[1],
        "original_height": HW[0],
    }


def square(label: str | list[str] = "cat", **more: Any) -> dict[str, Any]:
    """8 x 4 pixels from (4, 2)."""
    return region("rectanglelabels", label, x=10, y=10, width=20, height=20, rotation=0) | more


def annotation(*results: Any, day: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": day,
        "result": list(results),
        "was_cancelled": False,
        "updated_at": f"2023-01-{day:02}T07:40Z",
        **more,
    }


def task(image: str, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 7, "annotations": list(annotations), "predictions": [], "data": {"image": image}, **more}


def export(folder: Path, *tasks: Any, photos: tuple[str, ...] = ("a.png",)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in photos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, photo(HW))
    (folder / "export.json").write_text(json.dumps(list(tasks)))
    return folder


def imported(source: Path, options: Options | None = None) -> Built:
    return import_dataset("labelstudio", source, source.parent / "new", options=options, shares=Shares(val=0, test=0))


def only_mask(found: Built) -> Mask:
    (sample,) = found.dataset.samples
    return found.dataset.mask(sample)


def test_every_region_with_an_area(tmp_path: Path) -> None:
    brush = np.zeros(HW, np.uint8)
    brush[15:19, 30:39] = 1
    results = [
        square("cat"),
        region("polygonlabels", "dog", points=[[50, 0], [75, 0], [75, 25], [50, 25]], closed=True),
        # 90 degrees clockwise about the upper left corner (36, 2): it lies to the left of it.
        region("rectanglelabels", "dog", x=90, y=10, width=20, height=10, rotation=90),
        region("ellipselabels", "oak", x=25, y=75, radiusX=10, radiusY=10, rotation=0),
        region("brushlabels", "moss", format="rle", rle=labelstudio_from_mask(brush)),
    ]
    found = imported(export(tmp_path / "src", task("/data/upload/3/a.png", annotation(*results))))
    assert found.skipped == []
    assert found.dataset.classes.names == ["background", "cat", "dog", "moss", "oak"]
    mask = only_mask(found)
    expected = np.zeros(HW, np.uint8)
    expected[2:6, 4:12] = 1
    expected[0:5, 20:30] = 2
    expected[2:10, 34:36] = 2
    expected[15:19, 30:39] = 3
    ellipse = mask == 4
    assert np.array_equal(np.where(ellipse, 0, mask), expected)
    rows, columns = np.nonzero(ellipse)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 16, 6, 13)


def test_a_real_brush(tmp_path: Path) -> None:
    """`decode_rle` of label-studio-converter: a header of 32 + 5 + 4 x 4 bits, then the runs."""
    bits = f"{8 * 4:032b}" + "00111" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    bits += "1" + "01" + f"{16 - 1:04b}" + f"{0:08b}"  # four clear pixels, repeated
    bits += "0" + "00" + f"{4 - 1:03b}" + "".join(f"{value:08b}" for value in (0, 0, 0, 0))  # one more, written out
    bits += "1" + "01" + f"{12 - 1:04b}" + f"{255:08b}"  # three set ones
    bits += "0" * (-len(bits) % 8)
    rle = [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]
    folder = tmp_path / "src"
    one = region("brushlabels", "moss", format="rle", rle=rle) | {"original_width": 4, "original_height": 2}
    export(folder, task("a.png", annotation(one)))
    write_image(folder / "a.png", photo((2, 4)))
    assert only_mask(imported(folder)).tolist() == [[0, 0, 0, 0], [0, 1, 1, 1]]


def test_separate_labels_and_things_that_are_no_shapes(tmp_path: Path) -> None:
    shape = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]]}
    results = [
        region("polygon", "", **shape) | {"value": shape},
        region("labels", "cat", **shape),
        {"type": "choices", "value": {"choices": ["good"]}, "to_name": "image", "from_name": "c"},
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
    ]
    source = export(tmp_path / "src", task("a.png", annotation(*results)))
    assert "choices, texts and the like, which are no shapes: 1" in read(source, Options()).notes
    found = imported(source)
    assert found.skipped == []
    assert int((only_mask(found) == 1).sum()) == 200


def test_the_latest_annotation_that_was_not_cancelled(tmp_path: Path) -> None:
    tasks = [
        task("a.png", annotation(square("new"), day=9), annotation(square("old"), day=2)),
        task("b.png", annotation(square("old"), day=2), annotation(square("no"), day=9, was_cancelled=True)),
        task("c.png", annotation(square("no"), was_cancelled=True)),
        task("d.png", annotation()),
        {
            "id": 1,
            "data": {"image": "e.png"},
            "completions": [annotation(square("old")), {"result": [], "skipped": True}],
        },
    ]
    source = export(tmp_path / "src", *tasks, photos=tuple(f"{name}.png" for name in "abcde"))
    assert read(source, Options()).notes == [
        "photos with several annotations, of which the latest is taken: 1",
        "cancelled annotations, not taken: 3",
        "photos without an annotation, so unlabelled: 1",
    ]
    data = imported(source).dataset
    assert data.classes.names == ["background", "new", "old"]
    found = {sample.id: int(data.mask(sample).max()) if sample.mask else None for sample in data.samples}
    assert found == {"a": 1, "b": 2, "c": None, "d": 0, "e": 2}


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("/data/upload/3/0abcdef1-my%20cat.png", "my cat.png"),
        ("/data/upload/0abcdef1-x.png", "0abcdef1-x.png"),
        ("/data/local-files/?d=set%2Fone/x.png", "one/x.png"),
        ("s3://bucket/folder/x.png", "x.png"),
        ("https://example.org/p/x.png?token=a.b/c.png", "p/x.png"),
        ("C:\\photos\\x.png", "x.png"),
    ],
)
def test_photos_are_found_by_name(tmp_path: Path, written: str, file: str) -> None:
    source = export(tmp_path / "src", task(written, annotation(square())), photos=())
    for name in (file, "other/y.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "photos" / name, photo(HW))
    data = imported(source, Options(images=tmp_path / "photos")).dataset
    assert [sample.id for sample in data.samples] == [Path(file).stem]


def test_other_columns_and_the_name_of_an_upload(tmp_path: Path) -> None:
    tasks = [
        {"id": 1, "data": {"text": "hello", "picture": "a.png"}, "annotations": [annotation(square())]},
        {"id": 2, "data": {"image": "/image2"}, "file_upload": "e97d4735-b.png", "annotations": [annotation(square())]},
    ]
    data = imported(export(tmp_path / "src", *tasks, photos=("a.png", "b.png"))).dataset
    assert [sample.id for sample in data.samples] == ["a", "b"]


def test_regions_that_cannot_be_used_are_left_out_alone(tmp_path: Path) -> None:
    bad = {
        "'keypointlabels' has no area": region("keypointlabels", "eye", x=1, y=1, width=0.2),
        "'vectorlabels' has no area": region("vectorlabels", "cat", vertices=[]),
        "'cubelabels' are not known": region("cubelabels", "cat", x=1),
        "2 labels": square(["cat", "dog"]),
        "no labels": square([]),
        "turned in Label Studio": square(image_rotation=90),
        "40 x 99 pixels": square(original_height=99),
        "not made of numbers": region("rectanglelabels", "cat", x="left", y=1, width=2, height=3),
        "at least three points": region("polygonlabels", "cat", points=[[1, 1]]),
        "not pairs": region("polygonlabels", "cat", points=[1, 2, 3]),
        "list of numbers from 0": region("brushlabels", "cat", format="rle", rle=[1, 999]),
        "ends before its last": region("brushlabels", "cat", format="rle", rle=[1, 2, 3]),
        "covers no pixel": region("rectanglelabels", "cat", x=200, y=1, width=2, height=3),
        "radius": region("ellipselabels", "cat", x=50, y=50, radiusX=0, radiusY=3),
    }
    found = imported(export(tmp_path / "src", task("a.png", annotation(square(), *bad.values()))))
    assert [row.reason for row in found.skipped if not any(key in row.reason for key in bad)] == []
    assert len(found.skipped) == len(bad)
    assert all("export.json, task 0, region " in row.file for row in found.skipped)
    assert int((only_mask(found) == 1).sum()) == 32


def test_tasks_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    tasks = [
        task("a.png", annotation(square())),
        5,
        task("../../etc/passwd", annotation(square())),
        {"id": 1, "data": {"text": "no photo"}, "annotations": []},
        task("twice.png", annotation(square())),
        task("twice.png", annotation(square())),
        task("b.png", annotation(square() | {"value": 7})),
        task("c.png", annotation(square(original_height=21))),
    ]
    found = imported(export(tmp_path / "src", *tasks, photos=("a.png", "b.png", "c.png", "twice.png")))
    assert [sample.id for sample in found.dataset.samples] == ["a"]
    reasons = " ".join(row.reason for row in found.skipped)
    assert len(found.skipped) == 7
    for says in (
        "task 1 is malformed",
        "passwd', which is not in",
        "names no photo",
        "annotated more than once",
        "40x21",
    ):
        assert says in reasons, says


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("[{", "is not a list of tasks"),
        ("{}", "is not a list of tasks"),
        ("[" * 100_000, "is not a list of tasks"),
        ("[]", "as JSON, not as JSON-MIN"),
        ('[{"image": "a.png", "label": [], "annotation_id": 1}]', "as JSON, not as JSON-MIN"),
        ('[{"annotations": [{"result": [NaN]}]}]', "is not a list of tasks"),
    ],
)
def test_other_files_are_explained(tmp_path: Path, content: str, says: str) -> None:
    source = export(tmp_path / "src")
    (source / "export.json").write_text(content)
    with pytest.raises(InputError, match=rf"export.json.*{says}"):
        imported(source)


def test_several_exports_in_a_folder_are_ambiguous(tmp_path: Path) -> None:
    source = export(tmp_path / "src")
    (source / "second.json").write_text("[]")
    with pytest.raises(InputError, match="holds 2 JSON files; name the one"):
        imported(source)


def test_what_is_written_is_label_studios(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1, "val": 1})
    convert_dataset(data, "labelstudio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert [one["data"]["split"] for one in tasks] == ["train", "val"]
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=images/shape-000.png"
    results = tasks[0]["annotations"][0]["result"]
    assert {one["type"] for one in results} == {"brushlabels"}
    config = ElementTree.parse(tmp_path / "out/label_config.xml")
    names = [label.attrib["value"] for label in config.iter("Label")]
    assert names == ["disc", "box", "ignore"]
    assert {one["value"]["brushlabels"][0] for one in results} <= set(names)
    (brush,) = (element for element in config.iter("BrushLabels"))
    assert (brush.attrib["name"], brush.attrib["toName"]) == (results[0]["from_name"], results[0]["to_name"])
