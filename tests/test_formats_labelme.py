"""labelme's JSON as labelme and people make it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import photo, write_shapes
from PIL import Image as PILImage

from maskwright.data.build import Built
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, contested, convert_dataset, import_dataset
from maskwright.data.formats.listing import Options
from maskwright.imageio import write_image
from maskwright.types import InputError, Mask

HW = (24, 36)
SQUARE = [[2, 3], [10, 3], [10, 8], [2, 8]]


def shape(label: Any, points: Any, kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def annotate(path: Path, shapes: Any, **more: Any) -> Path:
    """A JSON file as labelme 5 writes it, with its photo beside it unless `imagePath` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if "imagePath" not in more:
        write_image(path.with_suffix(".png"), photo(HW))
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{path.stem}.png", "imageData": None}
    path.write_text(json.dumps({**content, "imageHeight": HW[0], "imageWidth": HW[1], **more}))
    return path


def imported(source: Path, options: Options | None = None) -> Built:
    target = source.with_name("imported")
    return import_dataset("labelme", source, target, options=options, shares=Shares(val=0, test=0))


def only_mask(found: Built) -> Mask:
    (sample,) = found.dataset.samples
    return found.dataset.mask(sample)


def png(pixels: Any) -> str:
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_every_shape_with_an_area(tmp_path: Path) -> None:
    patch = np.array([[255, 0, 255], [0, 255, 0]], np.uint8)
    shapes = [
        shape("box", [[30, 20], [26, 14]], "rectangle"),
        shape("disc", [[18, 10], [22, 13]], "circle"),
        shape("poly", SQUARE, None),
        shape("turned", [[2, 12], [6, 12], [6, 20], [2, 20]], "oriented_rectangle"),
        shape("patch", [[10, 20], [12, 21]], "mask", mask=png(patch)),
        shape("patch", [[33.4, 22.6], [36.1, 24.0]], "mask", mask=png(np.full((3, 5), 255, np.uint8))),
    ]
    found = imported(annotate(tmp_path / "src/a.json", shapes).parent)
    assert found.skipped == []
    assert found.dataset.classes.names == ["background", "box", "disc", "patch", "poly", "turned"]
    mask = only_mask(found)
    expected = np.zeros(HW, np.uint8)
    expected[14:20, 26:30] = 1
    expected[20:22, 10:13][patch > 0] = 3
    expected[23:, 33:] = 3  # rounded, cut at the border
    expected[3:8, 2:10] = 4
    expected[12:20, 2:6] = 5
    disc = mask == 2
    assert np.array_equal(np.where(disc, 0, mask), expected)
    y, x = np.mgrid[: HW[0], : HW[1]] + 0.5
    away = np.hypot(x - 18, y - 10) - 5
    assert disc[away < -0.5].all()
    assert not disc[away > 0.5].any()


def test_what_cannot_be_used_is_left_out_alone(tmp_path: Path) -> None:
    bad = {
        "'point' has no area": shape("key", [[3, 3]], "point"),
        "'linestrip' has no area": shape("x", [[3, 3], [5, 5]], "linestrip"),
        "at least three points": shape("x", [[3, 3], [5, 5]]),
        "not pairs of numbers": shape("x", [[3, 3, 3], [5, 5, 5], [1, 1, 1]]),
        "not a finite number": shape("x", [[float("nan"), 3], [5, 5], [9, 1]]),
        "no list of points": shape("x", None),
        "type 'star' are not known": shape("x", SQUARE, "star"),
        "two points of two numbers": shape("x", SQUARE[:3], "circle"),
        "covers no pixel": shape("x", [[-9, -9], [-5, -9], [-5, -5]]),
        "radius is not positive": shape("x", [[5, 5], [5, 5]], "circle"),
        "has no mask": shape("x", [[1, 1], [2, 2]], "mask"),
        "its mask": shape("x", [[1, 1], [2, 2]], "mask", mask="aGVsbG8="),
        "label None is not": shape(None, SQUARE),
        "it is not a shape": 5,
    }
    found = imported(annotate(tmp_path / "src/a.json", [*bad.values(), shape("x", SQUARE)]).parent)
    assert [row.reason for row in found.skipped if not any(key in row.reason for key in bad)] == []
    assert len(found.skipped) == len(bad)
    assert all("a.json, shape " in row.file for row in found.skipped)
    assert int((only_mask(found) == 1).sum()) == 40


