"""Answers: JSON, and every error as one sentence under the right code."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from maskwright.types import Conflict, InputError, TargetError
from maskwright.web.wire import SizeError

_WORTH_PACKING = 20_000  # bytes
_FULL = (errno.ENOSPC, errno.EDQUOT)


def answer(
    value: Any, status: int = 200, headers: dict[str, str] | None = None, request: Request | None = None
) -> Response:
    """JSON; packed where it is long and the request's sender can unpack it."""
    headers = headers or {}
    body = msgspec.json.encode(value)
    if request is not None and len(body) > _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers = gzip.compress(body, 1), headers | {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(body, status, headers, "application/json")


def missing(sentence: str) -> HTTPException:
    """404 with a sentence."""
    return HTTPException(404, sentence)


def explain_errors(app: FastAPI) -> None:
    """Every error of the app becomes `{"error": sentence}`."""
    handlers: dict[type[Exception], Callable[[Any], Response]] = {
        Conflict: lambda error: answer({"error": str(error), "revision": error.revision}, 409),
        SizeError: lambda error: answer({"error": str(error)}, 413),
        TargetError: lambda error: answer({"error": str(error)}, _code_of(error)),
        InputError: lambda error: answer({"error": str(error)}, 422),
        RequestValidationError: lambda error: answer({"error": _first(error)}, 422),
        AnyHTTPException: lambda error: answer({"error": _sentence(error)}, error.status_code),
        OSError: lambda error: answer({"error": f"The disk does not answer as it should ({error})."}, 500),
        Exception: lambda error: answer(
            {"error": f"The server made a mistake ({type(error).__name__}); its terminal says where."}, 500
        ),
    }
    for kind, handle in handlers.items():
        app.add_exception_handler(kind, _handler(handle))


def _handler(handle: Callable[[Any], Response]) -> Callable[[Request, Exception], Response]:
    return lambda _, error: handle(error)


def _code_of(error: TargetError) -> int:
    """507 where the disk is full, 403 where it may not be written."""
    return 507 if isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL else 403


def _sentence(error: AnyHTTPException) -> str:
    plain = {404: "There is nothing at this address.", 405: "This address does not take that kind of request."}
    return (
        plain.get(error.status_code, error.detail)
        if error.detail in ("Not Found", "Method Not Allowed")
        else error.detail
    )


def _first(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"][1:]) or "the body"
    return f"The request cannot be used: {place}: {found['msg']}."
