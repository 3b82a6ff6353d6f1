"""`audit --fix`: safe repairs in a new data set, the old one untouched, and nothing left to repair."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import faults

from maskwright.data.audit import Audit
from maskwright.data.audit.fix import Fixed, filled, fix_dataset, mended, without_specks
from maskwright.data.audit.write import audit_dataset
from maskwright.data.dataset import Dataset
from maskwright.types import Classes, InputError

Planted = dict[str, list[set[str]]]


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Planted, Fixed, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("fix")
    where = faults.plant(faults.drawn_shots(90), faults.SCENE, folder / "old", each=1, seed=5)
    audit = audit_dataset(folder / "old")
    before = contents(folder / "old")
    return audit, where, fix_dataset(audit, folder / "new"), before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def truth(key: str) -> np.ndarray:
    return np.asarray(faults.draw_scene(int(key.removeprefix("scene-")))[1])


def test_the_old_data_set_is_not_touched(repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]]) -> None:
    audit, _, _, before = repaired
    assert contents(audit.dataset.path) == before


def test_a_second_audit_has_nothing_to_repair(repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]]) -> None:
    _, _, fixed, _ = repaired
    again = audit_dataset(fixed.dataset)
    assert not [finding for finding in again.findings if finding.repairs]
    # What is left wants a person: flipped masks, and copies that are not the same file.
    assert {finding.kind for finding in again.findings if finding.severity == "error"} <= {"turned", "leak"}
    for sample in fixed.dataset.samples:
        assert fixed.dataset.image(sample).shape[:2] == sample.size_hw
        if sample.mask:
            fixed.dataset.mask(sample)  # holds to the contract, or raises


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        ("mask in colours", 1.0),
        ("mask turned by 90 degrees", 1.0),
        ("area of an unknown id", 1.0),
        ("mask in colours, JPEG", 0.99),
        ("mask of ids, JPEG", 0.97),
    ],
)
def test_repaired_masks_are_true_where_they_say_anything(
    repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]], fault: str, least: float
) -> None:
    _, where, fixed, _ = repaired
    (key,) = where[fault][0]
    sample = next(sample for sample in fixed.dataset.samples if sample.id == key)
    mask, true = fixed.dataset.mask(sample), truth(key)
    told = (mask != 255) & (true != 255)
    assert told.mean() > 0.6
    assert (mask == true)[told].mean() >= least


def test_what_cannot_be_repaired_stays_as_a_photo_or_goes(
    repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]],
) -> None:
    _, where, fixed, _ = repaired
    rows = {sample.id: sample for sample in fixed.dataset.samples}
    for fault in ("mask file cut off", "mask cropped", "mask at half size", "all ignored"):
        (key,) = where[fault][0]
        assert rows[key].status == "unlabelled"
        assert rows[key].mask == ""
    (key,) = where["image file cut off"][0]
    assert key not in rows
    assert {rows[key].split for key in where["same file in train and test"][0] if key in rows} == {"test"}
    alien = [rows[key].mask for key in where["mask pasted on others"][0]]
    assert sum(bool(mask) for mask in alien) <= 1


def test_every_repair_is_listed(repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]]) -> None:
    audit, _, fixed, _ = repaired
    with (fixed.dataset.path / "repairs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    listed = {(row["id"], row["finding"], row["repair"]) for row in rows}
    assert listed == {(key, f.kind, what) for f in audit.findings for key, what in f.repairs.items()}
    assert fixed.dataset.record["repaired"]["repairs"] == fixed.repairs
    assert fixed.dataset.record["from"] == audit.dataset.record["from"]


def test_masks_are_turned_only_when_asked(
    repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]], tmp_path: Path
) -> None:
    audit, where, fixed, _ = repaired
    (key,) = where["flipped left to right"][0]
    turned = fix_dataset(audit, tmp_path / "turned", turn=True)
    true = truth(key)
    for data, right in ((fixed.dataset, False), (turned.dataset, True)):
        mask = data.mask(next(sample for sample in data.samples if sample.id == key))
        assert ((mask == true).mean() > 0.99) == right


def test_specks_go_only_when_asked(repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]], tmp_path: Path) -> None:
    audit, where, fixed, _ = repaired
    (key,) = where["specks"][0]
    cleaned = fix_dataset(audit, tmp_path / "clean", specks=6)
    wrong = [
        float((data.mask(next(s for s in data.samples if s.id == key)) != truth(key)).mean())
        for data in (fixed.dataset, cleaned.dataset)
    ]
    assert wrong[1] < wrong[0] / 5


def test_bad_requests_are_sentences(repaired: tuple[Audit, Planted, Fixed, dict[str, bytes]], tmp_path: Path) -> None:
    audit, _, fixed, _ = repaired
    with pytest.raises(InputError, match="exists already"):
        fix_dataset(audit, fixed.dataset.path)
    with pytest.raises(InputError, match="cannot be"):
        fix_dataset(audit, tmp_path / "new", specks=-1)
    shots = faults.drawn_shots(2)
    faults.write(shots, faults.SCENE, tmp_path / "good")
    with pytest.raises(InputError, match="nothing that may be repaired"):
        fix_dataset(audit_dataset(tmp_path / "good"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_mending_gives_lines_to_their_neighbours_and_areas_to_ignore() -> None:
    classes = Classes.from_names(["a", "b", "c"])
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 2
    mask[:, 19] = 77  # a line
    mask[5:15, 2:12] = 78  # an area
    result = mended(mask, classes)
    assert set(np.unique(result)) == {0, 2, 255}
    assert (result[:, 19] != 255).all()
    assert (result[5:15, 2:12] == 255).all()
    assert Dataset is not None


def test_mending_a_smoothed_mask_leaves_no_class_that_was_not_there() -> None:
    classes = Classes.from_names([f"c{n}" for n in range(6)])
    mask = np.zeros((80, 80), np.uint8)
    cv2.circle(mask, (40, 40), 25, 5, -1)
    blurred = np.asarray(cv2.resize(cv2.resize(mask, (40, 40), interpolation=cv2.INTER_AREA), (80, 80)), np.uint8)
    assert len(np.unique(blurred)) > 3
    result = mended(blurred, classes)
    told = result != 255
    assert told.mean() > 0.9
    assert (result == mask)[told].mean() > 0.99


def test_filling_and_specks() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[:, 5:] = 1
    mask[4, 2] = 1
    assert without_specks(mask, 2)[4, 2] == 0
    assert (without_specks(mask, 1) == mask).all()
    assert (without_specks(mask, 1000) == mask).all()  # nothing is large enough to give an id
    assert (filled(mask, np.ones((9, 9), bool), 255) == 255).all()
