"""The JSON API of the annotator: every route, and every error as one sentence under its code."""

from __future__ import annotations

import base64
import errno
import gzip
import io
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from drawing import photo
from fastapi.testclient import TestClient
from labelling import Discs, asking, painted, plane_of, tiles_body, write_unlabelled
from PIL import Image as PILImage

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.data.labelling.begin import begin_labelling
from maskwright.prompt.prompter import Candidates
from maskwright.types import Classes, InputError, Prompt

ONE = "/api/images/shape-000"
NEWEST = {"If-Match": "*"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_unlabelled(tmp_path / "data").path


@pytest.fixture
def client(data: Path) -> Iterator[TestClient]:
    with asking(data) as client:
        yield client


def refused(response: Any, code: int, says: str) -> dict[str, Any]:
    """The body of an error, which must be one sentence."""
    assert response.status_code == code, response.text
    body: dict[str, Any] = response.json()
    assert says in body["error"], body
    return body


def test_the_project_and_its_images(client: TestClient) -> None:
    about = client.get("/api/project").json()
    assert about["name"] == "data"
    assert [row["name"] for row in about["classes"]] == ["background", "disc", "box"]
    assert about["classes"][1] == {"id": 1, "name": "disc", "colour": [230, 97, 0], "priority": 1.0}
    assert (about["background"], about["ignore"], about["wide"]) == (0, 255, False)
    assert about["counts"] == {"unlabelled": 3, "started": 0, "labelled": 0, "skipped": 0}
    assert about["version"] == maskwright.__version__
    assert about["suggestion"] is None
    assert about["training"] is True
    assert about["curve"] == []
    listed = client.get("/api/images").json()
    row = {"id": "shape-000", "name": "shape-000.png", "h": 48, "w": 64, "status": "unlabelled", "split": "train"}
    row |= {"classes": [], "revision": 0, "clicks": 0, "seconds": 0.0, "problem": None}
    assert listed["images"][0] == row
    assert listed["queue"] is None
    assert client.get("/api/health").json() == {"state": "ready", "message": ""}


def test_labels_go_there_and_back(client: TestClient, data: Path) -> None:
    assert (plane_of(client.get(f"{ONE}/mask")) == 255).all()
    tick = client.get("/api/images").json()["tick"]
    saved = client.patch(
        f"{ONE}/mask?clicks=2&seconds=1.5",
        content=tiles_body((3, 4, painted(1)), (60, 40, painted(2, 8, 4))),
        headers={"If-Match": "0"},
    )
    assert saved.json() == {"revision": 1, "status": "started"}
    response = client.get(f"{ONE}/mask")
    assert (response.headers["X-Revision"], response.headers["X-Status"]) == ("1", "started")
    assert "content-encoding" not in response.headers
    plane = plane_of(response)
    assert (plane[4:12, 3:11] == 1).all()
    assert (plane[40:48, 60:64] == 2).all()
    assert (plane != 255).sum() == 96
    (row,) = client.get(f"/api/images?since={tick}").json()["images"]
    assert (row["revision"], row["classes"], row["clicks"], row["seconds"]) == (1, [1, 2], 2, 1.5)
    done = client.post(f"{ONE}/status", json={"status": "labelled", "revision": 1})
    assert done.json() == {"revision": 2, "status": "labelled", "changed": True}
    assert set(np.unique(plane_of(client.get(f"{ONE}/mask")))) == {0, 1, 2}
    assert client.get("/api/project").json()["budget"]["labelled"] == 1
    deadline = time.monotonic() + 30
    while Dataset.open(data).samples[0].status != "labelled":
        assert time.monotonic() < deadline, "the table follows within a second or so"
        time.sleep(0.05)


def test_sixteen_bit_labels_are_little_endian(tmp_path: Path) -> None:
    table = Classes.from_names(["background", *(f"c{n}" for n in range(300))])
    with asking(write_unlabelled(tmp_path / "data", 1, classes=table).path) as client:
        assert client.get("/api/project").json()["wide"] is True
        tile = np.array([[258, 1], [2, 300]], np.uint16)
        assert client.patch(f"{ONE}/mask", content=tiles_body((5, 6, tile)), headers=NEWEST).status_code == 200
        plane = plane_of(client.get(f"{ONE}/mask"), "<u2")
        assert np.array_equal(plane[6:8, 5:7], tile)
        assert plane[0, 0] == 65535


def test_two_tabs(client: TestClient) -> None:
    body = tiles_body((0, 0, painted(1)))
    client.patch(f"{ONE}/mask", content=body, headers={"If-Match": "0", "X-Client": "a"})
    told = client.patch(
        f"{ONE}/mask", content=tiles_body((0, 0, painted(2))), headers={"If-Match": '"0"', "X-Client": "b"}
    )
    assert refused(told, 409, "saved elsewhere meanwhile")["revision"] == 1
    assert refused(client.post(f"{ONE}/status", json={"status": "labelled", "revision": 0}), 409, "")["revision"] == 1
    lost = client.patch(f"{ONE}/mask", content=body, headers={"If-Match": "0", "X-Client": "a"})
    assert lost.json()["revision"] == 1, "the tab that saved may ask again"
    over = client.patch(f"{ONE}/mask", content=tiles_body((0, 0, painted(2))), headers=NEWEST)
    assert over.json()["revision"] == 2


def test_effort_alone(client: TestClient) -> None:
    answer = client.patch(f"{ONE}/mask?clicks=3&seconds=9", headers={"If-Match": "0"})
    assert answer.json() == {"revision": 0, "status": "unlabelled"}
    assert client.get("/api/images").json()["images"][0]["clicks"] == 3


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"not deflated", 422, "damaged"),
        (tiles_body((0, 0, painted(1)))[:-6], 422, "cut off"),
        (zlib.compress(b"\0" * 15), 422, "empty or cut off"),
        (zlib.compress(bytes(8) + b"\x02\0\0\0\x02\0\0\0" + b"\1\1\1"), 422, "empty or cut off"),
        (zlib.compress(bytes(8) + b"\xff" * 8), 422, "empty or cut off"),
        (zlib.compress(bytes(16)), 422, "empty or cut off"),
        (zlib.compress(bytes(10**7)), 413, "unpack to more than"),
        (tiles_body((62, 0, painted(1))), 422, "outside the image"),
        (tiles_body((0, 0, painted(17))), 422, "Class id 17 is not in the class table"),
    ],
)
def test_labels_that_cannot_be_used(client: TestClient, body: bytes, code: int, says: str) -> None:
    refused(client.patch(f"{ONE}/mask", content=body, headers=NEWEST), code, says)
    assert client.get(f"{ONE}/mask").headers["X-Revision"] == "0"


