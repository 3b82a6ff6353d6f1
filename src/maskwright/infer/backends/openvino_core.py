"""OpenVINO: the fastest way to run a network on a CPU, in fp32, bf16 or int8."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.infer.backends.core import Canvases, Core, Scores
from maskwright.infer.machine import thread_limit
from maskwright.types import InputError

if TYPE_CHECKING:
    import torch

# It computes in bf16 by default wherever the CPU has it; what int8 leaves over is quick enough in fp32.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoCore:
    """A compiled graph, which takes one canvas after another; may be called from several threads."""

    def __init__(self, folder: Path, precision: str) -> None:
        ov = import_openvino()
        settings = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        if threads := thread_limit():
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            self._compiled = ov.Core().compile_model(str(folder / "model.xml"), "CPU", settings)
        except RuntimeError as error:
            raise InputError(
                f"{folder} cannot be loaded ({str(error).splitlines()[0]}); delete it, and it is made anew."
            ) from error
        self._wrap = ov.Tensor
        self.canvas_hw3 = tuple(self._compiled.input(0).shape)[1:]
        self.scores_khw = tuple(self._compiled.output(0).shape)[1:]
        self._own = threading.local()  # a request serves one thread at a time

    def __call__(self, canvas_NHW3: Canvases) -> Scores:
        """Scores (N, K, H, W) of canvases (N, H, W, 3)."""
        require_size(canvas_NHW3, self.canvas_hw3)
        scores_NKHW = np.empty((len(canvas_NHW3), *self.scores_khw), np.float32)
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        for row, canvas_HW3 in enumerate(canvas_NHW3):
            self._own.request.set_input_tensor(self._wrap(canvas_HW3[None], shared_memory=True))
            self._own.request.set_output_tensor(self._wrap(scores_NKHW[row : row + 1], shared_memory=True))
            self._own.request.infer()
        return scores_NKHW


def require_size(canvas_NHW3: Canvases, canvas_hw3: tuple[int, ...]) -> None:
    """Raise InputError where canvases are not of the one size that a compiled graph takes."""
    if canvas_NHW3.shape[1:] != canvas_hw3:
        wants, got = ("x".join(map(str, shape[:2])) for shape in (canvas_hw3, canvas_NHW3.shape[1:]))
        raise InputError(f"This backend computes at {wants} only, not at {got}; take --backend torch for other scales.")


def make_openvino(program: torch.export.ExportedProgram, folder: Path, photos: Sequence[Canvases]) -> None:
    """Write the graph as OpenVINO's files, weights in fp32; needs no photos."""
    ov = import_openvino()
    ov.save_model(_converted(program), folder / "model.xml", compress_to_fp16=False)


def make_int8(program: torch.export.ExportedProgram, folder: Path, photos: Sequence[Canvases]) -> None:
    """Write the graph with weights and activations in int8, their ranges taken from `photos` (1, H, W, 3) each.

    Post-training quantisation of NNCF (Kozlov et al., arXiv 2002.08679) with its fast bias correction; the softmax
    stays as it is.
    """
    ov = import_openvino()
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # NNCF makes it look for a compiler
    with redirect_stdout(io.StringIO()):  # bars of its own
        import nncf

        nncf.set_log_level(logging.ERROR)
        graph = nncf.quantize(
            _converted(program),
            nncf.Dataset(list(photos)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(photos),
            ignored_scope=nncf.IgnoredScope(types=["Softmax", "Sigmoid"], validate=False),
        )
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)


def _converted(program: torch.export.ExportedProgram) -> Any:
    ov = import_openvino()
    graph = ov.convert_model(program)
    example = program.example_inputs[0][0]
    graph.reshape(list(example.shape))  # this door loses sizes that are fixed
    return graph


def import_openvino() -> Any:
    """The package, kept from reporting every import to its maker: nothing leaves this machine unasked."""
    # With None in its place the import of the reporting package fails, and OpenVINO and NNCF go on without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def open_openvino(folder: Path, precision: str) -> Core:
    """The core of a folder that `make_openvino` or `make_int8` filled."""
    return OpenVinoCore(folder, precision)
