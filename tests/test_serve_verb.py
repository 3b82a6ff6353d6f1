"""`maskwright serve` as a process: what it says, how it ends, and what it refuses before it begins."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from drawing import photo
from served import TOKEN, VERB, photo_bytes, spawned
from test_cli import Cli, cli  # noqa: F401
from test_predictor import make_run

from maskwright.imageio import decode_plane, encode_image
from maskwright.infer.predictor import Predictor
from maskwright.run import Run
from maskwright.serving.serve import bind
from maskwright.web.serve import bind as bind_label

NAME = Path("answer")
SLOW = [sys.executable, "served.py", "0.4"]
SIZES = [(48, 64), (7, 300), (1, 1), (500, 333)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("serve") / "run")


def rest(process: subprocess.Popen[str]) -> str:
    """What a process that has ended said to people."""
    assert process.stderr is not None
    return process.stderr.read()


def test_it_answers_as_the_predictor_does(run: Run) -> None:
    options = ["--backend", "torch", "--device", "cpu", "--precision", "fp32", "--token", TOKEN]
    predictor = Predictor.load(run, device="cpu", precision="fp32")
    with spawned(*VERB, str(run.path), *options) as (process, facts):
        assert (facts["run"], facts["backend"]) == ("run", "torch")
        assert httpx.get(f"{facts['address']}health").json() == {"state": "ready"}
        assert httpx.post(f"{facts['address']}segment", content=photo_bytes()).status_code == 401
        for seed, hw in enumerate(SIZES):
            data = encode_image(photo(hw, seed), ".png")
            known = {"Authorization": f"Bearer {TOKEN}"}
            answer = httpx.post(f"{facts['address']}segment", content=data, headers=known)
            mask_HW, expected_HW = decode_plane(answer.content, NAME), predictor.ids(photo(hw, seed))
            assert mask_HW.shape == hw
            assert (mask_HW != expected_HW).mean() < 1e-3, "but for ties in the last bit"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        said = rest(process)
    assert "/segment?as=overlay" in said
    assert "the server has ended" in said
    assert TOKEN not in said, "logs are read by others"


def test_sigterm_lets_nobody_in_and_answers_who_is_inside() -> None:
    with spawned(*SLOW) as (process, facts):
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(f"{facts['address']}segment", content=photo_bytes(), timeout=60))

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        while "maskwright_requests_inside 5.0" not in httpx.get(f"{facts['address']}metrics").text:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        while httpx.get(f"{facts['address']}health").status_code != 503:
            time.sleep(0.01)
        late = httpx.post(f"{facts['address']}segment", content=photo_bytes())
        assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [200] * 5
        assert process.wait(30) == 0
        said = rest(process)
    assert "Traceback" not in said
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{facts['address']}health")


def test_a_second_signal_ends_at_once() -> None:
    with spawned(*SLOW) as (process, facts):
        port = int(facts["address"].rsplit(":", 1)[1].strip("/"))
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(f"POST /segment HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\n".encode())
            while "inside 1.0" not in httpx.get(f"{facts['address']}metrics").text:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            while httpx.get(f"{facts['address']}health").status_code != 503:
                time.sleep(0.01)
            assert process.poll() is None, "one is inside still"
            process.send_signal(signal.SIGTERM)
            process.wait(15)  # and not the 30 seconds that an upload may take


def test_mistakes_are_one_sentence_before_anything_is_loaded(cli: Cli, run: Run) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, message in [
            ((run.path, "--port", port), f"Port {port} of 127.0.0.1 cannot be had"),
            ((run.path, "--host", "no.such.host.invalid"), "choose others with --host"),
            ((run.path, "--token", "short"), "8 letters"),
            ((run.path, "--token", "with space in it"), "8 letters"),
            ((run.path, "--tiles", "many", "--port", 0), "--tiles many"),
            ((run.path.parent, "--port", 0), "not a run folder"),
            ((run.path, "--backend", "abacus", "--port", 0), "Unknown backend 'abacus'"),
        ]:
            code, _, err = cli("serve", *words)
            assert code == 2, words
            assert message in err
            assert len(err.strip().splitlines()) == 1, err
    assert cli("serve", run.path, "--batch", 0)[0] == 2


def test_the_token_may_come_from_the_environment(cli: Cli, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("MASKWRIGHT_TOKEN", "short")
    code, _, err = cli("serve", run.path)
    assert code == 2
    assert "8 letters" in err
    assert os.environ["MASKWRIGHT_TOKEN"] == "short"


@pytest.mark.parametrize("listener", [lambda: bind("127.0.0.1", 0), lambda: bind_label([0])], ids=["serve", "label"])
def test_answers_do_not_wait_for_an_acknowledgement(listener: Callable[[], socket.socket]) -> None:
    """Else a small answer takes 40 ms longer: asyncio looks at what the accepted socket says it is."""
    with listener() as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
