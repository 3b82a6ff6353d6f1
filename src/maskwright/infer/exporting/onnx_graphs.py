"""The parts of an export as ONNX, and several of them joined to one graph."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from maskwright.infer.exporting.extras import require
from maskwright.infer.exporting.parts import After, Before, Core, Frame
from maskwright.types import InputError

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
# Odd, unequal, and a batch of two: a size of 1 would be taken for fixed, and equal ones for the same.
EXAMPLE_HW = (37, 53)
EDGES = ("image", "canvas", "scores", "ids", "probabilities")
SIZES = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC}


def core_onnx(core: Core) -> bytes:
    """The core alone: `canvas` (N, h, w, 3) uint8 -> `scores` (N, K, h, w) float32, for any N."""
    canvas = torch.zeros((2, *core.canvas_hw, 3), dtype=torch.uint8)
    return exported(core, (canvas,), ["canvas"], ["scores"], [{0: Dim.DYNAMIC}])


@lru_cache(maxsize=8)
def before_onnx(frame: Frame) -> bytes:
    """`image` (N, H, W, 3) uint8 -> `canvas` (N, h, w, 3) uint8."""
    return exported(Before(frame), (example(),), ["image"], ["canvas"], [SIZES])


@lru_cache(maxsize=8)
def after_onnx(frame: Frame) -> bytes:
    """`scores` (N, K, h, w) float32 and `image` -> `ids` (N, H, W), and maybe `probabilities` (N, K, H, W)."""
    scores = torch.zeros((2, frame.classes, *frame.canvas_hw))
    names = ["ids", "probabilities"] if frame.probabilities else ["ids"]
    return exported(After(frame), (scores, example()), ["scores", "image"], names, [{0: Dim.DYNAMIC}, SIZES])


def example() -> Tensor:
    """Photos to trace with."""
    return torch.zeros((2, *EXAMPLE_HW, 3), dtype=torch.uint8)


def exported(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str], sizes: Sequence[Any]
) -> bytes:
    """A module as ONNX; raises InputError for a network that cannot be written down."""
    require("onnx", "onnxscript")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                inputs,
                input_names=list(names),
                output_names=list(outputs),
                dynamic_shapes=tuple(sizes),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            written: bytes = program.model_proto.SerializeToString()
    except (RuntimeError, ValueError, TypeError, torch.onnx.OnnxExporterError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"This network cannot be written as ONNX ({reason}); export it with --to torch.") from error
    return written


def joined(parts: Mapping[str, bytes]) -> ModelProto:
    """Graphs in the order given, as one: edges called as in EDGES meet, all else has its part's name in front.

    Inputs of the whole are those that no part makes; its outputs those that no part takes.
    """
    import onnx

    models = {name: onnx.load_from_string(data) for name, data in parts.items()}
    whole = onnx.helper.make_graph([], "maskwright", [], [])
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    for name, model in models.items():
        plain = {f"{name}/{edge}": edge for edge in EDGES}
        graph = onnx.compose.add_prefix(model, f"{name}/").graph
        for node in graph.node:
            node.input[:] = [plain.get(edge, edge) for edge in node.input]
            node.output[:] = [plain.get(edge, edge) for edge in node.output]
        for info in (*graph.input, *graph.output):
            info.name = plain[info.name]
        whole.node.extend(graph.node)
        whole.initializer.extend(graph.initializer)
        inputs |= {info.name: info for info in graph.input if info.name not in outputs}
        outputs |= {info.name: info for info in graph.output}
    taken = {edge for node in whole.node for edge in node.input}
    whole.input.extend(inputs.values())
    whole.output.extend(info for name, info in outputs.items() if name not in taken)
    for info in (*whole.input, *whole.output):
        name_sides(info)
    opsets = {opset.domain: opset for model in models.values() for opset in model.opset_import}
    version = next(iter(models.values())).ir_version
    model = onnx.helper.make_model(whole, opset_imports=list(opsets.values()), ir_version=version)
    model.producer_name = "maskwright"
    onnx.checker.check_model(model)
    return model


def name_sides(info: Any) -> None:
    """Call open sides what they are: N, H, W."""
    sides = info.type.tensor_type.shape.dim
    for side, name in zip(
        (sides[0], *(sides[1:3] if info.name in ("image", "ids") else sides[2:])), "NHW", strict=True
    ):
        side.dim_param = name
