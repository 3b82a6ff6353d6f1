"""Suggestions, the order to label in, and training from the page: what the server makes of them."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from labelling import asking, painted, tiles_body, write_unlabelled
from test_web import ONE, refused, wait_for

import maskwright
from maskwright.types import Classes, Image, InputError


class FakeProposals:
    """Says that everything is the last class of the table, with growing doubt."""

    made: list[tuple[str, list[str]]] = []  # noqa: RUF012
    prepared: list[str] = []  # noqa: RUF012

    def __init__(self, run: str, classes: Classes, cache: Path) -> None:
        if "missing" in run:
            raise InputError(f"{run} is not a run folder; train one.")
        self.name, self.message, self.last = Path(run).name, "2 classes are unknown to it.", len(classes) - 1
        self.made.append((run, classes.names))

    def proposal(self, key: str, read_image: Callable[[], Image]) -> Any:
        rows, columns = read_image().shape[:2]
        doubt = np.arange(rows * columns, dtype=np.uint32).reshape(rows, columns) % 256
        return SimpleNamespace(mask_HW=np.full((rows, columns), self.last, np.uint8), doubt_HW=doubt.astype(np.uint8))

    def prepare(self, photos: Sequence[tuple[str, Callable[[], Image]]]) -> None:
        self.prepared[:] = [key for key, _ in photos]

    def close(self) -> None:
        pass


class FakeTraining:
    """A training that is done as soon as somebody looks."""

    def __init__(self, dataset: Path) -> None:
        self.now: dict[str, Any] = {"state": "idle", "run": None, "message": ""}
        self.stopped = False

    def start(self, recipe: str, *, minutes: float | None, sets: Sequence[str]) -> dict[str, Any]:
        if recipe == "odd":
            raise InputError("Unknown recipe 'odd'. Known: default.")
        self.now = {"state": "done", "run": "runs/new", "message": "Ended.", "log": [recipe, str(minutes), *sets]}
        return {"state": "running"}

    def state(self) -> dict[str, Any]:
        return dict(self.now)

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.stopped = True

    def curve(self) -> list[dict[str, Any]]:
        return [{"labelled": 4, "score": 0.5, "run": "new", "time": ""}]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(maskwright, "Proposals", FakeProposals, raising=False)
    monkeypatch.setattr(maskwright, "BackgroundTraining", FakeTraining, raising=False)
    monkeypatch.setattr(maskwright, "Run", SimpleNamespace(open=opened), raising=False)
    monkeypatch.chdir(tmp_path)
    FakeProposals.made.clear()
    return write_unlabelled(tmp_path / "data").path


def opened(path: str) -> Any:
    name = "prompt-unet" if "clicks" in str(path) else "unet"
    return SimpleNamespace(recipe=SimpleNamespace(model=SimpleNamespace(name=name)))


def test_a_run_suggests_labels_and_doubt(data: Path) -> None:
    with asking(data, run="runs/good") as client:
        assert client.get("/api/project").json()["suggestion"] == "good"
        assert client.get("/api/project").json()["suggestion_message"] == "2 classes are unknown to it."
        response = client.get(f"{ONE}/suggestion")
        planes = np.frombuffer(zlib.decompress(response.content), np.uint8).reshape(2, 48, 64)
        assert (response.headers["X-Width"], response.headers["X-Height"]) == ("64", "48")
        assert (planes[0] == 2).all()
        assert planes[1, 0, 5] == 5
        client.post("/api/classes", json={"name": "tree"})
        planes = np.frombuffer(zlib.decompress(client.get(f"{ONE}/suggestion").content), np.uint8)
        assert planes[0] == 3, "it knows the classes as they are now"
        assert client.post("/api/suggestion", json={"run": None}).json()["run"] is None
        refused(client.get(f"{ONE}/suggestion"), 404, "No run suggests masks")


def test_a_run_is_chosen_in_the_page(data: Path) -> None:
    with asking(data) as client:
        refused(client.get(f"{ONE}/suggestion"), 404, "No run suggests masks")
        assert client.post("/api/suggestion", json={"run": "runs/good"}).json()["run"] == "good"
        refused(client.post("/api/suggestion", json={"run": "runs/missing"}), 422, "is not a run folder")
        assert client.get("/api/project").json()["suggestion"] == "good", "the one before stays"
    with pytest.raises(InputError, match="is not a run folder"), asking(data, run="runs/missing"):
        pass


def test_it_looks_at_the_next_images_that_have_no_labels(data: Path) -> None:
    with asking(data, run="runs/good") as client:
        client.patch("/api/images/shape-001/mask", content=tiles_body((0, 0, painted(1))), headers={"If-Match": "*"})
        body = {"prompter": "classical", "next": ["shape-001", "shape-002"]}
        assert client.post(f"{ONE}/prepare", json=body).status_code == 200
        keys = [client.project.sample(id).image_hash for id in ("shape-000", "shape-002")]  # type: ignore[attr-defined]
        assert FakeProposals.prepared == keys


def test_the_queue_is_computed_in_the_background(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    go_on = data / "go-on"

    def suggest(run: str | None, dataset: Path, *, method: str, count: int) -> Any:
        while not go_on.exists():
            time.sleep(0.01)
        asked.append((run, dataset, method, count))
        if method == "random":
            raise InputError("Nothing is unlabelled.")
        return SimpleNamespace(ids=["shape-002", "shape-000"])

    monkeypatch.setattr(maskwright, "suggest", suggest, raising=False)
    with asking(data, run="runs/good") as client:
        assert client.get("/api/queue").json() == {"state": "idle", "ids": [], "message": "", "method": ""}
        assert client.get("/api/queue?method=mixed").json()["state"] == "running"
        assert client.get("/api/queue?method=diversity").json()["method"] == "mixed", "one after the other"
        go_on.touch()
        wait_for(lambda: client.get("/api/queue").json()["state"] == "ready")
        assert client.get("/api/queue").json()["ids"] == ["shape-002", "shape-000"]
        assert asked == [("runs/good", data, "mixed", 3)]
        client.get("/api/queue?method=random")
        wait_for(lambda: client.get("/api/queue").json()["state"] == "failed")
        assert client.get("/api/queue").json()["message"] == "Nothing is unlabelled."
        refused(client.get("/api/queue?method=guess"), 422, "method")


def test_a_training_from_the_page_becomes_the_suggestion(data: Path) -> None:
    with asking(data) as client:
        assert client.get("/api/train").json()["state"] == "idle"
        started = client.post("/api/train", json={"recipe": "default", "minutes": 2, "sets": ["optim.lr=0.1"]})
        assert (started.status_code, started.json()["state"]) == (202, "running")
        state = client.get("/api/train").json()
        assert (state["state"], state["log"]) == ("done", ["default", "2.0", "optim.lr=0.1"])
        assert client.get("/api/project").json()["suggestion"] == "new"
        assert client.get("/api/project").json()["curve"][0]["labelled"] == 4
        made = len(FakeProposals.made)
        client.get("/api/train")
        assert len(FakeProposals.made) == made, "once"
        assert client.delete("/api/train").status_code == 200
        refused(client.post("/api/train", json={"recipe": "odd"}), 422, "Unknown recipe 'odd'")
        refused(client.post("/api/train", json={"minutes": 0}), 422, "minutes")
        refused(client.post("/api/train", json={"epochs": 3}), 422, "epochs")


def test_a_run_with_prompts_becomes_a_prompter(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: FakeTraining, *_: Any, **__: Any) -> dict[str, Any]:
        self.now = {"state": "done", "run": "runs/clicks", "message": ""}
        return {"state": "running"}

    monkeypatch.setattr(FakeTraining, "start", start)
    with asking(data) as client:
        client.post("/api/train", json={})
        assert "among the prompters" in client.get("/api/train").json()["message"]
        assert [row["name"] for row in client.get("/api/prompters").json()["prompters"]] == [
            "classical",
            "run:runs/clicks",
        ]
        assert client.get("/api/project").json()["suggestion"] is None
