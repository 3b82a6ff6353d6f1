from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import NAMES, add_sample, photo, shapes, shapes_classes, write_shapes

from maskwright.data.dataset import Dataset, Sample, fingerprint
from maskwright.imageio import write_image, write_mask
from maskwright.types import Classes, InputError


def later(path: Path) -> None:
    """Date a file after the table, as an edit by hand does."""
    now = path.stat().st_mtime_ns + 5_000_000_000
    os.utime(path, ns=(now, now))


def edited(data: Dataset, sample: Sample) -> None:
    mask = data.mask(sample)
    path = data.path / sample.mask
    write_mask(path, np.roll(mask, 5, axis=1), data.classes)
    later(path)


def test_open_reads_what_create_wrote(shapes_dataset: Dataset) -> None:
    again = Dataset.open(str(shapes_dataset.path))
    assert again.samples == shapes_dataset.samples
    assert again.classes == shapes_dataset.classes
    assert again.fingerprint == shapes_dataset.fingerprint == again.record["fingerprint"]
    assert [len(again.labelled(split)) for split in ("train", "val", "test", None)] == [8, 2, 2, 12]
    for sample in again.samples:
        image, mask = again.image(sample), again.mask(sample)
        assert image.shape[:2] == mask.shape == sample.size_hw


def test_a_split_without_masks_is_explained(shapes_dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"no labelled images in split 'other' \(it has: test 2, train 8, val 2\)"):
        shapes_dataset.labelled("other")
    with pytest.raises(InputError, match="no labelled images at all"):
        replace(shapes_dataset, samples=()).labelled()


def test_fingerprint_is_independent_of_row_order(shapes_dataset: Dataset) -> None:
    rows = shapes_dataset.samples
    assert fingerprint(shapes_dataset.classes, rows[::-1]) == fingerprint(shapes_dataset.classes, rows)
    table = shapes_dataset.path / "samples.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    assert Dataset.open(shapes_dataset.path).fingerprint == shapes_dataset.fingerprint


CHANGES: dict[str, Callable[[Sample], Sample]] = {
    "id": lambda s: replace(s, id="other"),
    "split": lambda s: replace(s, split="val"),
    "image": lambda s: replace(s, image_hash="0" * 32),
    "mask": lambda s: replace(s, mask_hash="0" * 32),
}


@pytest.mark.parametrize("what", CHANGES)
def test_fingerprint_changes_with_every_row(shapes_dataset: Dataset, what: str) -> None:
    first, *rest = shapes_dataset.samples
    assert first.split == "train"
    changed = fingerprint(shapes_dataset.classes, [CHANGES[what](first), *rest])
    assert changed != shapes_dataset.fingerprint


def test_fingerprint_changes_with_the_classes(shapes_dataset: Dataset) -> None:
    tables = [
        Classes.from_names([*NAMES[:2], "crate"]),
        Classes.from_names(NAMES, background=None),
        Classes.from_names([*NAMES, "more"]),
    ]
    prints = {fingerprint(table, shapes_dataset.samples) for table in tables}
    assert len(prints | {shapes_dataset.fingerprint}) == 4


def test_refresh_of_an_untouched_data_set_changes_nothing(shapes_dataset: Dataset) -> None:
    before = (shapes_dataset.path / "samples.csv").read_bytes()
    again, skipped = shapes_dataset.refresh()
    assert again is shapes_dataset
    assert skipped == []
    assert (shapes_dataset.path / "samples.csv").read_bytes() == before


def test_refresh_takes_in_an_added_mask(tmp_path: Path) -> None:
    image, mask = shapes(0)
    sample = add_sample(tmp_path, "new", image, None, classes=shapes_classes())
    data = Dataset.create(tmp_path, shapes_classes(), [sample], {})
    write_mask(tmp_path / "masks" / "new.png", mask, data.classes)
    again, skipped = data.refresh()
    assert skipped == []
    assert again.samples[0].status == "labelled"
    assert np.array_equal(again.mask(again.labelled("train")[0]), mask)
    assert again.fingerprint != data.fingerprint
    reopened = Dataset.open(tmp_path)
    assert reopened.samples == again.samples
    assert reopened.record["fingerprint"] == again.fingerprint


def test_refresh_takes_in_a_changed_mask_and_a_changed_image(shapes_dataset: Dataset) -> None:
    first, second = shapes_dataset.samples[:2]
    edited(shapes_dataset, first)
    write_image(shapes_dataset.path / second.image, photo(second.size_hw))
    later(shapes_dataset.path / second.image)
    again, skipped = shapes_dataset.refresh()
    assert skipped == []
    assert again.samples[0].mask_hash != first.mask_hash
    assert again.samples[0].image_hash == first.image_hash
    assert again.samples[1].image_hash != second.image_hash
    assert again.samples[2:] == shapes_dataset.samples[2:]
    assert Dataset.open(shapes_dataset.path).fingerprint == again.fingerprint


