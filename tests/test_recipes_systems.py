"""The recipes of five systems that others built: each runs by the commands in its own first lines."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from annotations import annotation, box, picture, write_annotations
from foreign import put

from maskwright.cli import app, main
from maskwright.config import Recipe, shipped_recipes
from maskwright.data.dataset import Dataset
from maskwright.models.budget import on_meta, solve
from maskwright.models.network import parameter_count
from maskwright.run import Run
from maskwright.types import Image, Mask

TINY = ["data.cache=false", "train.epochs=1", "train.batch=2", "train.device=cpu"]
SHRUNK = {
    "raindrop": ["data.size=[32, 32]", "model.widths=[4, 8]"],
    "coco-groups": ["data.size=[32, 32]", "model.widths=[8, 8, 16]"],
    "mars-terrain": ["data.size=[32, 64]", "model.widths=[4, 8, 8, 8]"],
    "road-unet": ["data.size=[24, 32]", "model.widths=[4, 8]"],
    "road-resnet34": ["data.size=[32, 64]", "model.encoder=tu-test_resnet", "model.widths=[8, 8, 8, 4, 4]"],
    "pets-unet": ["data.size=[32, 32]", "model.widths=[4, 8]"],
    "pets-autoencoder": ["data.size=[32, 32]", "model.widths=[4, 8]", "model.params=null", "train.pretrain.epochs=1"],
    "pets-clip": ["data.size=[32, 32]", "model.encoder=test_resnet", "model.widths=[8, 8, 4]"],
    "prompt-unet": ["data.size=[32, 32]", "model.widths=[4, 8]", "model.width=null", "prompt.sigma=3"],
    "raindrop-best": ["data.size=[32, 32]", "model.widths=[4, 8]"],
    "coco-groups-best": ["data.size=[32, 64]", "model.encoder=tu-test_resnet", "model.widths=[8]"],
    "mars-terrain-best": ["data.size=[32, 64]", "model.widths=[4, 8, 8, 8]"],
    "road-best": ["data.size=[32, 64]", "model.encoder=tu-test_resnet", "model.widths=[8, 8, 8, 4, 4]"],
    "pets-best": ["data.size=[32, 32]", "model.encoder=tu-test_resnet", "model.widths=[8]"],
}
PRETRAINED = {"road-resnet34", "pets-clip", "coco-groups-best", "road-best", "pets-best"}
ORIGINALS = sorted(name for name in SHRUNK if not name.endswith("-best"))


def commands(name: str) -> list[list[str]]:
    """The commands in a recipe's comment, in the order of the lines, as words after `maskwright`."""
    lines = shipped_recipes()[name].splitlines()
    return [shlex.split(line.partition(" · ")[0])[2:] for line in lines if line.startswith("# maskwright ")]


# ---------------------------------------------------------------- sources as the originals had them


