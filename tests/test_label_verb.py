"""`maskwright label` as a process: where it says it is, what it loads, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from labelling import VERB, painted, plane_of, spawned, tiles_body, write_unlabelled
from test_cli import run

from maskwright.data.dataset import Dataset
from maskwright.web.serve import bind, open_browser

ONE = "/api/images/shape-000"


def client_of(url: str) -> httpx.Client:
    home, token = url.split("/?token=")
    return httpx.Client(base_url=home, headers={"Authorization": f"Bearer {token}", "X-Client": "tab"}, timeout=30)


def test_a_killed_server_loses_nothing_and_the_page_goes_on_with_the_next(tmp_path: Path) -> None:
    data = write_unlabelled(tmp_path / "data").path
    with spawned(str(data), cache=tmp_path) as (process, url), client_of(url) as client:
        for revision in range(3):
            body = tiles_body((revision, 2, painted(1 + revision % 2)))
            answer = client.patch(f"{ONE}/mask?clicks=1", content=body, headers={"If-Match": str(revision)})
            assert answer.json()["revision"] == revision + 1
        process.kill()
        process.wait()
    assert Dataset.open(data).samples[0].status == "started"
    with spawned(str(data), cache=tmp_path) as (process, again), client_of(again) as client:
        assert again == url, "the page that is open finds it again"
        plane = plane_of(client.get(f"{ONE}/mask"))
        assert plane[2, :11].tolist() == [1, 2, *[1] * 8, 255]
        assert client.get("/api/images").json()["images"][0]["clicks"] == 3
        assert client.post(f"{ONE}/status", json={"status": "labelled", "revision": 3}).json()["changed"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert Dataset.open(data).samples[0].status == "labelled"


def test_it_says_where_it_is_and_ends_with_what_was_labelled(tmp_path: Path) -> None:
    write_unlabelled(tmp_path / "data")
    command = [*VERB, "images", "--no-browser", "--json", "--port", "0"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=tmp_path / "data", env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert facts["address"].endswith(f"/?token={facts['token']}")
    with client_of(facts["address"]) as client:
        assert client.get("/api/project").json()["name"] == "images-labels"
    second = subprocess.run(
        command, cwd=tmp_path / "data", env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 2
    assert re.search(rf"is being labelled by process {process.pid} at http://127\.0\.0\.1:\d+/", second.stderr)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Made the data set images-labels of the photos in images" in said
    assert re.search(r"ssh -L (\d+):127\.0\.0\.1:\1 ", said)
    assert "Labelled 0 of 3 images in images-labels" in said
    assert "Traceback" not in said


def test_it_keeps_token_and_port_to_itself(tmp_path: Path) -> None:
    data = write_unlabelled(tmp_path / "data").path
    with spawned(str(data), "--port", "0", cache=tmp_path / "cache") as (_, url):
        (kept,) = (tmp_path / "cache").rglob("*.json")
        assert kept.stat().st_mode & 0o077 == 0, "nobody else may read it"
        token = url.split("=")[1]
        assert not [path for path in data.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


QUIET = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from labelling import asking, painted, tiles_body
with asking(Path({data!r}), load={load}) as client:
    assert client.get("/api/project").status_code == 200
    assert client.get("/api/images/shape-000/photo").status_code == 200
    body = {{"prompter": "classical", "points": [[20, 20, True]]}}
    while (answer := client.post("/api/images/shape-000/prompt", json=body)).status_code == 503:
        pass
    assert answer.status_code == 200, answer.text
    client.patch("/api/images/shape-000/mask", content=tiles_body((0, 0, painted(1))), headers={{"If-Match": "0"}})
heavy = {{"torch", "transformers", "lightning", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "load", ["None", "__import__('maskwright.prompt').prompt.load_prompter"], ids=["server", "classical"]
)
def test_labelling_with_the_default_prompter_loads_no_torch(tmp_path: Path, load: str) -> None:
    data = write_unlabelled(tmp_path / "data").path
    code = QUIET.format(tests=str(Path(__file__).parent), data=str(data), load=load)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "Folder nowhere does not exist"),
        (["data/samples.csv"], "is a file where a folder was expected"),
        (["empty"], "holds no images"),
        (["data", "--classes", "tree"], "has no class 'tree'"),
        (["data", "--out", "x"], "is a data set already; leave out --out"),
        (["data", "--prompter", "magic"], "Unknown prompter 'magic'"),
        (["data", "--suggest", "nothing"], "nothing is not a run folder"),
        (["photos", "--classes", "a,,b"], "A class name is empty"),
    ],
)
def test_what_cannot_be_labelled_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_unlabelled(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    (tmp_path / "data" / "images").rename(tmp_path / "photos")
    (tmp_path / "data" / "images").mkdir()
    for path in (tmp_path / "photos").iterdir():
        (tmp_path / "data" / "images" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    code, _, said = run("label", *arguments, "--no-browser", "--port", "0", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert says in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_said_and_otherwise_passed_over() -> None:
    taken = bind([0])
    number = taken.getsockname()[1]
    with pytest.raises(ValueError, match=rf"Port {number} is not free; choose another with --port"):
        bind([number])
    free = bind([number, 0])
    assert free.getsockname()[1] != number
    assert free.getsockname()[0] == "127.0.0.1", "never reachable from elsewhere"
    taken.close()
    free.close()


@pytest.mark.skipif(sys.platform != "linux", reason="others always have a screen")
def test_no_browser_is_opened_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("a text browser would take the terminal"))
    assert not open_browser("http://127.0.0.1/")
