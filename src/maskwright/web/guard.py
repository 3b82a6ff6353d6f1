"""Who may ask: this machine's own browser with the token of this server, and nobody on its behalf."""

from __future__ import annotations

import hashlib
import hmac
import json
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
MASK_BYTES = 128 << 20  # of a request that carries labels
SETTINGS_BYTES = 64 << 10
OTHER_BYTES = 16 << 20  # of any other
NO_TOKEN = "This page needs the address with the token that 'maskwright label' printed; open that one."
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware: host, origin, token, size of the request; and headers on every answer."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token
        self._cookie = f"maskwright-{hashlib.sha256(token.encode()).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what may not pass, and hand the rest on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no web sockets here
        headers, send = Headers(scope=scope), _with_headers(send, scope["path"])
        refusal = _foreign(headers, scope["method"])
        if refusal is not None:
            await _answer(send, 403, refusal)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["path"] == "/" and "token" in query and self._right(query.pop("token")[0]):
            await self._enter(query, headers, send)
        elif not self._known(headers):
            await _answer(send, 401, NO_TOKEN, page=not scope["path"].startswith("/api/"))
        else:
            most = _most(scope["path"])
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > most:
                await _answer(send, 413, _too_large(most))
            else:
                await self._app(scope, _bounded(receive, most), send)

    def _right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    def _known(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._right(token.strip())
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and self._right(found.value)

    async def _enter(self, query: dict[str, list[str]], headers: Headers, send: Send) -> None:
        """Turn the token of the address into a cookie, and the address into one without it."""
        target = f"/?{urlencode(query, doseq=True)}" if query else "/"
        # No path: the cookie is for this server alone. No Secure: there is no TLS on the way to one's own machine.
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # From a link on another page: browsers keep a strict cookie back on a redirect, not on a refresh.
            head = {"refresh": f"0;url={target}", "content-type": "text/html; charset=utf-8"}
            await _send(send, 200, head | {"set-cookie": cookie}, b"<!doctype html><title>Maskwright</title>")
        else:
            await _send(send, 303, {"location": target, "set-cookie": cookie}, b"")


def _foreign(headers: Headers, method: str) -> str | None:
    """Why a request does not come from this server's own page; None where it may."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() not in HOSTS:
        return "This server answers to 127.0.0.1 and localhost only; forward its port with ssh -L to use it from afar."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return "Requests from other pages are refused."
    navigates = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
        return "Requests from other pages are refused."
    return None


def _bounded(receive: Receive, most: int) -> Receive:
    """Stop a body that is longer than it said."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _too_large(most))
        return message

    return bounded


def _most(path: str) -> int:
    if path.endswith("/mask"):
        return MASK_BYTES
    return SETTINGS_BYTES if path == "/api/settings" else OTHER_BYTES


def _too_large(most: int) -> str:
    return (
        f"The request is larger than {f'{most >> 20} MB' if most >> 20 else f'{most >> 10} kB'}; send less at a time."
    )


def _with_headers(send: Send, path: str) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # The browser asks each time: a newer version shows at once, and so does another data set on this port.
            headers.setdefault("Cache-Control", "no-store" if path.startswith("/api/") else "no-cache")
        await send(message)

    return wrapped


async def _answer(send: Send, status: int, sentence: str, *, page: bool = False) -> None:
    if page:
        body = f'<!doctype html><html lang="en"><title>Maskwright</title><p>{sentence}</p></html>'.encode()
        await _send(send, status, {"content-type": "text/html; charset=utf-8"}, body)
    else:
        body = json.dumps({"error": sentence}).encode()
        await _send(send, status, {"content-type": "application/json"}, body)


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(key.encode(), value.encode()) for key, value in {**headers, "content-length": str(len(body))}.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