def scene(seed: int, hw: tuple[int, int], ids: range) -> tuple[Image, Mask]:
    """A noisy photo of one rectangle for every id after the first, smaller and smaller, and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.full(hw, ids[0], np.uint8)
    for number, k in enumerate(ids[1:], start=2):
        height, width = hw[0] // number, hw[1] // number
        top, left = int(rng.integers(hw[0] - height + 1)), int(rng.integers(hw[1] - width + 1))
        mask[top : top + height, left : left + width] = k
    grey_HW = 20 + mask * (200 // ids[-1]) + rng.normal(0, 6, hw)
    return np.repeat(np.clip(grey_HW, 0, 255).astype(np.uint8)[..., None], 3, axis=2), mask


def draw_drops(folder: Path) -> None:
    for seed in range(14):
        image, mask = scene(seed, (280, 300), range(2))
        put(folder / "DROPS/images" / f"{seed}.jpg", image)
        put(folder / "DROPS/masks" / f"{seed}.png", mask * 255)


def draw_coco(folder: Path) -> None:
    categories = [{"id": 90, "name": "cat"}, {"id": 3, "name": "car"}, {"id": 84, "name": "book"}]
    for split, count in (("train", 6), ("val", 2)):
        pictures: list[dict[str, Any]] = []
        shapes: list[dict[str, Any]] = []
        for number in range(count):
            image, _ = scene(number + 50 * count, (40, 48), range(4))
            put(folder / "COCO" / split / f"{number}.png", image)
            pictures.append(picture(number, hw=(40, 48)))
            for place, category in enumerate(categories):
                left = 4 + 6 * place + number
                shapes.append(annotation(len(shapes), number, category["id"], box(left, 5, left + 16, 30)))
        write_annotations(folder / f"COCO/annotations/instances_{split}.json", pictures, shapes, categories)


def draw_mars(folder: Path) -> None:
    pairs = [scene(seed, (64, 128), range(5)) for seed in range(12)]
    masks = [mask for _, mask in pairs]
    masks[3] = masks[7] = masks[5]  # what belongs to one image was pasted on two others
    images = [image[..., 0] for image, _ in pairs]
    hidden = [scene(seed, (64, 128), range(5))[0][..., 0] for seed in (20, 21)]
    np.savez(folder / "MARS.npz", training_set=np.stack([images, masks], axis=1), test_set=np.stack(hidden))


def draw_lyft(folder: Path) -> None:
    for drive, letter in enumerate("ABCDE"):
        for number in range(2):
            image, mask = scene(10 * drive + number, (48, 64), range(13))
            red_HW3: Image = np.stack([mask, np.zeros_like(mask), np.zeros_like(mask)], axis=-1)
            put(folder / f"LYFT/data{letter}/CameraRGB/{number}.png", image)
            put(folder / f"LYFT/data{letter}/CameraSeg/{number}.png", red_HW3)


def draw_pet(folder: Path) -> None:
    rows: dict[str, list[str]] = {"list.txt": [], "trainval.txt": [], "test.txt": []}
    for seed in range(12):
        breed, species = ("Abyssinian", 1) if seed % 2 else ("pug", 2)
        image, mask = scene(seed, (40, 56), range(3))
        put(folder / f"PET/images/{breed}_{seed}.jpg", image)
        trimap: Mask = np.array([2, 1, 3], np.uint8)[mask]
        put(folder / f"PET/annotations/trimaps/{breed}_{seed}.png", trimap)
        for file in ("list.txt", "test.txt" if seed > 9 else "trainval.txt"):
            rows[file].append(f"{breed}_{seed} {species} {species} 1\n")
    for file, lines in rows.items():
        (folder / "PET/annotations" / file).write_text("".join(lines))


DRAWN: dict[str, Callable[[Path], None]] = {
    "DROPS": draw_drops,
    "COCO": draw_coco,
    "MARS.npz": draw_mars,
    "LYFT": draw_lyft,
    "PET": draw_pet,
}


def run(*words: str) -> None:
    """One command; it must end well, with nothing left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["maskwright", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code, shlex.join(words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder in which a recipe's commands before the training have run; recipes with the same ones share it."""
    folders: dict[str, Path] = {}

    def prepared(name: str) -> Path:
        before = commands(name)[1:]
        if str(before) not in folders:
            folder = folders[str(before)] = tmp_path_factory.mktemp(name)
            DRAWN[before[0][2]](folder)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                for words in before:
                    run(*words)
        return folders[str(before)]

    return prepared


# ---------------------------------------------------------------- the commands


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_command_in_a_recipe_s_comment_is_one(name: str) -> None:
    verbs: Any = typer.main.get_command(app)
    found = commands(name)
    for words in found:
        verb = verbs.commands[words[0]]
        given = verb.make_context(words[0], list(words[1:])).params
        for shipped in {"recipe"} & given.keys():
            assert given[shipped] in shipped_recipes()
    first = dict(zip(found[0], found[0][1:], strict=False))
    assert name in (first.get("--recipe", "default"), found[0][0])


@pytest.mark.parametrize("name", sorted(SHRUNK))
def test_a_first_line_says_whose_score_it_is(name: str) -> None:
    _, data, original, ours, hardware = shipped_recipes()[name].splitlines()[0].split(" · ")
    assert data
    assert original.startswith("original reported ")
    assert ours == "not yet scored here"
    assert hardware in ("CPU", "one GPU")


@pytest.mark.parametrize("name", sorted(SHRUNK))
def test_a_recipe_runs_by_its_own_commands(
    name: str, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(name)
    monkeypatch.chdir(folder)
    sets = [*TINY, *SHRUNK[name], *(["model.weights=random"] if name in PRETRAINED else [])]
    run(*commands(name)[0], "--out", name, *(word for text in sets for word in ("--set", text)))
    trained = Run.open(folder / name)
    assert trained.weights().is_file()
    assert 0 <= trained.about["best"]["val_score"] <= 1
    assert trained.recipe.loss == Recipe.load(name).loss
    checks = json.loads((folder / name / "doctor.json").read_text())["checks"]
    assert [check["says"] for check in checks if check["name"] == "options" and not check["ok"]] == []
    assert (folder / name / "weights/encoder.safetensors").is_file() == (name == "pets-autoencoder")


# ---------------------------------------------------------------- what the originals say of themselves


def test_drops_are_held_out_before_they_are_cut(made: Callable[[str], Path]) -> None:
    patches = Dataset.open(made("raindrop") / "patches")
    assert Counter(sample.split for sample in patches.samples)["val"] == 10
    held_out = {sample.id for sample in patches.samples if sample.split == "val"}
    cut = [sample for sample in patches.samples if sample.split == "train"]
    assert {sample.size_hw for sample in cut} == {(256, 256)}
    assert not held_out & {dict(sample.extra)["parent"] for sample in cut}


def test_coco_becomes_nine_groups_and_keeps_its_sides(made: Callable[[str], Path]) -> None:
    data = Dataset.open(made("coco-groups") / "coco")
    assert len(data.classes) == 10
    assert Counter(sample.split for sample in data.samples) == {"train": 6, "val": 2}


def test_pasted_masks_do_not_reach_the_mars_training(made: Callable[[str], Path]) -> None:
    data = Dataset.open(made("mars-terrain") / "mars")
    labelled = {sample.source for sample in data.samples if sample.mask}
    assert len(labelled) == 10
    assert not {"training_set[3]", "training_set[7]"} & labelled


def test_cats_are_drawn_twice_as_often_as_dogs_and_the_test_stays(made: Callable[[str], Path]) -> None:
    few, many = (Dataset.open(made("pets-unet") / folder) for folder in ("pet", "pets"))
    counts = [Counter((s.split, dict(s.extra)["species"]) for s in data.samples) for data in (few, many)]
    for key, count in counts[0].items():
        assert counts[1][key] == count * ({"cat": 8, "dog": 4}[key[1]] if key[0] == "train" else 1)


@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [("pets-unet", 3, 31_043_651), ("pets-clip", 3, 30_642_915), ("road-resnet34", 3, 24_436_659)],
)
def test_parameters_are_those_reported(name: str, outputs: int, parameters: int) -> None:
    assert parameter_count(on_meta(Recipe.load(name).model, outputs)) == parameters


def test_the_autoencoder_has_about_the_parameters_reported() -> None:
    recipe = Recipe.load("pets-autoencoder")
    solved = solve(recipe.model, 3, recipe.data.size)
    assert parameter_count(on_meta(solved, 3)) == pytest.approx(31_350_275, rel=0.02)


STATED: dict[str, dict[str, Any]] = {
    "raindrop": {"data.size": [256, 256], "loss.name": "bce"},
    "coco-groups": {
        "data.size": [256, 256],
        "data.sampling": "balanced",
        "model.widths": [64, 128, 256, 512, 1024],
        "loss.name": "cross_entropy_dice",
        "optim.lr": 1e-4,
        "optim.schedule": "cosine",
        "train.epochs": 80,
        "train.keep_every": 10,
    },
    "mars-terrain": {"data.size": [64, 128], "loss.name": "focal_tversky", "loss.background": False},
    "road-unet": {"loss.name": "dice", "loss.absent": "count", "optim.lr": 5e-4, "train.epochs": 100},
    "road-resnet34": {"loss.name": "dice", "loss.absent": "count", "optim.lr": 5e-4, "train.epochs": 100},
    "prompt-unet": {
        "data.size": [512, 512],
        "model.width": 64,
        "loss.name": "bce",
        "prompt.sigma": 10.0,
        "prompt.target": "class",
        "prompt.box": 0.5,
        "prompt.background": 0.5,
        "prompt.clicks": 0,
    },
    **{
        f"pets-{kind}": {
            "data.size": [side, side],
            "loss.name": "focal_dice",
            "loss.gamma": 2.0,
            "loss.mix": 0.5,
            "optim.lr": 1e-4,
            "train.batch": 4,
            "train.epochs": 30,
            "train.patience": 5,
            "train.seed": 42,
        }
        for kind, side in (("unet", 512), ("autoencoder", 512), ("clip", 224))
    },
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_settings_are_those_stated_and_nothing_of_ours_is_added(name: str) -> None:
    recipe = Recipe.load(name).to_dict()
    for key, value in STATED[name].items():
        section, _, field = key.partition(".")
        assert recipe[section][field] == value, key
    ours = {"name": "adam", "weight_decay": 0, "warmup": 0, "clip": None, "ema": 0}
    assert recipe["optim"].items() >= ours.items()
    assert recipe["train"]["small_first"] == 0
    assert recipe["train"]["precision"] == "fp32"