def test_names_for_ignore_and_background_and_a_list_of_labels(tmp_path: Path) -> None:
    shapes = [
        shape("cat", [[0, 0], [20, 20]], "rectangle"),
        shape("__ignore__", [[10, 0], [36, 10]], "rectangle"),
        shape("_background_", [[0, 0], [4, 4]], "rectangle"),
    ]
    source = annotate(tmp_path / "src/a.json", shapes).parent
    (source / "labels.txt").write_text("__ignore__\n_background_\nzebra\ncat\n")
    found = imported(source)
    assert found.dataset.classes.names == ["background", "zebra", "cat"]
    mask = only_mask(found)
    assert mask[2, 2] == 0
    assert mask[5, 15] == 2  # every class wins over ignore
    assert mask[5, 30] == 255
    assert {(row["winner"], row["loser"]) for row in contested(found.dataset)} == {
        ("cat", "ignore"),
        ("background", "cat"),
    }


@pytest.mark.parametrize(("ties", "winner"), [("later", 2), ("first", 1), ("smaller", 1)])
def test_ties_and_groups(tmp_path: Path, ties: str, winner: int) -> None:
    # The pole is smaller than the car as a whole, though larger than the car's first part.
    parts = [shape("car", [[x, 0], [x + 30, 20]], "rectangle", group_id=7) for x in (0, 40)]
    pole = shape("a pole", [[0, 0], [35, 20]], "rectangle")
    source = annotate(tmp_path / "src/a.json", [pole, *parts]).parent
    mask = only_mask(imported(source, Options(ties=ties)))
    assert mask[5, 5] == winner


def test_class_choices(tmp_path: Path) -> None:
    shapes = [shape(name, [[x, 0], [x + 5, 5]], "rectangle") for name, x in (("cat", 0), ("dog", 10), ("oak", 20))]
    source = annotate(tmp_path / "src/a.json", shapes).parent
    groups = tmp_path / "groups.yaml"
    groups.write_text("animal: [cat, dog]\n")
    cases: list[tuple[Options, list[str], list[int]]] = [
        (Options(names=("oak", "cat")), ["background", "oak", "cat"], [2, 0, 1]),
        (Options(kind="binary"), ["background", "object"], [1, 1, 1]),
        (Options(kind="groups", groups=groups), ["background", "animal"], [1, 1, 0]),
    ]
    for number, (options, names, ids) in enumerate(cases):
        found = import_dataset("labelme", source, tmp_path / str(number), options=options, shares=Shares(val=0, test=0))
        assert found.dataset.classes.names == names
        assert only_mask(found)[2, [2, 12, 22]].tolist() == ids


def test_embedded_photos_and_photos_from_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "src"
    jpeg = io.BytesIO()
    PILImage.fromarray(photo(HW)).save(jpeg, "JPEG")
    embedded = base64.b64encode(jpeg.getvalue()).decode()
    annotate(source / "ann/a.json", [shape("x", SQUARE)], imagePath="lost.bmp", imageData=embedded)
    annotate(source / "ann/b.json", [shape("x", SQUARE)], imagePath="C:\\Users\\me\\images\\b.png")
    annotate(source / "ann/c.json", [shape("x", SQUARE)], imagePath="../images/c.png")
    for name in "bc":
        (source / "images").mkdir(exist_ok=True)
        write_image(source / f"images/{name}.png", photo(HW))
    found = imported(source)
    assert found.skipped == []
    assert [sample.image for sample in found.dataset.samples] == ["images/b.png", "images/c.png", "images/lost.jpg"]
    assert (found.dataset.path / "images/lost.jpg").read_bytes() == jpeg.getvalue()


