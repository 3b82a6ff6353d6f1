"""COCO annotations: pixel for pixel as pycocotools, and every choice that a person can make."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotations import CATEGORIES, HW, annotation, box, content, picture, write_annotations
from drawing import add_sample, photo
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, contested, convert_dataset, import_dataset
from maskwright.data.formats import coco
from maskwright.data.formats.coco_json import read_coco
from maskwright.data.formats.groups import read_groups
from maskwright.data.formats.listing import Item, Listing, Options, Painted
from maskwright.data.formats.shapes import paint_shapes
from maskwright.imageio import write_image
from maskwright.types import Classes, InputError, Mask

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

ALL_TRAIN = Shares(val=0, test=0)
IGNORE = 255


def load(path: Path) -> Any:
    """pycocotools' view of a file, without its chatter."""
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def one_image(path: Path, *annotations: dict[str, Any], hw: tuple[int, int] = HW) -> Path:
    return write_annotations(path / "instances.json", [picture(1, "a.png", hw)], annotations)


def read_alone(source: Path, **options: Any) -> Listing:
    return coco.read(source, Options(without_images=True, **options))


def paint(listing: Listing, item: Item) -> Painted:
    assert listing.load is not None
    assert listing.paint is not None
    assert item.size_hw is not None
    return listing.paint(listing.load(item), item.size_hw)


def first_mask(source: Path, **options: Any) -> Painted:
    listing = read_alone(source, **options)
    return paint(listing, listing.items[0])


def slowly(
    planes: list[tuple[dict[str, Any], NDArray[np.bool_]]],
    value_of: dict[int, int],
    priority: dict[int, float],
    options: Options,
) -> tuple[Mask, Counter[tuple[int, int]]]:
    """The mask of one image, painted plane by plane in the order that the rules say."""
    entries = []
    for place, (row, plane) in enumerate(planes):
        value = value_of[row["category_id"]]
        if row["iscrowd"] and options.crowd == "background":
            continue
        if row["iscrowd"] and options.crowd == "ignore":
            value = IGNORE
        strength = -1.0 if value == IGNORE else priority[value]
        tie = {"later": place, "first": -place, "smaller": -outline_area(row["segmentation"])}[options.ties]
        entries.append((strength, tie, place, value, plane))
    mask, claimed = np.zeros(planes[0][1].shape if planes else (1, 1), np.uint8), None
    contested: Counter[tuple[int, int]] = Counter()
    for _, _, _, value, plane in sorted(entries, key=lambda entry: entry[:3]):
        claimed = np.zeros(mask.shape, bool) if claimed is None else claimed
        lost = mask[plane & claimed & (mask != value)]
        for old in np.unique(lost).tolist():
            contested[old, value] += int(np.count_nonzero(lost == old))
        mask[plane] = value
        claimed |= plane
    return mask, contested


def outline_area(segmentation: Any) -> float:
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        return float(sum(counts[1::2]) if isinstance(counts, list) else coco_mask.area(segmentation))
    total = 0.0
    for part in segmentation:
        xs, ys = np.array(part[0::2]), np.array(part[1::2])
        total += abs(float(np.sum(xs * np.roll(ys, -1) - np.roll(xs, -1) * ys))) / 2
    return total


