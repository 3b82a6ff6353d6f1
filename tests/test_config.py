from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maskwright.config import Recipe, apply_sets, known_keys, shipped_recipes, write_schema
from maskwright.types import InputError


def value_at(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim.lr=0.002", 0.002),
        ("optim.lr=1e-4", 1e-4),
        ("optim.clip=1e-1", 0.1),
        ("optim.clip=null", None),
        ("optim.clip=", None),
        ("train.epochs=7", 7),
        ("data.size=[96, 128]", (96, 128)),
        ("model.widths=[8,16,32]", (8, 16, 32)),
        ("augment.scale=[0.5, 2]", (0.5, 2.0)),
        ("augment.paste_classes=[car, sign]", ("car", "sign")),
        ("augment.paste_classes=car", ("car",)),
        ("augment.jpeg_quality=[20, 80]", (20, 80)),
        ("data.cache=false", False),
        ("data.cache=no", False),
        ("loss.name=dice", "dice"),
        ("name=my recipe", "my recipe"),
        ("name=a=b", "a=b"),
    ],
)
def test_set_reads_typed_values(text: str, expected: object) -> None:
    value = value_at(Recipe.load("default", [text]), text.partition("=")[0])
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("optim.lrr", "optim.lr"),
        ("lr", "optim.lr"),
        ("train.lr", "optim.lr"),
        ("model.crop", "data.crop"),
        ("epochs", "train.epochs"),
        ("flip", "augment.flip"),
        ("augment.rotation", "augment.rotate"),
        ("loss.background_", "loss.background"),
    ],
)
def test_an_unknown_key_suggests_the_nearest(key: str, suggested: str) -> None:
    with pytest.raises(InputError, match=rf"unknown key '{key}'.*did you mean '{suggested}'"):
        Recipe.load("default", [f"{key}=1"])


def test_an_unknown_section_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown key 'trian'; did you mean 'train'\?"):
        Recipe.load("default", ["trian.epochs=1"])


def test_an_unknown_key_without_a_neighbour_lists_all() -> None:
    with pytest.raises(InputError, match=r"known keys: name, size, data\.size"):
        Recipe.from_dict({"zzzzzzzz": 1})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train.batch=0", "'train.batch' is 0"),
        ("train.batch=many", "'train.batch' is 'many'"),
        ("train.epochs=1.5", "'train.epochs' is 1.5"),
        ("train.epochs=yes", "'train.epochs' is True"),
        ("optim.lr=yes", "'optim.lr' is True"),
        ("optim.lr=.inf", "'optim.lr' is inf"),
        ("optim.lr=.nan", "'optim.lr' is nan"),
        ("optim.lr=-1", "'optim.lr' is -1"),
        ("augment.flip=2", "'augment.flip' is 2"),
        ("augment.scale=[0, 1]", r"'augment.scale.0' is 0"),
        ("augment.scale=[2, 1]", "smallest .* largest"),
        ("augment.scale=1", "'augment.scale' is 1"),
        ("augment.jpeg_quality=[90, 20]", "smallest quality .* largest"),
        ("augment.blur_sigma=[2, 1]", "smallest sigma .* largest"),
        ("augment.elastic=1", "'augment.elastic' is 1"),
        ("data.sampling=weighted", "'data.sampling' is 'weighted'.*'uniform' or 'balanced'"),
        ("data.size=256", "'data.size' is 256"),
        ("data.size=[0, 5]", "'data.size.0' is 0"),
        ("data.fit=crop", "'data.fit' is 'crop'.*'pad' or 'stretch'"),
        ("model.stem=3", "'model.stem' is 3"),
        ("name=no", "'name' is False"),
        ("optim=5", "'optim' is 5"),
        ("optim.lr.x=5", r"'optim\.lr"),
        ("seed", "not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("optim.lr=[1", "not valid YAML"),
        ("optim.lr=2020-01-01", "'optim.lr' is"),
    ],
)
def test_a_bad_value_names_the_key(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Recipe.load("default", [text, "train.seed=1"])


def test_set_changes_a_copy() -> None:
    tree = {"optim": {"lr": 1.0}}
    assert apply_sets(tree, ["optim.lr=2", "train.seed=3"]) == {"optim": {"lr": 2}, "train": {"seed": 3}}
    assert tree == {"optim": {"lr": 1.0}}


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_load_and_say_how_to_use_them(name: str) -> None:
    text = shipped_recipes()[name]
    assert text.startswith("# maskwright ")
    assert Recipe.load(name).name == name
    assert Recipe.load(name) != Recipe.from_dict({"name": name}), "a shipped recipe says something"


recipes: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    name=st.text(max_size=9),
    size=st.sampled_from(["tiny", "small", "base"]),
    data=st.builds(
        dict,
        size=st.none() | st.lists(st.integers(1, 900), min_size=2, max_size=2),
        workers=st.none() | st.integers(0, 9),
    ),
    augment=st.builds(dict, flip=st.floats(0, 1), rotate=st.floats(0, 180), scale=st.just([0.1, 3.3])),
    optim=st.builds(dict, lr=st.floats(1e-30, 1e30), clip=st.none() | st.floats(1e-6, 1e6)),
    train=st.builds(dict, epochs=st.none() | st.integers(1, 99), seed=st.integers(0, 2**40)),
)


