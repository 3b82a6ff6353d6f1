"""Every backend is the same network; auto takes what is proven, and says why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import shapes, write_shapes
from safetensors.torch import load_file, save_file

from maskwright.config import Recipe
from maskwright.imageio import write_image
from maskwright.infer.backends import BACKENDS, choice, graph, making, store
from maskwright.infer.backends.graph import CoreGraph
from maskwright.infer.backends.proof import Proof, Tolerance
from maskwright.infer.backends.torch_core import TorchCore, each_class_of
from maskwright.infer.machine import thread_limit
from maskwright.infer.predictor import Predictor
from maskwright.infer.weights import load_network
from maskwright.losses import outputs_for
from maskwright.models import build
from maskwright.run import Run
from maskwright.types import Classes, InputError

if util.find_spec("openvino") is None:  # importing it would report that to its maker
    pytest.skip("the extra 'export' is not installed", allow_module_level=True)
SIZE = (32, 48)
SIZES = [(32, 48), (48, 64), (100, 37), (1, 1)]


def make_run(path: Path, data: Path | None = None, *, names: Sequence[str] = "abc", loss: str = "cross_entropy") -> Run:
    """A run of a tiny network whose classes are far apart, so that rounding moves few pixels."""
    classes = Classes.from_names(list(names), background=0 if len(names) == 2 else None)
    recipe = Recipe(name="t").with_values(data__size=SIZE, loss__name=loss, model__widths=(4, 8))
    about = {} if data is None else {"data": {"path": str(data)}}
    run = Run.create(path, recipe, classes, about)
    torch.manual_seed(3)
    network = build(recipe.model, outputs_for(recipe.loss, classes)).train()
    for _ in range(3):
        network(torch.randint(0, 256, (4, 3, *SIZE), dtype=torch.uint8))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    for name in ("body.head.weight", "body.head.bias"):
        state[name] = 5 * state[name]
    save_file(state, run.path / "weights" / "best.safetensors")
    return run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its data set, for which every backend is made; tests that change it copy it."""
    home = tmp_path_factory.mktemp("prepared")
    data = write_shapes(home / "data", {"train": 3, "val": 3})
    run = make_run(home / "run", data.path, names=data.classes.names)
    for name in BACKENDS:
        Predictor.load(run, device="cpu", precision="auto" if name == "openvino-int8" else "fp32", backend=name)
    return run.path