@pytest.mark.parametrize("revision", [None, "", "x", "-1", "1.5", "²"])
def test_a_save_says_what_it_was_made_from(client: TestClient, revision: str | None) -> None:
    headers = {} if revision is None else {"If-Match": revision.encode("latin-1")}
    refused(client.patch(f"{ONE}/mask", content=b"", headers=headers), 422, "If-Match")  # type: ignore[arg-type]


def test_requests_that_are_too_large(client: TestClient) -> None:
    huge = {"Content-Length": str(200 << 20), "If-Match": "*"}
    refused(client.patch(f"{ONE}/mask", content=b"", headers=huge), 413, "larger than 128 MB")
    refused(client.post(f"{ONE}/prompt", content=b"x" * (17 << 20)), 413, "larger than 16 MB")
    stream = (b"x" * (1 << 20) for _ in range(17))  # without a length
    refused(client.post(f"{ONE}/prompt", content=stream, headers={"content-type": "application/json"}), 413, "larger")
    refused(client.put("/api/settings", json={"a": "x" * 70_000}), 413, "64 kB")


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [(errno.ENOSPC, 507, "The disk is full"), (errno.EROFS, 403, "may not be written"), (errno.EIO, 500, "disk")],
)
def test_a_disk_that_refuses(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, number: int, code: int, says: str
) -> None:
    def failing(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    body = tiles_body((0, 0, painted(1)))
    with monkeypatch.context() as patch:
        patch.setattr("maskwright.files.os.replace", failing)
        refused(client.patch(f"{ONE}/mask", content=body, headers={"If-Match": "0"}), code, says)
        refused(client.post(f"{ONE}/status", json={"status": "skipped"}), code, says)
        refused(client.post("/api/classes", json={"name": "more"}), code, says)
        refused(client.put("/api/settings", json={}), code, says)
    assert len(client.get("/api/project").json()["classes"]) == 3
    assert client.patch(f"{ONE}/mask", content=body, headers={"If-Match": "0"}).json()["revision"] == 1


def test_a_table_that_cannot_follow_is_told_by_health(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client.patch(f"{ONE}/mask", content=tiles_body((0, 0, painted(1))), headers=NEWEST)
    real = os.replace

    def failing(source: Any, target: Any) -> None:
        if Path(target).name == "samples.csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("maskwright.files.os.replace", failing)
        assert client.post(f"{ONE}/status", json={"status": "labelled"}).status_code == 200
        wait_for(lambda: "disk is full" in client.get("/api/health").json()["message"])
    wait_for(lambda: client.get("/api/health").json()["message"] == "")


def wait_for(happened: Any) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "call",
    [
        ("GET", "/photo"),
        ("GET", "/thumb"),
        ("GET", "/mask"),
        ("PATCH", "/mask"),
        ("POST", "/status"),
        ("POST", "/prepare"),
        ("GET", "/prepare?prompter=classical"),
        ("POST", "/prompt"),
        ("GET", "/suggestion"),
    ],
)
@pytest.mark.parametrize("id", ["nothing", "..%2f..%2fetc%2fpasswd", "%00", "shape-000.png", "%2e%2e"])
def test_images_that_are_not_in_the_table(client: TestClient, call: tuple[str, str], id: str) -> None:
    body = {"status": "skipped"} if call[1] == "/status" else {"prompter": "classical"}
    response = client.request(call[0], f"/api/images/{id}{call[1]}", json=body, headers=NEWEST)
    assert response.status_code in (404, 405), response.text
    assert response.json()["error"]


def test_what_is_not_there_or_not_understood(client: TestClient) -> None:
    refused(client.get("/api/nothing"), 404, "nothing at this address")
    refused(client.delete("/api/project"), 405, "does not take")
    refused(client.post(f"{ONE}/status", json={"status": "done"}), 422, "Unknown status 'done'")
    refused(client.post(f"{ONE}/status", json={"state": "x"}), 422, "status")
    refused(client.post(f"{ONE}/status", json={"status": "started", "odd": 1}), 422, "odd")
    refused(client.post(f"{ONE}/status", content=b"{", headers={"content-type": "application/json"}), 422, "request")
    refused(client.post(f"{ONE}/status", json=[]), 422, "request")
    refused(client.get("/api/images?since=x"), 422, "since")
    refused(client.get(f"{ONE}/photo?max=3"), 422, "max")
    refused(client.put("/api/settings", json=[1]), 422, "request")
    refused(client.patch(f"{ONE}/mask?clicks=-1", headers=NEWEST), 422, "clicks")
    refused(client.patch(f"{ONE}/mask?seconds=nan", headers=NEWEST), 422, "seconds")


def test_classes_and_settings(client: TestClient) -> None:
    rows = client.post("/api/classes", json={"name": "tree", "colour": [1, 2, 3]})
    assert rows.status_code == 201
    assert rows.json()["classes"][3] == {"id": 3, "name": "tree", "colour": [1, 2, 3], "priority": 1.0}
    rows = client.patch("/api/classes/3", json={"name": "oak"})
    assert rows.json()["classes"][3]["name"] == "oak"
    assert client.patch("/api/classes/3", json={"colour": [9, 9, 9]}).json()["classes"][3]["colour"] == [9, 9, 9]
    refused(client.post("/api/classes", json={"name": "oak"}), 422, "'oak' appears twice")
    refused(client.post("/api/classes", json={"name": "a", "colour": [1, 2, 256]}), 422, "colour")
    refused(client.patch("/api/classes/9", json={"name": "a"}), 404, "no class 9")
    refused(client.delete("/api/classes/0"), 405, "does not take")
    assert client.put("/api/settings", json={"zoom": 2, "rest_is_background": False}).json()["settings"]["zoom"] == 2
    about = client.get("/api/project").json()
    assert about["settings"] == {"zoom": 2, "rest_is_background": False}
    assert about["rest_is_background"] is False


@pytest.mark.parametrize("id", ["ü 1#a%b?c", "a+b&c=d", "..hidden", "x" * 100, "snow ☃"])
def test_images_of_any_name(tmp_path: Path, id: str) -> None:
    data = write_unlabelled(tmp_path / "d", 1).path
    table = (data / "samples.csv").read_text("utf-8")
    (data / "images" / "shape-000.png").rename(data / "images" / f"{id}.png")
    (data / "samples.csv").write_text(table.replace("shape-000", id), "utf-8")
    address = f"/api/images/{quote(id, safe='')}"
    with asking(data) as client:
        assert client.get("/api/images").json()["images"][0]["id"] == id
        assert client.get(f"{address}/photo").status_code == 200
        saved = client.patch(f"{address}/mask", content=tiles_body((0, 0, painted(1))), headers=NEWEST)
        assert saved.json()["revision"] == 1
    assert (data / "masks" / f"{id}.png").is_file()


# Photos


def shown(response: Any) -> Any:
    assert response.status_code == 200, response.text
    with PILImage.open(io.BytesIO(response.content)) as image:
        return np.asarray(image.convert("RGB"))


def test_photos_are_shown_upright_and_the_browser_keeps_them(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    pixels = photo((30, 50))
    PILImage.fromarray(pixels).save(source / "plain.png")
    PILImage.fromarray(pixels[..., 0]).save(source / "grey.jpg", quality=95)
    exif = PILImage.Exif()
    exif[0x0112] = 6
    PILImage.fromarray(pixels).save(source / "turned.jpg", quality=95, exif=exif)
    PILImage.fromarray(pixels).convert("CMYK").save(source / "print.jpg", quality=95)
    PILImage.fromarray(pixels).save(source / "old.tif")
    cv2.imwrite(str(source / "deep.png"), pixels[..., 1].astype(np.uint16) * 16)
    cv2.imwrite(str(source / "deep.tif"), pixels[..., ::-1].astype(np.uint16) * 16)
    (source / "deep.tif").rename(source / "deepcolour.tif")
    data = begin_labelling(source).path
    with asking(data) as client:
        rows = {row["id"]: (row["h"], row["w"]) for row in client.get("/api/images").json()["images"]}
        assert rows == {
            **dict.fromkeys(["plain", "grey", "print", "old", "deep", "deepcolour"], (30, 50)),
            "turned": (50, 30),
        }
        plain = client.get("/api/images/plain/photo")
        assert plain.content == (source / "plain.png").read_bytes(), "as it came"
        assert plain.headers["content-type"] == "image/png"
        for id, expected in {
            "grey": np.repeat(pixels[..., :1], 3, axis=2),
            "turned": np.rot90(pixels, -1),
            "print": pixels,
            "old": pixels,
            "deep": np.repeat(pixels[..., 1:2], 3, axis=2),
            "deepcolour": pixels,
        }.items():
            response = client.get(f"/api/images/{id}/photo")
            picture = shown(response)
            assert picture.shape == expected.shape, id
            assert np.abs(picture.astype(int) - expected).mean() < 6, id
            with PILImage.open(io.BytesIO(response.content)) as image:
                assert image.getexif().get(0x0112, 1) == 1, "no browser turns it once more"
        for id in rows:
            assert max(shown(client.get(f"/api/images/{id}/photo?max=20")).shape) == 20
            assert max(shown(client.get(f"/api/images/{id}/thumb")).shape) == 50
            etag = client.get(f"/api/images/{id}/thumb").headers["etag"]
            assert client.get(f"/api/images/{id}/thumb", headers={"If-None-Match": etag}).status_code == 304
            assert client.get(f"/api/images/{id}/photo", headers={"If-None-Match": etag}).status_code == 200
        (data / "images" / "plain.png").unlink()
        refused(client.get("/api/images/plain/photo"), 422, "plain.png does not exist")
        (data / "images" / "old.tif").write_bytes(b"no picture")
        refused(client.get("/api/images/old/photo"), 422, "old.tif is not an image")
        PILImage.fromarray(pixels[:20]).save(data / "images" / "deep.png")
        refused(client.get("/api/images/deep/photo"), 422, "not the size that samples.csv says")


def test_a_large_photo_has_a_small_thumbnail(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    PILImage.fromarray(photo((900, 1500))).save(source / "large.jpg")
    with asking(begin_labelling(source).path) as client:
        assert shown(client.get("/api/images/large/thumb")).shape == (96, 160, 3)
        assert shown(client.get("/api/images/large/photo?max=1000")).shape == (600, 1000, 3)
        (thumb,) = (tmp_path / "photos-labels" / ".label" / "thumbs").iterdir()
        thumb.write_bytes(b"")
        assert client.get("/api/images/large/thumb").status_code == 200, "a damaged one is made again"


def test_long_lists_are_packed(tmp_path: Path) -> None:
    data = write_unlabelled(tmp_path / "d", 1).path
    header, row = (data / "samples.csv").read_text().splitlines()
    rows = [row.replace("shape-000,", f"s{n:05},", 1) for n in range(10_000)]
    (data / "samples.csv").write_text("\n".join([header, *rows]) + "\n")
    with asking(data) as client, client.stream("GET", "/api/images") as response:
        assert response.headers["content-encoding"] == "gzip"
        packed = b"".join(response.iter_raw())
    assert len(json.loads(gzip.decompress(packed))["images"]) == 10_000


# Prompts


def ask(client: TestClient, **body: Any) -> Any:
    return client.post(f"{ONE}/prompt", json={"prompter": "classical", **body})


def test_a_click_is_answered_by_candidates(client: TestClient) -> None:
    wait_for(lambda: client.get("/api/prompters").json()["prompters"][0]["state"] == "ready")
    answer = ask(client, points=[[20, 10, True]]).json()
    assert (answer["chosen"], len(answer["candidates"])) == (0, 2)
    assert answer["milliseconds"] >= 0
    small, large = answer["candidates"]
    soft = np.frombuffer(zlib.decompress(base64.b64decode(small["soft"])), np.uint8).reshape(small["h"], small["w"])
    assert (small["x"], small["y"], small["w"], small["h"]) == (14, 4, 13, 13)
    assert small["area"] == (soft >= 128).sum() == 113
    assert soft[6, 6] == 250
    assert small["score"] == pytest.approx(0.9)
    assert small["stability"] == 1
    assert (large["y"], large["h"]) == (0, 23), "cut at the image's border"
    boxed = ask(client, boxes=[[2, 3, 10, 8]], strokes=[{"points": [[30, 30]], "positive": True, "radius": 2}]).json()
    assert boxed["candidates"][0]["area"] == 40 + 13


class Remembering(Discs):
    """Answers with the mask so far."""

    def predict(self, prompt: Prompt) -> Candidates:
        found = super().predict(prompt)
        assert prompt.previous_HW is not None
        assert prompt.class_id == 2
        soft = np.where(prompt.previous_HW, 255, 0).astype(np.uint8)[None]
        return Candidates(soft_NHW=soft, scores_N=found.scores_N[:1], chosen=0)


def test_the_mask_so_far_is_sent_as_bits(data: Path) -> None:
    so_far = np.zeros((5, 7), bool)
    so_far[1:4, 2:6] = True
    bits = base64.b64encode(zlib.compress(np.packbits(so_far).tobytes())).decode()
    with asking(data, load=lambda _: Remembering()) as client:
        wait_for(lambda: client.get("/api/prompters").json()["prompters"][0]["state"] == "ready")
        body: dict[str, Any] = {"x": 10, "y": 20, "w": 7, "h": 5, "bits": bits}
        answer = ask(client, points=[[1, 1, False]], previous=body, **{"class": 2})
        (found,) = answer.json()["candidates"]
        assert (found["x"], found["y"], found["w"], found["h"], found["area"]) == (12, 21, 4, 3, 12)
        changes: list[tuple[dict[str, Any], str]] = [
            ({"x": 60}, "outside the image"),
            ({"w": 70}, "outside the image"),
            ({"h": 0}, "outside the image"),
            ({"bits": "?"}, "not in base64"),
            ({"bits": base64.b64encode(b"xx").decode()}, "damaged"),
            ({"w": 17}, "has 5 bytes for 17 x 5 pixels; send 11"),
        ]
        for change, says in changes:
            refused(ask(client, points=[[1, 1, False]], previous=body | change), 422, says)
        refused(
            ask(client, points=[[1, 1, False]], previous=body | {"w": 2, "h": 2}), 413, "unpack to more than 1 byte"
        )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "The prompt is empty"),
        ({"points": [[5, 5, False]]}, "only says what is not wanted"),
        ({"points": [[500, 5, True]]}, "outside the image of 64 x 48"),
        ({"points": [[5, -1, True]]}, "outside the image"),
        ({"boxes": [[5, 5, 5, 9]]}, "is empty"),
        ({"points": [[5, 5]]}, "points"),
        ({"points": [["a", 5, True]]}, "points"),
        ({"points": "all"}, "points"),
        ({"strokes": [{"points": []}]}, "strokes"),
        ({"strokes": [{"points": [[1, 1]], "radius": 0}]}, "radius"),
        ({"points": [[5, 5, True]], "class": -1}, "no class -1"),
        ({"points": [[5, 5, True]], "prompter": "magic"}, "magic"),
    ],
)
def test_prompts_that_cannot_be_answered(client: TestClient, body: dict[str, Any], says: str) -> None:
    refused(ask(client, **body), 422, says)


