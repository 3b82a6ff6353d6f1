"""Training killed, interrupted and resumed, as a person does it: through the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from quick import QUICK
from safetensors.torch import load_file

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.run import Run

SETS = [word for text in [*QUICK, "train.epochs=6"] for word in ("--set", text)]
PATIENCE_SECONDS = 120


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from maskwright.cli import main; main()", "train", *words]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_epochs(run: Path, count: int) -> None:
    """Wait until `count` epochs are in the checkpoint."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (run / "checkpoint.ckpt").is_file() and len(Run.open(run).metrics()) >= count:
            return
        time.sleep(0.02)
    pytest.fail("the training did not get going")


def test_killed_and_resumed_equals_uninterrupted(shapes_dataset: Dataset, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    process = start(str(shapes_dataset.path), "--out", str(torn), *SETS)
    wait_for_epochs(torn, 2)
    process.kill()
    process.communicate()
    kept = len(Run.open(torn).metrics())
    assert kept < 6, "killed too late to show anything"
    assert not (torn / "report.html").exists()
    resumed = start("--resume", str(torn))
    assert resumed.wait(PATIENCE_SECONDS) == 0
    resumed.communicate()
    uninterrupted = start(str(shapes_dataset.path), "--out", str(whole), *SETS)
    assert uninterrupted.wait(PATIENCE_SECONDS) == 0
    uninterrupted.communicate()

    for which in ("last", "best"):
        one, other = (load_file(Run.open(run).weights(which)) for run in (whole, torn))
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    unclocked = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in Run.open(run).metrics()]
        for run in (whole, torn)
    ]
    assert unclocked[0] == unclocked[1]


def test_ctrl_c_leaves_a_usable_run(shapes_dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(str(shapes_dataset.path), "--out", str(run), *SETS, "--set", "train.epochs=100000")
    wait_for_epochs(run, 1)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, messages
    assert "stays usable" in messages
    assert "--resume" in messages
    assert Run.open(run).about["status"] == "interrupted"
    scored = maskwright.evaluate(run, split="test", device="cpu", precision="fp32")
    assert 0 <= scored.scores["mean_iou"] <= 1
    assert (run / "report.html").is_file()
