"""Offline augmentation: the versions that were asked for, of training images only, within the mask contract."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, photo, shapes_classes, write_shapes
from typer.testing import CliRunner

from maskwright.cli import app
from maskwright.config import Recipe
from maskwright.data.augmenting.multiply import Versions, augment_dataset, preview
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import read_image
from maskwright.types import InputError

EVERYTHING = Recipe.load(
    "pets",
    [
        "augment.elastic=0.03",
        "augment.noise=0.05",
        "augment.jpeg=0.5",
        "augment.shadow=0.5",
        "augment.cutmix=0.5",
        "augment.classmix=0.5",
        "augment.paste=0.5",
    ],
)


@pytest.fixture
def pets(tmp_path: Path) -> Dataset:
    """Class 1 in images 0, 1, 2, class 2 in images 2, 3; one validation image, one without a label."""
    samples: list[Sample] = []
    for index in range(4):
        mask = np.zeros((40 + 2 * index, 60), np.uint8)
        if index < 3:
            mask[5:20, 5:20] = 1
        if index > 1:
            mask[20:35, 30:50] = 2
        image = photo(mask.shape, seed=index + 1)
        samples.append(add_sample(tmp_path / "pets", f"p{index}", image, mask, classes=shapes_classes()))
    held_out = np.ones((30, 30), np.uint8)
    samples.append(
        add_sample(tmp_path / "pets", "held", photo((30, 30)), held_out, classes=shapes_classes(), split="val")
    )
    samples.append(add_sample(tmp_path / "pets", "bare", photo((30, 30), seed=9), None, classes=shapes_classes()))
    return Dataset.create(tmp_path / "pets", shapes_classes(), samples, {})


def of_parent(data: Dataset) -> Counter[str]:
    """Versions by image, the image itself included."""
    return Counter(s.extra["parent"] if s.extra.get("version") else s.id for s in data.samples)


def test_each_class_has_its_number_of_versions(pets: Dataset, tmp_path: Path) -> None:
    versions = Versions(each=1, by_class={"disc": 4, "box": 3})
    made = augment_dataset(pets, tmp_path / "out", EVERYTHING, versions=versions).dataset
    assert of_parent(made) == {"p0": 4, "p1": 4, "p2": 4, "p3": 3, "held": 1, "bare": 1}
    parents = {sample.id: sample for sample in pets.samples}
    for sample in made.samples:
        if sample.extra.get("version"):
            parent = parents[sample.extra["parent"]]
            assert (sample.split, sample.group, sample.size_hw) == ("train", parent.id, parent.size_hw)
        else:
            assert sample.image_hash == parents[sample.id].image_hash, "the image itself is kept byte for byte"
            assert sample.mask_hash == parents[sample.id].mask_hash


def test_the_arithmetic_of_cats_and_dogs() -> None:
    versions = Versions(by_class={"cat": 8, "dog": 4})
    cats, dogs = 1055, 2250
    assert cats * versions.of(["background", "cat"]) + dogs * versions.of(["background", "dog"]) == 17_440
    assert versions.of(["cat", "dog"]) == 8


def test_versions_hold_to_the_contract_and_differ(pets: Dataset, tmp_path: Path) -> None:
    made = augment_dataset(pets, tmp_path / "out", EVERYTHING, versions=Versions(each=5)).dataset
    pictures = set()
    for sample in made.samples:
        if sample.mask:
            assert set(np.unique(made.mask(sample)).tolist()) <= {0, 1, 2, 255}
        pictures.add(made.image(sample).tobytes())
    assert len(pictures) == len(made.samples)


def test_the_draw_is_the_same_for_any_number_of_workers(pets: Dataset, tmp_path: Path) -> None:
    one, two = (
        augment_dataset(pets, tmp_path / f"w{workers}", EVERYTHING, versions=Versions(each=3), workers=workers).dataset
        for workers in (0, 2)
    )
    assert one.samples == two.samples
    other = augment_dataset(pets, tmp_path / "seed", EVERYTHING, versions=Versions(each=3), seed=1, workers=0).dataset
    assert {s.image_hash for s in other.samples} != {s.image_hash for s in one.samples}


def test_held_out_images_reach_no_version(pets: Dataset, tmp_path: Path) -> None:
    mixing = Recipe.load("default", ["augment.flip=0", "augment.cutmix=1", "augment.paste=1"])
    red = np.full((30, 30, 3), (255, 0, 0), np.uint8)
    loud = add_sample(pets.path, "held", red, np.ones((30, 30), np.uint8), classes=pets.classes, split="val")
    data = Dataset.create(pets.path, pets.classes, [*(s for s in pets.samples if s.id != "held"), loud], {})
    made = augment_dataset(data, tmp_path / "out", mixing, versions=Versions(each=6)).dataset
    for sample in made.samples:
        if sample.extra.get("version"):
            assert not (made.image(sample) == (255, 0, 0)).all(-1).any()


def test_a_damaged_image_is_left_out(pets: Dataset, tmp_path: Path) -> None:
    broken = pets.path / "images/p1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    plain = Recipe.load("pets")
    built = augment_dataset(pets, tmp_path / "out", plain)
    assert [row.file for row in built.skipped] == ["p1"]
    assert "truncated" in built.skipped[0].reason
    with pytest.raises(InputError, match="truncated"):
        augment_dataset(pets, tmp_path / "strict", plain, strict=True)


def test_nonsense_is_refused(pets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 versions"):
        Versions(each=0)
    with pytest.raises(InputError, match="Unknown class 'cta'"):
        augment_dataset(pets, tmp_path / "out", EVERYTHING, versions=Versions(by_class={"cta": 3}))
    bare = write_shapes(tmp_path / "val", {"val": 2})
    with pytest.raises(InputError, match="no labelled training image"):
        augment_dataset(bare, tmp_path / "out", EVERYTHING)


def test_the_verb_and_its_preview(pets: Dataset, tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["augment", str(pets.path), str(tmp_path / "out"), "--times", "2", "--times", "disc=3", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["versions"] == 3 * 2 + 1
    seen = run(app, ["augment", str(pets.path), "--preview", str(tmp_path / "sheet.png"), "--set", "augment.cutmix=1"])
    assert seen.exit_code == 0
    assert min(read_image(tmp_path / "sheet.png").shape[:2]) > 200
    assert preview(pets, EVERYTHING, tmp_path / "again.png").is_file()
    with pytest.raises(InputError, match="not of the form 4 or cat=8"):
        run(app, ["augment", str(pets.path), str(tmp_path / "x"), "--times", "many"], catch_exceptions=False)
    with pytest.raises(InputError, match="Name a new data set folder"):
        run(app, ["augment", str(pets.path)], catch_exceptions=False)