@pytest.fixture
def run(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy of that run: what a backend depends on came along, so nothing has to be made again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Run.open(shutil.copytree(prepared, tmp_path / "run"))


def exact(run: Run, backend: str, **how: Any) -> Predictor:
    precision = "auto" if backend == "openvino-int8" else "fp32"
    return Predictor.load(run, device="cpu", precision=precision, backend=backend, **how)


def forbid_making(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing was to be made")

    monkeypatch.setattr(choice, "make", refuse)


def change_proof(run: Run, backend: str, **values: Any) -> None:
    (path,) = run.path.glob(f"backends/{backend}-[bf]*/proof.json")
    about = json.loads(path.read_text())
    about["proof"].update(values)
    path.write_text(json.dumps(about))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_is_the_same_network(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_making(monkeypatch)
    torch_predictor, own = exact(run, "torch"), exact(run, name)
    tolerance = 0.15 if BACKENDS[name].calibrated else 1e-4
    assert own.backend == name
    assert own.reason.startswith(f"Backend {name} in ")
    assert "3 photos" in own.reason
    for hw in SIZES:
        image = shapes(7, hw)[0] if min(hw) > 8 else np.full((*hw, 3), 90, np.uint8)
        scores = own.probabilities(image)
        assert scores.shape == (len(run.classes), *hw)
        assert scores.dtype == np.float32
        assert np.abs(scores - torch_predictor.probabilities(image)).max() < tolerance
        assert own.ids(image).shape == hw


@pytest.mark.parametrize("name", BACKENDS)
def test_an_answer_does_not_depend_on_its_batch(run: Run, name: str) -> None:
    own = exact(run, name)
    images = [shapes(seed, (40, 50))[0] for seed in range(3)]
    together = list(own.scores_of(images))
    assert len({scores.tobytes() for scores in together}) == 3
    for image, scores in zip(images, together, strict=True):
        assert np.array_equal(next(own.scores_of([image])), scores)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_proof_says_what_was_measured(run: Run, name: str) -> None:
    (path,) = [
        path
        for path in run.path.glob(f"backends/{name}-*/proof.json")
        if path.parent.name.count("-") == 2 + name.count("-")
    ]
    about = json.loads(path.read_text())
    proof = Proof.from_dict(about["proof"])
    assert (proof.name, proof.images, proof.labelled) == (name, 3, 3)
    assert proof.source.startswith("the val split of")
    assert proof.fault(BACKENDS[name].tolerance) == ""
    assert next(iter(proof.milliseconds)) == "torch fp32"
    assert list(proof.milliseconds)[-1] == name
    assert about["key"]["versions"].keys() == {"maskwright", *BACKENDS[name].runs_on}
    assert 0 < proof.largest_difference < (0.15 if BACKENDS[name].calibrated else 1e-4)


def test_sigmoids_stay_sigmoids_and_photos_at_hand_prove(tmp_path: Path) -> None:
    photos = []
    for seed in range(2):
        photos.append(tmp_path / f"{seed}.png")
        write_image(photos[-1], shapes(seed)[0])
    run = make_run(tmp_path / "run", names="abc", loss="bce")
    own, image = exact(run, "openvino", examples=[*photos, tmp_path / "none.png"]), shapes(5)[0]
    assert own.each_class
    assert np.abs(own.probabilities(image) - exact(run, "torch").probabilities(image)).max() < 1e-4
    assert "2 photos" in own.reason
    assert "mean IoU" not in own.reason, "nothing is labelled"


@pytest.mark.parametrize(("names", "each_class"), [(("rest", "disc"), False), (("a", "b", "c"), True)])
def test_a_graph_says_what_torch_says(tmp_path: Path, names: Sequence[str], each_class: bool) -> None:
    run = make_run(tmp_path / "run", names=names, loss="bce")
    torch_core = exact(run, "torch").core
    canvas = shapes(5, SIZE)[0][None]
    assert isinstance(torch_core, TorchCore)
    assert torch_core.each_class == each_class == each_class_of(run)
    with torch.inference_mode():
        scores = CoreGraph(load_network(run), each_class=each_class)(torch.from_numpy(canvas)).numpy()
    assert scores.shape == (1, len(names), *SIZE)
    assert np.abs(scores - torch_core(canvas)).max() < 1e-6


def test_another_scale_needs_torch(run: Run) -> None:
    for name in BACKENDS:
        own = exact(run, name)
        with pytest.raises(InputError, match=r"computes at 32x48 only, not at 64x96; take --backend torch"):
            own.core(np.zeros((1, 64, 96, 3), np.uint8))
        with pytest.raises(InputError, match=f"Backend '{name}' has no torch network"):
            own.network  # noqa: B018


def test_auto_takes_the_fastest_of_what_is_proven(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_making(monkeypatch)
    change_proof(run, "openvino", milliseconds={"torch fp32": 9, "openvino": 3})
    change_proof(run, "onnxruntime", milliseconds={"torch fp32": 9, "onnxruntime": 2})
    own = exact(run, "auto")
    assert own.backend == "onnxruntime"
    assert "the fastest that is proven equal, 4.5 times as fast as torch here" in own.reason
    change_proof(run, "onnxruntime", agreement=0.9)
    assert exact(run, "auto").backend == "openvino"
    change_proof(run, "openvino", mean_iou=0.5, reference_mean_iou=0.502)
    fallen = exact(run, "auto")
    assert fallen.backend == "torch"
    assert "openvino is not taken: it loses 0.20 points of mean IoU on 3 labelled photos" in fallen.reason
    change_proof(run, "openvino", mean_iou=0.5, reference_mean_iou=0.5, milliseconds={"torch fp32": 3, "openvino": 4})
    change_proof(run, "onnxruntime", agreement=1, milliseconds={"torch fp32": 3, "onnxruntime": 4})
    assert "it is no faster than torch here" in exact(run, "auto").reason
    change_proof(run, "onnxruntime", agreement=0.9)
    with pytest.raises(
        InputError, match=r"'onnxruntime' is not used .* 10\.00 % of the pixels .*; take --backend torch"
    ):
        exact(run, "onnxruntime")


def test_auto_never_takes_int8(run: Run) -> None:
    for folder in run.path.glob("backends/*-fp32-*"):
        shutil.rmtree(folder)
    assert [path.name[:13] for path in (run.path / "backends").iterdir()] == ["openvino-int8"]
    assert exact(run, "auto").backend == "torch"


def test_auto_prepares_only_where_it_pays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store.find(run, choice._key(run, "best", "openvino", "fp32"))
    assert kept is not None
    fast = replace(kept, proof=replace(kept.proof, milliseconds={"torch fp32": 9, "openvino": 3}))
    made: list[object] = []

    def make(*given: object) -> store.Kept:
        made.append(given)
        return fast

    monkeypatch.setattr(choice, "find", lambda *_: None)
    monkeypatch.setattr(choice, "make", make)
    for photos, seconds in ((1, 60.0), (10_000, 1e-4)):  # few, and so many of a network that is fast already
        monkeypatch.setattr(choice, "_seconds", lambda *_, seconds=seconds: seconds)
        one = exact(run, "auto", photos=photos)
        assert one.backend == "torch"
        assert "openvino is not prepared yet, which pays for many photos: --backend openvino does it now" in one.reason
    assert not made
    monkeypatch.setattr(choice, "_seconds", lambda *_: 2.0)
    assert exact(run, "auto", photos=10_000).backend == "openvino"
    assert len(made) == 1


def test_what_cannot_be_converted_stays_with_torch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run.path / "backends")

    def fail(*_: object) -> None:
        raise InputError("torch cannot export this network (a loop); take --backend torch.")

    monkeypatch.setattr(choice, "_seconds", lambda *_: 2.0)
    monkeypatch.setattr(choice, "make", fail)
    own = exact(run, "auto", photos=10_000)
    assert own.backend == "torch"
    assert "openvino cannot be prepared: torch cannot export this network" in own.reason


def test_other_weights_and_damaged_proofs_count_as_nothing(run: Run) -> None:
    change_proof(run, "openvino", milliseconds={"torch fp32": 9, "openvino": 1})
    assert exact(run, "auto").backend == "openvino"
    path = run.weights("best")
    old, state = path.read_bytes(), load_file(path)
    save_file({name: value + 0 if value.dtype == torch.int64 else value * 1.5 for name, value in state.items()}, path)
    assert exact(run, "auto").backend == "torch"
    path.write_bytes(old)
    assert exact(run, "auto").backend == "openvino"
    for proof in run.path.glob("backends/*/proof.json"):
        proof.write_text("{")
    assert exact(run, "auto").backend == "torch"


def test_a_damaged_model_is_explained(run: Run) -> None:
    for model in run.path.glob("backends/*/model.[xo]*"):
        model.write_bytes(b"no model")
    for name in BACKENDS:
        with pytest.raises(InputError, match=r"backends/.* cannot be loaded .*; delete it, and it is made anew"):
            exact(run, name)
    change_proof(run, "openvino", milliseconds={"torch fp32": 9, "openvino": 1})
    own = exact(run, "auto")
    assert own.backend == "torch", "nobody asked for the damaged one"
    assert "cannot be loaded" in own.reason


def test_a_layer_that_a_runtime_does_not_know_is_no_crash(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such operation: aten::fold\nand a long story")

    shutil.rmtree(run.path / "backends")
    monkeypatch.setitem(BACKENDS, "openvino", replace(BACKENDS["openvino"], make=fail))
    monkeypatch.setattr(graph, "exported", lambda *_, **__: None)
    with pytest.raises(
        InputError, match=r"cannot be converted for OpenVINO in bf16 .* \(no such operation: aten::fold\); take"
    ):
        exact(run, "openvino")
    assert not list((run.path / "backends").iterdir()), "nothing is left behind"


def test_stale_ones_go_and_others_stay(run: Run) -> None:
    (kept,) = run.path.glob("backends/openvino-fp32-*")
    stale = kept.with_name("openvino-fp32-000000000000")
    shutil.copytree(kept, stale)
    about = json.loads((stale / "proof.json").read_text())
    about["key"]["weights"] = "gone"
    (stale / "proof.json").write_text(json.dumps(about))
    key = choice._key(run, "best", "openvino", "fp32")
    found = store.find(run, key)
    assert found is not None
    store.keep(run, key, lambda folder: found.proof)
    assert [path.name for path in run.path.glob("backends/openvino-fp32-*")] == [kept.name]
    assert len(list((run.path / "backends").iterdir())) == len(BACKENDS)


def test_where_a_run_cannot_be_written_the_users_cache_is(run: Run, tmp_path: Path) -> None:
    key = choice._key(run, "best", "openvino", "fp32")
    kept = store.find(run, key)
    assert kept is not None
    shutil.rmtree(run.path / "backends")
    (run.path / "backends").write_text("in the way")
    elsewhere = store.keep(run, key, lambda folder: kept.proof)
    assert elsewhere.folder.parent == tmp_path / "cache/maskwright/backends"
    assert store.find(run, key) == elsewhere


def test_without_photos_nothing_is_proven(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write_about({"data": {"path": str(tmp_path / "gone")}})
    change_proof(run, "openvino", images=0)
    change_proof(run, "onnxruntime", images=0)
    assert "not proven, as there were no photos" in exact(run, "openvino").reason, "asked for by name"
    assert exact(run, "auto").backend == "torch"
    shutil.rmtree(run.path / "backends")
    monkeypatch.setattr(choice, "_seconds", lambda *_: 2.0)
    assert "no photos to prove openvino on" in exact(run, "auto", photos=10_000).reason
    with pytest.raises(InputError, match=r"in int8, calibrated on photos .* needs real photos, .*; put it back"):
        exact(run, "openvino-int8")
    assert not list((run.path / "backends").iterdir()), "a failure leaves nothing behind"


def test_what_is_not_installed_is_named_with_the_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    there = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name in ("openvino", "onnxruntime") else there(name))
    for name in BACKENDS:
        with pytest.raises(InputError, match=rf"Backend '{name}' needs .*: pip install 'maskwright\[export\]'"):
            exact(run, name)
    assert "no faster one is installed; pip install 'maskwright[export]'" in exact(run, "auto").reason
    monkeypatch.setattr(util, "find_spec", lambda name: None if name in ("onnx", "nncf") else there(name))
    assert exact(run, "onnxruntime").backend == "onnxruntime", "what is made already needs no more"
    shutil.rmtree(run.path / "backends")
    with pytest.raises(InputError, match=r"'openvino-int8' is made with nncf: pip install"):
        exact(run, "openvino-int8")


def test_nonsense_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match=r"openvin.*openvino"):
        Predictor.load(run, backend="openvin")
    with pytest.raises(InputError, match="computes on the CPU, not on 'cuda'"):
        Predictor.load(run, device="cuda", backend="openvino")
    with pytest.raises(InputError, match="'onnxruntime' computes in fp32, not in bf16; leave --precision out"):
        Predictor.load(run, device="cpu", precision="bf16", backend="onnxruntime")


def test_a_gpu_is_torchs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "may_have_gpu", lambda: True)
    monkeypatch.setattr(choice, "_is_gpu_best", lambda: True)
    own = Predictor.load(run, backend="auto")
    assert own.backend == "torch"
    assert "the one for GPUs" in own.reason


def test_nothing_is_reported_to_anybody() -> None:
    code = """
import sys
from maskwright.infer.backends.openvino_core import import_openvino
import_openvino()
from openvino.tools import ovc
assert not any(sys.modules[name] for name in list(sys.modules) if name.startswith("openvino_telemetry"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_are_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, threads in (("", 0), ("3", 3), ("2,1", 2), ("many", 0)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert thread_limit() == threads


def test_photos_are_spread_evenly() -> None:
    assert making.spread(list("abcdefg"), 3) == ["a", "d", "g"]
    assert making.spread(list("ab"), 3) == ["a", "b"]
    assert making.spread([], 3) == []


def test_a_fault_is_half_a_sentence() -> None:
    proof = Proof(
        name="x", precision="fp32", each_class=False, source="", images=2, labelled=0, agreement=0.99,
        mean_difference=0, largest_difference=0, reference_mean_iou=None, mean_iou=None, milliseconds={},
    )  # fmt: skip
    assert proof.fault(Tolerance(disagreement=0.02, points=1)) == ""
    assert "1.00 % of the pixels of 2 photos" in proof.fault(Tolerance(disagreement=0.005, points=1))
    assert proof.points_lost is None