def choices(number: int) -> Iterator[Options]:
    """The three modes, each with other ways to treat ties and crowds from image to image."""
    for shift, kind in enumerate(("classes", "groups", "binary")):
        turn = number + shift
        crowd = ("ignore", "class", "background")[turn % 3]
        ties = ("later", "first", "smaller")[turn // 3 % 3]
        yield Options(kind=kind, crowd=crowd, ties=ties, without_images=True)


def tables(oracle: Any) -> dict[str, tuple[dict[int, int], dict[int, float]]]:
    """By mode: class id of each category id, and the priority of each class id."""
    ids = sorted(oracle.getCatIds())
    names = {row["id"]: row["name"] for row in oracle.loadCats(ids)}
    groups = read_groups(None)
    order = list(groups.names)
    return {
        "classes": ({one: i for i, one in enumerate(ids, start=1)}, dict.fromkeys(range(1, 81), 1.0)),
        "binary": (dict.fromkeys(ids, 1), {1: 1.0}),
        "groups": (
            {one: 1 + order.index(groups.group_of()[names[one]]) for one in ids},
            {i: groups.priority[group] for i, group in enumerate(order, start=1)},
        ),
    }


@pytest.mark.data
@pytest.mark.parametrize("split", ["train", "val"])
def test_every_real_mask_equals_the_slow_painter_over_pycocotools(split: str, shared_data: Path) -> None:
    path = shared_data / "coco" / "annotations" / f"instances_{split}2017.json"
    oracle = load(path)
    assert len(oracle.imgs) == 80
    listings = {options: coco.read(path, options) for number in range(9) for options in choices(number)}
    items = {options: {item.note[1]: item for item in listing.items} for options, listing in listings.items()}
    crowds = 0
    for number, image_id in enumerate(oracle.imgs):
        rows = [row for row in json_rows(path) if row["image_id"] == image_id]
        planes = [(row, np.asarray(oracle.annToMask(row), bool)) for row in rows]
        crowds += sum(row["iscrowd"] for row in rows)
        for options in choices(number):
            painted = paint(listings[options], items[options][image_id])
            if planes:
                mask, lost = slowly(planes, *tables(oracle)[options.kind], options)
                assert np.array_equal(painted.mask_HW, mask), (image_id, options)
                assert painted.contested == dict(lost), (image_id, options)
            else:
                assert not painted.mask_HW.any()
            assert not painted.left_out
    assert crowds > 0


def json_rows(path: Path, cache: dict[Path, list[dict[str, Any]]] = {}) -> list[dict[str, Any]]:  # noqa: B006
    """The annotations in the order of the file."""
    if path not in cache:
        cache[path] = json.loads(path.read_text())["annotations"]
    return cache[path]


@pytest.mark.data
def test_every_real_instance_alone_equals_pycocotools(shared_data: Path) -> None:
    instances = 0
    for split in ("train", "val"):
        path = shared_data / "coco" / "annotations" / f"instances_{split}2017.json"
        oracle = load(path)
        for row in json_rows(path):
            image = oracle.imgs[row["image_id"]]
            size_hw = (image["height"], image["width"])
            shape = coco.shape_of("", 1, row["segmentation"], size_hw)
            painted = paint_shapes([shape], Classes.from_names(["background", "a"]), size_hw, blank=0)
            assert np.array_equal(painted.mask_HW, oracle.annToMask(row)), row["id"]
            instances += 1
    assert instances == 705 + 815


@pytest.mark.data
def test_real_data_become_a_data_set_and_survive_both_ways_out(shared_data: Path, tmp_path: Path) -> None:
    options = Options(kind="groups", max_images=100)
    result = import_dataset("coco", shared_data / "coco", tmp_path / "data", options=options)
    data = result.dataset
    assert not result.skipped
    assert Counter(sample.split for sample in data.samples) == {"train": 80, "val": 20}
    assert data.record["overlaps"]["ties"] == "later"
    rows = contested(data)
    assert [row["pixels"] for row in rows] == sorted((row["pixels"] for row in rows), reverse=True)
    assert {"kitchen", "household"} == {rows[0]["winner"], rows[0]["loser"]}
    originals = {path.name: path for path in (shared_data / "coco").rglob("*.jpg")}
    sample = data.samples[0]
    assert (data.path / sample.image).read_bytes() == originals[sample.source].read_bytes()
    for format in ("coco", "coco-polygons"):
        convert_dataset(data, format, tmp_path / format)
        again = import_dataset(format, tmp_path / format, tmp_path / f"{format}-again").dataset
        assert again.fingerprint == data.fingerprint
    # Not only our own reader: pycocotools sees the same regions.
    path = tmp_path / "coco-polygons" / "annotations" / "instances_val.json"
    oracle = load(path)
    by_name = {sample.source: sample for sample in data.samples}
    for image_id, image in list(oracle.imgs.items())[:5]:
        seen = np.zeros((image["height"], image["width"]), np.uint8)
        for row in oracle.loadAnns(oracle.getAnnIds(imgIds=image_id)):
            plane = np.asarray(oracle.annToMask(row), bool)
            assert plane.sum() == row["area"]
            assert list(coco_mask.toBbox(oracle.annToRLE(row))) == row["bbox"]
            seen[plane] = IGNORE if row["iscrowd"] else row["category_id"] - 1
        assert np.array_equal(seen, data.mask(by_name[image["file_name"]]))


def test_category_ids_have_gaps_come_in_any_order_and_may_be_text(tmp_path: Path) -> None:
    source = one_image(
        tmp_path,
        annotation(1, 1, 90, box(0, 0, 4, 4)),
        annotation(2, 1, 7, box(8, 0, 12, 4)),
        annotation(3, 1, 31, box(16, 0, 20, 4)),
    )
    listing = read_alone(source)
    assert listing.classes.names == ["background", "dog", "potted plant", "cat"]
    painted = paint(listing, listing.items[0])
    assert [int(painted.mask_HW[2, x]) for x in (2, 10, 18, 30)] == [3, 1, 2, 0]
    text = content(
        [picture("p", "a.png")],
        [annotation("x", "p", "two", box(0, 0, 4, 4))],
        [{"id": "two", "name": "b"}, {"id": 1, "name": "a"}],
    )
    source.write_text(json.dumps(text))
    listing = read_alone(source)
    assert listing.classes.names == ["background", "a", "b"]
    assert int(paint(listing, listing.items[0]).mask_HW[2, 2]) == 2
    assert listing.items[0].extra == {"image_id": "p"}


def test_run_lengths_in_both_forms_with_holes_and_polygons_of_several_parts(tmp_path: Path) -> None:
    ring = np.zeros(HW, np.uint8)
    ring[3:12, 4:15] = 1
    ring[6:9, 7:11] = 0
    compressed = coco_mask.encode(np.asfortranarray(ring))
    changes = np.flatnonzero(np.diff(np.concatenate([[0], ring.T.ravel()])))
    counts = np.diff(np.concatenate([[0], changes, [ring.size]])).tolist()
    parts = [*box(20, 2, 26, 8), *box(24, 6, 30, 12)]
    source = one_image(
        tmp_path,
        annotation(1, 1, 7, {"size": list(HW), "counts": compressed["counts"].decode()}),
        annotation(2, 1, 90, parts),
    )
    expected = ring.copy()
    expected[coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, *HW))).astype(bool)] = 3
    painted = first_mask(source)
    assert np.array_equal(painted.mask_HW, expected)
    assert painted.contested == {}, "parts of one object do not contest each other"
    one_image(tmp_path, annotation(1, 1, 7, {"size": list(HW), "counts": counts}), annotation(2, 1, 90, parts))
    assert np.array_equal(first_mask(source).mask_HW, expected)


