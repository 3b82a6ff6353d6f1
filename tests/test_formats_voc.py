"""PASCAL VOC, with the class table of the challenge and with others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import photo, shapes
from foreign import bring_in, put
from PIL import Image as PILImage

from maskwright.data.doors import convert_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.cvat import read_labelmap
from maskwright.data.formats.listing import Options
from maskwright.data.formats.voc import NAMES as VOC_NAMES
from maskwright.data.formats.voc import VOID, palette
from maskwright.types import InputError, Mask


@pytest.fixture
def voc(tmp_path: Path) -> tuple[Path, Mask]:
    """VOCdevkit/VOC2012 with palette masks, one of train, one of val, one unlabelled of test, one photo in no list."""
    root = tmp_path / "VOCdevkit/VOC2012"
    ids = np.array([[0, 7, 15], [20, 255, 0]], np.uint8).repeat(6, 0).repeat(7, 1)
    for name in ("2007_000032", "2007_000033", "2008_000001", "2009_000009"):
        put(root / "JPEGImages" / f"{name}.jpg", photo(ids.shape))
    for name in ("2007_000032", "2007_000033"):
        (root / "SegmentationClass").mkdir(exist_ok=True)
        indexed = PILImage.frombytes("P", (ids.shape[1], ids.shape[0]), ids.tobytes())
        indexed.putpalette(bytes(np.array(palette(), np.uint8)))
        indexed.save(root / "SegmentationClass" / f"{name}.png")
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n")
    (lists / "val.txt").write_text("2007_000033\r\n\r\n")
    (lists / "trainval.txt").write_text("2007_000032\n2007_000033\n")
    (lists / "test.txt").write_text("2008_000001\n../../../etc/passwd\n")
    return root, ids


def test_voc_keeps_ids_void_splits_and_unlabelled_test_photos(voc: tuple[Path, Mask]) -> None:
    root, ids = voc
    built = bring_in("voc", root.parents[1])
    data = built.dataset
    assert data.classes.names == list(VOC_NAMES)
    assert data.classes.items[15].colour == (192, 128, 128)
    assert [(s.id, s.split, s.status) for s in data.samples] == [
        ("2007_000032", "train", "labelled"),
        ("2007_000033", "val", "labelled"),
        ("2008_000001", "test", "unlabelled"),
    ]
    assert np.array_equal(data.mask(data.samples[0]), ids)
    assert len(built.skipped) == 1
    assert "passwd is listed or has a mask, but is not there" in built.skipped[0].reason
    assert FORMATS["voc"].read(root, Options()).notes == ["1 photos in no list of ImageSets/Segmentation/ stay out"]


def test_voc_masks_saved_as_colours_are_the_same(voc: tuple[Path, Mask]) -> None:
    root, ids = voc
    for path in (root / "SegmentationClass").iterdir():
        put(path, np.array(palette(), np.uint8)[ids])
    data = bring_in("voc", root).dataset
    assert np.array_equal(data.mask(data.samples[0]), ids)
    put(root / "SegmentationClass/2007_000032.png", np.full((*ids.shape, 3), (1, 2, 3), np.uint8))
    put(root / "SegmentationClass/2007_000033.png", np.full(ids.shape, 21, np.uint8))
    listing = FORMATS["voc"].read(root, Options())
    assert listing.paint is not None
    reasons = ("holds the colour 1,2,3", "holds id 21, outside the class table")
    for item, says in zip([item for item in listing.items if item.mask], reasons, strict=True):
        with pytest.raises(InputError, match=says):
            listing.paint(item, ids.shape)


def test_voc_other_classes_come_from_a_labelmap(voc: tuple[Path, Mask]) -> None:
    root, ids = voc
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,128,0::\nBäume: hoch:10,10,128::\nignored:224,224,192::\n"
    )
    painted = np.where((ids == 0)[..., None], (0, 128, 0), (10, 10, 128)).astype(np.uint8)
    painted[ids == 255] = VOID
    for path in (root / "SegmentationClass").iterdir():
        put(path, painted)
    data = bring_in("voc", root).dataset
    assert data.classes.names == ["background", "Bäume: hoch"]
    assert np.array_equal(data.mask(data.samples[0]), np.where(ids == 255, 255, ids > 0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("road;1;2;3\n", "line 1 is not 'label:r,g,b::'"),
        ("a:1,2,3::\na:4,5,6::\n", "line 2: 'a' is listed twice"),
        ("a:1,2,3::\nb:1,2,3::\n", "'a' and 'b' share the colour"),
        ("# only a remark\n", "lists no label"),
    ],
)
def test_a_broken_labelmap_names_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "labelmap.txt").write_text(text)
    with pytest.raises(InputError, match=says):
        read_labelmap(tmp_path / "labelmap.txt")


def test_voc_without_lists_reports_lone_files_and_twins(tmp_path: Path) -> None:
    image, ids = shapes(0, ignored=False)
    for name in ("a", "b", "c"):
        put(tmp_path / "src/JPEGImages" / f"{name}.jpg", image)
    put(tmp_path / "src/JPEGImages/c.png", image)
    put(tmp_path / "src/SegmentationClass/a.png", ids)
    put(tmp_path / "src/SegmentationClass/d.png", ids)
    built = bring_in("voc", tmp_path / "src", Options(names=("ground", "disc", "box")))
    assert [s.id for s in built.dataset.samples] == ["a"]
    assert np.array_equal(built.dataset.mask(built.dataset.samples[0]), ids)
    assert {Path(row.file).stem: row.reason.split(" ", 1)[1] for row in built.skipped} == {
        "b": "has no mask of the same name in SegmentationClass/.",
        "c": f"and {tmp_path / 'src/JPEGImages/c.png'} share one stem; rename one.",
        "d": "is listed or has a mask, but is not there.",
    }
    with pytest.raises(InputError, match="not in the layout of PASCAL VOC"):
        FORMATS["voc"].read(tmp_path / "data", Options())


def test_voc_written_has_one_channel_masks_lists_and_a_labelmap(voc: tuple[Path, Mask], tmp_path: Path) -> None:
    root, ids = voc
    data = bring_in("voc", root).dataset
    convert_dataset(data, "voc", tmp_path / "out")
    with PILImage.open(tmp_path / "out/SegmentationClass/2007_000032.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.asarray(mask), ids)
        stored = mask.getpalette() or []
        assert stored[: 3 * 21] == [channel for colour in palette()[:21] for channel in colour]
        assert tuple(stored[-3:]) == VOID
    lists = {path.name: path.read_text().split() for path in (tmp_path / "out/ImageSets/Segmentation").iterdir()}
    assert lists == {
        "train.txt": ["2007_000032"],
        "val.txt": ["2007_000033"],
        "trainval.txt": ["2007_000032", "2007_000033"],
    }
    assert "aeroplane:128,0,0::" in (tmp_path / "out/labelmap.txt").read_text()
    photos = sorted(path.name for path in (tmp_path / "out/JPEGImages").iterdir())
    assert photos == ["2007_000032.jpg", "2007_000033.jpg"]
