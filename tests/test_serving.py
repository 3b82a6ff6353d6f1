"""The server of masks: every answer, every refusal, and what it does when there is too much to do."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest
from drawing import shapes
from PIL import Image as PILImage
from served import CLASSES, HOME, TOKEN, Asking, asking, bright, photo_bytes, serving

import maskwright
from maskwright.imageio import colourise, decode_image, decode_plane, encode_image, overlay
from maskwright.serving.answers import ANSWERS, Kind
from maskwright.serving.intake import Limits

NAME = Path("answer")
IMAGE = shapes(1, (48, 64))[0]
MASK = bright(IMAGE)


def sentence(answer: Any, code: int) -> str:
    """The one sentence of a refusal."""
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/json"
    (found,) = answer.json().values()
    assert list(answer.json()) == ["error"]
    assert found.endswith(".")
    return str(found)


def test_a_photo_becomes_class_ids() -> None:
    with asking() as ask:
        answer = ask.segment()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/png"
        assert np.array_equal(decode_plane(answer.content, NAME), MASK)
        assert PILImage.open(io.BytesIO(answer.content)).mode == "P", "with the class colours as its palette"


def test_every_kind_of_answer() -> None:
    with asking() as ask:
        assert set(get_args(Kind)) == set(ANSWERS)
        found = {kind: ask.segment(kind=kind) for kind in ANSWERS}
        assert {kind: answer.headers["content-type"] for kind, answer in found.items()} == {
            kind: answer.media for kind, answer in ANSWERS.items()
        }
        assert np.array_equal(decode_image(found["colour"].content, NAME), colourise(MASK, CLASSES))
        laid = overlay(IMAGE, MASK, CLASSES)
        assert found["overlay"].content == encode_image(laid, ".jpg")
        assert found["polygons"].json() == json.loads(json.dumps(maskwright.geojson_of(MASK, CLASSES)))
        areas = found["areas"].json()
        assert (areas["height"], areas["width"]) == (48, 64)
        assert [row["pixels"] for row in areas["classes"]] == np.bincount(MASK.ravel(), minlength=3).tolist()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_form_does_as_well(suffix: str) -> None:
    data = photo_bytes(suffix=suffix)
    with asking() as ask:
        plain = ask.segment(data)
        form = ask.client.post("/segment", files={"file": ("../../odd name" + suffix, data)}, data={"note": "x"})
        assert form.status_code == 200, form.text
        assert form.content == plain.content


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "BMP", "PPM"])
def test_other_formats_and_what_curl_says_of_them(kind: str) -> None:
    buffer = io.BytesIO()
    PILImage.fromarray(IMAGE).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    with asking() as ask:
        answer = ask.segment(buffer.getvalue(), headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert np.array_equal(decode_plane(answer.content, NAME), MASK)


def bomb(rows: int, columns: int) -> bytes:
    """A small PNG that says it is huge."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 9999))]
    parts = [
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in [*chunks, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
HOSTILE = {
    "nothing": (b"", 422, "holds no image"),
    "svg": (SVG, 415, "no JPEG, PNG"),
    "html": (b"<!doctype html><script>alert(1)</script>", 415, "no JPEG, PNG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "no JPEG, PNG"),
    "gif": (GIF, 415, "no JPEG, PNG"),
    "json": (b'{"a": 1}', 415, "no JPEG, PNG"),
    "truncated png": (photo_bytes()[:200], 422, "truncated"),
    "truncated jpeg": (photo_bytes(suffix=".jpg")[:200], 422, "truncated"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", 422, "The image"),
    "damaged jpeg": (b"\xff\xd8\xff" + b"\xff\xd9" * 50, 422, "The image"),
    "large by its header": (bomb(3000, 3000), 413, "more than 1 megapixels"),
    "a bomb": (bomb(60_000, 60_000), 413, "more than 1 megapixels"),
    "a line of a bomb": (bomb(1, 2**31 - 1), 413, "more than 1 megapixels"),
    "its pixels end early": (bomb(900, 900), 422, "The image"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_uploads_are_one_sentence_and_the_server_goes_on(name: str) -> None:
    data, code, words = HOSTILE[name]
    with asking(Limits(max_pixels=1_000_000)) as ask:
        for answer in (ask.segment(data), ask.client.post("/segment", files={"file": ("photo.png", data)})):
            assert words.replace("The image", "") in sentence(answer, code)
        assert ask.segment().status_code == 200
        assert ask.service.inside == 0
        assert ask.model.batches == [1]


def test_see_through_and_deep_photos_are_refused_with_the_remedy() -> None:
    clear = io.BytesIO()
    PILImage.fromarray(np.dstack([IMAGE, np.full(IMAGE.shape[:2], 9, np.uint8)])).save(clear, "PNG")
    deep = io.BytesIO()
    PILImage.fromarray(np.full((9, 9), 700, np.uint16)).save(deep, "PNG")
    with asking() as ask:
        assert "flatten it" in sentence(ask.segment(clear.getvalue()), 422)
        assert "8 bits" in sentence(ask.segment(deep.getvalue()), 422)


def test_too_many_bytes_are_not_even_read() -> None:
    with asking(Limits(max_bytes=50_000)) as ask:
        assert "larger than 0.05 MB" in sentence(ask.segment(b"\xff\xd8\xff" + bytes(60_000)), 413)
        assert "larger than 0.05 MB" in sentence(ask.client.post("/segment", files={"file": bytes(200_000)}), 413)
        pieces = (bytes(10_000) for _ in range(100))
        assert "larger than" in sentence(ask.client.post("/segment", content=pieces), 413)
        assert "smaller" in sentence(ask.segment(b"\xff\xd8\xff", headers={"Content-Length": "100000000"}), 413)
        assert ask.service.inside == 0


@pytest.mark.parametrize("kind", [b"application/json", b"text/html", b"image", b"\xe9"])
def test_what_says_it_is_no_image_is_refused(kind: bytes) -> None:
    with asking() as ask:
        assert "no image" in sentence(ask.segment(headers={b"Content-Type": kind}), 415)


def test_forms_without_a_photo() -> None:
    with asking() as ask:
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        assert "no field 'file'" in sentence(ask.client.post("/segment", files={"photo": photo_bytes()}), 422)
        assert "no field 'file'" in sentence(ask.client.post("/segment", data={"file": "words"}, files={"a": b""}), 422)
        two = [("file", photo_bytes()), ("file", photo_bytes())]
        assert "one file" in sentence(ask.client.post("/segment", files=two), 422)
        for body in (
            b"",
            b"--x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n",
            b"\r\n" * 99,
            b"--x\r\n" + b"a" * 9999,
        ):
            sentence(ask.segment(body, headers=form), 422)
        sentence(ask.segment(headers={"Content-Type": "multipart/form-data"}), 422)


def test_questions_that_make_no_sense() -> None:
    with asking() as ask:
        assert "'ids', 'colour'" in sentence(ask.segment(kind="mask"), 422)
        assert "nothing at this address" in sentence(ask.client.get("/nothing"), 404)
        assert "kind of request" in sentence(ask.client.get("/segment"), 405)
        assert sentence(ask.client.get("/static/../app.py"), 404)
        assert sentence(ask.client.get("/static/%2e%2e/app.py"), 404)


def test_beyond_the_bound_requests_are_sent_away() -> None:
    with asking(Limits(queue=3, batch=1)) as ask:
        ask.model.gate.clear()
        waiting = ask.later(*[photo_bytes(seed) for seed in range(3)])
        ask.until_inside(3)
        answer = ask.segment()
        assert "3 requests already" in sentence(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        ask.model.gate.set()
        for thread, answers in waiting:
            thread.join(20)
            assert answers[0].status_code == 200
        assert ask.segment().status_code == 200


def test_nobody_is_let_in_who_would_wait_in_vain() -> None:
    with asking(Limits(timeout_seconds=20, batch=1)) as ask:
        ask.service.told(1, 8)
        ask.model.gate.clear()
        waiting = ask.later(*[photo_bytes(seed) for seed in range(3)])
        ask.until_inside(3)
        assert "3 requests already" in sentence(ask.segment(), 429), "three take 24 seconds"
        ask.model.gate.set()
        for thread, answers in waiting:
            thread.join(20)
            assert answers[0].status_code == 200


def test_waiting_requests_share_a_batch() -> None:
    with asking(Limits(batch=4)) as ask:
        ask.model.gate.clear()
        (first,) = ask.later(photo_bytes(0))
        while not ask.model.batches:
            time.sleep(0.005)
        rest = ask.later(*[photo_bytes(seed, (30 + seed, 40)) for seed in range(1, 7)])
        ask.until_inside(7)
        time.sleep(0.2)
        ask.model.gate.set()
        for seed, (thread, answers) in enumerate([first, *rest]):
            thread.join(20)
            expected = bright(shapes(seed, (30 + seed, 40) if seed else (48, 64))[0])
            assert np.array_equal(decode_plane(answers[0].content, NAME), expected), "everybody got their own"
        assert ask.model.batches == [1, 4, 2]


def test_one_that_fails_does_not_take_its_neighbours_with_it() -> None:
    black = encode_image(np.zeros((9, 9, 3), np.uint8), ".png")
    with asking(Limits(batch=4)) as ask:
        ask.model.gate.clear()
        (first,) = ask.later(photo_bytes())
        while not ask.model.batches:
            time.sleep(0.005)
        rest = ask.later(photo_bytes(2), black, photo_bytes(3))
        ask.until_inside(4)
        time.sleep(0.2)
        ask.model.gate.set()
        for thread, _ in [first, *rest]:
            thread.join(20)
        assert [answers[0].status_code for _, answers in rest] == [200, 500, 200]
        assert "mistake (RuntimeError)" in sentence(rest[1][1][0], 500)
        assert ask.service.inside == 0


def test_what_takes_too_long_is_given_up() -> None:
    with asking(Limits(timeout_seconds=0.3, batch=1)) as ask:
        ask.model.gate.clear()
        waiting = ask.later(photo_bytes(1), photo_bytes(2))
        for thread, answers in waiting:
            thread.join(20)
            assert "within 0.3 seconds" in sentence(answers[0], 503)
            assert int(answers[0].headers["retry-after"]) >= 1
        assert ask.service.inside == 0
        ask.model.gate.set()
        assert ask.segment().status_code == 200
        assert ask.model.batches == [1, 1], "the one that had not begun was never run"


def test_large_photos_wait_for_room() -> None:
    side = 100
    with asking(Limits(max_pixels=side * side, batch=8, wait_ms=50)) as ask:
        for thread, answers in ask.later(*[photo_bytes(seed, (side, side)) for seed in range(6)]):
            thread.join(20)
            assert answers[0].status_code == 200
        assert max(ask.model.batches) <= 2, "twice the largest photo is held at most"


def test_a_server_that_drains_says_so_and_answers_who_is_inside() -> None:
    with asking() as ask:
        assert ask.client.get("/health").json() == {"state": "ready"}
        ask.model.gate.clear()
        ((thread, answers),) = ask.later(photo_bytes())
        ask.until_inside(1)
        ask.service.draining = True
        health = ask.client.get("/health")
        assert (health.status_code, health.json()) == (503, {"state": "draining"})
        answer = ask.segment()
        assert "about to end" in sentence(answer, 503)
        assert answer.headers["retry-after"] == "1"
        ask.model.gate.set()
        thread.join(20)
        assert answers[0].status_code == 200


def test_a_token_opens_what_is_closed() -> None:
    for sends, code in ((None, 401), ("wrong-token", 401), (TOKEN, 200)):
        with asking(token=TOKEN, sends=sends) as ask:
            assert ask.segment().status_code == code
            for path in ("/about", "/metrics"):
                assert ask.client.get(path).status_code == code
            for path in ("/", "/docs", "/health", "/openapi.json", "/static/serve.css"):
                assert ask.client.get(path).status_code == 200
    with asking(token=TOKEN) as ask:
        answer = ask.segment(headers={"Authorization": f"Basic {TOKEN}"})
        assert "Authorization: Bearer" in sentence(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert ask.segment(headers={"Authorization": f"bearer {TOKEN}", "Host": "elsewhere.example"}).status_code == 200


def test_without_a_token_no_other_page_or_name_may_ask() -> None:
    with asking() as ask:
        assert "localhost only" in sentence(ask.segment(headers={"Host": "evil.example"}), 403)
        assert "other pages" in sentence(ask.segment(headers={"Sec-Fetch-Site": "cross-site"}), 403)
        assert ask.segment(headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
        follows = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert ask.client.get("/", headers=follows).status_code == 200
    with asking(local=False) as ask:
        assert ask.segment(headers={"Host": "photos.example"}).status_code == 200
        assert "other pages" in sentence(ask.segment(headers={"Sec-Fetch-Site": "cross-site"}), 403)


def lines(ask: Asking) -> dict[str, float]:
    text = ask.client.get("/metrics").text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_metrics_count_what_happened() -> None:
    with asking(Limits(max_bytes=50_000)) as ask:
        ask.segment()
        ask.segment(kind="areas")
        ask.segment(SVG)
        ask.segment(bytes(99_999))
        ask.segment(kind="anything" * 50)
        found = lines(ask)
        for answer, code in (("ids", 200), ("areas", 200), ("ids", 415), ("ids", 413), ("other", 422)):
            assert found[f'maskwright_requests_total{{answer="{answer}",code="{code}"}}'] == 1
        assert found["maskwright_batch_images_count"] == 2
        assert found["maskwright_model_seconds_total"] > 0
        assert found['maskwright_request_seconds_count{answer="ids"}'] == 1, "refusals are no latencies"
        assert found["maskwright_requests_inside"] == 0
        assert any(line.startswith('maskwright_model_info{backend="made up"') for line in found)
        assert ask.client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_the_description_and_the_pages() -> None:
    with asking() as ask:
        schema = ask.client.get("/openapi.json").json()
        assert set(schema["paths"]) == {"/segment", "/about", "/health", "/metrics"}
        segment = schema["paths"]["/segment"]["post"]
        assert segment["parameters"][0]["schema"]["enum"] == list(ANSWERS)
        assert {"200", "413", "415", "422", "429", "503"} <= set(segment["responses"])
        assert set(segment["requestBody"]["content"]) == {"image/*", "multipart/form-data"}
        for path in ("/", "/docs"):
            page = ask.client.get(path)
            assert page.headers["content-type"].startswith("text/html")
            assert "default-src 'self'" in page.headers["content-security-policy"]
        about = ask.client.get("/about").json()
        assert [row["name"] for row in about["classes"]] == CLASSES.names
        assert about["reason"] == "Brightness decides."


def test_a_client_that_hangs_up_costs_nothing() -> None:
    with serving(Limits(batch=1)) as (address, model):
        model.gate.clear()
        first = threading.Thread(target=lambda: httpx.post(f"{address}segment", content=photo_bytes(), timeout=20))
        first.start()
        while not model.batches:
            time.sleep(0.005)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}segment", content=photo_bytes(), timeout=0.3)
        until = time.monotonic() + 20
        while 'code="499"' not in httpx.get(f"{address}metrics").text:
            assert time.monotonic() < until
            time.sleep(0.02)
        model.gate.set()
        first.join(20)
        assert httpx.post(f"{address}segment", content=photo_bytes()).status_code == 200
        assert model.batches == [1, 1]


def test_an_upload_that_never_ends_is_given_up() -> None:
    with serving(Limits(timeout_seconds=0.3)) as (address, _):
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
            head = f"POST /segment HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000\r\n\r\nabc"
            slow.sendall(head.encode())
            answer = ""
            while not answer.endswith("}"):
                answer += slow.recv(10_000).decode()
        assert answer.startswith("HTTP/1.1 408")
        assert "did not arrive within 0.3 seconds" in answer


def test_the_home_of_the_tests_is_local() -> None:
    assert HOME.startswith("http://127.0.0.1")
