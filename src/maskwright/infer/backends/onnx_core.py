"""ONNX Runtime in fp32: runs nearly everywhere, and faster than torch where a CPU has no bf16."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskwright.infer.backends.core import Canvases, Core, Scores
from maskwright.infer.backends.openvino_core import require_size
from maskwright.infer.machine import thread_limit
from maskwright.types import InputError

if TYPE_CHECKING:
    import torch


class OnnxCore:
    """A session, which takes one canvas after another; may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = thread_limit()
        try:
            path = str(folder / "model.onnx")
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class
            raise InputError(
                f"{folder} cannot be loaded ({str(error).splitlines()[0]}); delete it, and it is made anew."
            ) from error
        self._input = self._session.get_inputs()[0].name
        self.canvas_hw3 = tuple(self._session.get_inputs()[0].shape)[1:]
        self.scores_khw = tuple(self._session.get_outputs()[0].shape)[1:]

    def __call__(self, canvas_NHW3: Canvases) -> Scores:
        """Scores (N, K, H, W) of canvases (N, H, W, 3)."""
        require_size(canvas_NHW3, self.canvas_hw3)
        scores_NKHW = np.empty((len(canvas_NHW3), *self.scores_khw), np.float32)
        for row, canvas_HW3 in enumerate(canvas_NHW3):
            scores_NKHW[row] = self._session.run(None, {self._input: canvas_HW3[None]})[0][0]
        return scores_NKHW


def make_onnx(program: torch.export.ExportedProgram, folder: Path, photos: Sequence[Canvases]) -> None:
    """Write the graph as one ONNX file; needs no photos."""
    import torch

    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # its exporter talks
        warnings.simplefilter("ignore")
        graph = torch.onnx.export(program, dynamo=True, verbose=False)
        assert graph is not None
        graph.save(str(folder / "model.onnx"), external_data=False)


def open_onnx(folder: Path, precision: str) -> Core:
    """The core of a folder that `make_onnx` filled."""
    return OnnxCore(folder)
