"""Batches: who shares one, who waits for whom, and who is never run."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from served import Model, bright

from maskwright.serving.batcher import Batcher

IMAGE = np.full((4, 5, 3), 90, np.uint8)


def test_a_lone_image_waits_for_nobody() -> None:
    model = Model()
    batcher = Batcher(model, batch=8, wait_seconds=30, coming=lambda: 0)
    assert np.array_equal(batcher.submit(IMAGE).result(10), bright(IMAGE))
    batcher.close()


def test_a_batch_waits_for_what_is_coming_until_it_is_full() -> None:
    model, heard = Model(), list[int]()
    batcher = Batcher(model, batch=3, wait_seconds=30, coming=lambda: 1, told=lambda n, _: heard.append(n))
    early = batcher.submit(IMAGE)
    time.sleep(0.1)
    assert not early.done()
    rest = [batcher.submit(IMAGE), batcher.submit(IMAGE)]
    for future in (early, *rest):
        future.result(10)
    batcher.close()
    assert model.batches == heard == [3]


def test_it_waits_no_longer_than_it_may() -> None:
    model = Model()
    batcher = Batcher(model, batch=3, wait_seconds=0.05, coming=lambda: 1)
    batcher.submit(IMAGE).result(10)
    batcher.close()
    assert model.batches == [1]


def test_it_does_not_wait_for_what_gave_up() -> None:
    coming = [1]
    batcher = Batcher(Model(), batch=3, wait_seconds=30, coming=lambda: coming[0])
    future = batcher.submit(IMAGE)
    time.sleep(0.05)
    coming[0] = 0
    future.result(10)
    batcher.close()


def test_what_is_cancelled_is_not_run() -> None:
    model = Model()
    model.gate.clear()
    batcher = Batcher(model, batch=1, wait_seconds=0, coming=lambda: 0)
    first, second, third = (batcher.submit(IMAGE) for _ in range(3))
    while not model.batches:
        time.sleep(0.005)
    assert second.cancel()
    assert not first.cancel(), "it runs already"
    model.gate.set()
    third.result(10)
    batcher.close()
    assert model.batches == [1, 1]


def test_closing_answers_what_was_submitted() -> None:
    model = Model()
    model.gate.clear()
    batcher = Batcher(model, batch=2, wait_seconds=0, coming=lambda: 0)
    futures = [batcher.submit(IMAGE) for _ in range(5)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.gate.set()
    closing.join(10)
    assert not closing.is_alive()
    assert all(future.done() for future in futures)


def test_a_failure_reaches_the_one_who_caused_it() -> None:
    batcher = Batcher(Model(), batch=1, wait_seconds=0, coming=lambda: 0)
    with pytest.raises(RuntimeError, match="black"):
        batcher.submit(np.zeros((2, 2, 3), np.uint8)).result(10)
    assert batcher.submit(IMAGE).result(10).shape == (4, 5)
    batcher.close()
