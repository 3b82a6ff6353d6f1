"""The server's process: port, model, and an end that leaves nobody without an answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from maskwright.console import say
from maskwright.serving.app import make_app
from maskwright.serving.service import Service
from maskwright.types import TargetError

_LINGER_SECONDS = 5  # for answers that are on their way when the last one was made


class Server(uvicorn.Server):
    """Says where it is once it listens. Told to end, it lets nobody in, answers those inside, and ends.

    Told a second time, it ends at once.
    """

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready, self._told = service, ready, False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; end at the second signal."""
        # Not handed on the first time: uvicorn would stop listening at once, so that nobody could be told when to come
        # back, and then raise the signal again, so that a proper end looked like a crash.
        if self._service.draining:
            self.force_exit = True
            super().handle_exit(sig, frame)
        self._service.draining = True

    async def on_tick(self, counter: int) -> bool:
        """End once everybody has been answered."""
        if self._service.draining:
            inside = self._service.inside
            if inside and not self._told:
                say(f"Answering {inside} requests, then the server ends; once more ends it at once.")
            self._told, self.should_exit = True, self.should_exit or not inside
        return await super().on_tick(counter)


def serve(service: Service, listener: socket.socket, ready: Callable[[], None], *, token: str | None) -> None:
    """Serve on a listening socket until SIGTERM or Ctrl-C; `ready` is called once it answers."""
    local = listener.getsockname()[0] in ("127.0.0.1", "::1")
    Server(configured(service, token=token, local=local), service, ready).run([listener])


def configured(service: Service, *, token: str | None, local: bool) -> uvicorn.Config:
    """The app around a service as uvicorn runs it."""
    app = make_app(service, token=token, local=local)
    return uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_LINGER_SECONDS
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; `port` 0 is any free one. Raises TargetError where it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # asyncio answers without delay only on sockets that say TCP; otherwise every answer waits 40 ms for an ACK.
        return socket.socket(fileno=listener.detach())
    except (OSError, UnicodeError) as error:
        raise TargetError(
            f"Port {port} of {host} cannot be had ({error}); choose others with --host, --port."
        ) from error


def address(listener: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
    return f"http://{shown}:{port}/"
