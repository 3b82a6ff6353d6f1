"""A training beside the labelling: snapshot, splits, progress from the run folder, stop, and an end with the parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import add_sample, shapes, shapes_classes, write_shapes
from quick import QUICK

import maskwright
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import write_mask
from maskwright.run import Run
from maskwright.training.background import BackgroundTraining
from maskwright.training.snapshot import take_snapshot, with_validation
from maskwright.types import InputError

PATIENCE_SECONDS = 180
LONG = [*QUICK, "train.epochs=100000"]


def write_labelled(folder: Path, count: int, more: int = 0) -> Dataset:
    """So many labelled images and `more` unlabelled ones, all meant for training."""
    samples = []
    for index in range(count + more):
        image, mask = shapes(index, (40, 52))
        given = mask if index < count else None
        samples.append(add_sample(folder, f"s{index}", image, given, classes=shapes_classes()))
    return Dataset.create(folder, shapes_classes(), samples, {})


def wait_until(training: BackgroundTraining, check: Any) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check(state := training.state()):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return state


def test_what_is_labelled_trains_and_the_labelling_goes_on(tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "photos", 5, more=2)
    training = maskwright.BackgroundTraining(data.path)
    assert training.state()["state"] == "idle"
    assert training.curve() == []
    begun = training.start("default", sets=QUICK)
    assert begun["state"] == "running"
    assert begun["message"].startswith("Starting: 4 images to learn from, 1 to validate (1 of 5 labelled images")
    with pytest.raises(InputError, match="running already"):
        training.start("default", sets=QUICK)
    before = (data.path / "samples.csv").read_bytes()
    write_mask(data.path / "masks" / "s0.png", np.zeros((40, 52), np.uint8), data.classes)
    state = wait_until(training, lambda state: state["state"] != "running")
    assert state["state"] == "done", state
    assert state["message"].startswith("Finished after 3 epochs, best validation mean IoU 0.")
    assert (state["epoch"], state["epochs"], state["share"]) == (3, 3, 1.0)
    assert (data.path / "samples.csv").read_bytes() == before, "the table is the project's to write"
    run = Run.open(state["run"])
    assert run.path == data.path / ".label" / "runs" / "default-1"
    (row,) = training.curve()
    assert row == {"labelled": 5, "score": state["score"], "run": "default-1", "time": row["time"]}
    assert (run.path / "report.html").is_file()
    assert state["log"]
    kept = Dataset.open(run.about["data"]["path"])
    assert kept.mask(kept.samples[0]).max() > 0, "the snapshot has the mask as it was"
    assert not (kept.path / ".cache").exists()
    assert BackgroundTraining(data.path).curve() == training.curve(), "a server that starts again knows it"
    assert maskwright.evaluate(run, split="val", device="cpu", precision="fp32").scores["images"] == 1


def test_a_stopped_training_leaves_a_usable_run(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 4, "val": 2, "test": 1})
    training = BackgroundTraining(data.path)
    training.start("default", sets=LONG)
    state = wait_until(training, lambda state: state["epoch"] >= 2)
    assert 0 < state["share"] < 0.01
    assert state["message"].startswith("Epoch ")
    assert " of 100000, validation mean IoU 0." in state["message"]
    training.stop()
    state = training.state()
    assert state["state"] == "done", state
    assert state["message"].startswith("Stopped after ")
    assert maskwright.evaluate(state["run"], split="test", device="cpu", precision="fp32").scores["images"] == 1
    training.stop()
    training.close()
    assert training.state() == state
    assert training.curve()[0]["labelled"] == 7


def test_stopped_at_once_nothing_is_left(tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "photos", 3)
    training = BackgroundTraining(data.path)
    training.start("default", sets=LONG)
    training.stop()
    state = training.state()
    assert state["state"] == "idle", state
    assert state["message"] == "Stopped before there was a run."
    assert not any((data.path / ".label" / "runs").iterdir())
    assert not any((data.path / ".label" / "data").iterdir())


def test_a_failure_is_told_in_the_words_of_the_verb(tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "photos", 3)
    training = BackgroundTraining(data.path)
    training.start("default", sets=[*QUICK, "model.name=unete"])
    state = wait_until(training, lambda state: state["state"] != "running")
    assert state["state"] == "failed"
    assert state["message"].startswith("Unknown model 'unete'. Did you mean 'unet'?")
    assert state["run"] is None


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_the_training_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "photos", 3)
    code = f"""
