"""Two machines, played by two launchers on this one that meet at a port, train as one process does."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from drawing import write_shapes
from quick import QUICK, quick
from test_train_processes import require_equal, start

import maskwright
from maskwright.run import Run

# Without norm and ignored pixels the mean over two halves of a batch is the mean over the batch.
SHORT = [
    "model.norm=none", "loss.name=cross_entropy", "augment={flip: 0.5}", "data.fit=stretch", "train.batch=4",
    "train.epochs=4",
]  # fmt: skip


PATIENCE_SECONDS = 400  # two launchers and two trainings, where one core may have to do


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launcher(node: int, port: int) -> tuple[str, ...]:
    """The command of docs/scale.md, on machine `node` of two."""
    meeting = ["--nnodes", "2", "--node-rank", str(node), "--master-addr", "localhost", "--master-port", str(port)]
    return sys.executable, "-m", "torch.distributed.run", *meeting, "--nproc-per-node", "1", "--no-python"


def test_two_nodes_train_as_one_process_does(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 9, "val": 3}, ignored=False)
    alone = maskwright.train(data, quick(*SHORT), out=tmp_path / "alone").run
    words = [word for text in [*QUICK, *SHORT] for word in ("--set", text)]
    port = free_port()
    nodes = [
        start(str(data.path), "--out", str(tmp_path / "run"), *words, launcher=launcher(node, port)) for node in (0, 1)
    ]
    try:
        spoken = [node.communicate(timeout=PATIENCE_SECONDS)[1] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], spoken
    assert ["Best validation mean IoU" in text for text in spoken] == [True, False], "one process speaks"
    run = Run.open(tmp_path / "run")
    assert run.recipe.train.devices == 2
    require_equal(run, alone)
