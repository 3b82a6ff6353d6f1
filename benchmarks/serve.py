"""`maskwright serve` under load: throughput and latency at 1, 8 and 64 clients, beyond its bound, and its memory.

    python benchmarks/serve.py RUN PHOTOS                            about 4 minutes
    python benchmarks/serve.py RUN PHOTOS --seconds 5 --requests 0   a look

One server (`--queue 64 --timeout 120`, all else as it comes) on this machine, and clients on keep-alive connections in
this process: each sends a photo as a file holds it, waits for the class ids, and sends the next. With 64 clients the
queue is exactly full: anything but 200 is a failure. With 128, half are sent away, with 429 and nothing else; they come
back after a fifth of a second. Then 64 clients go on until the server has answered `--requests` in all; its resident
memory is read from /metrics on the way. Last, to compare, a plain loop over the same photos in this process: read,
predict, write, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np

import maskwright
from maskwright.files import list_files
from maskwright.imageio import IMAGE_SUFFIXES, decode_image, encode_mask

QUEUE = 64
VERB = [sys.executable, "-c", "from maskwright.cli import main; main()", "serve"]
SENT_AWAY_SECONDS = 0.2


@dataclass
class Seen:
    """What clients saw: status codes, and seconds of what was granted."""

    codes: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def line(self, wall: float) -> str:
        """Throughput, median, 95th percentile, codes."""
        p50, p95 = np.percentile(self.seconds or [float("nan")], [50, 95]) * 1000
        codes = ", ".join(f"{count} x {code}" for code, count in sorted(self.codes.items()))
        return f"{len(self.seconds) / wall:8.1f} {p50:9.0f} {p95:9.0f}   {codes}"


async def client(port: int, bodies: list[bytes], seen: Seen, goes_on: Callable[[], bool]) -> None:
    """One client: raw HTTP, since a library would take more of the machine than the server does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = 0
    while goes_on():
        body = bodies[turn % len(bodies)]
        turn += 1
        began = time.perf_counter()
        head = f"POST /segment?as=ids HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"content-length: (\d+)", answer)
        assert found, answer
        await reader.readexactly(int(found[1]))
        code = int(answer.split(" ", 2)[1])
        seen.codes[code] += 1
        if code == 200:
            seen.seconds.append(time.perf_counter() - began)
        else:
            await asyncio.sleep(SENT_AWAY_SECONDS)
    writer.close()


async def load(port: int, bodies: list[bytes], clients: int, goes_on: Callable[[Seen], bool]) -> Seen:
    """So many clients until `goes_on` says no; each begins at another photo."""
    seen = Seen()
    turns = [bodies[index % len(bodies) :] + bodies[: index % len(bodies)] for index in range(clients)]
    await asyncio.gather(*(client(port, turn, seen, lambda: goes_on(seen)) for turn in turns))
    return seen


def phase(port: int, bodies: list[bytes], clients: int, goes_on: Callable[[Seen], bool]) -> tuple[Seen, float]:
    """What so many clients saw, and the seconds that it took."""
    began = time.perf_counter()
    seen = asyncio.run(load(port, bodies, clients, goes_on))
    return seen, time.perf_counter() - began


def for_seconds(seconds: float) -> Callable[[Seen], bool]:
    """Go on for so long, from now."""
    until = time.perf_counter() + seconds
    return lambda _: time.perf_counter() < until


def metric(address: str, name: str) -> float:
    """One number of /metrics, summed over its labels."""
    text = urlopen(f"{address}metrics").read().decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def loads(address: str, bodies: list[bytes], seconds: float) -> None:
    port = urlsplit(address).port
    assert port
    print(f"\n{'clients':>8} {'photos/s':>8} {'ms p50':>9} {'ms p95':>9}   answers")
    for clients in (1, 8, QUEUE, 2 * QUEUE):
        images, batches = (metric(address, f"maskwright_batch_images_{part}") for part in ("sum", "count"))
        seen, wall = phase(port, bodies, clients, for_seconds(seconds))
        images = metric(address, "maskwright_batch_images_sum") - images
        batches = metric(address, "maskwright_batch_images_count") - batches
        print(f"{clients:8} {seen.line(wall)}; {images / max(1, batches):.1f} a batch", flush=True)
        wrong = set(seen.codes) - ({200} if clients <= QUEUE else {200, 429})
        print("" if not wrong else f"FAILED: {sorted(wrong)} should not be", end="" if not wrong else "\n")


def memory(address: str, bodies: list[bytes], requests: int) -> None:
    port = urlsplit(address).port
    assert port
    print(f"\n{'answered':>9} {'MB resident':>12}")
    step = max(1, requests // 10)
    while (done := metric(address, "maskwright_requests_total")) < requests:
        print(f"{done:9.0f} {metric(address, 'process_resident_memory_bytes') / 1e6:12.0f}", flush=True)
        until = min(step, requests - done)
        seen, _ = phase(port, bodies, QUEUE, lambda seen, until=until: sum(seen.codes.values()) < until)  # type: ignore[misc]
        assert set(seen.codes) == {200}, seen.codes
    print(f"{done:9.0f} {metric(address, 'process_resident_memory_bytes') / 1e6:12.0f}")


def loop(run: Path, bodies: list[bytes], seconds: float, backend: str) -> None:
    predictor = maskwright.Predictor.load(run, backend=backend, photos=10_000)
    segmenter, taken = maskwright.Segmenter(predictor), list[float]()
    began = time.perf_counter()
    while time.perf_counter() < began + seconds:
        for body in bodies:
            start = time.perf_counter()
            image_HW3 = decode_image(body, Path("photo"))
            encode_mask(segmenter.ids(image_HW3), predictor.classes)
            taken.append(time.perf_counter() - start)
    rate = len(taken) / (time.perf_counter() - began)
    p50, p95 = np.percentile(taken, [50, 95]) * 1000
    print(f"\n{'loop':>8} {rate:8.1f} {p50:9.0f} {p95:9.0f}   in this process, backend {predictor.backend}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path, help="a folder; its first 16 are sent in turn")
    parser.add_argument("--seconds", type=float, default=15, help="of each load")
    parser.add_argument("--requests", type=int, default=10_000, help="in all, for the memory; 0 leaves it out")
    parser.add_argument("--backend", default="auto")
    parser.add_argument(
        "--serve", nargs="*", default=[], help="more options of maskwright serve, without dashes: batch=1"
    )
    options = parser.parse_args()
    bodies = [path.read_bytes() for path in list_files(options.photos, IMAGE_SUFFIXES)[:16]]
    more = [word for pair in options.serve for word in ("--" + pair.split("=")[0], pair.split("=")[1])]
    command = [
        *VERB,
        str(options.run),
        "--port",
        "0",
        "--queue",
        str(QUEUE),
        "--backend",
        options.backend,
        "--json",
        *more,
    ]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        about = json.loads(server.stdout.readline())
        print(f"ready after {time.perf_counter() - began:.1f} s: {about['reason']}")
        try:
            loads(about["address"], bodies, options.seconds)
            if options.requests:
                memory(about["address"], bodies, options.requests)
        finally:
            server.terminate()
    print(f"ended with code {server.returncode}")
    loop(options.run, bodies, options.seconds, options.backend)


if __name__ == "__main__":
    main()
