"""Prediction masks that anybody made: the same scores as the network's own, and every way they can be wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import add_sample, shapes, write_shapes
from PIL import Image as PILImage
from quick import quick
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app
from maskwright.data.dataset import Dataset
from maskwright.files import read_json
from maskwright.imageio import colourise, write_image, write_mask
from maskwright.run import read_counts
from maskwright.types import Classes, ClassInfo, InputError, Mask, TargetError


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Five test images of three classes."""
    return write_shapes(tmp_path / "shapes", {"test": 5})


def guess_of(truth_HW: Mask, seed: int = 0) -> Mask:
    """A prediction that is often right and says a class everywhere."""
    rng = np.random.default_rng(seed)
    wrong = rng.integers(0, 3, truth_HW.shape).astype(np.uint8)
    return np.where((rng.random(truth_HW.shape) < 0.2) | (truth_HW == 255), wrong, truth_HW)


def write_guesses(folder: Path, data: Dataset) -> Path:
    """Id masks named like the images."""
    folder.mkdir(parents=True)
    for seed, sample in enumerate(data.labelled("test")):
        write_mask(folder / f"{sample.id}.png", guess_of(data.mask(sample), seed), data.classes)
    return folder


def scores_of(folder: Path, data: Dataset, **options: Any) -> dict[str, Any]:
    """What was scored; every prediction was used."""
    result = maskwright.evaluate(folder, data, draws=100, **options)
    assert not result.skipped
    return {key: value for key, value in result.scores.items() if key not in ("time", "source")}


def test_masks_of_predict_score_as_the_run_itself(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 4, "val": 2, "test": 4})
    run = maskwright.train(data, quick("train.epochs=2"), out=tmp_path / "run").run
    maskwright.predict(run, data.path / "images", tmp_path / "found", device="cpu", precision="fp32")
    own = maskwright.evaluate(run, device="cpu", precision="fp32", surface_px=2.0)
    other = maskwright.evaluate(tmp_path / "found", data, surface_px=2.0)
    assert (own.confusion_KK == other.confusion_KK).all()
    differ = {"time", "source", "weights", "precision", "calibration"}
    assert other.scores["calibration"] is None
    assert {k: v for k, v in own.scores.items() if k not in differ} == {
        k: v for k, v in other.scores.items() if k not in differ
    }
    assert other.folder == tmp_path / "found/evaluation/test"
    mine, theirs = read_counts(own.folder), read_counts(other.folder)
    for name in vars(mine):
        assert (getattr(mine, name) == getattr(theirs, name)).all(), name
    assert not list((tmp_path / "found/evaluation").rglob(".*")), "no traces"


def test_every_way_to_write_the_same_masks(data: Dataset, tmp_path: Path) -> None:
    plain = scores_of(write_guesses(tmp_path / "palette", data), data)
    samples = {s.id: guess_of(data.mask(s), i) for i, s in enumerate(data.labelled("test"))}
    for kind in ("grey", "grey as RGB", "colours", "npy", "float npy", "sub-folders", "source names"):
        folder = tmp_path / kind
        (folder / "deep/er").mkdir(parents=True)
        for key, ids in samples.items():
            if kind == "grey":
                PILImage.fromarray(ids).save(folder / f"{key}.png")
            elif kind == "grey as RGB":
                write_image(folder / f"{key}.png", np.repeat(ids[..., None], 3, axis=2))
            elif kind == "colours":
                write_image(folder / f"{key}.png", colourise(ids, data.classes))
            elif kind == "npy":
                np.save(folder / f"{key}.npy", ids.astype(np.int64))
            elif kind == "float npy":
                np.save(folder / f"{key}.npy", ids.astype(np.float32))
            else:
                write_mask(folder / "deep/er" / f"{key}.png", ids, data.classes)
        assert scores_of(folder, data) == plain, kind


def test_masks_may_be_named_like_the_photo_they_were_imported_from(tmp_path: Path) -> None:
    classes = write_shapes(tmp_path / "other", {"test": 1}).classes
    samples = []
    for index, source in enumerate(("a/frame.png", "b/frame.png")):
        image, mask = shapes(index)
        sample = add_sample(tmp_path / "data", f"frame_{index}", image, mask, split="test", classes=classes)
        samples.append(replace(sample, source=source))
        (tmp_path / "found" / source).parent.mkdir(parents=True)
        write_mask(tmp_path / "found" / source, guess_of(mask), classes)
    data = Dataset.create(tmp_path / "data", classes, samples, {})
    assert scores_of(tmp_path / "found", data)["images"] == 2


def test_a_picture_of_one_grey_class_is_no_id(tmp_path: Path) -> None:
    classes = Classes(items=tuple(ClassInfo(id=i, name=f"c{i}", colour=(60 + i, 60 + i, 60 + i)) for i in range(2)))
    image, mask = shapes(0, ignored=False)
    sample = add_sample(tmp_path / "data", "one", image, np.minimum(mask, 1), split="test", classes=classes)
    data = Dataset.create(tmp_path / "data", classes, [sample], {})
    (tmp_path / "found").mkdir()
    write_image(tmp_path / "found/one.png", colourise(np.minimum(mask, 1), classes))
    assert scores_of(tmp_path / "found", data)["mean_iou"] == 1


