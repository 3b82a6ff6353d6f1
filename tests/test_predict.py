"""Predicting from the outside: sources in, files out, going on after an interruption, and what is refused."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from drawing import photo, shapes
from test_predictor import THREE, make_run

import maskwright
from maskwright.cli import main
from maskwright.files import explained, write_bytes
from maskwright.imageio import decode_plane, encode_image, read_image, read_mask, write_image
from maskwright.infer.predicting import results, sources
from maskwright.infer.predicting.outputs import EACH
from maskwright.infer.predicting.predict import predict, predict_image
from maskwright.infer.predictor import Predictor
from maskwright.infer.segmenting import segment
from maskwright.infer.segmenting.segment import How
from maskwright.run import Run, read_csv
from maskwright.types import InputError, TargetError

PLAIN: dict[str, Any] = {"device": "cpu", "precision": "fp32", "backend": "torch"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photos of several sizes, one in a sub-folder."""
    for number, name in enumerate(["a", "b", "c", "d", "sub/größe 1"]):
        path = tmp_path / f"photos/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, shapes(number, (40 + 7 * number, 64))[0])
    return tmp_path / "photos"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were predicted, batch by batch."""
    seen: list[int] = []
    ids_of = Predictor.ids_of

    def ids_of_counted(self: Predictor, images: Any) -> Any:
        seen.append(len(images))
        return ids_of(self, images)

    monkeypatch.setattr(Predictor, "ids_of", ids_of_counted)
    return seen


def test_every_output_at_once_has_the_name_and_size_of_the_original(tmp_path: Path, run: Run, photos: Path) -> None:
    found = predict(run, photos, tmp_path / "out", write=[*EACH, "coco", "areas", "npz", "csv"], **PLAIN)
    assert found.images == ["a", "b", "c", "d", "sub/größe 1"]
    assert found.gathered == ["coco.json", "areas.csv", "submission.npz", "submission.csv"]
    predictor = Predictor.load(run, device="cpu", precision="fp32")
    with np.load(tmp_path / "out/submission.npz") as planes:
        for name in found.images:
            image = read_image(photos / f"{name}.png")
            ids = read_mask(tmp_path / f"out/ids/{name}.png", THREE, image.shape[:2])
            assert np.array_equal(ids, predictor.ids(image))
            assert np.array_equal(planes[name], ids)
            for kind, each in EACH.items():
                assert (tmp_path / "out" / kind / f"{name}{each.suffix}").stat().st_size
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [f"{name}.png" for name in found.images]
    facts = json.loads((tmp_path / "out/predict.json").read_text())
    assert facts["classes"] == THREE.names


def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, run: Run, photos: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, path.relative_to(photos))
        archive.writestr("broken.jpg", b"no photo")
        archive.writestr("../escaped.png", encode_image(photo(), ".png"))
    one = predict(run, photos, tmp_path / "one", **PLAIN)
    two = predict(run, tmp_path / "p.zip", tmp_path / "two", **PLAIN)
    assert two.images == one.images
    assert {Path(item.file).name for item in two.skipped} == {"broken.jpg", "escaped.png"}
    wrote = {name: data for name, data in files(tmp_path / "two").items() if "/" in name}
    assert wrote == {name: data for name, data in files(tmp_path / "one").items() if "/" in name}
    assert not list(tmp_path.glob("escaped*"))


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_batches_change_no_mask(tmp_path: Path, run: Run, photos: Path, batch: int, counted: list[int]) -> None:
    predict(run, photos, tmp_path / "one", write=["ids"], **PLAIN)
    assert counted == [1] * 5
    counted.clear()
    predict(run, photos, tmp_path / "more", write=["ids"], batch=batch, **PLAIN)
    assert max(counted) == min(batch, 5)
    for name in ("a", "sub/größe 1"):
        one, more = (read_mask(tmp_path / f"{folder}/ids/{name}.png", THREE) for folder in ("one", "more"))
        assert (one == more).mean() > 0.999


def test_processes_give_the_same_files(tmp_path: Path, run: Run, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"no photo")
    predict(run, photos, tmp_path / "here", write=["ids", "areas"], **PLAIN)
    found = predict(run, photos, tmp_path / "there", write=["ids", "areas"], workers=1, **PLAIN)
    assert [Path(item.file).name for item in found.skipped] == ["bad.png"]
    here, there = (files(tmp_path / name) for name in ("here", "there"))
    assert here.pop("predict.json")
    assert there.pop("predict.json")
    assert here == there


def test_what_is_done_is_not_done_again(tmp_path: Path, run: Run, photos: Path, counted: list[int]) -> None:
    out = tmp_path / "out"
    predict(run, photos, out, write=["ids", "areas"], **PLAIN)
    before, areas = files(out / "ids"), (out / "areas.csv").read_text()
    assert sum(counted) == 5
    (out / "areas.csv").unlink()
    found = predict(run, photos, out, write=["ids", "areas"], **PLAIN)
    assert (sum(counted), found.reason) == (5, "")
    assert files(out / "ids") == before
    assert (out / "areas.csv").read_text() == areas

    write_image(photos / "b.png", photo((33, 44)))  # another photo by the same name
    (out / "ids/c.png").unlink()  # lost
    write_image(photos / "new.png", photo((20, 30)))
    found = predict(run, photos, out, write=["ids", "areas"], **PLAIN)
    assert sum(counted) == 8
    assert read_mask(out / "ids/b.png", THREE).shape == (33, 44)
    assert (out / "ids/c.png").is_file()
    assert "new" in found.images

    predict(run, photos, out, write=["ids", "geojson"], **PLAIN)  # more is wanted than there is
    assert sum(counted) == 14


def test_an_interruption_keeps_what_is_done(
    tmp_path: Path, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    calls = Predictor.ids_of

    def until_third(self: Predictor, images: Any) -> Any:
        if len(counted) == 4:
            raise KeyboardInterrupt
        return calls(self, images)

    monkeypatch.setattr(Predictor, "ids_of", until_third)
    with pytest.raises(KeyboardInterrupt) as stopped:
        predict(run, photos, tmp_path / "out", write=["ids"], **PLAIN)
    assert "goes on from there" in stopped.value.__notes__[0]
    assert not list((tmp_path / "out").rglob("*.part"))
    kept = len((tmp_path / "out/.journal").read_text().splitlines())
    assert 1 <= kept < 5
    counted.clear()
    monkeypatch.setattr(Predictor, "ids_of", calls)
    found = predict(run, photos, tmp_path / "out", write=["ids"], **PLAIN)
    assert len(found.images) == 5
    assert sum(counted) == 5 - kept
    predict(run, photos, tmp_path / "whole", write=["ids"], **PLAIN)
    assert files(tmp_path / "out/ids") == files(tmp_path / "whole/ids")


def test_a_full_disk_ends_it_and_keeps_what_is_done(
    tmp_path: Path, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.stem == "c":
            with explained(path):
                raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(results, "write_bytes", full)
    with pytest.raises(TargetError, match="disk is full") as ended:
        predict(run, photos, tmp_path / "out", **PLAIN)
    assert "goes on from there" in ended.value.__notes__[0]
    monkeypatch.setattr(results, "write_bytes", write)
    assert len(predict(run, photos, tmp_path / "out", **PLAIN).images) == 5


def test_a_folder_of_another_job_is_not_added_to(tmp_path: Path, run: Run, photos: Path) -> None:
    predict(run, photos, tmp_path / "out", **PLAIN)
    before = files(tmp_path / "out")
    other = make_run(tmp_path / "other", loss="dice")
    for path in (other.path / "weights").iterdir():
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(TargetError, match="made otherwise"):
        predict(other, photos, tmp_path / "out", **PLAIN)
    with pytest.raises(TargetError, match="flips: False there, True now"):
        predict(run, photos, tmp_path / "out", how=How(flips=True), **PLAIN)
    with pytest.raises(TargetError, match="holds no predictions"):
        predict(run, photos, photos, **PLAIN)
    with pytest.raises(TargetError, match="cannot be written"):
        predict(run, photos, photos / "a.png/out", **PLAIN)
    with pytest.raises(InputError, match="named like a file"):
        predict(run, photos, tmp_path / "mask.png", **PLAIN)
    assert files(tmp_path / "out") == before


def test_results_inside_the_folder_of_photos_are_no_photos(tmp_path: Path, run: Run, photos: Path) -> None:
    for _ in range(2):
        assert len(predict(run, photos, photos / "found", **PLAIN).images) == 5
    with pytest.raises(InputError, match="nothing but results"):
        predict(run, photos / "found", photos / "found", **PLAIN)


def test_where_nothing_can_be_predicted_nothing_is_left(tmp_path: Path, run: Run) -> None:
    (tmp_path / "bad.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match="None of 1 images could be predicted"):
        predict(run, tmp_path / "bad.png", tmp_path / "new/out", **PLAIN)
    assert not (tmp_path / "new/out").exists()


def test_strict_stops_at_the_first(tmp_path: Path, run: Run, photos: Path) -> None:
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"b\.png is truncated"):
        predict(run, photos, tmp_path / "out", strict=True, **PLAIN)
    found = predict(run, photos, tmp_path / "out", **PLAIN)
    assert found.images == ["a", "c", "d", "sub/größe 1"]


def test_a_file_beyond_memory_becomes_ids_an_overlay_and_areas(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sources, segment):
        monkeypatch.setattr(module, "by_parts", lambda path: path.suffix == ".tif")
    image = shapes(1, (96, 160))[0]
    tifffile.imwrite(tmp_path / "large.tif", image, tile=(32, 32), photometric="rgb")
    kinds = ["ids", "overlay", "geojson", "areas"]
    found = predict(run, tmp_path / "large.tif", tmp_path / "out", write=kinds, how=How(tiles=(32, 48)), **PLAIN)
    assert found.images == ["large"]
    assert "too large for geojson" in found.skipped[0].reason
    ids = read_mask(tmp_path / "out/ids/large.png", THREE, (96, 160))
    rows = read_csv(tmp_path / "out/areas.csv")
    assert [int(row["pixels"]) for row in rows] == np.bincount(ids.ravel(), minlength=3).tolist()
    assert (tmp_path / "out/overlay/large.jpg").is_file()


def test_one_image_as_bytes(tmp_path: Path, run: Run, photos: Path) -> None:
    data = predict_image(run, photos / "a.png", **PLAIN)
    ids = decode_plane(data, Path("a.png"))
    predict(run, photos / "a.png", tmp_path / "out", **PLAIN)
    assert data == (tmp_path / "out/ids/a.png").read_bytes()
    assert decode_plane(predict_image(run, (photos / "a.png").read_bytes(), **PLAIN), Path("x")).shape == ids.shape
    with np.load(io.BytesIO(predict_image(run, photos / "a.png", write="probabilities", **PLAIN))) as arrays:
        assert (arrays["probabilities"].argmax(0) == ids).mean() > 0.99  # halves of floats tie
    with pytest.raises(InputError, match="not one photo"):
        predict_image(run, photos, **PLAIN)
    with pytest.raises(InputError, match="Unknown output of one image 'coco'"):
        predict_image(run, photos / "a.png", write="coco", **PLAIN)


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["maskwright", "predict", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return command


def test_the_verb_says_what_it_wrote_and_which_backend(cli: Cli, run: Run, photos: Path) -> None:
    code, out, err = cli(run.path, "photos", "-o", "found", "--write", "ids,areas", "--backend", "torch", "--json")
    assert code == 0, err
    assert json.loads(out)["gathered"] == ["areas.csv"]
    assert "Backend torch" in err
    assert "Wrote 5 predictions, areas.csv to found" in err
    (photos / "bad.jpg").write_bytes(b"no photo")
    code, _, err = cli(run.path, "photos", "-o", "found", "--write", "ids,areas", "--backend", "torch")
    assert code == 3
    assert "5 of 6 are done already" in err
    assert "bad.jpg" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos", "-o", "x", "--write", "color"], "Did you mean 'colour'"),
        (["photos", "-o", "x", "--write", "ids,,csv"], "empty name"),
        (["photos", "-o", "x", "--scales", "big"], "no numbers"),
        (["photos", "-o", "x", "--tiles", "many"], "--tiles many is not known"),
        (["photos", "-o", "x", "--backend", "abacus"], "Unknown backend 'abacus'"),
        (["photos", "-o", "x", "--engine", "steam"], "Unknown engine 'steam'"),
        (["photos/*.gif", "-o", "x"], "matches no file"),
        (["-o", "x"], "Name photos"),
        (["photos", "-o", "-"], "not one photo"),
        (["photos/a.png", "photos/b.png", "-o", "-"], "one result of one image"),
        (["photos/a.png", "-o", "-", "--json"], "cannot both go"),
        (["photos/a.png", "-o", "photos/b.png/x"], "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence(cli: Cli, run: Run, photos: Path, words: list[str], said: str) -> None:
    code, _, err = cli(run.path, *words)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("x").exists()


def start(run: Run, *words: object, **more: Any) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-c",
        # A shell that starts the tests in the background lets its children ignore Ctrl-C.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from maskwright.cli import main; main()",
        "predict",
        run.path,
        *words,
        "--device",
        "cpu",
        "--backend",
        "torch",
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*map(str, command)], **pipes, **more)  # type: ignore[call-overload,no-any-return]


def test_one_image_through_a_pipe(run: Run, photos: Path) -> None:
    data = (photos / "a.png").read_bytes()
    out, err = start(run, "-", "-o", "-", "--precision", "fp32").communicate(data, timeout=120)
    assert out == predict_image(run, data, **PLAIN), err


def test_what_is_piped_and_is_no_image_says_so(cli: Cli, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for data, said in ((b"<svg/>", "stdin is not an image"), (b"", "Standard input is empty")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code, out, err = cli(run.path, "-", "-o", "-", "--backend", "torch")
        assert (code, out) == (2, "")
        assert said in err


def test_ctrl_c_of_the_process_says_what_is_kept_and_the_same_command_goes_on(
    tmp_path: Path, run: Run, photos: Path
) -> None:
    write_image(photos / "large.jpg", photo((1500, 2000)))
    for number in range(60):
        (photos / f"large-{number:02}.jpg").hardlink_to(photos / "large.jpg")
    process = start(run, photos, "-o", tmp_path / "out", "--write", "ids")
    journal = tmp_path / "out/.journal"
    while process.poll() is None and not (journal.is_file() and journal.stat().st_size):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"goes on from there" in err
    kept = journal.read_text().count("\n")
    assert 0 < kept < 66
    found = maskwright.predict(run, photos, tmp_path / "out", write=["ids"], device="cpu", backend="torch")
    assert len(found.images) == 66
    assert len(list((tmp_path / "out/ids").rglob("*.png"))) == 66