def test_numbers_that_are_none_are_refused(client: TestClient) -> None:
    text = '{"prompter": "classical", "points": [[NaN, 1, true]]}'
    headers = {"content-type": "application/json"}
    assert client.post(f"{ONE}/prompt", content=text, headers=headers).status_code == 422


def test_a_prompter_that_loads_says_so_and_one_that_failed_says_why(data: Path) -> None:
    go_on = data / "go-on"

    def slow(spec: str) -> Discs:
        while not go_on.exists():
            time.sleep(0.01)
        return Discs()

    with asking(data, load=slow) as client:
        told = ask(client, points=[[5, 5, True]])
        assert refused(told, 503, "is loading; ask again")["state"] == "loading"
        assert told.headers["Retry-After"] == "1"
        go_on.touch()
        wait_for(lambda: ask(client, points=[[5, 5, True]]).status_code == 200)

    def broken(spec: str) -> Discs:
        raise InputError("There are no weights here; add --download.")

    with asking(data, load=broken) as client:
        wait_for(lambda: client.get("/api/prompters").json()["prompters"][0]["state"] == "failed")
        refused(ask(client, points=[[5, 5, True]]), 422, "no weights here; add --download")
        refused(client.post("/api/prompters", json={"spec": "magic"}), 422, "magic")


def test_images_are_prepared_ahead(client: TestClient) -> None:
    wait_for(lambda: client.get("/api/prompters").json()["prompters"][0]["state"] == "ready")
    body = {"prompter": "classical", "next": ["shape-001", "unknown"]}
    assert client.post(f"{ONE}/prepare", json=body).json()["state"] in ("waiting", "embedding", "ready")
    for id in ("shape-000", "shape-001"):
        address = f"/api/images/{id}/prepare?prompter=classical"
        wait_for(lambda address=address: client.get(address).json()["state"] == "ready")
    refused(client.get(f"{ONE}/prepare?prompter=magic"), 422, "magic")
    refused(client.post(f"{ONE}/prepare", json={"prompter": "magic"}), 422, "magic")