def spoil(path: Path, how: str, data: Dataset) -> None:
    """Make one prediction unusable."""
    sample = next(s for s in data.samples if s.id == path.stem)
    truth = data.mask(sample)
    ids = guess_of(truth)
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:-40])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "size":
        write_mask(path, ids[:-1], data.classes)
    elif how == "turned":
        write_mask(path, ids.T.copy(), data.classes)
    elif how == "unknown id":
        PILImage.fromarray(np.where(ids == 2, 7, ids).astype(np.uint8)).save(path)
    elif how == "unknown colour":
        write_image(path, np.where(ids[..., None] == 2, 9, colourise(ids, data.classes)).astype(np.uint8) + 1)
    elif how == "no class":
        write_mask(path, np.where(ids == 1, 255, ids).astype(np.uint8), data.classes)
    else:
        path.unlink()
        arrays: dict[str, Any] = {
            "negative": ids.astype(np.int16) - 1,
            "fractions": ids + 0.5,
            "probabilities": np.zeros((3, *ids.shape), np.float32),
            "objects": np.array([{}], object),
            "words": np.array([["a"]]),
        }
        np.save(path.with_suffix(".npy"), arrays[how], allow_pickle=True)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut off", "truncated"),
        ("empty", "is empty"),
        ("size", "but its image is"),
        ("turned", "but its image is"),
        ("unknown id", "holds id 7"),
        ("unknown colour", "holds the colour"),
        ("no class", "labelled pixels; predict a class everywhere"),
        ("negative", "holds id -1"),
        ("fractions", "holds fractions"),
        ("probabilities", "holds float32 \\(3, "),
        ("objects", "cannot be read as an array"),
        ("words", "one plane of class ids"),
    ],
)
def test_a_bad_prediction_is_left_out_or_fatal(data: Dataset, tmp_path: Path, how: str, message: str) -> None:
    folder = write_guesses(tmp_path / "found", data)
    spoil(folder / "shape-001.png", how, data)
    result = maskwright.evaluate(folder, data, draws=100)
    assert result.scores["images"] == 4
    assert result.scores["left_out"] == len(result.skipped) == 1
    assert "shape-001" in result.skipped[0].file
    with pytest.raises(InputError, match=message):
        maskwright.evaluate(folder, data, strict=True)


def test_missing_and_ambiguous_predictions_are_counted(data: Dataset, tmp_path: Path) -> None:
    folder = write_guesses(tmp_path / "found", data)
    (folder / "shape-000.png").unlink()
    (folder / "shape-003.png").unlink()
    shutil.copytree(folder, folder / "again", ignore=shutil.ignore_patterns("shape-00[24]*"))
    result = maskwright.evaluate(folder, data, draws=100)
    assert (result.scores["images"], result.scores["left_out"]) == (2, 3)
    texts = [item.reason for item in result.skipped]
    assert any("2 of 5 test images have no prediction" in text and "shape-000" in text for text in texts)
    assert any("both named like image shape-001" in text for text in texts)
    with pytest.raises(InputError, match="2 of 5 test images have no prediction"):
        maskwright.evaluate(folder, data, strict=True)


def test_ignored_labels_need_no_class(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    for sample in data.labelled("test"):
        write_mask(tmp_path / "found" / f"{sample.id}.png", data.mask(sample), data.classes)
    scores = scores_of(tmp_path / "found", data)
    assert scores["mean_iou"] == scores["mean_boundary_iou"] == scores["mean_boundary_f"] == 1


def test_what_is_no_folder_of_predictions(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, given, message in [
        (tmp_path / "nowhere", data, "does not exist"),
        (tmp_path / "empty", data, "holds no prediction masks"),
        (tmp_path / "empty", None, "not a run folder"),
        (data.path / "images", data, "None of 5 images could be scored"),
        (write_guesses(tmp_path / "found", data), tmp_path / "nowhere", "does not exist"),
    ]:
        with pytest.raises(InputError, match=message):
            maskwright.evaluate(folder, given)
    stranger = tmp_path / "strangers"
    stranger.mkdir()
    write_mask(stranger / "elsewhere.png", np.zeros((4, 4), np.uint8), data.classes)
    with pytest.raises(InputError, match=r"shape-000\.png, but the first one here is elsewhere\.png"):
        maskwright.evaluate(stranger, data)
    with pytest.raises(InputError, match="no labelled images in split 'val'"):
        maskwright.evaluate(tmp_path / "found", data, split="val")
    assert not (tmp_path / "empty/evaluation").exists()


def test_the_evaluation_goes_where_it_is_told(data: Dataset, tmp_path: Path) -> None:
    folder = write_guesses(tmp_path / "found", data)
    maskwright.evaluate(folder, data, out=tmp_path / "elsewhere", draws=100)
    assert read_json(tmp_path / "elsewhere/scores.json")["images"] == 5
    assert not (folder / "evaluation").exists()
    with pytest.raises(TargetError):
        maskwright.evaluate(folder, data, out=folder / "shape-000.png")
    with pytest.raises(TargetError, match="holds other things"):
        maskwright.evaluate(folder, data, out=data.path)


def test_as_a_machine_uses_it(data: Dataset, tmp_path: Path) -> None:
    folder = write_guesses(tmp_path / "found", data)
    (folder / "shape-004.png").unlink()
    words = ["evaluate", str(folder), str(data.path), "--draws", "200", "--surface", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3, done.output
    found = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["images"] == 4
    assert found["units"]["draws"] == 200
    assert found["source"]["kind"] == "predictions"
    assert found["evaluation"] == str(folder / "evaluation/test")
    assert "1 of 5 test images" in found["skipped"][0]["reason"]
    assert max(map(len, (folder / "evaluation/test/scores.txt").read_text().splitlines())) <= 100
    wrong = CliRunner().invoke(app, [*words[:3], "--tolerance", "2"])
    assert isinstance(wrong.exception, InputError)