@pytest.mark.parametrize(("crowd", "inside"), [("ignore", IGNORE), ("class", 1), ("background", 0)])
def test_crowds_are_ignored_or_a_class_or_background(crowd: str, inside: int, tmp_path: Path) -> None:
    source = one_image(
        tmp_path,
        annotation(1, 1, 90, box(0, 0, 4, 4)),
        annotation(2, 1, 7, {"size": list(HW), "counts": [0, HW[0] * 20, HW[0] * (HW[1] - 20)]}, iscrowd=1),
    )
    painted = first_mask(source, crowd=crowd)
    assert int(painted.mask_HW[20, 19]) == inside
    assert int(painted.mask_HW[20, 20]) == 0
    assert int(painted.mask_HW[2, 2]) == (1 if crowd == "class" else 3), "an object lies over ignored pixels"
    lost = {"ignore": {(IGNORE, 3): 16}, "class": {(3, 1): 16}, "background": {}}
    assert painted.contested == lost[crowd]


@pytest.mark.parametrize(("ties", "winner"), [("later", "cat"), ("first", "dog"), ("smaller", "cat")])
def test_ties_follow_the_named_rule_and_the_loss_is_counted(ties: str, winner: str, tmp_path: Path) -> None:
    source = one_image(tmp_path, annotation(1, 1, 7, box(0, 0, 10, 10)), annotation(2, 1, 90, box(0, 0, 5, 5)))
    options = Options(without_images=True, ties=ties)
    data = import_dataset("coco", source, tmp_path / "out", options=options, shares=ALL_TRAIN).dataset
    loser = {"cat": "dog", "dog": "cat"}[winner]
    assert contested(data) == [{"winner": winner, "loser": loser, "pixels": 25}]
    assert (data.path / "contested.csv").read_text().splitlines() == ["winner,loser,pixels", f"{winner},{loser},25"]
    assert data.classes.names[data.mask(data.samples[0])[2, 2]] == winner