import time
from maskwright import BackgroundTraining
training = BackgroundTraining({str(data.path)!r})
training.start("default", sets={LONG!r})
print(training._process.pid, flush=True)
time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    run = data.path / ".label" / "runs" / "default-1"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (run / "weights" / "best.safetensors").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.communicate()
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert Run.open(run).about["status"] == "interrupted"
    assert BackgroundTraining(data.path).curve()[0]["run"] == "default-1"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.is_file() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_too_little_to_learn_from_is_one_sentence(tmp_path: Path) -> None:
    for count, match in ((0, "has 0 labelled images; label 2 or more"), (1, "has 1 labelled image; label 2 or more")):
        training = BackgroundTraining(write_labelled(tmp_path / f"p{count}", count, more=3).path)
        with pytest.raises(InputError, match=match):
            training.start()
        assert training.state()["state"] == "idle"
    data = write_labelled(tmp_path / "flat", 3)
    for sample in data.samples:
        plane = np.full(sample.size_hw, 255, np.uint8)
        plane[5:9] = 2
        write_mask(data.path / sample.mask, plane, data.classes)
    with pytest.raises(InputError, match=r"3 labelled images of .* show only 'box'; label a second class"):
        BackgroundTraining(data.path).start()
    data = write_shapes(tmp_path / "shapes", {"train": 1, "test": 3})
    with pytest.raises(InputError, match=r"has 1 labelled image outside the test split \(and 3 in it\)"):
        BackgroundTraining(data.path).start()
    with pytest.raises(InputError, match=r"Unknown recipe|does not exist"):
        BackgroundTraining(data.path).start("nonsense")
    with pytest.raises(InputError, match="not a data set"):
        BackgroundTraining(tmp_path).start()
    with pytest.raises(InputError, match="budget"):
        BackgroundTraining(data.path).start(minutes=-1)
    assert not (data.path / ".label").exists() or not any((data.path / ".label").rglob("*.png"))


def test_half_done_and_skipped_images_are_not_learnt_from(tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "photos", 6)
    states = {"s0": "started", "s1": "skipped"}
    samples = [replace(s, status=states.get(s.id, s.status)) for s in data.samples]
    data = Dataset.create(data.path, data.classes, samples, {})
    found = take_snapshot(data, tmp_path / "copy")
    assert {s.id for s in found.dataset.samples} == {"s2", "s3", "s4", "s5"}
    assert (found.train, found.val) == (3, 1)
    reopened, skipped = Dataset.open(tmp_path / "copy").refresh(strict=True)
    assert reopened.fingerprint == found.dataset.fingerprint
    assert not skipped
    with pytest.raises(InputError, match="exists already"):
        take_snapshot(data, tmp_path / "copy")
    (data.path / data.samples[3].image).unlink()
    with pytest.raises(InputError, match=r"s3\.png is gone"):
        take_snapshot(data, tmp_path / "another")


def rows(*groups: str, split: str = "train") -> list[Sample]:
    plain = Sample(id="", image="", mask="m", height=1, width=1, image_hash="", status="labelled")
    return [replace(plain, id=f"i{i:02}", group=group, split=split) for i, group in enumerate(groups)]


def test_validation_is_whole_groups_and_the_same_when_more_is_labelled(tmp_path: Path) -> None:
    few, many = (with_validation(rows(*[""] * count), tmp_path)[0] for count in (10, 15))
    val = [{s.id for s in some if s.split == "val"} for some in (few, many)]
    assert [len(ids) for ids in val] == [2, 3]
    assert len(val[0] & val[1]) >= 1
    grouped, note = with_validation(rows(*"aaabbbcccc"), tmp_path)
    sides = {(s.group, s.split) for s in grouped}
    assert len(sides) == 3, "no group on both sides"
    assert "flatters" not in note
    one, note = with_validation(rows(*"aaaaa"), tmp_path)
    assert sum(s.split == "val" for s in one) == 1
    assert note.endswith("all are of one group, so the score flatters")
    given = [*rows("", "", ""), *rows("", split="val")]
    assert with_validation(given, tmp_path) == (given, "")
    unsplit = [*rows("", "", split=""), replace(rows("", split="test")[0], id="kept")]
    mixed, _ = with_validation(unsplit, tmp_path)
    assert sorted(s.split for s in mixed) == ["test", "train", "val"]
    assert mixed[-1] == unsplit[-1]
