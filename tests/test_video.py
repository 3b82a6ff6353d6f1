"""Videos: what goes in comes out at the same rate and size; what is no video says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawing import photo
from test_predictor import make_run

import maskwright
from maskwright.imageio import read_image, read_plane
from maskwright.infer.predicting import video
from maskwright.infer.predicting.predict import predict, predict_image
from maskwright.infer.predicting.video import count_frames, film, footage
from maskwright.infer.predictor import Predictor
from maskwright.run import Run
from maskwright.types import Image, InputError, TargetError

PLAIN: dict[str, Any] = {"device": "cpu", "precision": "fp32", "backend": "torch"}


def draw(path: Path, count: int = 9, hw: tuple[int, int] = (48, 64), fps: float = 12.5) -> Path:
    with film(path, fps, hw) as add:
        for number in range(count):
            add(np.roll(photo(hw), 3 * number, axis=1))
    return path


def frames_of(path: Path) -> list[Image]:
    with footage(path) as shot:
        return list(shot.frames)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.mark.parametrize("fps", [12.5, 30000 / 1001, 25])
@pytest.mark.parametrize("hw", [(48, 64), (49, 65)])
def test_a_film_is_read_back_at_its_rate_and_size(tmp_path: Path, hw: tuple[int, int], fps: float) -> None:
    path = draw(tmp_path / "sub/größe.mp4", 5, hw, fps)
    with footage(path) as shot:
        frames = list(shot.frames)
        assert shot.size_hw == (48, 64)  # the codec wants even sides
        assert shot.fps == pytest.approx(fps, abs=0.01)
        assert shot.announced == len(frames) == 5
    assert np.abs(frames[0].astype(int) - photo(hw)[:48, :64]).mean() < 8
    assert [path.name for path in path.parent.iterdir()] == ["größe.mp4"]


def test_a_film_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(cv2.error), film(tmp_path / "a.mp4", 25, (48, 64)) as add:
        add(np.zeros((0, 0, 3), np.uint8))
    monkeypatch.setattr(video, "count_frames", lambda path: 0)  # what a full disk leaves
    with pytest.raises(TargetError, match="is the disk full"):
        draw(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a video", b"#EXTM3U\n/etc/passwd\n", b"\0" * 5000])
def test_what_is_no_video_says_so(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4 (is no video|gives no frame)"), footage(tmp_path / "a.mp4"):
        pass
    assert capfd.readouterr().err == ""


def test_every_frame_has_its_ids_and_the_film_its_rate_and_size(tmp_path: Path, run: Run) -> None:
    clip = draw(tmp_path / "clip.mp4")
    found = predict(run, clip, tmp_path / "out", write=["ids", "overlay", "areas"], **PLAIN)
    assert found.films == ["overlay/clip.mp4"]
    assert found.images == [f"clip/{number:06}" for number in range(9)]
    with footage(tmp_path / "out/overlay/clip.mp4") as shot:
        assert (shot.size_hw, shot.fps, shot.announced) == ((48, 64), 12.5, 9)
    predictor = Predictor.load(run, device="cpu", precision="fp32")
    for number, frame in enumerate(frames_of(clip)):
        ids = read_plane(tmp_path / f"out/ids/clip/{number:06}.png")
        assert np.array_equal(ids, predictor.ids(frame))
    assert len((tmp_path / "out/areas.csv").read_text().splitlines()) == 1 + 9 * 3


def test_without_wishes_a_video_becomes_an_overlay_alone(tmp_path: Path, run: Run) -> None:
    predict(run, draw(tmp_path / "clip.mp4"), tmp_path / "out", **PLAIN)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".journal", "overlay", "predict.json"]


def test_the_mask_of_every_nth_frame_is_held(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    ids_of = Predictor.ids_of

    def counted(self: Predictor, images: Any) -> Any:
        seen.append(len(images))
        return ids_of(self, images)

    monkeypatch.setattr(Predictor, "ids_of", counted)
    clip = draw(tmp_path / "clip.mp4")
    found = predict(run, clip, tmp_path / "out", write=["ids", "colour"], every=4, **PLAIN)
    assert [name[-6:] for name in found.images] == ["000000", "000004", "000008"]
    assert sum(seen) == 3
    colours = frames_of(tmp_path / "out/colour/clip.mp4")
    assert len(colours) == 9
    assert np.abs(colours[4].astype(int) - colours[7]).mean() < 2


def test_batches_and_an_early_end_change_no_mask(tmp_path: Path, run: Run) -> None:
    clip = draw(tmp_path / "clip.mp4")
    predict(run, clip, tmp_path / "one", write=["ids"], frames=5, **PLAIN)
    found = predict(run, clip, tmp_path / "three", write=["ids"], frames=5, batch=3, **PLAIN)
    assert len(found.images) == 5
    for number in range(5):
        one, three = (read_plane(tmp_path / f"{name}/ids/clip/{number:06}.png") for name in ("one", "three"))
        assert (one == three).mean() > 0.999


def test_a_video_that_is_cut_off_is_predicted_as_far_as_it_goes(tmp_path: Path, run: Run) -> None:
    # An AVI keeps its index at the end, and is read without it.
    whole = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(60):
        writer.write(np.roll(photo((48, 64)), 3 * number, axis=1))
    writer.release()
    (tmp_path / "cut.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    found = predict(run, tmp_path / "cut.avi", tmp_path / "out", every=10, **PLAIN)
    assert 2 <= len(found.images) <= 5
    assert "cut off" in found.skipped[0].reason


def test_a_bad_video_among_photos_is_left_out(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/bad.mp4").write_bytes(b"no video")
    cv2.imwrite(str(tmp_path / "in/a.png"), photo())
    found = predict(run, tmp_path / "in", tmp_path / "out", **PLAIN)
    assert found.images == ["a"]
    assert [Path(item.file).name for item in found.skipped] == ["bad.mp4"]
    assert not list((tmp_path / "out").rglob("*.mp4"))
    with pytest.raises(InputError, match="no video"):
        predict(run, tmp_path / "in", tmp_path / "strict", strict=True, **PLAIN)


class Camera:
    """What `cv2.VideoCapture` does for a camera that ends after `count` frames, or with Ctrl-C."""

    def __init__(self, count: int, *, interrupted: bool = False) -> None:
        self.count, self.interrupted, self.given = count, interrupted, 0

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_COUNT: -1.0}.get(what, 48.0)

    def read(self) -> tuple[bool, Image | None]:
        self.given += 1
        if self.given > self.count:
            if self.interrupted:
                raise KeyboardInterrupt
            return False, None
        return True, np.full((48, 64, 3), min(255, 10 * self.given), np.uint8)

    def release(self) -> None:
        self.count = 0


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def plug(count: int, **more: Any) -> None:
        monkeypatch.setattr(video, "open_camera", lambda number: Camera(count, **more))

    return plug  # type: ignore[return-value]


def test_a_camera_gives_one_photo_once_it_is_used_to_the_light(tmp_path: Path, run: Run, camera: Any) -> None:
    camera(20)
    found = predict(run, 0, tmp_path / "out", **PLAIN)
    assert found.images == ["camera-0"]
    assert read_image(tmp_path / "out/overlay/camera-0.jpg").shape == (48, 64, 3)
    camera(20)
    data = predict_image(run, 1, **PLAIN)
    assert np.array_equal(data, (tmp_path / "out/ids/camera-0.png").read_bytes())


def test_a_camera_films_so_many_frames_or_until_ctrl_c(tmp_path: Path, run: Run, camera: Any) -> None:
    camera(100)
    predict(run, 0, tmp_path / "counted", frames=6, **PLAIN)
    assert count_frames(tmp_path / "counted/overlay/camera-0.mp4") == 6
    camera(14, interrupted=True)
    predict(run, 0, tmp_path / "stopped", frames=0, **PLAIN)
    assert 5 < count_frames(tmp_path / "stopped/overlay/camera-0.mp4") < 14


def test_a_camera_that_is_not_there_says_so(tmp_path: Path, run: Run) -> None:
    with pytest.raises(InputError, match="Camera 63 cannot be opened"):
        maskwright.predict(run, 63, tmp_path / "out", **PLAIN)
