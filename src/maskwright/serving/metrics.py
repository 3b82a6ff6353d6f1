"""What the server tells of itself, in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskwright.serving.answers import ANSWERS

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
GONE = 499  # nginx's code for a client that hung up: nobody reads the answer
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server, in a registry of its own; `inside` and `draining` are asked when somebody looks."""

    def __init__(self, about: dict[str, str], inside: Callable[[], int], draining: Callable[[], bool]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("maskwright_model", "The run that is served.", registry=registry).info(about)
        self._requests = Counter(
            "maskwright_requests",
            "Requests for a mask, by kind and status code.",
            ["answer", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "maskwright_request_seconds",
            "From the first byte of a request to its answer, where that is a mask.",
            ["answer"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram("maskwright_batch_images", "Images in a batch.", buckets=_BATCHES, registry=registry)
        self._model = Counter("maskwright_model_seconds", "Seconds spent in the model.", registry=registry)
        Gauge(
            "maskwright_requests_inside", "Requests that are being read or answered.", registry=registry
        ).set_function(inside)
        Gauge("maskwright_draining", "1 once the server has been told to end.", registry=registry).set_function(
            draining
        )

    def batch(self, images: int, seconds: float) -> None:
        """Note a batch."""
        self._batches.observe(images)
        self._model.inc(seconds)

    def request(self, answer: str, code: int, seconds: float) -> None:
        """Note an answered request."""
        self._requests.labels(answer, code).inc()
        if code == 200:
            self._seconds.labels(answer).observe(seconds)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)


class Counting:
    """ASGI middleware that notes every request for a mask, refused ones too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and note how it ended."""
        if scope["type"] != "http" or scope["path"] != "/segment":
            await self._app(scope, receive, send)
            return
        began, code = time.monotonic(), 500

        async def watched(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("as", ["ids"])[0]
            # Anything else would let a stranger make as many series as they like.
            self._metrics.request(asked if asked in ANSWERS else "other", code, time.monotonic() - began)
