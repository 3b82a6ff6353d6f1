"""Work that meets with accidents; without torch, so that a worker that is sent it starts quickly."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drawing import shapes_classes

from maskwright.data.formats.listing import Item, Painted
from maskwright.imageio import read_mask
from maskwright.types import InputError, TargetError


@dataclass(frozen=True)
class Work:
    """Doubles a number and says which process did; some numbers meet with an accident, one of them only once."""

    folder: Path
    accidents: Mapping[int, str] = field(default_factory=dict)

    def __call__(self, item: int) -> dict[str, Any]:
        match self.accidents.get(item):
            case "bad":
                raise InputError(f"{item} is bad")
            case "full":
                raise TargetError("The disk is full.")
            case "bug":
                raise ZeroDivisionError("a bug")
            case "kill" if not (self.folder / "killed").exists():
                (self.folder / "killed").write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        return {"twice": 2 * item, "process": os.getpid(), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "")}


def named(item: int) -> str:
    return f"number {item}"


@dataclass(frozen=True)
class KillOnce:
    """A painter that ends its process at one image, once."""

    folder: Path

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        assert item.mask is not None
        if item.id == "shape-005" and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Painted(mask_HW=read_mask(item.mask, shapes_classes(), size_hw))


class Foreign:
    """Work that a worker cannot take in, as that of another version."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)
