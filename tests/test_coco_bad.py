"""COCO files as hostile or careless people make them: what is bad is left out and named, what is good stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotations import CATEGORIES, HW, annotation, box, content, picture, write_annotations
from drawing import photo
from PIL import Image as PILImage
from test_cli import run

from maskwright.data.build import Built
from maskwright.data.doors import Shares, import_dataset
from maskwright.data.formats import coco
from maskwright.data.formats.listing import Item, Options
from maskwright.imageio import write_image
from maskwright.run import read_csv
from maskwright.types import Classes, InputError

GOOD = annotation(1, 1, 7, box(2, 2, 10, 10))
PIXELS = HW[0] * HW[1]


def take(tmp_path: Path, data: Any, *, alone: bool = True, **options: Any) -> Built:
    source = tmp_path / "source" / "instances.json"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return import_dataset(
        "coco",
        source,
        tmp_path / "out",
        options=Options(without_images=alone, **options),
        shares=Shares(val=0, test=0),
        workers=0,
    )


SEGMENTATIONS: dict[str, tuple[Any, str]] = {
    "null": (None, "it has no segmentation"),
    "an empty list": ([], "it has no segmentation"),
    "an empty dict": ({}, "it has no segmentation"),
    "an empty polygon": ([[]], "at least three points"),
    "two points": ([[1, 2, 3, 4]], "at least three points"),
    "a flat list": ([1, 2, 9, 2, 9, 9], "at least three points"),
    "points as pairs": ([[[1, 2], [9, 2], [9, 9]]], "at least three points"),
    "odd numbers": ([[1, 2, 9, 2, 9, 9, 5]], "odd number of coordinates"),
    "not a number": ([[float("nan")] * 6], "not made of lists of numbers"),
    "infinity": ([[1, 2, float("-inf"), 2, 9, 9]], "not made of lists of numbers"),
    "far away": ([[0, 0, 1e300, 0, 9, 9]], "more than 200 million pixels away"),
    "text for numbers": ([["1", "2", "9", "2", "9", "9"]], "not made of lists of numbers"),
    "nothing for a number": ([[1, 2, None, 2, 9, 9]], "not made of lists of numbers"),
    "text": ("abc", "neither polygons nor run lengths"),
    "a number": (7, "neither polygons nor run lengths"),
    "a dict without counts": ({"size": list(HW)}, "neither polygons nor run lengths"),
    "a dict without size": ({"counts": [PIXELS]}, "for the size None"),
    "the size of another image": (
        {"size": [5, 5], "counts": [0, 25]},
        r"for the size \[5, 5\], the image has \[24, 36\]",
    ),
    "a size turned round": ({"size": [36, 24], "counts": [0, PIXELS]}, "for the size"),
    "counts that do not sum": ({"size": list(HW), "counts": [5, 5]}, "do not add up to the pixels"),
    "no counts": ({"size": list(HW), "counts": []}, "do not add up to the pixels"),
    "negative counts": ({"size": list(HW), "counts": [-5, PIXELS + 5]}, "negative or not a whole number"),
    "halves": ({"size": list(HW), "counts": [0.5, PIXELS - 0.5]}, "negative or not a whole number"),
    "counts of numbers as text": ({"size": list(HW), "counts": ["0", str(PIXELS)]}, "not made of lists of numbers"),
    "counts of nothing": ({"size": list(HW), "counts": None}, "neither a list nor text"),
    "truncated text": ({"size": list(HW), "counts": "Z"}, "ends in the middle of a number"),
    "text that is too short": ({"size": list(HW), "counts": "11"}, "do not add up to the pixels"),
    "text outside the alphabet": ({"size": list(HW), "counts": "\u2603~"}, "a character that cannot be in it"),
    "text without end": ({"size": list(HW), "counts": "o" * 40}, "a number beyond 32 bits|ends in the middle"),
    "counts beyond 64 bits": ({"size": list(HW), "counts": [10**30]}, "do not add up to the pixels"),
    "all outside": ([[100, 100, 120, 100, 120, 120]], "covers no pixel of the image"),
    "no pixel inside": ({"size": list(HW), "counts": [PIXELS]}, "covers no pixel of the image"),
    "a line": ([[3, 3, 9, 3, 3, 3]], "covers no pixel of the image"),
}


@pytest.mark.parametrize("kind", SEGMENTATIONS)
@pytest.mark.parametrize("ties", ["later", "smaller"])
def test_a_bad_segmentation_is_left_out_alone_and_named_by_its_id(kind: str, ties: str, tmp_path: Path) -> None:
    segmentation, reason = SEGMENTATIONS[kind]
    # Of the category that would win, were it painted.
    result = take(tmp_path, content([picture(1)], [GOOD, annotation(4711, 1, 90, segmentation)]), ties=ties)
    (skipped,) = result.skipped
    assert skipped.file == "annotation 4711 of 1.png"
    with pytest.raises(InputError, match=reason):
        raise InputError(skipped.reason)
    data = result.dataset
    mask = data.mask(data.samples[0])
    assert np.count_nonzero(mask == data.classes.id_of("dog")) == np.count_nonzero(mask) == 64
    assert read_csv(data.path / "left_out.csv") == [{"file": skipped.file, "reason": skipped.reason}]


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "a box alone": (annotation(8, 1, 7, None, bbox=[1, 2, 3, 4]), "annotation 8 of 1.png.*it has no segmentation"),
    "no segmentation": (without(annotation(8, 1, 7, 0), "segmentation"), "annotation 8 of 1.png.*no segmentation"),
    "no image": (without(annotation(8, 1, 7, []), "image_id"), "annotation 8.*malformed.*`image_id`"),
    "image null": (annotation(8, None, 7, box(0, 0, 4, 4)), "annotation 8.*malformed.*image_id"),
    "no category": (
        without(annotation(8, 1, 7, box(0, 0, 4, 4)), "category_id"),
        "annotation 8.*malformed.*category_id",
    ),
    "category a list": (annotation(8, 1, [7], box(0, 0, 4, 4)), "annotation 8.*malformed.*category_id"),
    "neither image nor id": (
        without(annotation(8, 1, 7, []), "image_id", "id"),
        "annotation number 2 in the list.*malformed",
    ),
    "crowd a list": (annotation(8, 1, 7, box(0, 0, 4, 4), iscrowd=[]), "annotation 8.*malformed.*iscrowd"),
    "unknown category": (
        annotation(8, 1, 99, box(0, 0, 4, 4)),
        "annotation 8 of 1.png.*category 99 is not in the file",
    ),
    "unknown image": (annotation(8, 99, 7, box(0, 0, 4, 4)), "annotation 8.*is of image 99, which is not in the file"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_malformed_row_is_left_out_alone_and_named(kind: str, tmp_path: Path) -> None:
    row, message = ROWS[kind]
    result = take(tmp_path, content([picture(1)], [GOOD, row]))
    (skipped,) = result.skipped
    with pytest.raises(InputError, match=f"(?s){message}"):
        raise InputError(f"{skipped.file}: {skipped.reason}")
    assert np.count_nonzero(result.dataset.mask(result.dataset.samples[0])) == 64


def test_an_entry_that_is_no_row_is_named_by_its_place(tmp_path: Path) -> None:
    result = take(tmp_path, content([picture(1), [], None], [GOOD, 7, "x"]))  # type: ignore[list-item]
    assert [row.file for row in result.skipped] == [
        "image number 2 in the list",
        "image number 3 in the list",
        "annotation number 2 in the list",
        "annotation number 3 in the list",
    ]


def test_numbers_as_text_or_with_a_point_are_numbers(tmp_path: Path) -> None:
    row = annotation(1.0, 1.0, 7.0, box(2, 2, 10, 10), iscrowd="0")
    image = {"id": 1, "file_name": "1.png", "height": "24", "width": 36.0}
    result = take(tmp_path, content([image], [row]))
    assert not result.skipped
    assert np.count_nonzero(result.dataset.mask(result.dataset.samples[0])) == 64


IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no height": (without(picture(2), "height"), "image 2 is malformed .*`height`"),
    "no name": (without(picture(2), "file_name"), "image 2 is malformed .*`file_name`"),
    "no id": (without(picture(2), "id"), "image number 2 in the list is malformed"),
    "height null": ({**picture(2), "height": None}, "image 2 is malformed"),
    "half a row": ({**picture(2), "height": 20.5}, "image 2 is malformed"),
    "no rows": (picture(2, hw=(0, 36)), r"image 2 \(2\.png\) has no size; give its height and width"),
    "negative": (picture(2, hw=(24, -36)), "has no size"),
    "giant": (picture(2, hw=(10**6, 10**6)), "too many pixels to open at once; cut it into tiles"),
    "up": (picture(2, "../2.png"), r"'\.\./2\.png', which does not lie in the images' folder"),
    "up in the middle": (picture(2, "a/../../2.png"), "does not lie in the images' folder"),
    "up on Windows": (picture(2, "..\\2.png"), "does not lie in the images' folder"),
    "absolute": (picture(2, "/etc/passwd"), "does not lie in the images' folder; name it relative"),
    "absolute on Windows": (picture(2, "C:\\photos\\2.png"), "does not lie in the images' folder"),
    "empty name": ({**picture(2), "file_name": ""}, "does not lie in the images' folder"),
    "a folder": (picture(2, "."), "does not lie in the images' folder"),
    "an impossible name": (picture(2, "a\0b.png"), "does not lie in the images' folder"),
    "too long a name": (picture(2, "x" * 300 + ".png"), "is no name for a file here"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_unusable_image_is_left_out_alone_and_named(kind: str, tmp_path: Path) -> None:
    image, message = IMAGES[kind]
    result = take(tmp_path, content([picture(1), image], [GOOD]))
    (skipped,) = result.skipped
    with pytest.raises(InputError, match=message):
        raise InputError(skipped.reason)
    assert [sample.id for sample in result.dataset.samples] == ["1"]
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1


def broken_photo(folder: Path) -> str:
    write_image(folder / "2.jpg", photo(HW))
    (folder / "2.jpg").write_bytes((folder / "2.jpg").read_bytes()[:700])
    return "is truncated"


def no_photo(folder: Path) -> str:
    return r"2\.jpg does not exist; .*instances\.json lists it"


def text_for_a_photo(folder: Path) -> str:
    (folder / "2.jpg").write_text("hello")
    return "is not an image that can be read"


def empty_photo(folder: Path) -> str:
    (folder / "2.jpg").write_bytes(b"")
    return "is empty; copy"


def folder_for_a_photo(folder: Path) -> str:
    (folder / "2.jpg").mkdir()
    return "does not exist"


def photo_of_another_size(folder: Path) -> str:
    write_image(folder / "2.jpg", photo((20, 30)))
    return r"is 30x20 but its annotations are for 36x24; export them anew"


def turned_photo(folder: Path) -> str:
    exif = PILImage.Exif()
    exif[0x0112] = 6
    PILImage.fromarray(photo(HW)).save(folder / "2.jpg", exif=exif.tobytes())
    return r"is 24x36 but its annotations are for 36x24 \(made without the rotation in the photo's EXIF data\?\)"


def deep_photo(folder: Path) -> str:
    PILImage.fromarray(np.zeros(HW, np.uint16)).save(folder / "2.jpg", "PNG")
    return "more than 8 bits a channel"


@pytest.mark.parametrize(
    "spoil",
    [
        broken_photo,
        no_photo,
        text_for_a_photo,
        empty_photo,
        folder_for_a_photo,
        photo_of_another_size,
        turned_photo,
        deep_photo,
    ],
)
def test_an_unusable_photo_is_left_out_alone_and_named(spoil: Callable[[Path], str], tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    write_image(folder / "1.png", photo(HW))
    message = spoil(folder)
    data = content([picture(1), picture(2, "2.jpg")], [GOOD, annotation(2, 2, 7, box(0, 0, 9, 9))])
    result = take(tmp_path, data, alone=False)
    (skipped,) = result.skipped
    with pytest.raises(InputError, match=message):
        raise InputError(skipped.reason)
    assert skipped.file == str(folder / "2.jpg")
    assert [sample.id for sample in result.dataset.samples] == ["1"]
    assert not list((result.dataset.path / "images").glob("2*"))


def test_a_photo_turned_by_exif_fits_annotations_of_what_people_see(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    turned_photo(tmp_path / "source")
    hw = (HW[1], HW[0])
    result = take(tmp_path, content([picture(2, "2.jpg", hw)], [annotation(1, 2, 7, box(0, 0, 9, 30))]), alone=False)
    assert not result.skipped
    data = result.dataset
    assert data.image(data.samples[0]).shape[:2] == data.mask(data.samples[0]).shape == hw


def encoded(**more: Any) -> bytes:
    return json.dumps({**content([picture(1, "ä.png")], [GOOD]), **more}, ensure_ascii=False).encode()


FILES: dict[str, tuple[Any, str]] = {
    "empty": (b"", "instances.json is empty; copy or export"),
    "text": (b"hello", "is not valid JSON"),
    "truncated": (encoded()[:-30], "is not valid JSON .*copy or export the file again"),
    "truncated after a malformed row": (
        json.dumps(content([picture(1)], [7, GOOD])).encode()[:-40],  # type: ignore[list-item]
        "is not valid JSON",
    ),
    "more after the end": (encoded() + b"}", "is not valid JSON"),
    "another encoding": (encoded().decode().encode("latin-1"), "is not valid JSON"),
    "two bytes a letter": (encoded().decode().encode("utf-16"), "is not valid JSON"),
    "half a letter": (encoded().replace("ä".encode(), b"\\ud800"), "is not valid JSON"),
    "nested without end": (b'{"images":' + b"[" * 100_000, "is not valid JSON"),
    "nested segmentation": (encoded().replace(b"[[2", b"[" * 100_000 + b"[[2"), "is not valid JSON"),
    "a list": (b"[1, 2]", "is not a COCO annotation file .*needs the lists images, annotations and categories"),
    "a number": (b"3", "is not a COCO annotation file"),
    "something else": (b'{"shapes": [], "imagePath": "a.jpg"}', "is not a COCO annotation file"),
    "no annotations": (json.dumps(without(content([], []), "annotations")).encode(), "is not a COCO annotation file"),
    "images a dict": (encoded(images={}), "is not a COCO annotation file"),
    "no images": (encoded(images=[]), "None of the 1 annotations can be used.*is of image 1, which is not"),
    "nothing at all": (encoded(images=[], annotations=[]), "No image can be used"),
    "no categories": (encoded(categories=[]), "has no categories, so nothing says what its annotations are"),
    "panoptic": (
        encoded(annotations=[{"image_id": 1, "segments_info": [], "file_name": "a.png"}]),
        "None of the 1 annotations can be used.*`category_id`",
    ),
    "ids that do not meet": (
        encoded(annotations=[annotation(1, "1", 7, box(0, 0, 4, 4))]),
        "None of the 1 annotations can be used.*is of image 1",
    ),
    "an image id twice": (encoded(images=[picture(1), picture(1, "b.png")]), "has the image id 1 twice"),
    "a category id twice": (encoded(categories=[*CATEGORIES, CATEGORIES[0]]), "has the category id 90 twice"),
    "a category name twice": (encoded(categories=[*CATEGORIES, {"id": 1, "name": "cat"}]), "two categories 'cat'"),
    "a category without a name": (encoded(categories=[{"id": 7, "name": " "}]), "category 7 has no name"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_cannot_be_used_is_named_in_one_sentence(kind: str, tmp_path: Path) -> None:
    data, message = FILES[kind]
    with pytest.raises(InputError, match=message) as caught:
        take(tmp_path, data)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_other_tools_write_beside_the_standard_is_read(tmp_path: Path) -> None:
    marked = b"\xef\xbb\xbf" + encoded(info={"note": 'a "quote", NaN, \\ and more'})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert not take(tmp_path / "a", marked).skipped
    rows = [{**GOOD, "area": float("nan")}, annotation(2, 1, 90, [[float("nan"), 1, 2, 3, 4, 5]])]
    data = encoded(annotations=rows, categories=[{"id": 7, "name": "a, NaN, b"}, {"id": 90, "name": 'the "Infinity"'}])
    result = take(tmp_path / "b", data)
    assert result.dataset.classes.names == ["background", "a, NaN, b", 'the "Infinity"']
    assert [row.file for row in result.skipped] == ["annotation 2 of ä.png"]
    assert np.count_nonzero(result.dataset.mask(result.dataset.samples[0])) == 64


def test_annotation_ids_may_repeat_or_be_missing(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "segmentation": box(20, 2, 24, 6)}, without(annotation(0, 1, 7, box(30, 2, 34, 6)), "id")]
    result = take(tmp_path, content([picture(1)], rows))
    assert not result.skipped
    assert np.count_nonzero(result.dataset.mask(result.dataset.samples[0])) == 64 + 16 + 16


def test_two_files_that_disagree_are_refused(tmp_path: Path) -> None:
    for split, name in (("train", "cat"), ("val", "dog")):
        write_annotations(tmp_path / f"instances_{split}.json", [picture(split)], [], [{"id": 1, "name": name}])
    with pytest.raises(InputError, match=r"instances_val\.json calls category 1 'dog', another file 'cat'"):
        import_dataset("coco", tmp_path, tmp_path / "out", options=Options(without_images=True))


@pytest.mark.parametrize("source", ["nothing", "empty"])
def test_a_source_without_annotations_is_named(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"does not exist; name|holds no annotation file; expected"):
        import_dataset("coco", tmp_path / source, tmp_path / "out")


def test_strict_stops_at_the_first_bad_annotation(tmp_path: Path) -> None:
    source = write_annotations(tmp_path / "instances.json", [picture(1)], [GOOD, annotation(9, 1, 7, [])])
    with pytest.raises(InputError, match=r"annotation 9 of 1\.png: it has no segmentation"):
        import_dataset(
            "coco",
            source,
            tmp_path / "out",
            options=Options(without_images=True),
            strict=True,
            workers=0,
            shares=Shares(val=0, test=0),
        )
    assert not (tmp_path / "out").exists()


def test_the_command_line_lists_everything_and_says_so_by_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def cli(*words: str) -> tuple[int, str, str]:
        return run("import", "coco", "x", *words, "--no-images", "--json", capsys=capsys, monkeypatch=monkeypatch)

    monkeypatch.chdir(tmp_path)
    bad = [annotation(100 + i, 1, 7, []) for i in range(30)]
    rows = [GOOD, annotation(2, 1, 90, box(8, 8, 14, 14)), *bad]
    write_annotations(tmp_path / "x" / "instances.json", [picture(i) for i in range(1, 21)], rows)
    code, out, err = cli("out", "--ties", "first")
    assert code == 3
    facts = json.loads(out)
    assert [row["file"] for row in facts["skipped"]] == [f"annotation {100 + i} of 1.png" for i in range(30)]
    assert facts["contested"] == [{"winner": "dog", "loser": "cat", "pixels": 4}]
    assert facts["images"] == 20
    assert len(read_csv(tmp_path / "out" / "left_out.csv")) == 30
    assert "4 pixels were contested, by one pair of classes; higher priority wins, then --ties first:" in err
    assert "4  dog over cat" in err
    assert "annotation 100 of 1.png: it has no segmentation" in err
    assert "and 10 more" in err
    code, out, err = cli("again", "--as", "group")
    assert code == 2
    assert "Unknown value of --as 'group'. Did you mean 'groups'?" in json.loads(out)["error"]
    for option, value in (("--crowd", "igno"), ("--ties", "latest"), ("--max-images", "0")):
        assert cli("again", option, value)[0] == 2
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("ties", ["later", "smaller"])
def test_sound_parts_are_painted_and_the_others_named(tmp_path: Path, ties: str) -> None:
    segmentation = [[1, 1, 9, 1, 9, 9, 1, 9], [1, 1, 2, 2], []]
    painter = coco.PaintImage(Classes.from_names(["background", "thing"]), {7: 1}, "ignore", ties)
    item = Item(id="a", image=Path("a.jpg"), note=[(3, 7, False, json.dumps(segmentation).encode())])
    painted = painter(item, (20, 20))
    assert painted.mask_HW.sum() == 64
    assert [(row.file, row.reason) for row in painted.left_out] == [
        ("annotation 3 of a.jpg", "2 of its parts have fewer than three points; the others are painted")
    ]