def break_id(data: Dataset, sample: Sample) -> None:
    mask = data.mask(sample)
    mask[0, 0] = 7
    write_mask(data.path / sample.mask, mask, data.classes)


def break_size(data: Dataset, sample: Sample) -> None:
    write_mask(data.path / sample.mask, np.zeros((3, 4), np.uint8), data.classes)


def break_bytes(data: Dataset, sample: Sample) -> None:
    path = data.path / sample.mask
    path.write_bytes(path.read_bytes()[:80])


def remove_mask(data: Dataset, sample: Sample) -> None:
    (data.path / sample.mask).unlink()


def remove_image(data: Dataset, sample: Sample) -> None:
    (data.path / sample.image).unlink()


def resize_image(data: Dataset, sample: Sample) -> None:
    write_image(data.path / sample.image, photo((20, 20)))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (break_id, "holds id 7"),
        (break_size, "4x3 but its image is"),
        (break_bytes, "truncated|not an image"),
        (remove_mask, "is gone; put it back"),
        (remove_image, "is gone; put it back"),
        (resize_image, "but its image is 20x20"),
    ],
)
def test_a_broken_file_is_quarantined_and_strict_raises(
    shapes_dataset: Dataset, harm: Callable[[Dataset, Sample], None], says: str
) -> None:
    before = (shapes_dataset.path / "samples.csv").read_bytes()
    victim = shapes_dataset.samples[3]
    files = {
        path: path.read_bytes() for path in (shapes_dataset.path / victim.mask, shapes_dataset.path / victim.image)
    }
    harm(shapes_dataset, victim)
    for path, content in files.items():
        if path.exists() and path.read_bytes() != content:
            later(path)
    again, skipped = shapes_dataset.refresh()
    assert [row.file for row in skipped] == [victim.id]
    assert victim not in again.samples
    assert len(again.samples) == len(shapes_dataset.samples) - 1
    assert (shapes_dataset.path / "samples.csv").read_bytes() == before, "the row waits for its file"
    with pytest.raises(InputError, match=says) as caught:
        shapes_dataset.refresh(strict=True)
    assert str(caught.value) == skipped[0].reason
    assert victim.id in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("shape-001,", "shape-000,"), "two rows for 'shape-000'"),
        (lambda text: text.replace(",mask_hash", ",other"), "line 2: column 'mask_hash' is missing"),
        (lambda text: text.replace(",40,", ",forty,"), "line 2: height and width must be numbers"),
        (lambda text: text.rsplit(",", 3)[0], "line 13: column"),
    ],
)
def test_a_broken_table_names_the_line(shapes_dataset: Dataset, change: Callable[[str], str], says: str) -> None:
    table = shapes_dataset.path / "samples.csv"
    table.write_text(change(table.read_text()))
    with pytest.raises(InputError, match=says) as caught:
        Dataset.open(shapes_dataset.path)
    assert "samples.csv" in str(caught.value)


def test_what_is_no_data_set_is_explained(shapes_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Dataset.open(tmp_path / "none")
    with pytest.raises(InputError, match=r"not a data set .* 'maskwright import' or 'init'"):
        Dataset.open(tmp_path)
    yaml = shapes_dataset.path / "dataset.yaml"
    yaml.write_text(yaml.read_text().replace("format: 1", "format: 99"))
    with pytest.raises(InputError, match="newer maskwright"):
        Dataset.open(shapes_dataset.path)


def test_a_class_table_with_gaps_names_its_file(shapes_dataset: Dataset) -> None:
    yaml = shapes_dataset.path / "dataset.yaml"
    yaml.write_text(yaml.read_text().replace("id: 2", "id: 4"))
    with pytest.raises(InputError, match=r"dataset\.yaml: .*renumber"):
        Dataset.open(shapes_dataset.path)


def test_an_image_of_another_size_is_not_served(shapes_dataset: Dataset) -> None:
    sample = shapes_dataset.samples[0]
    write_image(shapes_dataset.path / sample.image, photo((9, 9)))
    with pytest.raises(InputError, match=r"not the size that samples\.csv says"):
        shapes_dataset.image(sample)


def test_rows_are_sorted_and_ids_with_umlauts_survive(tmp_path: Path) -> None:
    data = write_shapes(tmp_path, {"train": 2})
    image, mask = shapes(9)
    sample = add_sample(tmp_path, "ähre, 1", image, mask, classes=data.classes)
    Dataset.create(tmp_path, data.classes, [sample, *data.samples[::-1]], {"note": "x"})
    again = Dataset.open(tmp_path)
    assert [s.id for s in again.samples] == sorted(s.id for s in again.samples)
    assert sample in again.samples
    assert again.record["note"] == "x"
