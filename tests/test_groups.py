"""Groups of categories: the file, its mistakes, and the nine groups that come with the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskwright.data.formats.groups import read_groups
from maskwright.types import InputError

# From the description of the experiment that introduced them.
NINE = {
    "living": (4.0, "person bird cat dog horse sheep cow elephant bear zebra giraffe"),
    "vehicles": (3.0, "bicycle car motorcycle airplane bus train truck boat"),
    "urban": (2.5, "traffic_light fire_hydrant stop_sign parking_meter bench"),
    "electronics": (
        2.5,
        "tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator",
    ),
    "kitchen": (
        2.0,
        "bottle wine_glass cup fork knife spoon bowl sandwich broccoli carrot hot_dog pizza donut cake",
    ),
    "fruit": (2.0, "banana apple orange"),
    "sports": (
        1.5,
        "frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket",
    ),
    "personal": (1.0, "teddy_bear hair_drier toothbrush backpack umbrella handbag tie suitcase"),
    "household": (1.0, "book clock vase scissors chair couch potted_plant bed dining_table toilet"),
}


def test_the_nine_groups_hold_each_of_the_80_categories_once() -> None:
    groups = read_groups(None)
    assert {
        group: (groups.priority[group], " ".join(name.replace(" ", "_") for name in names))
        for group, names in groups.names.items()
    } == NINE
    every = [name for names in groups.names.values() for name in names]
    assert len(every) == len(set(every)) == 80
    classes = groups.classes()
    assert classes.names == ["background", *NINE]
    assert classes.background == 0
    assert [classes.priorities[classes.id_of(name)] for name in NINE] == [NINE[name][0] for name in NINE]
    assert classes.priorities[0] < min(groups.priority.values())


@pytest.mark.data
def test_the_nine_groups_know_every_category_of_coco(shared_data: Path) -> None:
    for split in ("train", "val"):
        text = (shared_data / "coco" / "annotations" / f"instances_{split}2017.json").read_text()
        names = {category["name"] for category in json.loads(text)["categories"]}
        assert len(names) == 80
        assert set(read_groups(None).group_of()) == names


def test_groups_are_read_from_a_file_or_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("pets: {priority: 2, names: [cat, dog]}\nrest: [potted plant, 7, 0]\n")
    groups = read_groups(path)
    assert groups.names == {"pets": ("cat", "dog"), "rest": ("potted plant", "7", "0")}
    assert groups.priority == {"pets": 2.0, "rest": 1.0}
    path.write_text("groups:\n  pets: {names: [cat]}\n")
    assert read_groups(path).names == {"pets": ("cat",)}
    assert read_groups(Path("coco-nine")) == read_groups(None)


def test_names_that_the_source_lacks_are_remarked_on_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("a: [cat, potted plants, zzz]\n")
    assert read_groups(path).strangers(["cat", "potted plant"]) == [
        "'potted plants' (did you mean 'potted plant'?)",
        "'zzz'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must map each group to its names"),
        ("{}", "must map each group to its names"),
        ("a: [x\n", "is not valid YAML"),
        ("just words", "must map each group"),
        ("a: {priority: 2}", "group 'a' needs a list of category names under 'names'"),
        ("a: cat", "group 'a' needs a list"),
        ("a: {names: cat}", "group 'a' needs a list"),
        ("a: {names: []}", "group 'a' needs a list"),
        ("a: []", "group 'a' needs a list"),
        ("a:", "group 'a' needs a list"),
        ("a: {names: [x], priority: high}", "priority of group 'a' is no number; write"),
        ("a: {names: [x], priority: [1]}", "priority of group 'a' is no number"),
        ("a: {names: [x], priority: .nan}", "priority of group 'a' is no number"),
        ("a: {names: [x], prority: 2}", "group 'a' has the key 'prority'; known are names and priority"),
        ("a: {names: [x], 3: 2}", "group 'a' has the key '3'"),
        ("a: [x]\nb: [y, x]", "'x' is in 'a' and in 'b'; leave it in one place"),
        ("a: [x, y, x]", "'x' is twice in the group 'a'"),
        ("background: [x]", "'background' is what no group covers"),
        ("a: [{x: 1}]", "group 'a' needs a list of category names"),
        ("a: [[x]]", "group 'a' needs a list of category names"),
        ("a: ['', x]", "leave none empty"),
        ("a: [null, x]", "leave none empty"),
        ("' ': [x]", "leave none empty"),
        ("a: [yes, x]", "reads as True; put names such as no, yes, on in quotes"),
        ("no: [x]", "reads as False; put names"),
    ],
)
def test_mistakes_in_the_file_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_groups(path).classes()
    assert "mine.yaml" in str(caught.value)


def test_a_missing_file_and_an_unknown_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml does not exist"):
        read_groups(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match=r"Unknown groups file 'coco-nin'\. Did you mean 'coco-nine'"):
        read_groups(Path("coco-nin"))
