"""CVAT's XML for images, as CVAT writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import photo, write_shapes

from maskwright.data.build import Built
from maskwright.data.doors import Shares, contested, convert_dataset, import_dataset
from maskwright.data.formats.cvat_xml import read_dump, shapes_of
from maskwright.data.formats.listing import Options
from maskwright.imageio import write_image
from maskwright.types import InputError, Mask

HW = (24, 36)
CAR = (10, 10, 128)

# The mask of docs.cvat.ai/docs/dataset_management/formats/format-xml: 13 x 15 pixels.
WHEEL = "3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3"
TASK = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id><name>a task</name><mode>annotation</mode><subset>{subset}</subset>
      <labels>
        <label><name>car</name><color>#0a0a80</color><type>any</type>
          <attributes><attribute><name>age</name><mutable>False</mutable></attribute></attributes></label>
        <label><name>wheel</name><attributes></attributes></label>
        <label><name>ignore</name><color>#ffffff</color><type>polygon</type><attributes></attributes></label>
        <label><name>face</name><type>skeleton</type><attributes></attributes></label>
        <label><name>nose</name><type>points</type><attributes></attributes><parent>face</parent></label>
      </labels>
    </task>
    <dumped>2018-09-25 11:38:28.799808+03:00</dumped>
  </meta>
  {images}
</annotations>
"""


def image(name: str, *shapes: str, number: int = 0, extra: str = "") -> str:
    body = "\n".join(shapes)
    return f'<image id="{number}" name="{name}" {extra} width="{HW[1]}" height="{HW[0]}">{body}</image>'


def box(label: str, corners: str, z: int | None = 0, **more: Any) -> str:
    names = zip(("xtl", "ytl", "xbr", "ybr"), corners.split(), strict=True)
    attributes = "".join(f' {key}="{value}"' for key, value in [*names, *more.items()])
    order = "" if z is None else f' z_order="{z}"'
    return f'<box label="{label}" occluded="0"{attributes}{order}><attribute name="age">3</attribute></box>'


def task(folder: Path, *images: str, subset: str = "", text: str = TASK) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "annotations.xml").write_text(text.format(images="\n".join(images), subset=subset))
    for number in range(len(images)):
        write_image(folder / f"images/{'abcdef'[number]}.png", photo(HW, number))
    return folder


def imported(source: Path, options: Options | None = None) -> Built:
    return import_dataset("cvat-xml", source, source.parent / "imported", options=options, shares=Shares(val=0, test=0))


def only_mask(found: Built) -> Mask:
    (sample,) = found.dataset.samples
    return found.dataset.mask(sample)


def test_every_shape_with_an_area(tmp_path: Path) -> None:
    shapes = [
        '<polygon label="car" points="2.00,3.00;10.00,3.00;10.00,8.00;2.00,8.00" z_order="0"></polygon>',
        box("wheel", "12 2 20 6"),
        box("car", "22 4 30 6", rotation="90.0"),
        '<ellipse label="wheel" cx="8.00" cy="16.00" rx="6.00" ry="3.00" rotation="90.0" z_order="0"></ellipse>',
        f'<mask label="car" source="manual" rle="{WHEEL}" left="20" top="9" width="13" height="15" z_order="0"></mask>',
    ]
    found = imported(task(tmp_path / "src", image("a.png", *shapes)))
    assert found.skipped == []
    assert found.dataset.classes.names == ["background", "car", "wheel"]
    assert found.dataset.classes.items[1].colour == CAR
    mask = only_mask(found)
    assert (mask[3:8, 2:10] == 1).all()
    assert (mask[2:6, 12:20] == 2).all()
    assert (mask[1:9, 25:27] == 1).all()
    ellipse = mask[:, :19] == 2
    ellipse[:7] = False
    rows, columns = np.nonzero(ellipse)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 21, 5, 10)
    runs = [int(one) for one in WHEEL.split(",")]
    wheel = np.repeat(np.arange(len(runs)) % 2, runs).reshape(15, 13)
    assert np.array_equal(mask[9:24, 20:33], wheel)


@pytest.mark.parametrize("ties", ["later", "first", "smaller"])
def test_z_order_decides_before_ties(tmp_path: Path, ties: str) -> None:
    shapes = [box("car", "0 0 20 20", 5), box("wheel", "0 0 10 10", 2), box("wheel", "15 0 30 20", -1)]
    found = imported(task(tmp_path / "src", image("a.png", *shapes)), Options(ties=ties))
    mask = only_mask(found)
    assert (mask[:20, :20] == 1).all()
    assert [(row["winner"], row["loser"], row["pixels"]) for row in contested(found.dataset)] == [("car", "wheel", 200)]


@pytest.mark.parametrize("z", [0, None])
@pytest.mark.parametrize(("ties", "winner"), [("later", 2), ("first", 1), ("smaller", 1)])
def test_ties_decide_within_one_layer(tmp_path: Path, z: int | None, ties: str, winner: int) -> None:
    source = task(tmp_path / "src", image("a.png", box("car", "0 0 9 9", z), box("wheel", "0 0 20 20", z)))
    assert only_mask(imported(source, Options(ties=ties)))[4, 4] == winner


