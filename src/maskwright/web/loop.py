"""Routes that close the loop: suggestion, queue, training."""

from __future__ import annotations

from fastapi import APIRouter, Response

import maskwright
from maskwright.web.answers import answer, missing
from maskwright.web.images import BINARY, known
from maskwright.web.learning import Learning
from maskwright.web.schemas import Method, SuggestionBody, TrainBody
from maskwright.web.wire import deflated


def loop_routes(project: maskwright.Project, learning: Learning) -> APIRouter:
    """Suggested masks, the order to label in, and training in the background."""
    api = APIRouter(prefix="/api")

    @api.get("/images/{id}/suggestion")
    def suggestion(id: str) -> Response:
        known(project, id)
        proposals = learning.proposals()
        if proposals is None:
            raise missing("No run suggests masks yet; choose one, or train one.")
        found = proposals.proposal(*learning.photo(id))
        headers = {"X-Width": str(found.mask_HW.shape[1]), "X-Height": str(found.mask_HW.shape[0])}
        return Response(deflated(found.mask_HW, found.doubt_HW), 200, headers, BINARY)

    @api.post("/suggestion")
    def choose(body: SuggestionBody) -> Response:
        return answer(learning.choose(body.run))

    @api.get("/queue")
    def queue(method: Method | None = None) -> Response:
        return answer(learning.queue(method))

    @api.get("/train")
    def progress() -> Response:
        return answer(learning.progress())

    @api.post("/train")
    def train(body: TrainBody) -> Response:
        return answer(learning.train(body.recipe, body.minutes, body.sets), 202)

    @api.delete("/train")
    def stop() -> Response:
        learning.training.stop()
        return answer(learning.progress())

    return api
