"""Who may ask: this machine's browser with the token, and nobody on its behalf."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from labelling import TOKEN, asking, write_unlabelled

from maskwright.web.app import STATIC

EVERYWHERE = ["/", "/index.html", "/api/project", "/api/images", "/api/health", "/api/images/shape-000/photo", "/x"]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[TestClient]:
    """A client that knows no token."""
    with asking(write_unlabelled(tmp_path / "data").path, token=None) as client:
        client.follow_redirects = False
        yield client


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer(""),
        bearer(TOKEN[:-1]),
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"maskwright-00000000={TOKEN}"},
        {"Cookie": "maskwright-5c04d359=wrong"},
        {"Cookie": "\x7f=;;=,"},
    ],
)
def test_without_the_token_there_is_one_sentence(stranger: TestClient, path: str, headers: dict[str, str]) -> None:
    response = stranger.get(path, headers=headers)
    assert response.status_code == 401
    assert "the address with the token" in response.text
    if path.startswith("/api/"):
        assert set(response.json()) == {"error"}
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_no_method_gets_around_the_token(stranger: TestClient, method: str) -> None:
    for path in ("/api/images/shape-000/mask", "/api/classes", "/api/train"):
        assert stranger.request(method, path).status_code == 401


def test_the_token_of_the_address_becomes_a_cookie(stranger: TestClient) -> None:
    response = stranger.get(f"/?token={TOKEN}&image=a%20b")
    assert (response.status_code, response.headers["location"]) == (303, "/?image=a+b")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert response.headers["referrer-policy"] == "no-referrer"
    assert stranger.get("/api/health").status_code == 200, "the client keeps the cookie"


def test_a_wrong_token_in_the_address_is_none(stranger: TestClient) -> None:
    for query in ("?token=wrong", "?token=", "?token", "?token=%ff%fe"):
        assert stranger.get(f"/{query}").status_code == 401
    assert stranger.get(f"/api/project?token={TOKEN}").status_code == 401, "not in addresses of the API"


@pytest.mark.parametrize(
    "path", [f"//evil.example/?token={TOKEN}", f"/\\evil.example?token={TOKEN}", f"/x?token={TOKEN}"]
)
def test_the_token_leads_nowhere_else(stranger: TestClient, path: str) -> None:
    response = stranger.get(f"http://127.0.0.1:8765{path}")
    assert response.status_code == 401
    assert "location" not in response.headers


def test_a_link_from_another_page_leads_in_as_well(stranger: TestClient) -> None:
    """Browsers send no strict cookie on a redirect that another site began."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    response = stranger.get(f"/?token={TOKEN}", headers=headers)
    assert (response.status_code, response.headers["refresh"]) == (200, "0;url=/")
    assert "HttpOnly" in response.headers["set-cookie"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "0.0.0.0:8765"],
)
def test_other_names_of_this_machine_are_refused(stranger: TestClient, host: str) -> None:
    """A page elsewhere may let its name point here (DNS rebinding)."""
    response = stranger.get("/api/project", headers={**bearer(), "Host": host})
    assert response.status_code == 403
    assert "127.0.0.1" in response.json()["error"]
    assert stranger.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "[::1]:9", "LOCALHOST:8765", "[::1]"])
def test_its_own_names_are_known_at_any_port(stranger: TestClient, host: str) -> None:
    headers = {**bearer(), "Host": host, "Origin": f"http://{host}"}
    assert stranger.get("/api/project", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8765.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_requests_from_other_pages_are_refused(stranger: TestClient, headers: dict[str, str]) -> None:
    for method, path in [("GET", "/api/images/shape-000/photo"), ("POST", "/api/images/shape-000/status")]:
        response = stranger.request(method, path, headers={**bearer(), **headers})
        assert response.status_code == 403
        assert "other pages" in response.json()["error"]
    sent = {**bearer(), "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert stranger.post("/api/classes", headers=sent, json={"name": "x"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/js/..%2f..%2f..%2fapp.py",
        "/..%5capp.py",
        "//etc/passwd",
        "/%00",
        "/js/%2e%2e/%2e%2e/guard.py",
        "/" + "a" * 5000,
    ],
)
def test_only_the_page_is_served(stranger: TestClient, path: str) -> None:
    response = stranger.get(f"http://127.0.0.1:8765{path}", headers=bearer())
    assert response.status_code in (404, 405), response.text
    assert set(response.json()) == {"error"}


def test_every_answer_says_what_a_browser_may_do_with_it(stranger: TestClient) -> None:
    for path, headers in [("/", {}), ("/api/project", bearer()), ("/nothing", bearer()), ("/", {"Host": "evil"})]:
        response = stranger.get(path, headers=headers)
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert response.headers["cache-control"] in ("no-store", "no-cache")
        assert "access-control-allow-origin" not in response.headers


def test_the_page_is_asked_for_each_time_and_sent_when_it_changed(
    stranger: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "static"
    (folder / "js").mkdir(parents=True)
    (folder / "index.html").write_text("<p>page")
    (folder / "js" / "main.js").write_text("1")
    monkeypatch.setattr("maskwright.web.app.STATIC", folder)
    with asking(write_unlabelled(tmp_path / "other").path) as client:
        assert client.get("/").text == "<p>page"
        response = client.get("/js/main.js")
        assert response.headers["content-type"].startswith("text/javascript")
        assert response.headers["cache-control"] == "no-cache"
        known = {"If-None-Match": response.headers["etag"]}
        assert client.get("/js/main.js", headers=known).status_code == 304
        (folder / "js" / "main.js").write_text("22")
        assert client.get("/js/main.js", headers=known).text == "22"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for path in STATIC.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text("utf-8").replace("http://www.w3.org/", "")
            assert "://" not in text.replace("http://127.0.0.1", ""), path.name
            if path.suffix == ".html":
                assert ' style="' not in text
                assert "onclick=" not in text
