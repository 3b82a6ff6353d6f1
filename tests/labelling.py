"""A data set to label, the annotator's server around it, and what a page would send."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import uvicorn
from drawing import add_sample, shapes, shapes_classes
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from maskwright.data.dataset import Dataset
from maskwright.data.labelling.project import Project
from maskwright.prompt.desk import PromptDesk
from maskwright.prompt.prompter import Candidates, Encoding, Prompter
from maskwright.types import Classes, Image, Mask, Prompt
from maskwright.web.app import make_app
from maskwright.web.serve import bind

TOKEN = "a-token-for-tests-only"
HOME = "http://127.0.0.1:8765"
VERB = [sys.executable, "-c", "from maskwright.cli import main; main()", "label"]
Load = Callable[[str], Prompter]


def write_unlabelled(
    folder: Path, count: int = 3, *, hw: tuple[int, int] = (48, 64), classes: Classes | None = None
) -> Dataset:
    """A data set of photos without masks: shape-000, shape-001, ..."""
    table = classes or shapes_classes()
    samples = [add_sample(folder, f"shape-{n:03}", shapes(n, hw)[0], None, classes=table) for n in range(count)]
    (folder / "masks").mkdir(exist_ok=True)
    return Dataset.create(folder, table, samples, {"from": {"format": "drawn"}})


class Discs:
    """A prompter for tests: two discs around the positive points, without those around the negative ones."""

    name = "discs"

    def encode(self, image_HW3: Image) -> Encoding:
        return {"size_hw": np.array(image_HW3.shape[:2])}

    def set_image(self, image_HW3: Image) -> None:
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        self.size_hw = tuple(encoding["size_hw"])

    def predict(self, prompt: Prompt) -> Candidates:
        y, x = np.mgrid[: self.size_hw[0], : self.size_hw[1]]
        soft = np.zeros((2, *self.size_hw), np.uint8)
        for n, radius in enumerate((6, 12)):
            for (px, py), positive in zip(prompt.points_xy, prompt.positive, strict=True):
                soft[n][(x - px) ** 2 + (y - py) ** 2 <= radius**2] = 250 if positive else 0
            for x0, y0, x1, y1 in prompt.boxes_xyxy:
                soft[n][(x >= x0) & (x < x1) & (y >= y0) & (y < y1)] = 250
            for stroke in prompt.strokes:
                for px, py in stroke.points_xy:
                    soft[n][(x - px) ** 2 + (y - py) ** 2 <= stroke.radius_px**2] = 250 if stroke.positive else 0
        return Candidates(soft_NHW=soft, scores_N=np.array([0.9, 0.7], np.float32), chosen=0)


@contextmanager
def asking(
    dataset: Path, *, load: Load | None = None, run: str | None = None, token: str | None = TOKEN
) -> Iterator[TestClient]:
    """A client of the app in this process, with the token; `client.project` is the project."""
    with Project.open(dataset) as project:
        desk = PromptDesk(["classical"], cache=project.home / "encodings", load=load or (lambda _: Discs()))
        try:
            app = make_app(project, desk, TOKEN, run=run, offer_training=True)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            with TestClient(app, HOME, headers=headers, raise_server_exceptions=False) as client:
                client.project = project  # type: ignore[attr-defined]
                yield client
        finally:
            desk.close()


@contextmanager
def serving(
    dataset: Path, *, prompters: Sequence[str] = ("classical",), load: Load | None = None, run: str | None = None
) -> Iterator[str]:
    """The server in a thread of this process; yields the address with the token, for a browser.

    `load=lambda spec: Discs()` serves discs around the clicks in place of the real prompters.
    """
    with Project.open(dataset) as project:
        desk = PromptDesk(prompters, cache=project.home / "encodings", load=load)
        app = make_app(project, desk, TOKEN, run=run, offer_training=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
        listener = bind([0])
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN}"
        finally:
            server.should_exit = True
            thread.join(10)
            listener.close()
            desk.close()


@contextmanager
def spawned(*arguments: str, cache: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`maskwright label ...` as a process of its own, and its address with the token; killed at the end.

    `cache` is where it remembers port and token: with the same folder, a second one takes the same again.
    """
    command = [*VERB, *arguments, "--no-browser"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    cache.mkdir(exist_ok=True)
    said = cache / "said.txt"
    with said.open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL, env=environment)
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", said.read_text())):
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def tiles_body(*tiles: tuple[int, int, Mask]) -> bytes:
    """Tiles (x, y, labels) as the page sends them."""
    parts = []
    for x, y, labels in tiles:
        h, w = labels.shape
        parts += [pack("<IIII", x, y, w, h), np.ascontiguousarray(labels, labels.dtype.newbyteorder("<")).tobytes()]
    return zlib.compress(b"".join(parts))


def painted(id: int, h: int = 8, w: int = 8, dtype: Any = np.uint8) -> Mask:
    """A tile of one class."""
    return np.full((h, w), id, dtype)


def plane_of(response: Any, dtype: Any = "<u1") -> NDArray[Any]:
    """The label plane that a mask request was answered with."""
    assert response.status_code == 200, response.text
    h, w = int(response.headers["X-Height"]), int(response.headers["X-Width"])
    return np.frombuffer(zlib.decompress(response.content), dtype).reshape(h, w)
