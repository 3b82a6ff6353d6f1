"""Training with everything that looks beyond a single sample: mixing, balanced sampling, focused crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, photo, shapes_classes
from quick import quick

import maskwright
from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.run import Run
from maskwright.types import InputError

EVERYTHING = [
    "data.sampling=balanced",
    "data.crop=[24, 32]",
    "data.crop_focus=0.5",
    "augment={flip: 0.5, rotate: 20, rotate_safe: true, shear: 5, elastic: 0.03, saturation: 0.3, hue: 0.1, "
    "shadow: 0.3, blur: 0.3, noise: 0.05, jpeg: 0.3, cutmix: 0.3, classmix: 0.3, paste: 0.7}",
]


@pytest.fixture
def rare_dataset(tmp_path: Path) -> Dataset:
    """Eight images of background, two of them with a small box, and validation."""
    samples = []
    for n in range(10):
        mask = np.zeros((40, 48), np.uint8)
        if n in (2, 5, 9):
            mask[10:18, 12:22] = 2
        image = photo(mask.shape, n)
        image[mask == 2] = (250, 20, 20)
        split = "val" if n > 7 else "train"
        samples.append(add_sample(tmp_path / "data", f"{n}", image, mask, split=split, classes=shapes_classes()))
    return Dataset.create(tmp_path / "data", shapes_classes(), samples, {})


def test_everything_at_once_trains_and_says_what_was_derived(
    rare_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = maskwright.train(rare_dataset, quick(*EVERYTHING), out=tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert trained.ended == "finished"
    assert all(np.isfinite(row["train_loss"]) for row in run.metrics())
    assert run.recipe.augment.paste_classes == ("box",)
    about = run.about
    assert "less than 16.67% of the labelled pixels" in about["derived"]["augment.paste_classes"]
    sampling = about["data"]["sampling"]
    assert sampling["pasted"] == {"box": 2}
    assert sampling["classes"]["box"]["images"] == 2
    assert sampling["image_weight"]["most"] > 2
    said = " ".join(capsys.readouterr().err.split())
    assert "class shares: disc 0.00% in 0 images, box " in said
    assert "pasted: box from 2 images" in said


def test_without_them_no_class_is_counted_or_recorded(shapes_dataset: Dataset, tmp_path: Path) -> None:
    run = maskwright.train(shapes_dataset, quick("train.epochs=1"), out=tmp_path / "run").run
    assert "sampling" not in run.about["data"]
    assert run.recipe.augment.paste_classes is None


def test_a_set_without_a_rare_class_pastes_nothing_and_says_so(
    shapes_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = quick("train.epochs=1", "augment.paste=1", "augment.paste_classes=[]")
    run = maskwright.train(shapes_dataset, recipe, out=tmp_path / "given").run
    assert run.about["data"]["sampling"]["pasted"] == {}
    even = Dataset.open(shapes_dataset.path)
    for sample in even.samples:
        mask = np.arange(sample.width, dtype=np.uint8)[None].repeat(sample.height, axis=0) * 3 // sample.width
        add_sample(even.path, sample.id, even.image(sample), mask.astype(np.uint8), classes=even.classes)
    (even.path / "samples.csv").touch()
    run = maskwright.train(even, quick("train.epochs=1", "augment.paste=1"), out=tmp_path / "even").run
    assert run.recipe.augment.paste_classes == ()
    assert "nothing is pasted" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["data.crop_focus=0.5"], "data.crop_focus = 0.5 has no effect.*set data.crop below"),
        (["data.crop_focus=0.5", "data.crop=[32, 40]"], "has no effect"),
        (["augment.paste=1", "augment.paste_classes=[bx]"], "augment.paste_classes 'bx'.*Did you mean 'box'"),
        (["augment.paste_classes=[bx]"], "augment.paste_classes 'bx'"),
    ],
)
def test_what_cannot_work_is_named_before_anything_is_written(
    shapes_dataset: Dataset, tmp_path: Path, sets: list[str], says: str
) -> None:
    recipe: Recipe = quick("augment.scale=[1, 1]", *sets)
    with pytest.raises(InputError, match=says):
        maskwright.train(shapes_dataset, recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
