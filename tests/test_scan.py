"""Facts about images and masks: right, robust against broken files, remembered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import add_sample, shapes, shapes_classes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PILImage

from maskwright.data.audit import scan as scanning
from maskwright.data.audit.look import ImageFacts, look_at_image, look_at_mask, smoothed_steps
from maskwright.data.audit.scan import Facts, scan
from maskwright.data.dataset import Dataset
from maskwright.data.pixels.parts import labelled_parts
from maskwright.imageio import colourise
from maskwright.types import Image, InputError


def one(dataset: Dataset, key: str) -> Facts:
    return next(facts for facts in scan(dataset) if facts.id == key)


def noting(seen: list[Image]) -> Callable[[Image], ImageFacts]:
    """`look_at_image` that notes what it was shown."""

    def look(image: Image) -> ImageFacts:
        seen.append(image)
        return look_at_image(image)

    return look


def test_facts_are_what_the_pixels_say(shapes_dataset: Dataset) -> None:
    for facts, sample in zip(scan(shapes_dataset), shapes_dataset.samples, strict=True):
        mask = shapes_dataset.mask(sample)
        assert facts.id == sample.id
        assert facts.pixels == tuple(int((mask == value).sum()) for value in range(3))
        assert facts.mask is not None
        assert facts.mask.ignored == (mask == 255).sum()
        assert facts.image is not None
        assert (facts.image.height, facts.image.width) == sample.size_hw
        assert not facts.mask.aliens


def test_unlabelled_images_have_image_facts_only(tmp_path: Path) -> None:
    image, _ = shapes(0)
    row = add_sample(tmp_path, "a", image, None, classes=shapes_classes())
    (facts,) = scan(Dataset.create(tmp_path, shapes_classes(), [row], {}))
    assert facts.image is not None
    assert facts.mask is None
    assert facts.pixels == ()
    assert facts.mask_error == ""


def test_broken_files_are_facts(shapes_dataset: Dataset) -> None:
    folder, names = shapes_dataset.path, [sample.id for sample in shapes_dataset.samples]
    image = folder / "images" / f"{names[0]}.png"
    image.write_bytes(image.read_bytes()[:200])
    (folder / "masks" / f"{names[1]}.png").write_bytes(b"no picture")
    (folder / "masks" / f"{names[2]}.png").unlink()
    (folder / "images" / f"{names[3]}.png").write_bytes(b"")
    facts = {one.id: one for one in scan(shapes_dataset)}
    assert "truncated" in facts[names[0]].image_error
    assert facts[names[0]].mask is not None
    assert "not an image" in facts[names[1]].mask_error
    assert "does not exist" in facts[names[2]].mask_error
    assert "empty" in facts[names[3]].image_error
    assert len(facts) == len(names)


def test_nothing_unchanged_is_opened_again(shapes_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scan(shapes_dataset)
    seen: list[Image] = []
    monkeypatch.setattr(scanning, "look_at_image", noting(seen))
    assert scan(shapes_dataset) == before
    assert not seen
    # Touched or copied: the content decides.
    first, second = (shapes_dataset.path / shapes_dataset.samples[i].image for i in (0, 1))
    os.utime(first, ns=(1, 1))
    assert scan(shapes_dataset) == before
    assert not seen
    changed, _ = shapes(99, shapes_dataset.samples[1].size_hw)
    PILImage.fromarray(changed).save(second)
    after = scan(shapes_dataset)
    assert len(seen) == 1
    assert after[0] == before[0]
    assert after[1].image != before[1].image


def test_another_class_table_is_another_scan(shapes_dataset: Dataset) -> None:
    scan(shapes_dataset)
    fewer = Dataset.create(
        shapes_dataset.path, shapes_classes().from_names(["background", "disc"]), shapes_dataset.samples, {}
    )
    assert all(facts.mask and facts.mask.alien_pixels for facts in scan(fewer) if facts.mask)


def test_a_killed_scan_goes_on(shapes_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scan(shapes_dataset)
    cache = next((shapes_dataset.path / ".cache").glob("scan-*.jsonl"))
    lines = cache.read_bytes().splitlines(keepends=True)
    cache.write_bytes(b"".join(lines[:5]) + lines[5][:40])  # the sixth line was being written
    seen: list[Image] = []
    monkeypatch.setattr(scanning, "look_at_image", noting(seen))
    assert scan(shapes_dataset) == before
    assert len(seen) == len(before) - 5
    assert scan(shapes_dataset) == before
    assert len(seen) == len(before) - 5


def test_processes_say_the_same(shapes_dataset: Dataset) -> None:
    alone = scan(shapes_dataset, workers=0)
    next((shapes_dataset.path / ".cache").glob("*")).unlink()
    assert scan(shapes_dataset, workers=2) == alone


def test_a_folder_that_may_not_be_written_is_scanned(
    shapes_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    (shapes_dataset.path / ".cache").write_text("in the way")
    assert len(scan(shapes_dataset)) == len(shapes_dataset.samples)
    assert "Nothing is remembered" in capsys.readouterr().err


def test_colour_pictures_and_unknown_ids(tmp_path: Path) -> None:
    image, mask = shapes(1, ignored=False)
    classes, path = shapes_classes(), tmp_path / "mask.png"
    picture = colourise(mask, classes)
    PILImage.fromarray(picture).save(path)
    facts = look_at_mask(path.read_bytes(), path, classes, image)
    assert (facts.kind, facts.alien_pixels) == ("colours", 0)
    assert facts.pixels == tuple(int((mask == value).sum()) for value in range(3))
    picture[:10, :10] = (1, 250, 1)
    PILImage.fromarray(picture).save(path)
    facts = look_at_mask(path.read_bytes(), path, classes, image)
    assert facts.aliens == ((0x01FA01, 100),)
    assert facts.mendable == 0
    mask[:10, :10], mask[20] = 77, 78
    PILImage.fromarray(mask).save(path)
    facts = look_at_mask(path.read_bytes(), path, classes, image)
    assert dict(facts.aliens) == {77: 100, 78: 64}
    assert facts.mendable == 64  # the line, not the area
    PILImage.fromarray(mask).save(path, "JPEG")
    assert look_at_mask(path.read_bytes(), path, classes, image).lossy


def test_smoothing_shows_and_thin_objects_do_not() -> None:
    classes = shapes_classes().from_names([f"c{i}" for i in range(6)])
    mask = np.zeros((80, 80), np.uint8)
    cv2.circle(mask, (40, 40), 20, 5, -1)
    assert smoothed_steps(mask, classes)[1] == 0
    blurred = cv2.resize(cv2.resize(mask, (40, 40), interpolation=cv2.INTER_AREA), (80, 80))
    steps, smooth = smoothed_steps(np.asarray(blurred, np.uint8), classes)
    assert smooth > 0.5 * steps
    ignored = mask.copy()
    ignored[:, 39:41] = classes.ignore
    assert smoothed_steps(ignored, classes)[1] == 0


@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_parts_are_those_of_opencv(ids: np.ndarray) -> None:
    labels, areas = labelled_parts(ids)
    sizes: list[int] = []
    for value in np.unique(ids):
        stats = cv2.connectedComponentsWithStats((ids == value).astype(np.uint8), connectivity=8)[2]
        sizes += stats[1:, cv2.CC_STAT_AREA].tolist()
    assert sorted(areas.tolist()) == sorted(sizes)
    assert all(len(np.unique(ids[labels == part])) == 1 for part in range(len(areas)))


def test_a_mask_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"mask\.png"):
        look_at_mask(path.read_bytes(), path, shapes_classes(), None)
