"""The annotator's app: the JSON API of docs/label-api.md and the page, behind one token."""

from __future__ import annotations

import asyncio
import mimetypes
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

import maskwright
from maskwright.types import InputError
from maskwright.web.answers import answer, explain_errors
from maskwright.web.guard import Guard
from maskwright.web.images import class_rows, image_routes, label_routes, table_routes
from maskwright.web.learning import Learning
from maskwright.web.loop import loop_routes
from maskwright.web.prompts import prompt_routes, prompter_routes

if TYPE_CHECKING:
    from maskwright import Project, PromptDesk

STATIC = Path(__file__).with_name("static")
FLUSH_SECONDS = 1.0


def make_app(
    project: Project, desk: PromptDesk, token: str, *, run: str | None = None, offer_training: bool = False
) -> FastAPI:
    """The app that labels `project` with the prompters of `desk`; only who knows `token` may use it.

    `run` is a run folder that suggests masks, `offer_training` tells the page to offer a training. Whoever makes the
    app closes project and desk. Raises InputError where `run` cannot suggest for this data set.
    """
    learning = Learning(project, desk, run=run)
    trouble: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        threading.Thread(target=project.look, args=(stop,), daemon=True).start()
        flushing = asyncio.create_task(_keep_flushed(project, trouble))
        try:
            yield
        finally:
            stop.set()
            flushing.cancel()
            with suppress(asyncio.CancelledError):
                await flushing
            await run_in_threadpool(learning.close)
            with suppress(InputError, OSError):
                await run_in_threadpool(project.flush)

    app = FastAPI(title="Maskwright", version=maskwright.__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, token=token)
    explain_errors(app)

    @app.get("/api/health")
    def health() -> Response:
        return answer({"state": "ready", "message": " ".join(trouble)})

    @app.get("/api/project")
    def about() -> Response:
        return answer(describe(project, desk, learning) | {"training": offer_training})

    app.include_router(image_routes(project))
    app.include_router(label_routes(project))
    app.include_router(table_routes(project))
    app.include_router(prompter_routes(desk))
    app.include_router(prompt_routes(project, desk, learning.ahead))
    app.include_router(loop_routes(project, learning))
    mimetypes.add_type("text/javascript", ".js")  # some systems say text/plain, which browsers refuse to run
    app.mount("/", StaticFiles(directory=STATIC, html=True, check_dir=False))
    return app


def describe(project: Project, desk: PromptDesk, learning: Learning) -> dict[str, Any]:
    """Everything that the page needs to know before the first image."""
    classes = project.classes
    return {
        "name": project.path.resolve().name,
        "path": str(project.path.resolve()),
        "classes": class_rows(classes),
        "background": classes.background,
        "ignore": classes.ignore,
        "wide": classes.dtype.itemsize == 2,
        "counts": project.counts(),
        "prompters": desk.states(),
        "settings": project.settings,
        "rest_is_background": project.rest_is_background and classes.background is not None,
        "suggestion": learning.about()["run"],
        "suggestion_message": learning.about()["message"],
        "budget": project.budget(),
        "curve": learning.curve(),
        "version": maskwright.__version__,
    }


async def _keep_flushed(project: Project, trouble: list[str]) -> None:
    """Bring `samples.csv` up to date once a second at most; it is behind while the disk is full."""
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        if project.changed:
            try:
                await run_in_threadpool(project.flush)
                trouble.clear()
            except (InputError, OSError) as error:
                trouble[:] = [str(error)]
