"""The verb that serves a run over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import (
    AsJson,
    Backend,
    Device,
    Flips,
    Overlap,
    Precision,
    Scales,
    Tiles,
    Weights,
    how_of,
)
from maskwright.console import say
from maskwright.types import InputError

_FOR_LONG = 1_000_000  # photos: any backend that is worth making is made


def serve(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 is any free one.")] = 8000,
    token: Annotated[
        str | None, typer.Option("--token", envvar="MASKWRIGHT_TOKEN", help="What clients must send as a Bearer token.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=256, help="Images at a time, at most.")] = 8,
    wait_ms: Annotated[
        int, typer.Option("--wait-ms", min=0, max=10_000, help="For a batch to fill while others arrive.")
    ] = 5,
    queue: Annotated[int, typer.Option("--queue", min=1, help="Requests inside at once; the next is sent away.")] = 64,
    max_mb: Annotated[int, typer.Option("--max-mb", min=1, max=2000, help="Of an image file.")] = 32,
    max_megapixels: Annotated[int, typer.Option("--max-megapixels", min=1, max=89, help="Of an image.")] = 50,
    timeout: Annotated[
        int, typer.Option("--timeout", min=1, max=3600, help="Seconds for an upload, and for an answer.")
    ] = 30,
    tiles: Tiles = "auto",
    overlap: Overlap = 0.25,
    flips: Flips = False,
    scales: Scales = None,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
    as_json: AsJson = False,
) -> None:
    """Serve a run over HTTP: photo in, mask out; with a page to try it on, health and metrics."""
    from maskwright.serving.intake import Limits  # not for every other verb: it takes half a second
    from maskwright.serving.serve import address, bind, serve
    from maskwright.serving.service import Service

    check_token(token)
    how = how_of(tiles, overlap, flips, scales)
    limits = Limits(
        batch=batch,
        wait_ms=wait_ms,
        queue=queue,
        max_bytes=max_mb * 1_000_000,
        max_pixels=max_megapixels * 1_000_000,
        timeout_seconds=timeout,
    )
    with bind(host, port) as listener:  # before the model, which takes longer
        predictor = maskwright.Predictor.load(
            run, weights=weights, device=device, precision=precision, backend=backend, photos=_FOR_LONG
        )
        segmenter = maskwright.Segmenter(predictor, how, batch=batch)
        about = {"run": run.resolve().name, "backend": predictor.backend, "reason": predictor.reason}
        service = Service(segmenter.ids_of, predictor.classes, limits, about)
        service.warm(predictor.size_hw)

        def ready() -> None:
            say(predictor.reason)
            greet(run, address(listener), token)
            if as_json:
                typer.echo(json.dumps({"address": address(listener), **about}))

        serve(service, listener, ready, token=token)
    say("Everybody was answered; the server has ended.")


def check_token(token: str | None) -> None:
    """Raise InputError for a token that no header can carry, or that is soon guessed."""
    if token is not None and not (len(token) >= 8 and token.isascii() and token.isprintable() and " " not in token):
        raise InputError("--token needs 8 letters or more, without spaces; 'openssl rand -hex 16' makes a good one.")


def greet(run: Path, address: str, token: str | None) -> None:
    """Say where the server is, and how to use it."""
    secret = ' -H "Authorization: Bearer $TOKEN"' if token else ""
    say(f"Serving {run} at {address}")
    say(f"Try: curl{secret} --data-binary @PHOTO.jpg '{address}segment?as=overlay' -o overlay.jpg")
    say(f"Documentation: {address}docs  Ctrl-C or SIGTERM ends the server once everybody inside is answered.")
