"""What a mask can be answered as, and errors as one sentence under the right code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

import maskwright
from maskwright.imageio import colourise, encode_image, encode_mask, overlay
from maskwright.types import Classes, Image, InputError, Mask

Kind = Literal["ids", "colour", "overlay", "polygons", "areas"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One way to answer: its media type, what it is, and how it is made of photo, mask and class table."""

    media: str
    about: str
    make: Callable[[Image, Mask, Classes], bytes]


as_json = msgspec.json.encode


ANSWERS: dict[str, Answer] = {
    "ids": Answer(
        media="image/png",
        about="class ids, a single-channel PNG of the photo's size with the class colours as its palette",
        make=lambda image_HW3, mask_HW, classes: encode_mask(mask_HW, classes),
    ),
    "colour": Answer(
        media="image/png",
        about="class colours, an RGB PNG",
        make=lambda image_HW3, mask_HW, classes: encode_image(colourise(mask_HW, classes), ".png"),
    ),
    "overlay": Answer(
        media="image/jpeg",
        about="the photo under the class colours, a JPEG",
        make=lambda image_HW3, mask_HW, classes: encode_image(overlay(image_HW3, mask_HW, classes), ".jpg"),
    ),
    "polygons": Answer(
        media="application/geo+json",
        about="a GeoJSON FeatureCollection in pixels, a feature for each connected piece of a class but the background",
        make=lambda image_HW3, mask_HW, classes: as_json(maskwright.geojson_of(mask_HW, classes)),
    ),
    "areas": Answer(
        media="application/json",
        about="pixels and share of each class",
        make=lambda image_HW3, mask_HW, classes: as_json(_areas(mask_HW, classes)),
    ),
}


def _areas(mask_HW: Mask, classes: Classes) -> dict[str, Any]:
    rows, columns = mask_HW.shape
    return {"height": rows, "width": columns, "classes": maskwright.areas_of(mask_HW, classes)}


def explain_errors(app: FastAPI) -> None:
    """Every error of the app becomes `{"error": sentence}`."""
    handlers: dict[type[Exception], Callable[[Request, Any], Response]] = {
        InputError: lambda _, error: refusal(422, str(error)),
        RequestValidationError: lambda _, error: refusal(422, _first(error)),
        AnyHTTPException: lambda _, error: refusal(error.status_code, _sentence(error), error.headers),
        Exception: lambda _, error: refusal(
            500, f"The server made a mistake ({type(error).__name__}); its terminal says where."
        ),
    }
    for kind, handle in handlers.items():
        app.add_exception_handler(kind, handle)


def refusal(status: int, sentence: str, headers: Any = None) -> Response:
    """An error as every client gets it."""
    return Response(as_json({"error": sentence}), status, headers, "application/json")


def later(status: int, sentence: str, seconds: int) -> HTTPException:
    """429 or 503: the same request may succeed after so many seconds."""
    return HTTPException(status, sentence, {"Retry-After": str(seconds)})


def _sentence(error: AnyHTTPException) -> str:
    plain = {404: "There is nothing at this address.", 405: "This address does not take that kind of request."}
    usual = error.detail in ("Not Found", "Method Not Allowed")
    return plain.get(error.status_code, error.detail) if usual else error.detail


def _first(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    found = error.errors()[0]
    return f"The request cannot be used: {'.'.join(str(part) for part in found['loc'][1:])}: {found['msg']}."
