"""What machine this is, asked without torch, which takes seconds to load."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

# What drivers of NVIDIA, AMD and WSL put there.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def processor() -> str:
    """The processor's name as its maker writes it, where the system tells."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text("utf-8", "replace").splitlines() if table.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in named if name), "") or platform.processor() or platform.machine()


def may_have_gpu() -> bool:
    """Whether it is worth asking torch for a GPU: a driver is there, or the system hides whether one is."""
    return not sys.platform.startswith("linux") or any(Path(path).exists() for path in _GPU_DEVICES)


def thread_limit() -> int:
    """Threads that one process shall use at most by OMP_NUM_THREADS, which torch heeds by itself; 0 where unset."""
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(text) if text.isdigit() else 0