def test_priorities_of_groups_come_before_the_order_of_the_file(tmp_path: Path) -> None:
    groups = tmp_path / "groups.yaml"
    groups.write_text("animals: {priority: 2, names: [cat, dog]}\nplants: {priority: 1, names: [potted plant, rose]}\n")
    source = one_image(tmp_path, annotation(1, 1, 90, box(0, 0, 8, 8)), annotation(2, 1, 31, box(0, 0, 12, 12)))
    listing = read_alone(source, kind="groups", groups=groups)
    assert listing.classes.names == ["background", "animals", "plants"]
    assert listing.notes == ["in the groups file, not in the annotations: 'rose'"]
    painted = paint(listing, listing.items[0])
    assert int(painted.mask_HW[2, 2]) == 1
    assert painted.contested == {(2, 1): 64}
    groups.write_text("animals: [dog]\n")
    listing = read_alone(source, kind="groups", groups=groups)
    assert listing.notes == ["in no group, so background: potted plant, cat"]
    assert not paint(listing, listing.items[0]).mask_HW.any()


def test_names_select_and_order_the_classes(tmp_path: Path) -> None:
    source = one_image(tmp_path, annotation(1, 1, 90, box(0, 0, 8, 8)), annotation(2, 1, 31, box(0, 0, 12, 12)))
    listing = read_alone(source, names=("cat", "dog"))
    assert listing.classes.names == ["background", "cat", "dog"]
    assert listing.notes == ["background by choice: potted plant"]
    assert np.count_nonzero(paint(listing, listing.items[0]).mask_HW == 1) == 64
    with pytest.raises(InputError, match=r"Unknown category 'cut'\. Did you mean 'cat'\?"):
        read_alone(source, names=("cut",))


def test_binary_is_one_class_of_everything_and_says_when_that_is_not_meant(tmp_path: Path) -> None:
    source = one_image(tmp_path, annotation(1, 1, 90, box(0, 0, 8, 8)), annotation(2, 1, 31, box(4, 0, 12, 8)))
    listing = read_alone(source, kind="binary", names=("thing",))
    assert listing.classes.names == ["background", "thing"]
    painted = paint(listing, listing.items[0])
    assert np.count_nonzero(painted.mask_HW == 1) == 96
    assert painted.contested == {}
    with pytest.raises(InputError, match="one class of all 3 categories, not of 'cat' alone"):
        read_alone(source, kind="binary", names=("cat",))
    with pytest.raises(InputError, match="has one class beside the background, not a, b, c"):
        read_alone(source, kind="binary", names=("a", "b", "c"))


def test_an_image_without_annotations_is_background(tmp_path: Path) -> None:
    source = write_annotations(tmp_path / "x.json", [picture(1), picture(2)], [annotation(1, 2, 7, box(0, 0, 4, 4))])
    listing = read_alone(source)
    assert not paint(listing, listing.items[0]).mask_HW.any()
    assert paint(listing, listing.items[1]).mask_HW.any()


