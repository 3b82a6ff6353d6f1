"""An exported file, opened again with nothing but its runtime: what the proof of an export runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.infer.backends.openvino_core import import_openvino

# Photos (N, H, W, 3) of one size -> what the graph returns: ids (N, H, W), and maybe probabilities (N, K, H, W).
Opened = Callable[[NDArray[np.uint8]], list[NDArray[np.generic]]]
# What OpenVINO is told to compute in; by itself it takes bf16 wherever a CPU has it, also for fp32.
HINTS = {"fp32": "f32", "fp16": "f32", "bf16": "bf16", "int8": "f32"}


def open_onnx(path: Path, precision: str) -> Opened:
    """By ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image_NHW3: list(session.run(None, {"image": image_NHW3}))


def open_openvino(path: Path, precision: str) -> Opened:
    """By OpenVINO on the CPU."""
    model = import_openvino().Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision]})

    def run(image_NHW3: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
        found = model([image_NHW3])
        return [found[output].copy() for output in model.outputs]

    return run


def open_torch(path: Path, precision: str) -> Opened:
    """By torch on the CPU."""
    import torch

    module = torch.export.load(path).module()

    def run(image_NHW3: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
        with torch.inference_mode():
            return [found.numpy() for found in module(torch.from_numpy(image_NHW3))]

    return run
