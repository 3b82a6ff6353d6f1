"""An exported graph from its parts, for every target and precision."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from maskwright.files import explained, write_bytes
from maskwright.infer.backends.openvino_core import import_openvino
from maskwright.infer.exporting.extras import require
from maskwright.infer.exporting.onnx_graphs import SIZES, after_onnx, before_onnx, core_onnx, example, joined
from maskwright.infer.exporting.parts import After, Before, Core, Frame, Whole
from maskwright.infer.exporting.quantise import quantised_onnx, quantised_openvino
from maskwright.types import Image

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
# How OpenVINO's file says that a layer is never to be computed in these types.
PRECISE = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:bf16,f16"}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a graph is made of, what is said about it inside, and photos on canvases for int8."""

    frame: Frame
    core: Core
    about: Mapping[str, Any]
    canvases: Sequence[Image]


def build_onnx(parts: Parts, precision: str, path: Path) -> None:
    """Write one ONNX file."""
    require("onnx", "onnxruntime", "onnxscript")
    core = core_onnx(parts.core.halved(torch.float16) if precision == "fp16" else parts.core)
    if precision == "int8":
        core = quantised_onnx(core, parts.canvases)
    before, after = around(parts)
    model = joined({"before": before, "core": core, "after": after})
    for key, value in texts(parts.about).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    write_bytes(path, model.SerializeToString())


def build_openvino(parts: Parts, precision: str, path: Path) -> None:
    """Write an XML file and the weights beside it; in fp16 and bf16 these have 16 bits."""
    require("onnx", "onnxscript", "openvino")
    ov = import_openvino()
    before, after = (ov.Core().read_model(data) for data in around(parts))
    for name, part in (("before", before), ("after", after)):
        for operation in part.get_ops():
            operation.set_friendly_name(f"{name}/{operation.get_friendly_name()}")
    core = ov.Core().read_model(core_onnx(parts.core))
    if precision == "int8":
        core = quantised_openvino(core, parts.canvases)
    model = chained(before, core, after)
    for key, value in texts(parts.about).items():
        model.set_rt_info(value, ["maskwright", key])
    with explained(path):
        ov.save_model(model, path, compress_to_fp16=precision in HALVES)
    keep_precise(path, ("before/", "after/"))


def build_torch(parts: Parts, precision: str, path: Path) -> None:
    """Write a program of torch.export."""
    core = parts.core.halved(HALVES[precision]) if precision in HALVES else parts.core
    whole = Whole(Before(parts.frame), core, After(parts.frame)).eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch to itself
        program = torch.export.export(whole, (example(),), dynamic_shapes=(SIZES,))
        torch.export.save(program, buffer, extra_files={"maskwright.json": json.dumps(dict(parts.about))})
    write_bytes(path, buffer.getvalue())


def around(parts: Parts) -> tuple[bytes, bytes]:
    """What comes before and after the network as ONNX, in float32 whatever the network's precision is."""
    return before_onnx(parts.frame), after_onnx(parts.frame)


def chained(before: Any, core: Any, after: Any) -> Any:
    """Three OpenVINO models as one: photos go into the first and the last, the rest from one to the next."""
    ov = import_openvino()

    def feed(model: Any, name: str, source: Any) -> None:
        for target in model.input(name).get_target_inputs():
            target.replace_source_output(source)

    feed(core, "canvas", before.output("canvas").get_node().input_value(0))
    feed(after, "scores", core.output(0).get_node().input_value(0))
    feed(after, "image", before.input("image"))
    return ov.Model(after.get_results(), before.get_parameters(), "maskwright")


def keep_precise(path: Path, beginnings: tuple[str, ...]) -> None:
    """Have layers whose name begins so computed in float32 always.

    OpenVINO takes bf16 for everything wherever a CPU has it, unless it is told otherwise; places in an image would
    be off by pixels then. Its Python door cannot set this attribute, its file can.
    """
    tree = ElementTree.parse(path)
    for layer in tree.iterfind("./layers/layer"):
        if not layer.get("name", "").startswith(beginnings):
            continue
        info = layer.find("rt_info")
        if info is None:
            info = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, info)
        for old in info.findall(f"attribute[@name='{PRECISE['name']}']"):
            info.remove(old)
        ElementTree.SubElement(info, "attribute", PRECISE)
    write_bytes(path, ElementTree.tostring(tree.getroot()))


def texts(about: Mapping[str, Any]) -> dict[str, str]:
    """What is said of a model, as texts: those that are none are JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
