"""The verb that lists the networks and what they cost."""

from __future__ import annotations

from typing import Annotated

import typer

import maskwright
from maskwright.cli.options import AsJson, finish, parse_size
from maskwright.types import InputError

MEBI = 2**20


def models(
    *,
    name: Annotated[str | None, typer.Argument(help="Only this one, with its widths.")] = None,
    size: Annotated[str, typer.Option("--size", help="Of the image: 256, or ROWSxCOLUMNS.")] = "256",
    classes: Annotated[int, typer.Option("--classes", min=1, help="Number of classes.")] = 3,
    params: Annotated[str | None, typer.Option("--params", help="Solve the widths for so many, as in 31M.")] = None,
    gflops: Annotated[float | None, typer.Option("--gflops", help="Solve the widths for 10^9 operations.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="A key of the recipe's model, as in width=16.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every network: parameters, operations, memory, and where it comes from."""
    rows, columns = parse_size(size)
    if not rows or not columns:
        raise InputError(f"--size {size} has a side of 0; write 256, or ROWSxCOLUMNS as in 256x384.")
    goals = {"params": params, "gflops": gflops}
    asked = [text.removeprefix("model.") for text in sets or []]
    asked += [f"{key}={value}" for key, value in goals.items() if value is not None]
    found, impossible = maskwright.survey_models(name, size=(rows, columns), classes=classes, sets=asked)
    lines = [
        f"{'model':24} {'parameters':>12} {'that learn':>12} {'10^9 ops':>9} {'predict':>9} {'train':>9}  what it is"
    ]
    for facts in found:
        memory = f"{facts.predict_bytes / MEBI:6.0f} MB {facts.train_bytes / MEBI:6.0f} MB"
        counts = f"{facts.parameters:12,} {facts.trainable:12,} {facts.operations / 1e9:9.2f}"
        lines.append(f"{facts.name:24} {counts} {memory}  {facts.source}")
    if name is not None:
        lines.append(f"model.widths: {list(found[0].widths)}")
    lines += [
        f"One image of {rows} x {columns}, {classes} classes; a multiplication and an addition are two operations.",
        "Memory in float32: weights, tensors alive at the worst moment; to train also gradients and Adam's averages.",
        "U-Nets have 64 channels at the first level, as published; 'train --size tiny' gives 16, small 32, base 64.",
    ]
    lines += impossible.values()
    listed = [facts.to_dict() for facts in found]
    finish(
        as_json, {"size": [rows, columns], "classes": classes, "models": listed, "impossible": impossible}, [], lines
    )
