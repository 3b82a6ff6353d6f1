"""Pre-labels: classes matched by name, kept on disk, made in the background in the order asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import shapes, shapes_classes
from test_predictor import make_run

import maskwright
from maskwright.infer.predictor import Predictor
from maskwright.infer.uncertain import entropy
from maskwright.run import Run
from maskwright.scoring.suggesting.proposals import Proposal, Proposals
from maskwright.types import Classes, Image, InputError

PATIENCE_SECONDS = 30


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run", shapes_classes())


def never() -> Image:
    raise AssertionError("it is in the cache")


def proposals(run: Run, cache: Path, classes: Classes | None = None) -> Proposals:
    return maskwright.Proposals(run, classes or shapes_classes(), cache, device="cpu", precision="fp32")


def wait_for(made: Proposals, key: str, state: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not made.state_of(key).startswith(state):
        assert time.monotonic() < deadline, made.state_of(key)
        time.sleep(0.01)


def equal(one: Proposal, other: Proposal) -> bool:
    return np.array_equal(one.mask_HW, other.mask_HW) and np.array_equal(one.doubt_HW, other.doubt_HW)


def test_a_proposal_is_the_runs_prediction_and_its_entropy(run: Run, tmp_path: Path) -> None:
    made = proposals(run, tmp_path / "cache")
    image = shapes(1)[0]
    found = made.proposal("a", lambda: image)
    predictor = Predictor.load(run, device="cpu", precision="fp32")
    assert np.array_equal(found.mask_HW, predictor.ids(image))
    expected = 255 * entropy(predictor.probabilities(image))
    assert np.abs(found.doubt_HW - expected).max() <= 0.51
    assert found.mask_HW.dtype == np.uint8
    assert found.doubt_HW.dtype == np.uint8
    assert (made.name, made.message) == ("run", "")
    assert equal(proposals(run, tmp_path / "cache").proposal("a", never), found)


def test_classes_are_matched_by_name(run: Run, tmp_path: Path) -> None:
    plain = proposals(run, tmp_path / "one").proposal("a", lambda: shapes(1)[0]).mask_HW
    turned = Classes.from_names(["sky", "box", "background", "tree"], background=None)
    made = proposals(run, tmp_path / "cache", turned)
    assert made.message == (
        "run never proposes sky, tree, which it was not trained on; "
        "what it takes for disc stays unlabelled, as this data set has no such class."
    )
    found = made.proposal("a", lambda: shapes(1)[0]).mask_HW
    for theirs, ours in ((0, 2), (1, 255), (2, 1)):
        assert (found[plain == theirs] == ours).all()
    assert len(np.unique(plain)) > 1
    many = Classes.from_names([*(f"c{i}" for i in range(299)), "disc"])
    wide = proposals(run, tmp_path / "cache", many).proposal("a", lambda: shapes(1)[0]).mask_HW
    assert wide.dtype == np.uint16
    assert set(np.unique(wide).tolist()) <= {299, many.ignore}
    with pytest.raises(InputError, match=r"run knows none of the classes of this data set \(cat, dog\)"):
        proposals(run, tmp_path / "cache", Classes.from_names(["cat", "dog"]))


def test_a_folder_that_cannot_propose_is_refused_at_once(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        Proposals(tmp_path, shapes_classes(), tmp_path / "cache")
    run.weights().unlink()
    with pytest.raises(InputError, match=r"best\.safetensors is missing"):
        Proposals(run.path, shapes_classes(), tmp_path / "cache")


def test_the_background_works_in_order_and_forgets_what_is_not_wanted_any_more(run: Run, tmp_path: Path) -> None:
    made = proposals(run, tmp_path / "cache")
    began, go, order = threading.Event(), threading.Event(), list[str]()

    def reader(key: str) -> Callable[[], Image]:
        def read() -> Image:
            order.append(key)
            began.set()
            assert go.wait(PATIENCE_SECONDS)
            return shapes(1)[0]

        return read

    made.prepare([(key, reader(key)) for key in "abc"])
    assert began.wait(PATIENCE_SECONDS)
    assert [made.state_of(key) for key in "abcx"] == ["working", "waiting", "waiting", "unknown"]
    made.prepare([(key, reader(key)) for key in "db"])
    assert made.state_of("c") == "unknown"
    go.set()
    wait_for(made, "b", "ready")
    assert order == ["a", "d", "b"]
    made.prepare([("a", never), ("b", never)])
    made.close()
    made.prepare([("e", never)])
    assert made.state_of("a") == "ready"
    assert equal(made.proposal("a", never), made.proposal("b", never))


def test_a_failure_is_told_and_the_next_image_goes_on(run: Run, tmp_path: Path) -> None:
    made = proposals(run, tmp_path / "cache")

    def broken() -> Image:
        raise InputError("photo.jpg is damaged; copy it again.")

    made.prepare([("bad", broken), ("good", lambda: shapes(2)[0])])
    wait_for(made, "good", "ready")
    assert made.state_of("bad") == "failed: photo.jpg is damaged; copy it again."
    with pytest.raises(InputError, match="damaged"):
        made.proposal("bad", broken)
    made.prepare([("bad", lambda: shapes(3)[0])])
    wait_for(made, "bad", "ready")
    made.close()


def test_a_damaged_cache_is_made_again_and_other_weights_are_another_proposal(run: Run, tmp_path: Path) -> None:
    made = proposals(run, tmp_path / "cache")
    first = made.proposal("a", lambda: shapes(1)[0])
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    assert equal(made.proposal("a", lambda: shapes(1)[0]), first)
    other = make_run(tmp_path / "other", shapes_classes())
    weights = other.weights()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(AssertionError, match="in the cache"):
        proposals(other, tmp_path / "cache").proposal("a", never)


def test_two_threads_ask_and_one_computes(run: Run, tmp_path: Path) -> None:
    made = proposals(run, tmp_path / "cache")
    reads: list[int] = []

    def read() -> Image:
        reads.append(1)
        return shapes(1)[0]

    found: list[Proposal] = []
    threads = [threading.Thread(target=lambda: found.append(made.proposal("a", read))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(reads) == 1
    assert len(found) == 4
    assert all(equal(found[0], one) for one in found)
