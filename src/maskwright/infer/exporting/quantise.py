"""The network of an export in 8-bit integers, its ranges measured on real photos; what is around it stays in float."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maskwright.infer.backends.openvino_core import import_openvino
from maskwright.infer.exporting.extras import require
from maskwright.types import Image


def quantised_onnx(core: bytes, canvases: Sequence[Image]) -> bytes:
    """The convolutions of a core as ONNX in 8 bits, weights by channel, with the ranges that these canvases give.

    Static quantisation of ONNX Runtime, in pairs of QuantizeLinear and DequantizeLinear.
    """
    require("onnx", "onnxruntime")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Photos(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest: Iterator[Image] = iter(canvases)

        def get_next(self) -> dict[str, Any] | None:
            canvas_HW3 = next(self.rest, None)
            return None if canvas_HW3 is None else {"canvas": canvas_HW3[None]}

    with tempfile.TemporaryDirectory() as folder, quiet():
        plain, folded, small = (Path(folder) / f"{name}.onnx" for name in ("plain", "folded", "small"))
        plain.write_bytes(core)
        quant_pre_process(str(plain), str(folded), skip_symbolic_shape=True)
        quantize_static(
            str(folded),
            str(small),
            Photos(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return small.read_bytes()


def quantised_openvino(core: Any, canvases: Sequence[Image]) -> Any:
    """The same for a core as an OpenVINO model, by NNCF (Kozlov et al., arXiv 2002.08679); the softmax stays."""
    require("openvino", "nncf")
    import_openvino()
    with quiet():
        import nncf

        nncf.set_log_level(logging.ERROR)
        return nncf.quantize(
            core,
            nncf.Dataset([canvas_HW3[None] for canvas_HW3 in canvases]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(canvases),
            ignored_scope=nncf.IgnoredScope(types=["Softmax", "Sigmoid"], validate=False),
        )


class quiet:  # noqa: N801
    """Without what these libraries log of their own steps."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *error: object) -> None:
        logging.disable(self.before)
