"""CVAT's "Segmentation mask 1.1", as CVAT writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import photo, write_shapes
from PIL import Image as PILImage

from maskwright.data.build import Built
from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats.listing import Options
from maskwright.imageio import write_image
from maskwright.types import Colour, InputError

ALL = Shares(val=0, test=0)
HW = (24, 36)
CAR = (10, 10, 128)


def imported(source: Path, options: Options | None = None) -> Built:
    return import_dataset("cvat", source, source.parent / "imported", options=options, shares=ALL)


def masks(folder: Path, table: str, painted: dict[str, dict[Colour, tuple[slice, slice]]], *, lists: str = "") -> Path:
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    (folder / "labelmap.txt").write_text(f"# label:color_rgb:parts:actions\n{table}")
    for name, areas in painted.items():
        pixels = np.zeros((*HW, 3), np.uint8)
        for colour, area in areas.items():
            pixels[area] = colour
        for part in ("JPEGImages", "SegmentationClass"):
            (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
        PILImage.fromarray(pixels).save(folder / "SegmentationClass" / f"{name}.png")
        write_image(folder / "JPEGImages" / f"{name}.png", photo(HW))
    (folder / "ImageSets/Segmentation/default.txt").write_text(lists or "\n".join(painted))
    return folder


TABLE = "background:0,0,0::\nhard hat:10,10,128::\na:b, c:192,0,64:head,hand:run\nignore:224,224,192::\n"
AREA = (slice(2, 9), slice(3, 12))
OTHER = (slice(12, 20), slice(3, 12))


def test_masks_by_the_colours_of_the_labelmap(tmp_path: Path) -> None:
    painted = {
        "seq 1/ä.0": {CAR: AREA, (192, 0, 64): OTHER, (224, 224, 192): (slice(0, 1), slice(0, 9))},
        "seq 2/ä.0": {(255, 255, 255): AREA},
    }
    table = TABLE + "white:255,255,255::\n"
    found = imported(masks(tmp_path / "src", table, painted))
    assert found.skipped == []
    data = found.dataset
    assert data.classes.names == ["background", "hard hat", "a:b, c", "white"]
    assert data.classes.background == 0
    assert data.classes.items[1].colour == CAR
    assert [sample.id for sample in data.samples] == ["seq 1-ä.0", "seq 2-ä.0"]
    first, second = (data.mask(sample) for sample in data.samples)
    assert np.unique(first[AREA]).tolist() == [1]
    assert np.unique(first[OTHER]).tolist() == [2]
    assert np.unique(first[0, :9]).tolist() == [255]
    assert np.unique(second).tolist() == [0, 3]


def test_choices_and_unknown_colours_of_masks(tmp_path: Path) -> None:
    painted = {"a": {CAR: AREA, (192, 0, 64): OTHER}, "b": {(11, 11, 127): AREA}}
    source = masks(tmp_path / "src", TABLE, painted)
    cases: list[tuple[Options, list[str], list[int]]] = [
        (Options(unknown="nearest"), ["background", "hard hat", "a:b, c"], [1, 2, 1]),
        (Options(unknown="ignore"), ["background", "hard hat", "a:b, c"], [1, 2, 255]),
        (Options(unknown="nearest", names=("a:b, c",)), ["background", "a:b, c"], [0, 1, 0]),
        (Options(unknown="nearest", kind="binary"), ["background", "object"], [1, 1, 1]),
    ]
    for number, (options, names, ids) in enumerate(cases):
        data = import_dataset("cvat", source, tmp_path / f"{number}", options=options, shares=ALL).dataset
        assert data.classes.names == names
        a, b = (data.mask(sample) for sample in data.samples)
        assert [int(a[4, 4]), int(a[14, 4]), int(b[4, 4])] == ids
    strict = imported(source)
    assert [sample.id for sample in strict.dataset.samples] == ["a"]
    assert "holds the colour 11,11,127" in strict.skipped[0].reason


def test_photos_without_masks_lists_and_photos_elsewhere(tmp_path: Path) -> None:
    source = masks(tmp_path / "src", TABLE, {"a": {CAR: AREA}, "b": {}}, lists="a\nb\ngone\n")
    (source / "ImageSets/Segmentation/val.txt").write_text("b\n")
    write_image(source / "JPEGImages/c.png", photo(HW))
    found = imported(source)
    rows = [(sample.id, sample.split, sample.status) for sample in found.dataset.samples]
    assert rows == [("a", "train", "labelled"), ("b", "val", "labelled"), ("c", "train", "unlabelled")]
    assert [row.file for row in found.skipped] == ["gone"]
    (source / "JPEGImages").rename(tmp_path / "photos")
    with pytest.raises(InputError, match="name the photos with --images"):
        import_dataset("cvat", source, tmp_path / "x")
    options = Options(images=tmp_path / "photos")
    again = import_dataset("cvat", source, tmp_path / "y", options=options, shares=ALL)
    assert len(again.dataset.samples) == 3


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "lists no label"),
        ("car:1,2::\n", "line 2 is not 'label:r,g,b::'"),
        ("car:1,2,300::\n", "line 2: .* is not a colour"),
        ("car:1,2,3::\ncar:4,5,6::\n", "line 3: 'car' is listed twice"),
        ("car:1,2,3::\nbus:1,2,3::\n", "'car' and 'bus' share the colour"),
    ],
)
def test_a_broken_labelmap_is_explained(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"labelmap.txt.*{says}|labelmap.txt {says}"):
        imported(masks(tmp_path / "src", table, {"a": {}}))


def test_a_folder_that_is_not_cvats_is_explained(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with pytest.raises(InputError, match=r"labelmap.txt does not exist"):
        imported(tmp_path / "src")
    source = masks(tmp_path / "other/src", TABLE, {"a": {}})
    (source / "JPEGImages/a.png").rename(source / "JPEGImages/z.png")
    with pytest.raises(InputError, match="no photo with a mask of the same name"):
        imported(source)


def test_what_is_written_as_masks_is_cvats(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", {"train": 1, "test": 1})
    convert_dataset(data, "cvat", tmp_path / "out")
    assert (tmp_path / "out/labelmap.txt").read_text().splitlines() == [
        "# label:color_rgb:parts:actions",
        "background:60,60,60::",
        "disc:230,97,0::",
        "box:26,133,255::",
        "ignore:255,255,255::",
    ]
    assert (tmp_path / "out/ImageSets/Segmentation/test.txt").read_text() == "shape-001\n"
    with PILImage.open(tmp_path / "out/SegmentationClass/shape-000.png") as mask:
        assert mask.mode == "RGB"
