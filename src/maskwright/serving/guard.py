"""Who may ask: with a token, whoever knows it; without, whoever reaches the address, but no other web page."""

from __future__ import annotations

import hmac

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskwright.serving.answers import refusal

LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})
# The pages themselves, and what a probe asks, tell nothing of the model.
CLOSED = frozenset({"/segment", "/about", "/metrics"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware: host, other pages, token, length of the body; and headers on every answer.

    `local` says that the server listens on this machine alone. Without a token it then answers to local names only,
    so that no page can reach it under a name of its own.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, local: bool, most: int) -> None:
        self._app, self._token, self._local, self._most = app, token, local, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what may not pass, and hand the rest on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no web sockets here
        headers, send = Headers(scope=scope), _with_headers(send)
        if self._token is None:
            if (sentence := self._foreign(headers, scope["method"])) is not None:
                await refusal(403, sentence)(scope, receive, send)
                return
        elif scope["path"] in CLOSED and not self._right(headers, self._token):
            sentence = "This needs the server's token: send it in the header 'Authorization: Bearer TOKEN'."
            await refusal(401, sentence, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive), send)

    def _right(self, headers: Headers, token: str) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())

    def _foreign(self, headers: Headers, method: str) -> str | None:
        """Why a request may not pass where there is no token; None where it may."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self._local and name.lower() not in LOCAL:
            return "Without a token this server answers to 127.0.0.1 and localhost only; start it with --token."
        navigates = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
            return "Requests from other pages are refused; start the server with --token to let who knows it ask."
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """Stop a body that is longer than it said, or did not say."""
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, f"The request is larger than {self._most / 1e6:.3g} MB; send a smaller image.")
            return message

        return bounded


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # The browser asks each time: a newer version shows at once, and so does another run on this port.
            headers.setdefault("Cache-Control", "no-cache")
        await send(message)

    return wrapped