@given(recipes)
def test_yaml_round_trip_is_equal(data: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(data)
    assert Recipe.from_dict(yaml.safe_load(recipe.to_yaml())) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("name", ["no", "off", "1e3", "2020-01-01", "ä: #"])
def test_words_that_yaml_reads_otherwise_survive_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(Recipe(name=name).to_yaml(), "utf-8")
    assert Recipe.load(path).name == name


def test_a_recipe_file_is_read_with_sets(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("name: mine\noptim:\n  lr: 1e-4\naugment:\n  flip: 0\n")
    recipe = Recipe.load(path, ["train.seed=4"])
    assert (recipe.name, recipe.optim.lr, recipe.augment.flip, recipe.train.seed) == ("mine", 1e-4, 0.0, 4)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n- b\n", "must be a mapping of recipe keys, not list"),
        ("optim:\n  lrr: 1\n", "unknown key 'optim.lrr'; did you mean 'optim.lr'"),
        ("optim: [1\n", "not valid YAML"),
        ("name: 2020-01-01\n", "'name' is"),
        ("", "is empty"),
    ],
)
@pytest.mark.parametrize("sets", [[], ["train.seed=1"]])
def test_a_bad_recipe_file_is_named(tmp_path: Path, content: str, says: str, sets: list[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        Recipe.load(path, sets)
    assert str(path) in str(caught.value)


def test_names_of_recipes_and_files_that_are_not_there() -> None:
    with pytest.raises(InputError, match=r"Unknown recipe 'raod'\. Did you mean 'road'"):
        Recipe.load("raod")
    with pytest.raises(InputError, match="does not exist"):
        Recipe.load("none.yaml")


def test_with_values_checks_what_it_is_given() -> None:
    assert Recipe().with_values(train__seed=3, data__size=(4, 5)).data.size == (4, 5)
    with pytest.raises(InputError, match=r"did you mean 'train\.seed'"):
        Recipe().with_values(train__sede=3)


def test_the_schema_describes_every_key(tmp_path: Path) -> None:
    write_schema(tmp_path / "schema.json")
    schema = json.loads((tmp_path / "schema.json").read_text())
    assert schema["additionalProperties"] is False
    for key in known_keys():
        block = schema
        for part in key.split("."):
            block = block["properties"][part] if part in block["properties"] else pytest.fail(key)
            if "$ref" in block:
                block = schema["$defs"][block["$ref"].rsplit("/", 1)[-1]]
    assert set(known_keys()) >= {"size", "optim.lr", "augment.scale", "train.seed", "score.background"}
