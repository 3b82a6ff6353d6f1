"""A local Ray of two workers, one of them killed in the middle: the same results as without it."""

from __future__ import annotations

import gc
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accidents import Foreign, KillOnce, Work, named
from drawing import write_shapes
from run_folders import random_run

import maskwright
from maskwright.console import Skipped
from maskwright.data import engines
from maskwright.data.dataset import Dataset
from maskwright.data.engines import Ray, _Queue, engine_of, on_device
from maskwright.data.formats import FORMATS, Format
from maskwright.data.formats.listing import Item, Listing, Options
from maskwright.data.jobs import Attempt, Workers, journaled, pooled
from maskwright.data.processes import AHEAD
from maskwright.scoring.stressing.stress_images import one_thread
from maskwright.types import InputError, TargetError

ITEMS = list(range(40))
ONE, TWO = Ray(workers=1), Ray(workers=2)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two CPUs and, in name only, one GPU."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where the workers find this file
        with quiet():
            engines.join("local", num_cpus=2, num_gpus=1, include_dashboard=False)
    yield
    with quiet():
        ray.shutdown()


@contextmanager
def quiet() -> Iterator[None]:
    """Ray does not wait for the processes that it ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def test_a_killed_worker_loses_nothing_and_any_engine_goes_on(tmp_path: Path) -> None:
    loaded, most = 0, 0

    def load(item: int) -> int:
        nonlocal loaded
        loaded += 1
        return item

    def run(items: list[int], workers: Workers, accidents: Mapping[int, str]) -> Iterator[dict[str, Any] | Skipped]:
        how: dict[str, Any] = {"journal": tmp_path / "journal", "key": str, "name": named, "label": ""}
        return journaled(Work(tmp_path, accidents), items, load=load, workers=workers, chunk=1, **how)

    first = list(run(ITEMS[:10], 0, {}))
    results = []
    for result in run(ITEMS, TWO, {17: "kill", 25: "bad"}):
        results.append(result)
        most = max(most, loaded - len(results))
    killed = int((tmp_path / "killed").read_text())
    assert results[:10] == first, "what this process did before is not done again"
    assert results[25] == Skipped("number 25", "25 is bad")
    done = [one for one in results if not isinstance(one, Skipped)]
    assert [one["twice"] for one in done] == [2 * item for item in ITEMS if item != 25]
    processes = {one["process"] for one in done[10:]}
    assert processes - {killed}, "the other one, or a new one, goes on"
    assert os.getpid() not in {killed, *processes}
    assert most <= AHEAD * 2 + 1, "items are loaded shortly before they are sent"
    again = list(run(ITEMS, 0, {}))
    assert again[:25] + again[26:] == done


@pytest.mark.parametrize(("accident", "kind"), [("bug", ZeroDivisionError), ("full", TargetError)])
def test_errors_are_raised_as_by_processes(tmp_path: Path, accident: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"a bug|disk is full") as caught:
        list(pooled(Work(tmp_path, {7: accident}), ITEMS, label="", name=named, workers=ONE))
    notes = [] if kind is TargetError else ["while working on number 7"]
    assert getattr(caught.value, "__notes__", []) == notes


def test_what_takes_every_worker_with_it_is_left_out(tmp_path: Path) -> None:
    def lose(strict: bool) -> list[Any]:
        """Four items by two; whatever holds item 3 is lost."""
        queue = _Queue(Attempt(str, named, strict), iter(ITEMS), count=4, size=2, ahead=4)
        results: list[Any] = []
        while (chunk := queue.take()) is not None:
            if 3 in chunk.items:
                queue.lost(chunk)
            else:
                queue.done(chunk, chunk.items)
            results += queue.in_order()
        return results

    reason = "number 3 ended 3 workers (out of memory?); give them more memory, or take it out."
    assert lose(strict=False) == [0, 1, 2, Skipped("number 3", reason)]
    with pytest.raises(TargetError, match="number 3 ended 3 workers"):
        lose(strict=True)


def test_a_network_on_a_gpu_gets_one_and_giving_up_early_frees_it(tmp_path: Path) -> None:
    workers = on_device(Ray(), "cuda")
    assert on_device(Ray(), "cpu") == Ray()
    assert on_device(3, "cuda") == 3
    results = pooled(Work(tmp_path), range(1000), label="", workers=workers)
    first = next(results)
    assert not isinstance(first, Skipped)
    assert first["gpu"] == "0"
    results.close()  # type: ignore[attr-defined]
    assert list(pooled(Work(tmp_path), [], label="", workers=workers)) == []


def test_import_and_augment_by_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_shapes(tmp_path / "source", {"train": 8, "val": 4})
    (source.path / "images" / "shape-003.png").write_bytes(b"no photo")

    def read(folder: Path, options: Options) -> Listing:
        items = [
            Item(id=one.id, image=folder / one.image, mask=folder / one.mask, split=one.split) for one in source.samples
        ]
        return Listing(classes=source.classes, items=items, paint=KillOnce(tmp_path))

    monkeypatch.setitem(FORMATS, "accident", Format(about="", read=read))
    monkeypatch.chdir(tmp_path)
    built = maskwright.import_dataset("accident", "source", "by-ray", workers=TWO)
    assert (tmp_path / "killed").exists(), "a worker was killed"
    here = maskwright.import_dataset("accident", "source", "here", workers=0)
    assert [Path(row.file).stem for row in built.skipped] == ["shape-003"]
    assert built.skipped == here.skipped
    assert built.dataset.fingerprint == here.dataset.fingerprint
    assert built.dataset.samples == here.dataset.samples

    recipe, versions = maskwright.Recipe.load("pets"), maskwright.Versions(each=2)
    drawn = [
        maskwright.augment_dataset("here", f"drawn-{place}", recipe, versions=versions, workers=workers)
        for place, workers in enumerate([ONE, None])
    ]
    assert drawn[0].dataset.fingerprint == drawn[1].dataset.fingerprint
    assert len(drawn[0].dataset.samples) == 11 + 7


def test_evaluate_stress_and_predict_by_a_cluster(tmp_path: Path, shapes_dataset: Dataset) -> None:
    run = random_run(tmp_path / "run", shapes_dataset)
    how: dict[str, Any] = {"device": "cpu", "precision": "fp32"}
    with one_thread("cpu"):
        alone = maskwright.evaluate(run, split="train", out=tmp_path / "alone", **how)
    spread = maskwright.evaluate(run, split="train", out=tmp_path / "spread", workers=ONE, **how)
    assert (spread.confusion_KK == alone.confusion_KK).all()
    assert {**spread.scores, "time": ""} == {**alone.scores, "time": ""}
    assert spread.images == alone.images

    (stressed,) = maskwright.stress(run, kinds=["noise"], workers=ONE, **how)
    counts = np.load(stressed.path / "counts.npz")["tally_PLN3K"]
    shutil.rmtree(stressed.path)
    maskwright.stress(run, kinds=["noise"], workers=0, **how)
    assert (np.load(stressed.path / "counts.npz")["tally_PLN3K"] == counts).all()

    photos = shapes_dataset.path / "images"
    (photos / "broken.png").write_bytes(b"no photo")
    outs = [tmp_path / "by-ray", tmp_path / "here"]
    results = [
        maskwright.predict(run, photos, out, backend="torch", workers=workers, **how)
        for out, workers in zip(outs, (ONE, None), strict=True)
    ]
    assert results[0].images == results[1].images
    assert [Path(row.file).name for row in results[0].skipped] == ["broken.png"]
    for name in results[0].images:
        assert (outs[0] / "ids" / f"{name}.png").read_bytes() == (outs[1] / "ids" / f"{name}.png").read_bytes()


def test_workers_that_cannot_start_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "TRIES", 1)
    with pytest.raises(TargetError, match=r"No Ray worker could be started .*no number.*needs the same maskwright"):
        list(pooled(Foreign(), ITEMS, label="", workers=ONE))  # type: ignore[arg-type]


def test_what_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_of("processes", 3) == 3
    assert engine_of("ray", 3) == Ray(workers=3)
    with pytest.raises(InputError, match="processes, ray"):
        engine_of("rai")
    with pytest.raises(InputError, match="at least 1"):
        engine_of("ray", 0)
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'maskwright\[ray\]'"):
        engine_of("ray")
