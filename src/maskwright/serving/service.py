"""From a request to its answer: who is let in, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from fastapi import HTTPException, Request, Response

from maskwright.imageio import decode_image
from maskwright.serving.answers import ANSWERS, later
from maskwright.serving.batcher import Batcher
from maskwright.serving.intake import Limits, Photo, Room, check_head, pixels_of, read_photo
from maskwright.serving.metrics import GONE, Metrics
from maskwright.types import Classes, Image, Mask

T = TypeVar("T")
_MEMORY = 0.9  # of the older seconds an image, where a batch adds its own


class Service:
    """A model with limits. `inside` counts requests between door and answer; `draining` lets nobody in any more.

    Everything here runs on the event loop; pixels are decoded and encoded by a few threads, and segmented by the
    batcher's.
    """

    def __init__(
        self,
        segment: Callable[[Sequence[Image]], list[Mask]],
        classes: Classes,
        limits: Limits,
        about: dict[str, str],
    ) -> None:
        self.classes, self.limits, self.about = classes, limits, about
        self._run = segment
        self.inside, self.draining = 0, False
        self.metrics = Metrics(about, lambda: self.inside, lambda: self.draining)
        self._coming, self._seconds = 0, 0.0
        self._room = Room(2 * limits.max_pixels)
        # One thread a core: more would only take the model's time.
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "pixels")
        self._batcher = Batcher(
            segment,
            batch=limits.batch,
            wait_seconds=limits.wait_ms / 1000,
            coming=lambda: self._coming,
            told=self.told,
        )

    async def answer(self, request: Request, kind: str) -> Response:
        """The mask of the photo in a request, as `kind` of ANSWERS; refusals are HTTPException and InputError."""
        if self.draining:
            raise later(503, "The server is about to end; ask again, of another one.", 1)
        check_head(request, self.limits)
        # Who would wait in vain is told at once.
        if self.inside >= self.limits.queue or self.inside * self._seconds > self.limits.timeout_seconds:
            raise later(429, f"The server has {self.inside} requests already; ask again later.", self.retry_after())
        self.inside += 1
        try:
            photo = await self._read(request)
            async with asyncio.timeout(self.limits.timeout_seconds):
                body = await _unless_gone(request, self._segment(photo, kind))
        except TimeoutError:
            seconds = self.limits.timeout_seconds
            raise later(503, f"No answer within {seconds:g} seconds; ask again later.", self.retry_after()) from None
        finally:
            self.inside -= 1
        return Response(body, media_type=ANSWERS[kind].media)

    def warm(self, size_hw: tuple[int, int]) -> None:
        """Run one image and a full batch of this size, before anybody waits: the first calls are slow."""
        for images in {1, self.limits.batch}:
            self._run([np.zeros((*size_hw, 3), np.uint8)] * images)

    def retry_after(self) -> int:
        """Whole seconds until those inside will have been answered, from 1 to 60."""
        return min(60, max(1, math.ceil(self.inside * self._seconds)))

    def told(self, images: int, seconds: float) -> None:
        """Hear how long a batch took."""
        self.metrics.batch(images, seconds)
        each = seconds / images
        self._seconds = _MEMORY * self._seconds + (1 - _MEMORY) * each if self._seconds else each

    def close(self) -> None:
        """End the threads; what waits is answered first."""
        self._batcher.close()
        self._pool.shutdown()

    async def _read(self, request: Request) -> Photo:
        try:
            async with asyncio.timeout(self.limits.timeout_seconds):
                return await read_photo(request, self.limits)
        except TimeoutError:
            seconds = self.limits.timeout_seconds
            raise HTTPException(408, f"The image did not arrive within {seconds:g} seconds; send it again.") from None

    async def _segment(self, photo: Photo, kind: str) -> bytes:
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self._pool, pixels_of, photo, self.limits)
        async with self._room.taken(pixels):
            self._coming += 1
            try:
                image_HW3 = await loop.run_in_executor(self._pool, decode_image, photo.data, photo.name)
                future = self._batcher.submit(image_HW3)
            finally:
                self._coming -= 1
            mask_HW = await asyncio.wrap_future(future)
            return await loop.run_in_executor(self._pool, ANSWERS[kind].make, image_HW3, mask_HW, self.classes)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; given up where the client hangs up, as nobody would read it."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(GONE, "The client hung up.")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
