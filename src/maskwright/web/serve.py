"""The annotator's server on this machine: port, token, browser, and the end of it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import uvicorn

import maskwright
from maskwright.cache import user_cache
from maskwright.types import TargetError
from maskwright.web.app import make_app

HOST = "127.0.0.1"
PORT = 8765
_TRIED = 50  # ports after the first


class Server(uvicorn.Server):
    """A server that says where it is once it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(
    project: maskwright.Project,
    prompters: Sequence[str],
    ready: Callable[[str, str], None],
    *,
    port: int | None = None,
    run: str | None = None,
    offer_training: bool = False,
    download: bool = False,
) -> None:
    """Serve the page until Ctrl-C; `ready` hears its address and the token once it answers.

    The port and the token of the last time are taken again where they are free, so that an open page goes on.
    `port` is the first that is tried, 0 any free one. Raises TargetError where none is free.
    """
    last_port, token = _memory_of(project.path) or (PORT, secrets.token_urlsafe(24))
    desk = maskwright.PromptDesk(prompters, cache=project.home / "encodings", download=download)
    with closing(desk):
        app = make_app(project, desk, token, run=run, offer_training=offer_training)
        listener = bind([port] if port is not None else [last_port, *range(PORT, PORT + _TRIED), 0])
        with closing(listener):
            home = f"http://{HOST}:{listener.getsockname()[1]}/"
            _remember(project.path, listener.getsockname()[1], token)
            project.sign(home)
            config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
            with suppress(KeyboardInterrupt):
                Server(config, lambda: ready(f"{home}?token={token}", token)).run([listener])


def bind(ports: Sequence[int]) -> socket.socket:
    """A listening socket on the first of the ports that is free, on this machine only; raises TargetError."""
    for port in ports:
        # asyncio answers without delay only on sockets that say TCP; otherwise every answer waits 40 ms for an ACK.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(128)
            return listener
        except OSError:
            listener.close()
    raise TargetError(f"Port {ports[0]} is not free; choose another with --port, or leave it out.")


def open_browser(address: str) -> bool:
    """Show the page where there is a screen; False where there is none."""
    shown = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    with suppress(webbrowser.Error, OSError):
        return bool(shown) and webbrowser.open(address)
    return False


def _memory_path(dataset: Path) -> Path:
    return user_cache("label") / f"{hashlib.sha256(str(dataset.resolve()).encode()).hexdigest()[:16]}.json"


def _memory_of(dataset: Path) -> tuple[int, str] | None:
    """Port and token of the last time, kept with the person and not with the data, which travel."""
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads(_memory_path(dataset).read_text("utf-8"))
        port, token = found.get("port"), found.get("token")
        if isinstance(port, int) and 0 < port < 65536 and isinstance(token, str) and len(token) >= 16:
            return port, token
    return None


def _remember(dataset: Path, port: int, token: str) -> None:
    path = _memory_path(dataset)
    with suppress(OSError):  # then a page that is open must be opened anew after the next start
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"port": port, "token": token}, file)
