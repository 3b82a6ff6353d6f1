"""Files that mean harm: every one is refused with one sentence, nothing of it runs, nothing leaves its folder."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundles import Files, change_weights, rewrite, weighted_run
from drawing import photo
from PIL import Image as PILImage

import maskwright
from maskwright.bundling.pack import pack
from maskwright.bundling.verify import verify
from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.data.formats import labelstudio
from maskwright.data.formats.arrays import arrays_of
from maskwright.data.formats.coco_json import read_coco
from maskwright.data.formats.listing import Options
from maskwright.files import read_yaml
from maskwright.imageio import decode_image, image_size
from maskwright.infer.fitting import require_fit
from maskwright.infer.predictor import Predictor
from maskwright.run import Run, read_counts
from maskwright.scoring.evaluating.predictions import read_ids
from maskwright.types import Classes, InputError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache and a working folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good bundle."""
    folder = tmp_path_factory.mktemp("sound")
    packed = pack(weighted_run(folder / "road"), folder / "road.maskwright")
    assert packed.path is not None
    return packed.path


@pytest.fixture
def bundle(sound: Path, tmp_path: Path) -> Path:
    """A copy of it to harm."""
    path = tmp_path / "road.maskwright"
    path.write_bytes(sound.read_bytes())
    return path


def refused(path: Path, says: str) -> None:
    """`verify` and every use of the bundle say the same one sentence, and leave nothing."""
    for use in (verify, Run.open):
        with pytest.raises(InputError, match=says) as caught:
            use(path)
        text = str(caught.value)
        assert str(path) in text
        assert text.endswith(".")
        assert "\n" not in text
        assert len(text) < 400
    assert not list((path.parent / "cache").rglob("run.yaml"))
    assert not list((path.parent / "cache").rglob("*.part"))