def test_files_that_cannot_be_used_are_quarantined(tmp_path: Path) -> None:
    source = tmp_path / "src"
    annotate(source / "good.json", [shape("x", SQUARE)])
    (source / "cut.json").write_text((source / "good.json").read_text()[:100])
    (source / "deep.json").write_text("[" * 200_000)
    (source / "other.json").write_text('{"images": []}')
    (source / "empty.json").write_text("")
    annotate(source / "size.json", [shape("x", SQUARE)], imageHeight=99)
    annotate(source / "away.json", [shape("x", SQUARE)], imagePath="../../etc/passwd")
    annotate(source / "text.json", [shape("x", SQUARE)], imagePath="t.png", imageData="aGVsbG8gd29ybGQgaGVsbG8=")
    annotate(source / "good copy.json", [shape("x", SQUARE)], imagePath="twice.png")
    annotate(source / "twice.json", [shape("x", SQUARE)])
    (tmp_path / "passwd").write_bytes((source / "good.png").read_bytes())
    found = imported(source)
    assert [sample.id for sample in found.dataset.samples] == ["good"]
    reasons = {Path(row.file).stem: row.reason for row in found.skipped}
    assert "is not valid JSON" in reasons["cut"]
    assert "is not valid JSON" in reasons["deep"]
    assert "no list of shapes" in reasons["other"]
    assert "is empty" in reasons["empty"]
    assert "annotations are for 36x99" in reasons["size"]
    assert "'../../etc/passwd', which is not in" in reasons["away"]
    assert "imageData is no photo" in reasons["text"]
    assert "annotated more than once" in reasons["twice"]
    assert "annotated more than once" in reasons["good copy"]


def test_splits_of_folders_and_namesakes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        annotate(tmp_path / f"src/{split}/a.json", [shape("x", SQUARE)])
    found = imported(tmp_path / "src")
    assert [(sample.id, sample.split) for sample in found.dataset.samples] == [("train-a", "train"), ("val-a", "val")]


@pytest.mark.parametrize("content", ["", "{}", '{"shapes": []}'])
def test_a_source_without_anything_is_explained(tmp_path: Path, content: str) -> None:
    source = tmp_path / "src"
    source.mkdir()
    if content:
        (source / "a.json").write_text(content)
    with pytest.raises(InputError, match=r"holds no labelme JSON that can be used.*\.$"):
        imported(source)


def test_what_is_written_is_labelmes(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 2, "val": 1})
    convert_dataset(data, "labelme", tmp_path / "out")
    content = json.loads((tmp_path / "out/train/shape-000.json").read_text())
    keys = {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
    assert set(content) == keys
    assert content["imagePath"] == "shape-000.png"
    assert {entry["shape_type"] for entry in content["shapes"]} == {"polygon"}
    assert {entry["label"] for entry in content["shapes"]} <= {"disc", "box", "__ignore__"}
    assert (tmp_path / "out/labels.txt").read_text() == "__ignore__\n_background_\ndisc\nbox\n"


def test_a_label_added_in_the_tool_becomes_a_class(tmp_path: Path) -> None:
    convert_dataset(write_shapes(tmp_path / "data", {"train": 2}), "labelme", tmp_path / "out")
    path = tmp_path / "out/train/shape-000.json"
    content = json.loads(path.read_text())
    content["shapes"].append(shape("new one", SQUARE))
    path.write_text(json.dumps(content))
    again = imported(tmp_path / "out").dataset
    assert again.classes.names == ["background", "disc", "box", "new one"]
    assert again.mask(again.samples[0])[5, 5] == 3


@pytest.mark.parametrize("format", ["labelme", "cvat", "cvat-xml", "labelstudio", "yolo", "ultralytics"])
def test_a_table_without_background_and_with_priorities_survives(tmp_path: Path, format: str) -> None:
    data = write_shapes(tmp_path / "data", {"train": 2})
    record = {"classes": data.classes.to_dict()["classes"], "background": None}
    record["classes"][1]["priority"] = 3.0
    bare = Dataset.create(data.path, type(data.classes).from_dict(record), data.samples, {})
    convert_dataset(bare, format, tmp_path / "out")
    again = import_dataset(format, tmp_path / "out", tmp_path / "again", shares=Shares(val=0, test=0)).dataset
    assert again.classes == bare.classes
    assert all(np.array_equal(bare.mask(a), again.mask(b)) for a, b in zip(bare.samples, again.samples, strict=True))


@pytest.mark.parametrize("format", ["labelme", "cvat", "cvat-xml", "labelstudio", "yolo", "ultralytics"])
def test_a_class_called_ignore_is_refused(tmp_path: Path, format: str) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1})
    record = data.classes.to_dict()
    record["classes"][1]["name"] = "ignore"
    bare = Dataset.create(data.path, type(data.classes).from_dict(record), data.samples, {})
    with pytest.raises(InputError, match="called 'ignore', which means ignored here; rename it"):
        convert_dataset(bare, format, tmp_path / "out")
    assert not (tmp_path / "out").exists()
