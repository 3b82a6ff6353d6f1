"""Segment photos: python segment.py PHOTO ... writes PHOTO.ids.png, class ids with the classes' colours as palette.

Needs numpy and onnxruntime; Pillow too for photos other than .npy arrays (H, W, 3) of uint8.
"""

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(str(Path(__file__).with_name("model.onnx")), providers=["CPUExecutionProvider"])
palette = np.array(json.loads(session.get_modelmeta().custom_metadata_map["palette"]), np.uint8)
for name in sys.argv[1:]:
    if name.endswith(".npy"):
        image = np.load(name)
    else:
        from PIL import Image, ImageOps

        image = np.asarray(ImageOps.exif_transpose(Image.open(name)).convert("RGB"))
    ids = session.run(["ids"], {"image": image[None]})[0][0]
    rows = zlib.compress(np.pad(ids, ((0, 0), (1, 0))).tobytes())  # every row of a PNG begins with its filter, 0
    head = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", palette.tobytes()), (b"IDAT", rows), (b"IEND", b"")]
    wrapped = [(struct.pack(">I", len(data)), kind + data) for kind, data in parts]
    png = b"".join(size + body + struct.pack(">I", zlib.crc32(body)) for size, body in wrapped)
    Path(name + ".ids.png").write_bytes(b"\x89PNG\r\n\x1a\n" + png)
