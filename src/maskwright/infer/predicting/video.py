"""Videos and cameras: frames in, a film with the same rate and size out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from maskwright.files import explained
from maskwright.types import Image, InputError, TargetError

SUFFIX = ".mp4"
CODEC = "mp4v"  # what every build of OpenCV can write, at a millisecond a frame
USUAL_FPS = 25.0
LARGEST_FPS = 1000.0
MOST_PIXELS = 1 << 26  # twice an 8K frame


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Frames (H, W, 3) RGB of `size_hw`, upright, at `fps` a second; `announced` of them, 0 where nobody knows."""

    frames: Iterator[Image]
    size_hw: tuple[int, int]
    fps: float
    announced: int


@contextmanager
def footage(path: Path, camera: int | None = None) -> Iterator[Footage]:
    """Open a video file, or a camera by its number; raises InputError for what is neither."""
    capture = open_camera(camera) if camera is not None else _open_file(path)
    try:
        rows, columns = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        if rows * columns > MOST_PIXELS:
            raise InputError(f"{path} has frames of {columns}x{rows} pixels; make it smaller first.")
        first = _next(capture)
        if first is None:
            remedy = "export it again, as MP4." if camera is None else "is another program using it?"
            raise InputError(f"{path} gives no frame that can be read; {remedy}")
        fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        yield Footage(
            frames=_frames(capture, first),
            size_hw=(first.shape[0], first.shape[1]),
            fps=float(fps) if 0 < fps <= LARGEST_FPS else USUAL_FPS,
            announced=int(count) if math.isfinite(count) and count > 0 else 0,
        )
    finally:
        capture.release()


def open_camera(number: int) -> cv2.VideoCapture:
    """A camera by its number; raises InputError where there is none."""
    _hush()
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise InputError(f"Camera {number} cannot be opened; the first one is 0. Is another program using it?")
    return capture


def _open_file(path: Path) -> cv2.VideoCapture:
    _hush()
    # FFmpeg alone: other readers would take a name such as frame%03d.mp4 for a pattern of files.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(f"{path} is no video that can be read; export it again, as MP4.")
    return capture


def _hush() -> None:
    # FFmpeg and OpenCV print what is said here in one sentence.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _frames(capture: cv2.VideoCapture, first: Image) -> Iterator[Image]:
    frame: Image | None = first
    while frame is not None:
        if frame.shape == first.shape:  # a stream that changes its size on the way
            yield frame
        else:
            yield np.asarray(cv2.resize(frame, first.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
        frame = _next(capture)


def _next(capture: cv2.VideoCapture) -> Image | None:
    there, frame = capture.read()
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8) if there else None


@contextmanager
def film(path: Path, fps: float, size_hw: tuple[int, int]) -> Iterator[Callable[[Image], None]]:
    """A function that adds an RGB frame to a new video; it is there, whole, once the block has succeeded.

    The codec wants even sides: of an odd one the last row or column is cut. Raises TargetError where the place cannot
    be written.
    """
    _hush()
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        temporary.touch()
        even_hw = (size_hw[0] // 2 * 2, size_hw[1] // 2 * 2)
        code = cv2.VideoWriter.fourcc(*CODEC)
        writer = cv2.VideoWriter(str(temporary), cv2.CAP_FFMPEG, code, fps, even_hw[::-1])
        count = 0

        def add(frame_HW3: Image) -> None:
            nonlocal count
            even = frame_HW3[: even_hw[0], : even_hw[1]]
            writer.write(cv2.cvtColor(np.ascontiguousarray(even), cv2.COLOR_RGB2BGR))
            count += 1

        try:
            if not writer.isOpened():
                raise TargetError(f"{path} cannot be written as a video of {size_hw[1]}x{size_hw[0]} pixels.")
            yield add
            writer.release()
            if count_frames(temporary) != count:  # the writer never tells
                raise TargetError(f"{path} could not be written whole; is the disk full?")
            os.replace(temporary, path)
        finally:
            writer.release()
            temporary.unlink(missing_ok=True)


def count_frames(path: Path) -> int:
    """Frames that a video file announces; 0 where it cannot be opened."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count


def grab(number: int, *, warm_up: int = 5) -> Image:
    """One frame of a camera; the first ones, while it still adapts to the light, are passed over."""
    with footage(Path(f"camera-{number}"), number) as shot:
        return list(islice(shot.frames, warm_up + 1))[-1]