class Touch:
    """What a pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("checkpoint.ckpt", "holds 'checkpoint.ckpt', a pickle or the like, which may run code"),
        ("weights/best.pt", "may run code when it is loaded"),
        ("maskwright/run.py", "a program"),
        ("notes.docx", "which a bundle never holds"),
        ("weights/best.safetensors/x", "which a bundle never holds"),
        ("evaluation/.hidden/scores.json", "which a bundle never holds"),
        ("../run.yaml", "would be written outside its folder"),
        ("evaluation/../../../x/scores.json", "would be written outside its folder"),
        ("/etc/passwd", "would be written outside its folder"),
        ("C:\\x\\run.yaml", "would be written outside its folder"),
        ("evaluation\\..\\x.json", "would be written outside its folder"),
    ],
)
def test_members_that_no_run_has(bundle: Path, tmp_path: Path, name: str, says: str) -> None:
    poison = pickle.dumps(Touch(tmp_path / "hacked"))
    refused(rewrite(bundle, lambda files: files.update({name: poison})), says)
    assert not (tmp_path / "hacked").exists()


def test_a_tampered_member_is_noticed(bundle: Path) -> None:
    def tamper(files: Files) -> None:
        data = bytearray(files["weights/best.safetensors"])
        data[-1] ^= 1
        files["weights/best.safetensors"] = bytes(data)

    refused(rewrite(bundle, tamper, honest=False), "weights/best.safetensors is not what its MANIFEST.json says")


@pytest.mark.parametrize("name", ["run.yaml", "weights/best.safetensors", "MANIFEST.json"])
def test_a_missing_member_is_noticed(bundle: Path, name: str) -> None:
    refused(rewrite(bundle, lambda files: files.pop(name), honest=False), "lacks its member|no MANIFEST.json")


def test_a_member_that_the_manifest_does_not_name(bundle: Path) -> None:
    refused(rewrite(bundle, lambda files: files.update({"cost.json": b"{}"}), honest=False), "does not name")


def test_a_run_without_its_recipe(bundle: Path) -> None:
    refused(rewrite(bundle, lambda files: files.pop("recipe.yaml")), "lacks recipe.yaml, so it holds no run")


def test_two_members_of_one_name(bundle: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("run.yaml", b"format: 1\n")
    refused(bundle, "two members of one name")


def test_two_members_that_differ_in_case_only(bundle: Path) -> None:
    names = {"evaluation/a/scores.json": b"{}", "evaluation/A/scores.json": b"{}"}
    refused(rewrite(bundle, lambda files: files.update(names)), "two members of one name")


def test_a_bomb_is_not_unpacked(bundle: Path) -> None:
    bomb = {"metrics.csv": b"0" * (100 << 20)}
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in bomb.items():
            archive.writestr(name, data)
    assert bundle.stat().st_size < 1 << 20
    refused(bundle, "unpacks to more than it holds")


def test_compressed_members_and_links_are_refused(bundle: Path) -> None:
    refused(rewrite(bundle, lambda files: None, compress_type=zipfile.ZIP_DEFLATED), "compressed|more than it holds")
    refused(rewrite(bundle, lambda files: None, external_attr=0o120777 << 16, compress_type=0), "or a link")


def test_sizes_that_no_such_file_has(bundle: Path) -> None:
    refused(rewrite(bundle, lambda files: files.update({"card.yaml": b"#" * (5 << 20)})), "may have")


def test_a_table_of_a_million_members(bundle: Path) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[:-10] + struct.pack("<I", 1 << 30) + data[-6:])
    refused(bundle, "names more members than any bundle has")


@pytest.mark.parametrize("keep", [0, 3, 21, 500, -1])
def test_a_truncated_bundle(bundle: Path, keep: int) -> None:
    bundle.write_bytes(bundle.read_bytes()[:keep])
    refused(bundle, "no whole bundle")


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[" * 100_000, b"[]", b'{"format": 1}', b'{"format": 1, "name": "../x", "maskwright": "0", "members": {}}'],
)
def test_a_manifest_that_is_none(bundle: Path, manifest: bytes) -> None:
    says = "MANIFEST.json is damaged|holds a name that no bundle has"
    refused(rewrite(bundle, lambda files: files.update({"MANIFEST.json": manifest}), honest=False), says)


def changed(text: bytes, old: str, new: str) -> bytes:
    assert old.encode() in text
    return text.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  - 4\n  - 8\n  - 8\n", "  - 400000000\n  - 8\n  - 8\n", "asks for more than it holds"),
        ("  - 4\n  - 8\n  - 8\n", f"  - {10**40}\n  - 8\n  - 8\n", "asks for more than it holds"),
        ("  - 4\n  - 8\n  - 8\n", "  - 4\n  - 8\n  - 16\n", "which should be"),
        ("  blocks: null", "  blocks:\n  - 1\n  - 1000000000\n  - 1", "asks for more than it holds"),
        ("  - 32\n  - 40\n", "  - 3000000\n  - 3000000\n", "asks for more than it holds"),
        ("  encoder: null", "  encoder: tu-hf-hub:evil/model", "is no plain name"),
    ],
)
def test_recipes_that_ask_for_too_much(bundle: Path, old: str, new: str, says: str) -> None:
    path = rewrite(bundle, lambda files: files.update({"recipe.yaml": changed(files["recipe.yaml"], old, new)}))
    with pytest.raises(InputError, match=says):
        verify(path)
    with pytest.raises(InputError, match=says):
        Predictor.load(path, device="cpu")


def test_weights_of_another_network(tmp_path: Path) -> None:
    run = weighted_run(tmp_path / "road")
    change_weights(run, lambda state: state.update({"evil": torch.zeros(3)}))
    with pytest.raises(InputError, match="'evil' is too much"):
        require_fit(run, run.weights())
    change_weights(run, lambda state: state.clear())
    with pytest.raises(InputError, match="asks for more than it holds"):
        require_fit(run, run.weights())


@pytest.mark.parametrize(
    "data", [b"\xff" * 8, struct.pack("<Q", 1 << 40) + b"{}", pickle.dumps([1]), b"PK\x03\x04 zip"]
)
def test_weights_that_are_no_numbers(bundle: Path, data: bytes) -> None:
    path = rewrite(bundle, lambda files: files.update({"weights/best.safetensors": data}))
    with pytest.raises(InputError, match="no readable safetensors file"):
        verify(path)
    with pytest.raises(InputError, match="no readable safetensors file"):
        Predictor.load(path, device="cpu")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(bundle: Path, tmp_path: Path, number: float) -> None:
    run = weighted_run(tmp_path / "other")
    change_weights(run, lambda state: state["body.head.bias"].fill_(number))
    poison = (run.path / "weights" / "best.safetensors").read_bytes()
    path = rewrite(bundle, lambda files: files.update({"weights/best.safetensors": poison}))
    for use in (verify, lambda path: Predictor.load(path, device="cpu")):
        with pytest.raises(InputError, match=r"'body.head.bias' holds numbers that are not finite"):
            use(path)


def test_a_pickle_in_the_counts(bundle: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    objects = np.array([Touch(tmp_path / "hacked")], object)
    np.savez(buffer, ids=objects, groups=objects, tally_N3K=objects, boundary_N7K=objects, objects_N4SK=objects)
    path = rewrite(bundle, lambda files: files.update({"evaluation/test/counts.npz": buffer.getvalue()}))
    with pytest.raises(InputError, match=r"counts.npz is damaged"):
        verify(path)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "head", ["(9999999999,)", "(10**9,", "(-1,)", "(3,), 'x': __import__('os')", "(99999999999999999999,)"]
)
def test_arrays_that_promise_too_much(tmp_path: Path, head: str) -> None:
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {head}}}\n".encode()
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 24
    (tmp_path / "a.npy").write_bytes(array)
    with pytest.raises(InputError, match="cannot be read as an array"):
        read_ids(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "counts.npz", "w") as archive:
        for name in ("ids", "groups", "tally_N3K", "boundary_N7K", "objects_N4SK"):
            archive.writestr(f"{name}.npy", array)
    with pytest.raises(InputError, match="is damaged"):
        read_counts(tmp_path)
    with pytest.raises(InputError, match=r"counts\.npz"):
        arrays_of(tmp_path / "counts.npz")


def test_yaml_that_stands_for_more_than_it_is(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="its aliases stand for more"):
        read_yaml(path)
    path.write_text("name: &a [*a]\n")
    with pytest.raises(InputError, match="its aliases stand for more"):
        Recipe.load(path)
    path.write_text("a: &a [1, 2]\nb: *a\n")
    assert read_yaml(path) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.mkdir [hacked]", "2024-99-99", "1" * 5000, "[" * 3000, "{a: " * 3000, "? [a]\n: b"],
)
def test_yaml_that_is_no_data(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match="is not valid YAML"):
        read_yaml(tmp_path / "x.yaml")
    assert not (tmp_path / "hacked").exists()


def test_an_error_shows_only_the_beginning_of_a_value(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"optim: {{lr: {'a' * 50_000}}}\n")
    with pytest.raises(InputError, match=r"'optim.lr' is 'aaa.*\.\.\.") as caught:
        Recipe.load(tmp_path / "x.yaml")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("row", [b"0", b"{}", b'"x"'])
def test_a_hundred_megabytes_of_json(tmp_path: Path, row: bytes) -> None:
    (tmp_path / "a.json").write_bytes(
        b'{"images":[' + (row + b",") * 300_000 + row + b'],"annotations":[],"categories":[]}'
    )
    with pytest.raises(InputError, match=r"So are over 100,000 more"):
        read_coco(tmp_path / "a.json")


def png_that_says(columns: int, rows: int) -> bytes:
    """A PNG of a few bytes whose header promises so many pixels."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(photo((40, 60))).save(buffer, kind)
    return buffer.getvalue()


PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "is not an image"),
    "html": (lambda: b"<!doctype html><script>alert(1)</script>", "is not an image"),
    "bomb": (lambda: png_that_says(60_000, 60_000), "too many pixels"),
    "huge": (lambda: png_that_says(2**31 - 1, 2**31 - 1), "too many pixels|truncated or damaged"),
    "no rows": (lambda: png_that_says(10, 0), "truncated or damaged|is not an image|cannot be"),
    "cut jpeg": (lambda: encoded("JPEG")[:-200], "is truncated"),
    "cut png": (lambda: encoded("PNG")[:-20], "is truncated"),
    "cut tiff": (lambda: encoded("TIFF")[:300], "truncated or damaged|is not an image"),
    "cut webp": (lambda: encoded("WEBP")[:60], "truncated or damaged|is not an image"),
    "pickle": (lambda: pickle.dumps([1]), "is not an image"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_that_are_none(kind: str) -> None:
    made, says = PICTURES[kind]
    with pytest.raises(InputError, match=says):
        decode_image(made(), Path("photo.png"))
    with pytest.raises(InputError):
        image_size(made()[:20], Path("photo.png"))


def test_a_wrong_suffix_does_no_harm() -> None:
    assert decode_image(encoded("JPEG"), Path("photo.png")).shape == (40, 60, 3)


def test_every_public_way_refuses_a_folder_from_a_stranger_alike(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    with zipfile.ZipFile(sound) as archive:
        archive.extractall(folder)
    (folder / "checkpoint.ckpt").write_bytes(pickle.dumps(Touch(tmp_path / "hacked")))
    assert verify(folder).name == "road"  # beside the members: nothing reads it
    with pytest.raises(InputError, match="came as a bundle, which holds no checkpoint"):
        maskwright.resume(folder)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("row", ["1", "1,x", "1,2,3,4"])
def test_a_table_of_epochs_that_is_none(tmp_path: Path, row: str) -> None:
    run = weighted_run(tmp_path / "road")
    (run.path / "metrics.csv").write_text(f"epoch,train_loss\n{row}\n")
    with pytest.raises(InputError, match=r"metrics\.csv is damaged"):
        run.metrics()


def test_a_file_name_longer_than_any(shapes_dataset: Dataset) -> None:
    table = shapes_dataset.path / "samples.csv"
    table.write_text(table.read_text().replace("images/shape-000.png", "a" * 3000))
    with pytest.raises(InputError, match=r"names a file that cannot be looked for|cannot be read"):
        Dataset.open(shapes_dataset.path).refresh(strict=True)


@pytest.mark.parametrize("bad", [b'[{"annotations": [], "data": {"image": "\xff"}}]', b'["\xff"]', b"[[" * 100_000])
def test_label_studio_that_is_no_text(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "a.json").write_bytes(bad)
    with pytest.raises(InputError, match=r"a\.json"):
        labelstudio.read(tmp_path / "a.json", Options())


def test_a_class_without_end() -> None:
    with pytest.raises(InputError, match="the classes are malformed"):
        Classes.from_dict({"classes": [{"id": float("inf"), "name": "a", "colour": [1, 2, 3]}]})
