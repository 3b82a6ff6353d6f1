"""The HTTP API of docs/serve.md, and its two pages."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

import maskwright
from maskwright.serving.answers import ANSWERS, Kind, as_json, explain_errors
from maskwright.serving.guard import Guard
from maskwright.serving.metrics import CONTENT_TYPE, Counting
from maskwright.serving.service import Service
from maskwright.types import Classes

STATIC = Path(__file__).with_name("static")
_KINDS = "; ".join(f"{name}: {answer.about}" for name, answer in ANSWERS.items()) + "."
_FORM_BYTES = 16 << 10  # what a form may have around its photo
_BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_REFUSALS = {
    401: "the token is missing or wrong",
    403: "without a token: another page or host asks",
    408: "the image did not arrive in time",
    413: "too many bytes or pixels",
    415: "not an image of a known format",
    422: "the image is damaged, or the request cannot be used",
    429: "too many requests at once: ask again after Retry-After seconds",
    503: "no answer in time, or the server is about to end: ask again after Retry-After seconds",
}
_PHOTO = {
    "requestBody": {
        "required": True,
        "description": "A photo as the body, or as the field `file` of a form.",
        "content": {
            "image/*": {"schema": _BYTES},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": _BYTES}},
            },
        },
    }
}


def make_app(service: Service, *, token: str | None = None, local: bool = True) -> FastAPI:
    """The app around a service, which it closes at its end; `local` says that it listens on this machine alone."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title=f"Maskwright: {service.about['run']}",
        version=maskwright.__version__,
        description="Photo in, mask out.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Counting, metrics=service.metrics)
    app.add_middleware(Guard, token=token, local=local, most=service.limits.max_bytes + _FORM_BYTES)
    explain_errors(app)
    _answering(app, service)
    _watching(app, service)
    _pages(app)
    return app


def _answering(app: FastAPI, service: Service) -> None:
    media = {answer.media: {"schema": _BYTES} for answer in ANSWERS.values() if "json" not in answer.media}
    media |= {answer.media: {"schema": {"type": "object"}} for answer in ANSWERS.values() if "json" in answer.media}
    responses: dict[int | str, dict[str, Any]] = {200: {"description": "The mask.", "content": media}}
    responses |= {code: _refusal_of(why) for code, why in _REFUSALS.items()}

    @app.post("/segment", response_class=Response, responses=responses, openapi_extra=_PHOTO)
    async def segment(
        request: Request, kind: Annotated[Kind, Query(alias="as", description=_KINDS)] = "ids"
    ) -> Response:
        """Segment a photo."""
        return await service.answer(request, kind)


def _watching(app: FastAPI, service: Service) -> None:
    @app.get("/about", responses={401: _refusal_of(_REFUSALS[401])})
    async def about() -> dict[str, Any]:
        """The run that is served, its classes, and the limits."""
        limits = vars(service.limits)
        return {**service.about, **class_table(service.classes), "limits": limits, "answers": list(ANSWERS)}

    @app.get("/health", responses={503: _refusal_of("the server is about to end")})
    async def health() -> Response:
        """Ready to take requests, or draining."""
        if service.draining:
            return Response(as_json({"state": "draining"}), 503, {"Retry-After": "1"}, "application/json")
        return Response(as_json({"state": "ready"}), media_type="application/json")

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _pages(app: FastAPI) -> None:
    mimetypes.add_type("text/javascript", ".js")  # some systems say text/plain, which browsers refuse to run

    @app.get("/", include_in_schema=False)
    async def home() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    # FastAPI's own page fetches its code from elsewhere.
    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html")

    app.mount("/static", StaticFiles(directory=STATIC))


def class_table(classes: Classes) -> dict[str, Any]:
    """Classes as the pages and other clients want them."""
    rows = [{"id": row.id, "name": row.name, "colour": list(row.colour)} for row in classes.items]
    return {"classes": rows, "background": classes.background, "ignore": classes.ignore}


def _refusal_of(why: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"error": {"type": "string"}}}
    return {"description": why[0].upper() + why[1:] + ".", "content": {"application/json": {"schema": schema}}}