def test_what_cannot_be_used_is_left_out_alone(tmp_path: Path) -> None:
    bad = {
        "'tag' has no area": '<tag label="car" source="manual"></tag>',
        "'polyline' has no area": '<polyline label="car" points="1,1;5,5"></polyline>',
        "'points' has no area": '<points label="car" points="1,1;5,5"></points>',
        "'skeleton' has no area": '<skeleton label="face"><points label="nose" points="1,1"></points></skeleton>',
        "'cuboid' has no area": '<cuboid label="car" xtl1="1"></cuboid>',
        "label 'bus' is not": '<star label="bus"></star>',
        "'star' are not known": '<star label="car"></star>',
        "not pairs of numbers": '<polygon label="car" points="1,1;5;9,9"></polygon>',
        "at least three": '<polygon label="car" points="1,1;5,5"></polygon>',
        "finite": '<polygon label="car" points="1,1;nan,5;9,9"></polygon>',
        "xbr is 'x'": box("car", "1 1 x 5"),
        "no ytl": '<box label="car" xtl="1"></box>',
        "radius is not positive": '<ellipse label="car" cx="9" cy="9" rx="-3" ry="2"></ellipse>',
        "add up to": '<mask label="car" rle="1, 2" left="0" top="0" width="4" height="4"></mask>',
        "not whole numbers": '<mask label="car" rle="a" left="0" top="0" width="4" height="4"></mask>',
        "does not lie in": '<mask label="car" rle="" left="0" top="0" width="0" height="4"></mask>',
        "larger than the photo": '<mask label="car" rle="1" left="0" top="0" width="99999" height="99999"></mask>',
        "covers no pixel": box("car", "100 100 120 120"),
    }
    outside = box("car", "20 0 36 24", outside="1")
    found = imported(task(tmp_path / "src", image("a.png", *bad.values(), outside, box("car", "0 0 5 5"))))
    assert [row.reason for row in found.skipped if not any(key in row.reason for key in bad)] == []
    assert len(found.skipped) == len(bad)
    assert all("annotations.xml, a.png, " in row.file for row in found.skipped)
    assert int((only_mask(found) == 1).sum()) == 25


def test_projects_keep_their_subsets_and_images_without_shapes(tmp_path: Path) -> None:
    text = TASK.replace("task>", "project>")
    subsets = ("Train", "Validation", "test", "default")
    images = [
        image(f"{'abcd'[n]}.png", *([box("car", "0 0 5 5")] if n else []), number=n, extra=f'subset="{s}" task_id="7"')
        for n, s in enumerate(subsets)
    ]
    found = imported(task(tmp_path / "src", *images, text=text))
    assert [sample.split for sample in found.dataset.samples] == ["train", "val", "test", "train"]
    assert not found.dataset.mask(found.dataset.samples[0]).any()
    whole = task(tmp_path / "one/src", image("a.png", box("car", "0 0 5 5")), subset="Test")
    assert [sample.split for sample in imported(whole).dataset.samples] == ["test"]


def test_photos_elsewhere_and_names_with_folders(tmp_path: Path) -> None:
    source = task(tmp_path / "src", image("day/x.png", box("car", "0 0 5 5")), image("night/x.png"))
    for name in ("day", "night"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        write_image(tmp_path / "photos" / name / "x.png", photo(HW))
    found = imported(source, Options(images=tmp_path / "photos"))
    assert [sample.id for sample in found.dataset.samples] == ["day-x", "night-x"]
    assert [int(found.dataset.mask(sample).sum()) for sample in found.dataset.samples] == [25, 0]


def test_images_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    images = [
        image("a.png", box("car", "0 0 5 5")),
        image("b.png").replace('width="36"', 'width="37"'),
        image("c.png").replace('width="36"', ""),
        image("../../../etc/passwd"),
        image("d.png"),
        image("d.png"),
    ]
    source = task(tmp_path / "src", *images)
    found = imported(source)
    assert [sample.id for sample in found.dataset.samples] == ["a"]
    reasons = " ".join(row.reason for row in found.skipped)
    assert len(found.skipped) == 5
    for says in ("annotations are for 37x24", "has no size", "passwd', which is not in", "annotated more than once"):
        assert says in reasons


BOMB = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_documents_with_entities_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_bytes(BOMB.replace("?>", f' encoding="{encoding}"?>', 1).encode(encoding))
    with pytest.raises(InputError, match="document type definition"):
        read_dump(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("hello", "is not valid XML"),
        (TASK.format(images="", subset="")[:300], "is not valid XML"),
        ("<annotations><image id='0'", "is not valid XML"),
        ("<html></html>", "is not CVAT's XML"),
        ('<annotations><track id="0" label="car"></track></annotations>', "video tracks; export it as"),
        ("<annotations></annotations>", "lists no image"),
    ],
)
def test_other_files_are_explained(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/annotations.xml").write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        imported(tmp_path / "src")
    assert "annotations.xml" in str(caught.value)


def test_what_is_written_as_xml_is_cvats(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1, "test": 1})
    convert_dataset(data, "cvat-xml", tmp_path / "out")
    dump = read_dump(tmp_path / "out/annotations.xml")
    assert dump.labels == {"disc": (230, 97, 0), "box": (26, 133, 255), "ignore": (255, 255, 255)}
    assert [attributes["subset"] for attributes, _ in dump.images] == ["train", "test"]
    kinds = {(kind, *sorted(attributes)) for _, packed in dump.images for kind, attributes in shapes_of(packed)}
    assert kinds == {("mask", "height", "label", "left", "occluded", "rle", "source", "top", "width", "z_order")}
