"""A server of masks around a made-up model, in this process, in a thread of it, or as a process of its own.

python tests/served.py SECONDS      a batch takes so long; prints its address
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from drawing import shapes, shapes_classes
from fastapi.testclient import TestClient

from maskwright.imageio import encode_image
from maskwright.serving.app import make_app
from maskwright.serving.intake import Limits
from maskwright.serving.serve import Server, address, bind, configured, serve
from maskwright.serving.service import Service
from maskwright.types import Image, Mask

HOME = "http://127.0.0.1:8000"
TOKEN = "a-token-for-tests"
VERB = [sys.executable, "-c", "from maskwright.cli import main; main()", "serve", "--port", "0", "--json"]
CLASSES = shapes_classes()
ABOUT = {"run": "shapes", "backend": "made up", "reason": "Brightness decides."}


def photo_bytes(seed: int = 1, hw: tuple[int, int] = (48, 64), suffix: str = ".png") -> bytes:
    return encode_image(shapes(seed, hw)[0], suffix)


def bright(image_HW3: Image) -> Mask:
    """Class 0, 1 or 2 by the red of a pixel."""
    return np.asarray(np.digitize(image_HW3[..., 0], [70, 150]), np.uint8)


class Model:
    """Segments by brightness in `seconds`; waits while `gate` is closed, and fails on what is all black."""

    def __init__(self, seconds: float = 0) -> None:
        self.gate, self.batches, self.seconds = threading.Event(), list[int](), seconds
        self.gate.set()

    def __call__(self, images: Sequence[Image]) -> list[Mask]:
        self.batches.append(len(images))
        time.sleep(self.seconds)
        assert self.gate.wait(20)
        if any(not image_HW3.any() for image_HW3 in images):
            raise RuntimeError("black")
        return [bright(image_HW3) for image_HW3 in images]


class Asking:
    """A client of the app in this process."""

    def __init__(self, client: TestClient, service: Service, model: Model) -> None:
        self.client, self.service, self.model = client, service, model

    def segment(self, data: bytes | None = None, kind: str | None = None, **more: Any) -> Any:
        query = {} if kind is None else {"as": kind}
        return self.client.post("/segment", params=query, content=photo_bytes() if data is None else data, **more)

    def later(self, *data: bytes) -> list[tuple[threading.Thread, list[Any]]]:
        """The same in threads: each with the list that will hold its answer."""
        found = []
        for one in data:
            answers: list[Any] = []
            thread = threading.Thread(target=lambda one=one, answers=answers: answers.append(self.segment(one)))
            thread.start()
            found.append((thread, answers))
        return found

    def until_inside(self, count: int) -> None:
        until = time.monotonic() + 20
        while self.service.inside != count:
            assert time.monotonic() < until, self.service.inside
            time.sleep(0.005)


@contextmanager
def asking(
    limits: Limits | None = None, *, token: str | None = None, local: bool = True, sends: str | None = None
) -> Iterator[Asking]:
    """A server with these limits and the made-up model; `sends` is the token that its client sends."""
    model = Model()
    service = Service(model, CLASSES, limits or Limits(), ABOUT)
    headers = {"Authorization": f"Bearer {sends}"} if sends else {}
    app = make_app(service, token=token, local=local)
    with TestClient(app, HOME, headers=headers, raise_server_exceptions=False) as client:
        yield Asking(client, service, model)
        model.gate.set()


@contextmanager
def serving(limits: Limits | None = None, *, token: str | None = None) -> Iterator[tuple[str, Model]]:
    """The server in a thread of this process; yields its address and model."""
    model = Model()
    service = Service(model, CLASSES, limits or Limits(), ABOUT)
    with bind("127.0.0.1", 0) as listener:
        server = Server(configured(service, token=token, local=True), service, lambda: None)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield address(listener), model
        finally:
            model.gate.set()
            server.should_exit = True
            thread.join(10)


@contextmanager
def spawned(*command: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A server as a process of its own, and what it says of itself; killed at the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parent
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def main(seconds: float) -> None:
    """Serve the made-up model in this process's main thread, which hears signals."""
    with bind("127.0.0.1", 0) as listener:
        say = lambda: print(json.dumps({"address": address(listener)}), flush=True)  # noqa: E731, T201
        serve(Service(Model(seconds), CLASSES, Limits(batch=1), ABOUT), listener, say, token=None)


if __name__ == "__main__":
    main(float(sys.argv[1]))
