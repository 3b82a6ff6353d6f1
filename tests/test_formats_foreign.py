"""Folders as other people make them, with known content."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import shapes
from PIL import Image as PILImage

from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, import_dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.colour import read_table
from maskwright.data.formats.folders import kind_of
from maskwright.data.formats.listing import IMAGE_FOLDERS, MASK_FOLDERS, Options, find_pairs
from maskwright.types import Image, InputError, Mask

ALL = Shares(val=0, test=0)
PAINT = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], np.uint8)


def put(path: Path, pixels: Image | Mask) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(pixels).save(path)


def put_pair(image: Path, mask: Path, seed: int = 0) -> Mask:
    photo, ids = shapes(seed, ignored=False)
    put(image, photo)
    put(mask, ids)
    return ids


def imported(format: str, source: Path, options: Options | None = None, *, yes: bool = True) -> Dataset:
    target = source.parent / f"{source.name}-imported"
    return import_dataset(format, source, target, options=options, shares=ALL, confirm=lambda _: yes).dataset


@pytest.mark.parametrize("pattern", ["{kind}/{split}/{name}", "{split}/{kind}/{name}", "{kind}/{split}/deep/{name}"])
@pytest.mark.parametrize(
    ("word", "split"), [("train", "train"), ("valid", "val"), ("validation", "val"), ("test", "test")]
)
def test_split_folders_inside_and_outside(tmp_path: Path, pattern: str, word: str, split: str) -> None:
    source = tmp_path / "src"
    put_pair(
        source / pattern.format(kind="images", split=word, name="a.jpg"),
        source / pattern.format(kind="masks", split=word, name="a.png"),
    )
    data = imported("index", source, Options(names=("a", "b", "c")))
    assert [(s.id, s.split) for s in data.samples] == [("a", split)]


@pytest.mark.parametrize("images", IMAGE_FOLDERS)
def test_synonyms_of_image_folders(tmp_path: Path, images: str) -> None:
    put_pair(tmp_path / images / "a.jpg", tmp_path / "masks" / "a.png")
    assert [pair.id for pair in find_pairs(tmp_path, Options())[0]] == ["a"]


@pytest.mark.parametrize("masks", MASK_FOLDERS)
def test_synonyms_of_mask_folders(tmp_path: Path, masks: str) -> None:
    put_pair(tmp_path / "images" / "a.jpg", tmp_path / masks / "a.png")
    assert [pair.id for pair in find_pairs(tmp_path, Options())[0]] == ["a"]


def test_folders_of_any_name_and_masks_with_a_longer_name(tmp_path: Path) -> None:
    put_pair(tmp_path / "rgb" / "a.jpg", tmp_path / "truth" / "a_L.png")
    put_pair(tmp_path / "rgb" / "b.jpg", tmp_path / "truth" / "b_L.png")
    with pytest.raises(InputError, match="name it with --images"):
        find_pairs(tmp_path, Options())
    with pytest.raises(InputError, match="say so with --mask-suffix"):
        find_pairs(tmp_path, Options(images=Path("rgb"), masks=Path("truth")))
    for options in (
        Options(images=Path("rgb"), masks=Path("truth"), mask_suffix="_L"),
        Options(images=tmp_path / "rgb", masks=tmp_path / "truth", mask_suffix="_L"),
    ):
        pairs, alone = find_pairs(tmp_path, options)
        assert [(pair.id, pair.mask.name) for pair in pairs] == [("a", "a_L.png"), ("b", "b_L.png")]
        assert alone == []


def test_what_has_no_partner_or_a_twin_is_listed(tmp_path: Path) -> None:
    put_pair(tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png")
    put_pair(tmp_path / "images" / "b.png", tmp_path / "masks" / "other.png")
    put_pair(tmp_path / "images" / "c.png", tmp_path / "masks" / "c.png")
    put_pair(tmp_path / "images" / "c.jpg", tmp_path / "masks" / "d.bmp")
    pairs, alone = find_pairs(tmp_path, Options())
    assert [pair.id for pair in pairs] == ["a"]
    left_out = {Path(row.file).relative_to(tmp_path).as_posix() for row in alone}
    assert left_out == {"images/b.png", "masks/other.png", "images/c.png", "images/c.jpg", "masks/c.png", "masks/d.bmp"}
    assert all(row.file in row.reason or "share one stem" in row.reason for row in alone)


def test_two_masks_whose_suffix_is_cut_to_one_stem_are_listed(tmp_path: Path) -> None:
    put_pair(tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png")
    put_pair(tmp_path / "images" / "b.png", tmp_path / "masks" / "b_mask.png")
    put_pair(tmp_path / "images" / "b.png", tmp_path / "masks" / "b.png")
    pairs, alone = find_pairs(tmp_path, Options(mask_suffix="_mask"))
    assert [pair.id for pair in pairs] == ["a"]
    assert {Path(row.file).name for row in alone} == {"b.png", "b_mask.png"}


def test_one_stem_in_two_splits_makes_two_ids(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put_pair(tmp_path / "src/images" / split / "0001.jpg", tmp_path / "src/masks" / split / "0001.png")
    data = imported("index", tmp_path / "src", Options(names=("a", "b", "c")))
    assert [(s.id, s.split) for s in data.samples] == [("test-0001", "test"), ("train-0001", "train")]


def test_ids_with_gaps_are_closed_and_named_after_themselves(tmp_path: Path) -> None:
    ids = put_pair(tmp_path / "src/images/a.jpg", tmp_path / "src/masks/a.png")
    put(tmp_path / "src/masks/a.png", np.array([7, 24, 26], np.uint8)[ids])
    data = imported("index", tmp_path / "src")
    assert data.classes.names == ["class-7", "class-24", "class-26"]
    assert np.array_equal(data.mask(data.samples[0]), ids)
    ignoring = import_dataset("index", tmp_path / "src", tmp_path / "b", options=Options(ignore_ids=(24,)), shares=ALL)
    assert ignoring.dataset.classes.names == ["class-7", "class-26"]
    expected = np.array([0, 255, 1], np.uint8)[ids]
    assert np.array_equal(ignoring.dataset.mask(ignoring.dataset.samples[0]), expected)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255], "binary"),
        ([0, 1], "index"),
        ([0, 1, 2, 255], "index"),
        ([0, 128, 255], "index"),
        ([*range(0, 256, 2), 255], "binary"),
        (list(range(100)), "index"),
    ],
)
def test_folders_finds_out_the_kind_of_grey_masks(tmp_path: Path, values: list[int], kind: str) -> None:
    put_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png")
    put(tmp_path / "masks/a.png", np.resize(np.array(values, np.uint8), (48, 64)))
    pairs, _ = find_pairs(tmp_path, Options())
    assert kind_of(pairs, Options())[0] == kind


def test_folders_finds_colours(tmp_path: Path) -> None:
    ids = put_pair(tmp_path / "src/images/a.png", tmp_path / "src/masks/a.png")
    put(tmp_path / "src/masks/a.png", PAINT[ids])
    data = imported("folders", tmp_path / "src")
    assert set(data.classes.names) == {"colour-000000", "colour-ff0000", "colour-0000ff"}


def test_smoothed_black_and_white_is_decided_at_the_middle(tmp_path: Path) -> None:
    put_pair(tmp_path / "src/images/a.png", tmp_path / "src/masks/a.png")
    hard = np.zeros((48, 64), np.uint8)
    cv2.circle(hard, (30, 20), 15, 255, -1)
    put(tmp_path / "src/masks/a.png", np.asarray(cv2.GaussianBlur(hard, (0, 0), 1.5), np.uint8))
    data = imported("folders", tmp_path / "src", Options(names=("lake",)))
    assert data.classes.names == ["background", "lake"]
    mask = data.mask(data.samples[0])
    assert set(np.unique(mask)) == {0, 1}
    assert (mask != hard // 255).mean() < 0.02


@pytest.mark.parametrize("bright", [1, 255])
def test_binary_takes_1_and_255_alike(tmp_path: Path, bright: int) -> None:
    ids = put_pair(tmp_path / "src/images/a.png", tmp_path / "src/masks/a.png")
    put(tmp_path / "src/masks/a.png", ((ids > 0) * bright).astype(np.uint8))
    data = imported("binary", tmp_path / "src")
    assert np.array_equal(data.mask(data.samples[0]), (ids > 0).astype(np.uint8))


TABLES = {
    "label_colors.txt": "64 128 64\tAnimal\n192 0 128\tArchway gate\n# comment\n\n0 0 0 Void\n",
    "names_first.csv": "name,r,g,b\nAnimal,64,128,64\nArchway gate,192,0,128\nVoid,0,0,0\n",
    "semicolons.csv": "Animal;64;128;64\nArchway gate;192;0;128\nVoid;0;0;0\n",
    "table.yaml": "Animal: [64, 128, 64]\nArchway gate: '#c00080'\nVoid: 0 0 0\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_colour_tables_of_every_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TABLES[name])
    assert read_table(tmp_path / name) == {(64, 128, 64): "Animal", (192, 0, 128): "Archway gate", (0, 0, 0): "Void"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.txt", "a,1,2,3\nb,1,2,3\n", "'a' and 'b' share the colour"),
        ("t.txt", "name,r,g,b\n", "holds no colours"),
        ("t.txt", "road,1,2\n", "is not a colour; write name,r,g,b"),
        ("t.txt", "road,1,2,300\n", "is not a colour"),
        ("t.yaml", "- a\n", "must map class names to colours"),
        ("t.yaml", "road: 5\n", "is not a colour"),
        ("t.yaml", "road:\n", "is not a colour"),
        ("t.yaml", "road: [1, 2]\n", "is not a colour"),
    ],
)
def test_a_broken_colour_table_names_its_file(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        read_table(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def colour_source(tmp_path: Path) -> tuple[Path, Mask]:
    """Large painted masks, enlarged with smoothing as drawing programs do."""
    source = tmp_path / "src"
    photo, ids = shapes(3, (300, 400), ignored=False)
    ids[ids == 2] = 0  # straight edges repeat one mixed colour too often to look rare
    cv2.rectangle(ids, (20, 20), (60, 50), 2, -1)
    put(source / "images/a.png", photo)
    big = cv2.resize(PAINT[ids], (800, 600), interpolation=cv2.INTER_NEAREST)
    smooth = cv2.resize(big, (400, 300), interpolation=cv2.INTER_AREA)
    edge = cv2.GaussianBlur(smooth, (0, 0), 0.6)
    near = cv2.Canny(ids * 100, 1, 1) > 0
    put(source / "masks/a.png", np.where(near[..., None], edge, smooth).astype(np.uint8))
    return source, ids


def test_scanned_colours_need_a_yes_and_smoothed_edges_become_ignore(tmp_path: Path) -> None:
    source, ids = colour_source(tmp_path)
    with pytest.raises(InputError, match=r"need a yes .*--yes.*--table") as caught:
        import_dataset("colour", source, tmp_path / "out", shares=ALL)
    assert "smoothed edge? becomes ignore" in str(caught.value)
    assert "255,0,0" in str(caught.value)
    with pytest.raises(InputError, match="need a yes"):
        imported("colour", source, yes=False)
    data = imported("colour", source)
    assert set(data.classes.names) == {"colour-000000", "colour-ff0000", "colour-0000ff"}
    mask = data.mask(data.samples[0])
    table = np.array([data.classes.id_of(name) for name in ("colour-000000", "colour-ff0000", "colour-0000ff")])
    known = mask != 255
    assert 0.9 < known.mean() < 1
    assert np.array_equal(mask[known], table[ids][known])


@pytest.mark.parametrize(("unknown", "share_ignored"), [("ignore", True), ("nearest", False)])
def test_unknown_colours_are_ignored_or_go_to_the_nearest(tmp_path: Path, unknown: str, share_ignored: bool) -> None:
    source, ids = colour_source(tmp_path)
    (source / "colours.csv").write_text("ground,0,0,0\ndisc,255,0,0\nbox,0,0,255\n")
    with pytest.raises(InputError, match="not in the colour table"):
        imported("colour", source)
    data = imported("colour", source, Options(unknown=unknown))
    mask = data.mask(data.samples[0])
    assert (mask == 255).any() == share_ignored
    known = mask != 255
    assert (mask[known] == ids[known]).mean() > 0.97
    with pytest.raises(InputError, match="Known: error, ignore, nearest"):
        import_dataset("colour", source, tmp_path / "x", options=Options(unknown="guess"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "pet,255,0,0\nbackground,0,0,0\npet,0,0,255\nignore,9,9,9\n"),
        ("t.yaml", "pet: [[255, 0, 0], '#0000ff']\nbackground: [0, 0, 0]\nignore: [9, 9, 9]\n"),
    ],
)
def test_a_class_may_have_several_colours(tmp_path: Path, name: str, content: str) -> None:
    source, ids = colour_source(tmp_path)
    (tmp_path / name).write_text(content)
    data = imported("colour", source, Options(table=tmp_path / name, unknown="nearest"))
    assert data.classes.names == ["pet", "background"]
    assert data.classes.items[0].colour == (255, 0, 0)
    mask = data.mask(data.samples[0])
    assert ((mask == 0) == (ids > 0)).mean() > 0.97


def test_a_colour_may_mean_ignore(tmp_path: Path) -> None:
    ids = put_pair(tmp_path / "src/images/a.png", tmp_path / "src/masks/a.png")
    put(tmp_path / "src/masks/a.png", PAINT[ids])
    data = imported("colour", tmp_path / "src", Options(ignore_colours=((0, 0, 0),)))
    assert set(data.classes.names) == {"colour-ff0000", "colour-0000ff"}
    assert np.array_equal(data.mask(data.samples[0]) == 255, ids == 0)


def test_masks_saved_with_photographic_compression_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "src"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    put(source / "images/a.png", noise)
    put(source / "masks/a.png", noise)
    with pytest.raises(InputError, match=r"too many for classes.*--unknown nearest"):
        FORMATS["colour"].read(source, Options())
