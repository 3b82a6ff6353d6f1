"""Three ways out of one run must say the same: `predict`, the exported graph in its 30-line runner, and the server.

    python benchmarks/agree.py RUN PHOTOS --photos 20 --backend auto

Exports RUN to ONNX, runs the runner that lies beside it as a process of its own, starts `maskwright serve` and posts
the same photos, and compares the class ids with those of torch in fp32, pixel by pixel.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image

import maskwright
from maskwright.files import list_files
from maskwright.imageio import IMAGE_SUFFIXES, read_image

VERB = [sys.executable, "-c", "from maskwright.cli import main; main()"]


def main() -> None:
    """Print the share of pixels that agree with torch, for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos_in", metavar="PHOTOS", type=Path)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--backend", default="auto")
    args = parser.parse_args()
    found = list_files(args.photos_in, IMAGE_SUFFIXES)
    photos = found[:: max(1, len(found) // args.photos)][: args.photos]
    predictor = maskwright.Predictor.load(args.run, precision="fp32", device="cpu")
    truth = {path: predictor.ids(read_image(path)) for path in photos}
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[], dict[Path, Path]]] = {
            f"predict, backend {args.backend}": lambda: predicted(args, photos, Path(folder)),
            "exported, in the runner": lambda: ran(args, photos, Path(folder)),
            f"served, backend {args.backend}": lambda: served(args, photos, Path(folder)),
        }
        for name, way in ways.items():
            shares = [np.mean(np.asarray(Image.open(ids)) == truth[path]) for path, ids in way().items()]
            same = f"{np.mean(shares):.3%} of pixels as torch fp32, least {min(shares):.3%}"
            print(f"{name:28} {len(shares)} photos, {same}", flush=True)


def predicted(args: argparse.Namespace, photos: list[Path], folder: Path) -> dict[Path, Path]:
    maskwright.predict(args.run, photos, folder / "predicted", write=["ids"], backend=args.backend)
    return {path: folder / "predicted" / "ids" / f"{path.stem}.png" for path in photos}


def ran(args: argparse.Namespace, photos: list[Path], folder: Path) -> dict[Path, Path]:
    exported = maskwright.export(args.run, "onnx", out=folder / "onnx", compare=20)
    copies = {path: folder / path.name for path in photos}
    for path, copy in copies.items():
        shutil.copyfile(path, copy)
    subprocess.run([sys.executable, exported.folder / "segment.py", *copies.values()], check=True)
    return {path: copy.with_name(copy.name + ".ids.png") for path, copy in copies.items()}


def served(args: argparse.Namespace, photos: list[Path], folder: Path) -> dict[Path, Path]:
    call = [*VERB, "serve", str(args.run), "--port", "0", "--json", "--backend", args.backend]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        address = json.loads(server.stdout.readline())["address"]
        answers = {}
        for path in photos:
            asked = Request(f"{address}segment?as=ids", path.read_bytes(), {"Content-Type": "image/*"})
            answers[path] = folder / f"{path.stem}.served.png"
            answers[path].write_bytes(urlopen(asked).read())
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    return answers


if __name__ == "__main__":
    main()
