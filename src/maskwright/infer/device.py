"""Which device, which arithmetic, which memory layout: chosen by what the machine is fast at, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from maskwright.types import InputError


def choose_device(wanted: str) -> tuple[torch.device, str]:
    """The device for 'auto', 'cpu', 'cuda' or 'mps', and why; raises InputError if it is not there."""
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        best = next(name for name in ("cuda", "mps", "cpu") if have[name])
        return torch.device(best), f"the best device here is {best}"
    if not have.get(wanted, False):
        there = ", ".join(name for name, is_there in have.items() if is_there)
        raise InputError(f"Device '{wanted}' is not available here; choose one of: auto, {there}.")
    return torch.device(wanted), "asked for"


def choose_precision(wanted: str, device: torch.device) -> tuple[str, str]:
    """'fp32', 'bf16' or 'fp16' for 'auto' or a wish, and why; raises InputError where it would be far slower."""
    if device.type == "cpu":
        if wanted == "fp16":
            raise InputError("fp16 is far slower than fp32 on a CPU; set train.precision to auto, bf16 or fp32.")
        # oneDNN runs bf16 everywhere, but only these instructions make it faster than fp32.
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        if wanted == "auto":
            return ("bf16", "this CPU has bf16 instructions") if fast else ("fp32", "this CPU has no bf16 instructions")
        return wanted, "asked for"
    if wanted != "auto":
        return wanted, "asked for"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "this GPU has bf16 arithmetic"
        return "fp16", "this GPU has fp16 but no bf16 arithmetic"
    return "fp32", "half precision is not proven on this device"


@contextmanager
def arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """Autocast to the precision chosen; fp32 leaves everything as it is."""
    if precision == "fp32":
        yield
        return
    with torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16):
        yield
