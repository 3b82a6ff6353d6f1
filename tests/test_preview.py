from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, photo, shapes, shapes_classes, write_shapes

from maskwright.config import Recipe
from maskwright.data.augmenting.preview import LONGEST_PX, active_options, preview, show_mask
from maskwright.data.dataset import Dataset
from maskwright.types import Classes, InputError

MANY = Recipe.load(
    "default", ["augment.cutmix=0.5", "augment.classmix=0.5", "augment.paste=0.5", "augment.elastic=0.05"]
)


def test_a_sheet_has_a_row_a_sample_and_a_column_a_draw(shapes_dataset: Dataset) -> None:
    samples = shapes_dataset.labelled("train")
    one = preview(shapes_dataset, MANY, samples[:1], draws=2)
    rows = preview(shapes_dataset, MANY, samples[:3], draws=2)
    wider = preview(shapes_dataset, MANY, samples[:1], draws=4)
    assert one.dtype == np.uint8
    assert one.shape[2] == 3
    assert rows.shape[0] > one.shape[0] + 2 * 150
    assert wider.shape[1] > one.shape[1] + 2 * LONGEST_PX - 1


def test_a_sheet_is_drawn_by_its_seed_alone(shapes_dataset: Dataset) -> None:
    samples = shapes_dataset.labelled("train")[:2]
    first = preview(shapes_dataset, MANY, samples, 1)
    assert np.array_equal(first, preview(shapes_dataset, MANY, samples, 1))
    assert not np.array_equal(first, preview(shapes_dataset, MANY, samples, 2))


def test_a_recipe_that_changes_nothing_shows_the_original_again(shapes_dataset: Dataset) -> None:
    recipe = Recipe(name="still").with_values(augment__flip=0)
    sheet = preview(shapes_dataset, recipe, shapes_dataset.labelled("train")[:1], draws=1)
    starts = (24, 24 + LONGEST_PX + 10)
    panels = [sheet[110:260, start : start + LONGEST_PX] for start in starts]
    assert np.array_equal(panels[0], panels[1])
    assert np.ptp(panels[0]) > 100
    assert active_options(recipe) == ["nothing is changed"]


def test_options_are_listed_with_their_values() -> None:
    recipe = Recipe().with_values(augment__rotate=10, augment__scale=(0.5, 2), augment__rotate_safe=True,
                                  data__crop=(64, 64), augment__paste_classes=["a", "b"])  # fmt: skip
    assert active_options(recipe) == [
        "crop 64 / 64", "flip 0.5", "rotate 10", "rotate_safe on", "scale 0.5 / 2", "paste_classes a / b"
    ]  # fmt: skip


def test_classes_are_tinted_the_background_is_not_and_ignore_is_hatched() -> None:
    image, mask = shapes(0)
    before = image.tobytes()
    shown = show_mask(image, mask, shapes_classes())
    background = mask == 0
    assert np.array_equal(shown[background], image[background])
    assert (shown[mask == 255] == 255).any()
    assert not (shown[mask == 255] == 255).all()
    assert (shown[mask == 1] != image[mask == 1]).any()
    assert image.tobytes() == before


@pytest.mark.parametrize("hw", [(1, 1), (1, 30), (200, 3), (700, 900)])
def test_odd_sizes_and_long_names_fit(tmp_path: Path, hw: tuple[int, int]) -> None:
    classes = Classes.from_names([f"a class with a long name, number {n}" for n in range(300)])
    mask = (np.arange(hw[0] * hw[1]) % 299).reshape(hw).astype(np.uint16)
    mask[0, 0] = 65535
    sample = add_sample(tmp_path, "a-name-without-end" * 8, photo(hw), mask, classes=classes)
    data = Dataset.create(tmp_path, classes, [sample], {})
    sheet = preview(data, MANY, [sample], draws=1)
    assert sheet.shape[1] < 800


def test_samples_without_masks_are_left_out_and_none_is_an_error(tmp_path: Path) -> None:
    data = write_shapes(tmp_path, {"train": 2})
    bare = add_sample(tmp_path, "bare", photo(), None, classes=data.classes)
    first = data.labelled()[0]
    assert np.array_equal(preview(data, MANY, [first, bare]), preview(data, MANY, [first]))
    with pytest.raises(InputError, match="at least one labelled sample"):
        preview(data, MANY, [bare])


@pytest.mark.data
def test_real_photos_make_a_sheet(shared_data: Path, tmp_path: Path) -> None:
    from maskwright.imageio import read_image, read_plane

    names = sorted((shared_data / "camvid" / "train").iterdir())[:3]
    classes = Classes.from_names([f"class {n}" for n in range(11)])
    samples = []
    for path in names:
        mask = read_plane(shared_data / "camvid" / "trainannot" / f"{path.stem}.png")
        mask = np.where(mask == 11, 255, mask).astype(np.uint8)
        samples.append(add_sample(tmp_path, path.stem, read_image(path), mask, classes=classes))
    data = Dataset.create(tmp_path, classes, samples, {})
    sheet = preview(data, MANY.with_values(data__size=(180, 240), data__crop=(128, 128)), samples, draws=3)
    assert sheet.shape[1] == 2 * 24 + 4 * 256 + 3 * 10
