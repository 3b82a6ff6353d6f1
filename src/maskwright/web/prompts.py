"""Routes of the prompters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

import maskwright
from maskwright.types import Image, InputError, Prompt, Stroke
from maskwright.web.answers import answer
from maskwright.web.images import known
from maskwright.web.schemas import PrepareBody, PromptBody, PrompterBody
from maskwright.web.wire import pack_candidates, unpack_bits

if TYPE_CHECKING:
    from maskwright import PromptDesk


Photo = tuple[str, Callable[[], Image]]


def prompter_routes(desk: PromptDesk) -> APIRouter:
    """The prompters there are, and one more."""
    api = APIRouter(prefix="/api/prompters")

    @api.get("")
    def prompters() -> Response:
        return answer({"prompters": desk.states()})

    @api.post("")
    def add(body: PrompterBody) -> Response:
        desk.add(body.spec)
        return answer({"prompters": desk.states()}, 201)

    return api


def prompt_routes(project: maskwright.Project, desk: PromptDesk, ahead: Callable[[list[str]], None]) -> APIRouter:
    """Prepare images for prompters, and ask them; `ahead` hears which images are looked at next."""
    api = APIRouter(prefix="/api/images")

    @api.post("/{id}/prepare")
    def prepare(id: str, body: PrepareBody) -> Response:
        photo = photo_of(project, id)
        following = [one for one in body.next if one in project]
        ahead([id, *following])
        desk.prepare(body.prompter, *photo)
        for one in following:
            desk.prepare(body.prompter, *photo_of(project, one), ahead=True)
        return answer(state_of(desk, body.prompter, photo))

    @api.get("/{id}/prepare")
    def prepared(id: str, prompter: str) -> Response:
        return answer(state_of(desk, prompter, photo_of(project, id)))

    @api.post("/{id}/prompt")
    def prompt(id: str, body: PromptBody) -> Response:
        photo, size_hw = photo_of(project, id), project.sample(id).size_hw
        asked = parse_prompt(body, size_hw)
        asked.check(size_hw)
        if loading := [row for row in desk.states() if row["name"] == body.prompter and row["state"] == "loading"]:
            sentence = f"The prompter {loading[0]['label']} is loading; ask again in a second."
            return answer({"error": sentence, "state": "loading"}, 503, {"Retry-After": "1"})
        started = time.perf_counter()
        found = desk.predict(body.prompter, *photo, asked)
        rows: list[dict[str, Any]] = pack_candidates(found.soft_NHW, found.scores_N, found.stability_N)
        milliseconds = 1000 * (time.perf_counter() - started)
        return answer({"candidates": rows, "chosen": int(found.chosen), "milliseconds": milliseconds})

    return api


def photo_of(project: maskwright.Project, id: str) -> Photo:
    """What a prompter keeps an image by, and how to read it; 404 for one that is not in the table."""
    known(project, id)
    return project.sample(id).image_hash or id, lambda: project.image(id)


def state_of(desk: PromptDesk, spec: str, photo: Photo) -> dict[str, str]:
    """How far a prompter is with an image."""
    kind, _, message = desk.state_of(spec, photo[0]).partition(": ")
    return {"state": kind, "message": message}


def parse_prompt(body: PromptBody, size_hw: tuple[int, int]) -> Prompt:
    """A prompt from its JSON; raises InputError for a mask so far that does not fit the image."""
    previous = body.previous
    if body.class_id is not None and body.class_id < 0:
        raise InputError(f"There is no class {body.class_id}; reload the page.")
    return Prompt(
        points_xy=tuple((x, y) for x, y, _ in body.points),
        positive=tuple(positive for _, _, positive in body.points),
        boxes_xyxy=tuple(body.boxes),
        strokes=tuple(
            Stroke(points_xy=tuple(one.points), positive=one.positive, radius_px=one.radius) for one in body.strokes
        ),
        previous_HW=None if previous is None else unpack_bits(**previous.model_dump(), size_hw=size_hw),
        class_id=body.class_id,
    )
