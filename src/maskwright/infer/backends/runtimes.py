"""The runtimes beside torch, what each needs, and what it may differ by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from maskwright.infer.backends.core import Canvases, Core
from maskwright.infer.backends.onnx_core import make_onnx, open_onnx
from maskwright.infer.backends.openvino_core import make_int8, make_openvino, open_openvino
from maskwright.infer.backends.proof import Tolerance


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A runtime: `make` writes a torch.export program's files into a folder, `open` makes a core of them.

    `runs_on` and `made_with` are packages, `precisions` what it can compute in. One that is `calibrated` sees photos
    first, and is taken only where it is asked for by name.
    """

    says: str
    make: Callable[[Any, Path, Sequence[Canvases]], None]
    open: Callable[[Path, str], Core]
    runs_on: tuple[str, ...]
    made_with: tuple[str, ...]
    precisions: tuple[str, ...]
    tolerance: Tolerance
    calibrated: bool = False

    def missing(self, *, to_make: bool = True) -> list[str]:
        """Packages that are not installed."""
        wanted = (*self.runs_on, *self.made_with) if to_make else self.runs_on
        return [name for name in wanted if util.find_spec(name) is None]


EQUAL = Tolerance(disagreement=0.005, points=0.1)
NEAR = Tolerance(disagreement=0.03, points=1.0)
BACKENDS: dict[str, Backend] = {
    "openvino": Backend(
        says="OpenVINO in bf16 where the CPU has it, else in fp32",
        make=make_openvino,
        open=open_openvino,
        runs_on=("openvino",),
        made_with=(),
        precisions=("bf16", "fp32"),
        tolerance=EQUAL,
    ),
    "onnxruntime": Backend(
        says="ONNX Runtime in fp32",
        make=make_onnx,
        open=open_onnx,
        runs_on=("onnxruntime",),
        made_with=("onnx", "onnxscript"),
        precisions=("fp32",),
        tolerance=EQUAL,
    ),
    "openvino-int8": Backend(
        says="OpenVINO in int8, calibrated on photos of the training",
        make=make_int8,
        open=open_openvino,
        runs_on=("openvino",),
        made_with=("nncf",),
        precisions=("int8",),
        tolerance=NEAR,
        calibrated=True,
    ),
}
