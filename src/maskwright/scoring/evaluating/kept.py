"""What an interrupted evaluation has seen, as plain data for its journal, and back."""

from __future__ import annotations

from base64 import b85decode, b85encode
from typing import Any
from zlib import compress, decompress

import msgspec
import numpy as np

from maskwright.metrics.calibration import Calibration
from maskwright.scoring.evaluating.observe import Observed


def kept(observed: Observed) -> dict[str, Any]:
    """One image, packed: some kilobytes."""
    return {"observed": b85encode(compress(msgspec.msgpack.encode(observed, enc_hook=_plain), 1)).decode()}


def remembered_as(value: dict[str, Any]) -> Observed:
    """The way back from `kept`."""
    packed = decompress(b85decode(value["observed"]))
    return msgspec.msgpack.decode(packed, type=Observed, dec_hook=_made)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, value.tobytes()]
    if isinstance(value, np.generic):
        return value.item()
    assert isinstance(value, Calibration)
    return vars(value)


def _made(kind: Any, value: Any) -> Any:
    if kind is not Calibration:
        dtype, shape, pixels = value
        return np.frombuffer(pixels, dtype).reshape(shape).copy()
    found = Calibration(value["bins"])
    for name, one in value.items():
        setattr(found, name, _made(np.ndarray, one) if isinstance(one, list) else one)
    return found
