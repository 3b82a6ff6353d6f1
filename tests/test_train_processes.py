"""Two processes on the CPU train as one does: the same weights, metrics and checkpoints, and one writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import write_shapes
from quick import QUICK, quick
from safetensors.torch import load_file

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.data.loader import EpochSampler
from maskwright.run import Run
from maskwright.training import processes
from maskwright.types import InputError

# Without norm and ignored pixels the mean over two halves of a batch is the mean over the batch.
ALONE = [
    "model.norm=none", "loss.name=cross_entropy", "augment={flip: 0.5}", "data.fit=stretch", "train.batch=4",
    "data.sampling=balanced", "train.accumulate=2", "train.freeze={encoder: 0.5}", "train.epochs=30", "optim.ema=0.9",
]  # fmt: skip
PATIENCE_SECONDS = 120


def weights(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    return dict(load_file(run.weights(which)))


def start(*words: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from maskwright.cli import main; main()", "train", *words]
    return subprocess.Popen(
        [*launcher, *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for_epochs(run: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (run / "checkpoint.ckpt").is_file() and len(Run.open(run).metrics()) >= count:
            return
        time.sleep(0.02)
    pytest.fail("the training did not get going")


def test_processes_share_every_batch_and_every_step() -> None:
    weight_N = np.random.default_rng(0).uniform(0.2, 1.8, 23)
    weight_N /= weight_N.mean()
    for chances in (None, weight_N):
        alone = EpochSampler(23, 5, weight_N=chances, step=8, batch=4)
        halves = [EpochSampler(23, 5, weight_N=chances, step=8, batch=4, part=(rank, 2)) for rank in (0, 1)]
        for sampler in (alone, *halves):
            sampler.set_epoch(3)
        whole, first, second = list(alone), *map(list, halves)
        assert len(whole) == len(alone) == 16, "two whole steps of 8"
        assert len(first) == len(second) == len(halves[0]) == 8
        for batch in range(4):
            shared = first[2 * batch : 2 * batch + 2] + second[2 * batch : 2 * batch + 2]
            assert shared == whole[4 * batch : 4 * batch + 4]


@pytest.fixture(scope="module")
def whole_images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """17 images to train on, none with ignored pixels; 9 to validate on are two batches here and one there."""
    return write_shapes(tmp_path_factory.mktemp("processes") / "shapes", {"train": 17, "val": 9}, ignored=False)


@pytest.fixture(scope="module")
def alone(whole_images: Dataset) -> Run:
    """What one process makes of them."""
    run = maskwright.train(whole_images, quick(*ALONE), out=whole_images.path.parent / "alone").run
    assert run.metrics()[0]["train_loss"] - run.metrics()[-1]["train_loss"] > 0.01, "something was learned"
    return run


def require_equal(two: Run, one: Run) -> None:
    """The same metrics and weights, but for the order in which floats are added."""
    for shared, single in zip(two.metrics(), one.metrics(), strict=True):
        assert shared["train_loss"] == pytest.approx(single["train_loss"], abs=1e-5)
        assert shared["val_score"] == pytest.approx(single["val_score"], abs=1e-3)
        assert shared["images_seen"] == single["images_seen"]
        assert shared["lr"] == single["lr"]
    for which in ("last", "best"):
        for name, value in weights(one, which).items():
            torch.testing.assert_close(weights(two, which)[name], value, atol=3e-5, rtol=0, msg=name)


def test_two_processes_train_as_one_does_through_a_file_that_goes_bad(
    whole_images: Dataset, alone: Run, tmp_path: Path
) -> None:
    mask = whole_images.path / whole_images.labelled("train")[5].mask
    content = mask.read_bytes()

    def damage() -> None:
        wait_for_epochs(tmp_path / "two", 2)
        mask.write_bytes(content[:40])

    vandal = threading.Thread(target=damage)
    vandal.start()
    with pytest.raises(InputError, match=mask.name):
        maskwright.train(whole_images, quick(*ALONE, "train.devices=2"), out=tmp_path / "two")
    vandal.join()
    mask.write_bytes(content)
    two = Run.open(tmp_path / "two")
    assert 2 <= len(two.metrics()) < len(alone.metrics())
    assert mask.name in two.about["status"]
    assert maskwright.resume(two).best_score == max(row["val_score"] for row in two.metrics())
    require_equal(two, alone)


def test_ctrl_c_reaches_every_process(shapes_dataset: Dataset, tmp_path: Path) -> None:
    sets = [word for text in [*QUICK, "train.epochs=100000"] for word in ("--set", text)]
    process = start(str(shapes_dataset.path), "--out", str(tmp_path / "run"), "--devices", "2", *sets)
    wait_for_epochs(tmp_path / "run", 1)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, messages
    assert "stays usable" in messages
    assert "Traceback" not in messages
    assert Run.open(tmp_path / "run").about["status"] == "interrupted"


def test_torchrun_starts_the_processes_as_well(whole_images: Dataset, alone: Run, tmp_path: Path) -> None:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python")
    words = [word for text in [*QUICK, *ALONE] for word in ("--set", text)]
    process = start(str(whole_images.path), "--out", str(tmp_path / "run"), *words, launcher=launcher)
    _, messages = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, messages
    assert messages.count("Best validation mean IoU") == 1, "one process speaks"
    run = Run.open(tmp_path / "run")
    assert run.recipe.train.devices == 2
    require_equal(run, alone)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(shapes_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be shared evenly"):
        maskwright.train(shapes_dataset, quick("train.batch=3", "train.devices=2"), out=tmp_path / "run")


def test_every_process_needs_an_image_to_validate_on(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 4, "val": 1})
    with pytest.raises(InputError, match="1 validation image"):
        maskwright.train(data, quick("train.devices=2"), out=tmp_path / "run")


def test_more_devices_than_there_are_is_said(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwright.training.plan.choose_device", lambda _: (torch.device("cuda"), "asked for"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="this machine has 1 of 'cuda'"):
        maskwright.train(shapes_dataset, quick("train.devices=2"), out=tmp_path / "run")


def refuse(text: str) -> None:
    raise InputError(text)


def end_at_once(_: str) -> None:
    os._exit(1)


def test_what_a_process_says_is_raised_where_it_was_started() -> None:
    with pytest.raises(InputError, match="a file went bad"):
        processes.in_processes(2, refuse, "a file went bad")
    with pytest.raises(InputError, match="process was killed"):
        processes.in_processes(2, end_at_once, "")


def test_alone_nothing_is_shared() -> None:
    assert processes.shared(lambda: 3) == 3
    assert processes.mean_of([1.0, 2.0]) == 1.5
    assert np.isnan(processes.mean_of([]))
    assert processes.any_of(True)
    assert processes.of_first(0.3) == 0.3
