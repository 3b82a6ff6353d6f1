"""The verb `models`: what it prints, for people and for machines."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from maskwright.cli.models import models
from maskwright.types import InputError

app = typer.Typer()
app.command()(models)


def call(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_one_model_is_printed_with_its_cost_and_source() -> None:
    _, said = call("unet", "--size", "64x96", "--classes", "5")
    row = next(line for line in said.splitlines() if line.startswith("unet"))
    assert "31,043,781" in row
    assert "Ronneberger" in row
    assert "model.widths: [64, 128, 256, 512, 1024]" in said
    assert "64 x 96, 5 classes" in said


def test_machines_get_json() -> None:
    printed, _ = call("unet-se", "--params", "500k", "--set", "model.depth=3", "--size", "32", "--json")
    facts = json.loads(printed)
    assert facts["size"] == [32, 32]
    (found,) = facts["models"]
    assert abs(found["parameters"] / 500_000 - 1) <= 0.02
    assert len(found["widths"]) == 4
    assert found["trainable"] == found["parameters"]


def test_a_size_without_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="--size 0x8 has a side of 0"):
        call("unet", "--size", "0x8")
