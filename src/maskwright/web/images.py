"""Routes of the list, the photos, the labels and the classes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

import maskwright
from maskwright.web.answers import answer, missing
from maskwright.web.schemas import ClassBody, ClassChangeBody, StatusBody
from maskwright.web.wire import deflated, parse_tiles

BINARY = "application/octet-stream"
ANY = "*"

Clicks = Annotated[int, Query(ge=0, le=100_000)]
Seconds = Annotated[float, Query(ge=0, le=1_000_000, allow_inf_nan=False)]


def known(project: maskwright.Project, id: str) -> None:
    """404 for an image that is not in the table."""
    if id not in project:
        raise missing(f"There is no image '{id}' in this data set; reload the list.")


def row_of(project: maskwright.Project, id: str) -> dict[str, Any]:
    """An image in the list."""
    sample, record = project.sample(id), project.record(id)
    return {
        "id": id,
        "name": sample.source or id,
        "h": sample.height,
        "w": sample.width,
        "status": record.status,
        "split": sample.split,
        "classes": record.present,
        "revision": record.revision,
        "clicks": record.clicks,
        "seconds": record.seconds,
        "problem": project.problems.get(id),
    }


def class_rows(classes: maskwright.Classes) -> list[dict[str, Any]]:
    """The class table for the page."""
    return [
        {"id": item.id, "name": item.name, "colour": item.colour, "priority": item.priority} for item in classes.items
    ]


def image_routes(project: maskwright.Project) -> APIRouter:
    """The list and the photos."""
    api = APIRouter(prefix="/api/images")

    @api.get("")
    def images(request: Request, since: int | None = None) -> Response:
        tick = project.tick  # before the rows: what changes meanwhile comes once more
        ids = project.ids() if since is None else project.changed_since(since)
        rows = [row_of(project, id) for id in ids if id in project]
        return answer({"tick": tick, "images": rows, "queue": project.queue()}, request=request)

    @api.get("/{id}/photo")
    def photo(request: Request, id: str, max: Annotated[int | None, Query(ge=16, le=65_535)] = None) -> Response:
        known(project, id)
        return cached(request, f"{project.sample(id).image_hash}-{max or 0}", lambda: project.photo(id, max))

    @api.get("/{id}/thumb")
    def thumb(request: Request, id: str) -> Response:
        known(project, id)
        return cached(request, f"{project.sample(id).image_hash}-thumb", lambda: (project.thumbnail(id), "image/jpeg"))

    return api


def label_routes(project: maskwright.Project) -> APIRouter:
    """The labels of an image, and whether they are finished."""
    api = APIRouter(prefix="/api/images")

    @api.get("/{id}/mask")
    def mask(id: str) -> Response:
        known(project, id)
        mask_HW, record = project.mask(id)
        headers = {
            "X-Revision": str(record.revision),
            "X-Width": str(mask_HW.shape[1]),
            "X-Height": str(mask_HW.shape[0]),
            "X-Status": record.status,
        }
        return Response(deflated(mask_HW), 200, headers, BINARY)

    @api.patch("/{id}/mask")
    async def save(
        request: Request,
        id: str,
        if_match: Annotated[str | None, Header()] = None,
        x_client: Annotated[str, Header(max_length=64)] = "",
        clicks: Clicks = 0,
        seconds: Seconds = 0.0,
    ) -> Response:
        known(project, id)
        revision = parse_revision(if_match)
        body = await request.body()

        def work() -> Response:
            tiles = parse_tiles(body, project.sample(id).size_hw, project.classes.dtype)
            spent: Any = {"clicks": clicks, "seconds": seconds}
            record = project.apply(id, tiles, revision=revision, writer=x_client, **spent)
            return answer({"revision": record.revision, "status": record.status})

        return await run_in_threadpool(work)

    @api.post("/{id}/status")
    def status(id: str, body: StatusBody, x_client: Annotated[str, Header(max_length=64)] = "") -> Response:
        known(project, id)
        record, changed = project.set_status(id, body.status, revision=body.revision, writer=x_client)
        return answer({"revision": record.revision, "status": record.status, "changed": changed})

    return api


def table_routes(project: maskwright.Project) -> APIRouter:
    """Classes and settings."""
    api = APIRouter(prefix="/api")

    @api.post("/classes")
    def add(body: ClassBody) -> Response:
        return answer({"classes": class_rows(project.add_class(body.name, body.colour))}, 201)

    @api.patch("/classes/{id}")
    def change(id: int, body: ClassChangeBody) -> Response:
        if not 0 <= id < len(project.classes):
            raise missing(f"There is no class {id}; reload the page.")
        return answer({"classes": class_rows(project.change_class(id, name=body.name, colour=body.colour))})

    @api.put("/settings")
    def settings(body: dict[str, Any]) -> Response:
        project.keep_settings(body)
        return answer({"settings": project.settings})

    return api


def cached(request: Request, tag: str, make: Any) -> Response:
    """A picture, or 304 where the browser has it already."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    if f'"{tag}"' in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    data, kind = make()
    return Response(data, 200, headers, kind)


def parse_revision(text: str | None) -> int | None:
    """The revision of an If-Match header; None for '*'."""
    plain = (text or "").strip().strip('"')
    if plain == ANY:
        return None
    if not plain.isdecimal():
        raise maskwright.InputError("A save must say the revision it was made from in If-Match, or *; reload the page.")
    return int(plain)