def test_masks_alone_take_their_photos_later(tmp_path: Path) -> None:
    source = write_annotations(
        tmp_path / "x.json",
        [picture(i, f"{i}.PNG") for i in range(3)],
        [annotation(1, 0, 7, box(0, 0, 4, 4))],
    )
    data = import_dataset("coco", source, tmp_path / "out", options=Options(without_images=True)).dataset
    assert list((data.path / "images").iterdir()) == []
    assert {sample.image_hash for sample in data.samples} == {""}
    _, skipped = data.refresh()
    assert len(skipped) == 3
    for sample in data.samples:
        write_image(tmp_path / "photo.png", photo(HW, seed=int(sample.id)))
        (tmp_path / "photo.png").rename(data.path / sample.image)
    assert (data.path / "images" / "0.PNG").is_file()
    full, skipped = data.refresh()
    assert not skipped
    assert all(sample.image_hash for sample in full.samples)
    assert full.fingerprint != data.fingerprint
    assert Dataset.open(data.path).samples == full.samples
    assert np.array_equal(full.image(full.samples[1]), photo(HW, seed=1))


def put(folder: Path, *names: str) -> None:
    for name in names:
        write_image_at(folder / name)


def write_image_at(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, photo(HW))


LAYOUTS = {
    "as COCO distributes it": ("annotations/instances_{split}2017.json", "{split}2017/a.png", "a.png"),
    "images by split": ("annotations/instances_{split}.json", "images/{split}/a.png", "a.png"),
    "as CVAT exports it": ("annotations/instances_{split}.json", "images/{split}/a.png", "a.png"),
    "as Roboflow exports it": ("{split}/_annotations.coco.json", "{split}/a.png", "a.png"),
    "beside the file": ("instances_{split}.json", "{split}/a.png", "a.png"),
    "names with folders": ("annotations/instances_{split}.json", "images/{split}/a.png", "{split}/a.png"),
    "names with folders of Windows": ("annotations/instances_{split}.json", "images/{split}/a.png", "{split}\\a.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_photos_and_splits_are_found_in_the_usual_layouts(layout: str, tmp_path: Path) -> None:
    path, image, name = LAYOUTS[layout]
    for split, word in (("train", "train"), ("val", "valid" if "Roboflow" in layout else "val")):
        put(tmp_path / "source", image.format(split=word))
        rows = [annotation(1, 1, 7, box(0, 0, 4, 4 if split == "train" else 8))]
        write_annotations(tmp_path / "source" / path.format(split=word), [picture(1, name.format(split=word))], rows)
    data = import_dataset("coco", tmp_path / "source", tmp_path / "out", workers=0).dataset
    # The same stem in both splits; the split or the folder tells them apart.
    assert [sample.split for sample in data.samples] == ["train", "val"]
    assert [np.count_nonzero(data.mask(sample)) for sample in data.samples] == [16, 32]
    assert all(sample.id.startswith(sample.split) and sample.id.endswith("-a") for sample in data.samples)


def test_photos_elsewhere_are_named_and_their_absence_is_an_error(tmp_path: Path) -> None:
    source = one_image(tmp_path / "source")
    with pytest.raises(InputError, match=r"not beside it \(looked for a\.png\); name their folder with --images"):
        coco.read(source, Options())
    put(tmp_path / "elsewhere", "a.png")
    assert coco.read(source, Options(images=tmp_path / "elsewhere")).items[0].image.is_file()
    put(tmp_path / "source" / "mine", "a.png")
    assert coco.read(source, Options(images=Path("mine"))).items[0].image.is_file(), "relative to the source as well"


def test_equal_stems_in_folders_and_of_other_suffixes_get_ids_of_their_own(tmp_path: Path) -> None:
    names = ["left/a.png", "right/a.png", "b.png", "b.jpg", "c/d/e.png", "f.tar.gz.png"]
    source = write_annotations(tmp_path / "x.json", [picture(i, name) for i, name in enumerate(names)], [])
    ids = [item.id for item in read_alone(source).items]
    assert ids == ["left-a", "right-a", "b-png", "b-jpg", "e", "f.tar.gz"]
    write_annotations(source, [picture(i, name) for i, name in enumerate(["x/a.png", "y/a.png", "x-a.png"])], [])
    with pytest.raises(InputError, match="two images are called 'x-a'; rename one"):
        read_alone(source)


def test_other_json_beside_the_instances_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    write_annotations(folder / "instances_val2017.json", [picture(1)], [])
    (folder / "captions_val2017.json").write_text("{}")
    assert len(read_alone(tmp_path).items) == 1


@pytest.mark.parametrize("format", ["coco", "coco-polygons"])
def test_masks_of_noise_with_holes_in_holes_survive_the_way_out_and_in(format: str, tmp_path: Path) -> None:
    classes = Classes.from_names(["background", "a", "b"])
    rng = np.random.default_rng(0)
    noise = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (19, 23))
    rings = np.zeros((21, 25), np.uint8)
    for depth in range(10):
        rings[depth : 21 - depth, depth : 25 - depth] = (1, 0, 2, IGNORE)[depth % 4]
    checks = (np.indices((16, 18)).sum(0) % 2).astype(np.uint8)
    masks = [noise, rings, checks, np.full((5, 6), IGNORE, np.uint8), np.ones((5, 6), np.uint8)]
    samples = [
        add_sample(tmp_path / "data", str(i), photo((mask.shape[0], mask.shape[1]), i), mask, classes=classes)
        for i, mask in enumerate(masks)
    ]
    data = Dataset.create(tmp_path / "data", classes, samples, {})
    convert_dataset(data, format, tmp_path / "out")
    again = import_dataset(format, tmp_path / "out", tmp_path / "again", shares=ALL_TRAIN).dataset
    assert again.fingerprint == data.fingerprint
    rows = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    # As with 8 neighbours: a chessboard is one region, and no crowd but the ignored pixels.
    assert sum(row["image_id"] == 3 for row in rows["annotations"]) == 1
    assert {row["iscrowd"] for row in rows["annotations"] if row["image_id"] == 4} == {1}
    oracle = load(tmp_path / "out" / "annotations" / "instances_train.json")
    for row in oracle.anns.values():
        assert oracle.annToMask(row).sum() == row["area"]


def test_a_table_without_background_survives_with_its_priorities(tmp_path: Path) -> None:
    classes = Classes.from_names(["sky", "ground"], background=None)
    classes = replace(classes, items=(classes.items[0], replace(classes.items[1], priority=3.5, colour=(1, 2, 3))))
    mask = np.zeros(HW, np.uint8)
    mask[5:] = 1
    mask[:2] = IGNORE
    sample = add_sample(tmp_path / "data", "a", photo(HW), mask, classes=classes)
    data = Dataset.create(tmp_path / "data", classes, [sample], {})
    convert_dataset(data, "coco", tmp_path / "out")
    again = import_dataset("coco", tmp_path / "out", tmp_path / "again", shares=ALL_TRAIN).dataset
    assert again.classes == classes
    assert again.fingerprint == data.fingerprint
    grouped = import_dataset(
        "coco", tmp_path / "out", tmp_path / "binary", options=Options(kind="binary"), shares=ALL_TRAIN
    ).dataset
    assert grouped.classes.names == ["background", "object"]


def test_the_annotations_of_many_images_are_not_unpacked_before_their_turn(tmp_path: Path) -> None:
    source = write_annotations(
        tmp_path / "x.json", [picture(i) for i in range(50)], [annotation(i, i, 7, box(0, 0, 4, 4)) for i in range(50)]
    )
    file = read_coco(source)
    raw = file.annotations[7][0].segmentation
    assert bytes(raw) == json.dumps(box(0, 0, 4, 4)).encode(), "still the text of the file"
    listing = read_alone(source)
    assert listing.load is not None
    assert listing.load(listing.items[7]).note == [(7, 7, False, bytes(raw))]
    assert {row["id"] for row in CATEGORIES} == {category.id for category in file.categories}
