from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import add_sample, photo, shapes, shapes_classes
from safetensors.torch import save_file

from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.files import write_yaml
from maskwright.geometry import Letterbox
from maskwright.imageio import read_plane, write_image
from maskwright.infer.exporting import export as exporting
from maskwright.infer.exporting.export import TARGETS, export, require_target
from maskwright.infer.exporting.extras import require
from maskwright.infer.exporting.onnx_graphs import core_onnx
from maskwright.infer.exporting.parity import LIMITS, Limit, Parity
from maskwright.infer.exporting.parts import After, Before, Frame, core_of
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.infer.temper import tempered, weights_hash
from maskwright.losses import outputs_for
from maskwright.models import build
from maskwright.run import Run
from maskwright.types import Classes, InputError

CANVAS = (32, 48)
SIZES = [(32, 48), (64, 96), (100, 37), (7, 300), (1, 1), (33, 48), (96, 144), (3, 1), (200, 331), (20, 31)]
TWO = Classes.from_names(["background", "disc"])


def make_run(path: Path, classes: Classes | None = None, *, data: Path | None = None, **values: Any) -> Run:
    """A run folder with a small random network, whose predictions vary over the image."""
    values = {"data__size": CANVAS, "model__widths": (4, 8), **values}
    if values.get("model__name", "unet") in ("pretrained", "clip"):
        del values["model__widths"]
    recipe = Recipe(name="t").with_values(**values)
    classes = classes or shapes_classes()
    run = Run.create(path, recipe, classes, {"data": {"path": str(data), "fingerprint": "f" * 32}} if data else {})
    torch.manual_seed(3)
    network = build(recipe.model, outputs_for(recipe.loss, classes)).train()
    with torch.no_grad():
        for seed in range(3):
            batch = np.stack([shapes(10 * seed + index, CANVAS)[0] for index in range(4)])
            network(torch.from_numpy(batch).permute(0, 3, 1, 2))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, run.path / "weights" / "best.safetensors")
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """22 validation and 4 training images of several sizes."""
    folder = tmp_path_factory.mktemp("export") / "shapes"
    rows = []
    for index in range(26):
        image, mask = shapes(index, (40 + 4 * (index % 3), 52 + 7 * (index % 4)))
        split = "val" if index < 22 else "train"
        rows.append(add_sample(folder, f"s{index:02}", image, mask, split=split, classes=shapes_classes()))
    return Dataset.create(folder, shapes_classes(), rows, {})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> Run:
    made = make_run(tmp_path_factory.mktemp("runs") / "run", data=data.path)
    made.write_about({"calibration": {"temperature": 1.7, "weights_hash": weights_hash(made, "best")}})
    write_yaml(made.path / "card.yaml", {"licence": "CC BY 4.0"})
    return made


def reference(run: Run) -> Predictor:
    return Predictor.load(run, device="cpu", precision="fp32")


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("hw", SIZES)
def test_before_and_after_are_the_letterbox(hw: tuple[int, int], fit: Any) -> None:
    rng = np.random.default_rng(hw[0])
    images = rng.integers(0, 256, (2, *hw, 3), dtype=np.uint8)
    images[1] = photo(hw)
    scores = rng.random((2, 3, *CANVAS), dtype=np.float32)
    box = Letterbox.fit(hw, CANVAS, fit)
    frame = Frame(canvas_hw=CANVAS, fit=fit, classes=3, probabilities=True, temperature=1.7)
    canvas = Before(frame)(torch.from_numpy(images)).numpy()
    apart = np.abs(canvas.astype(int) - np.stack([box.forward_image(image) for image in images]))
    assert apart.max() <= 1, "rounding only"
    # OpenCV computes in fixed point where one side shrinks and the other grows.
    grows = box.inner_hw[0] > hw[0] or box.inner_hw[1] > hw[1]
    mixed = grows and box.inner_hw[0] * box.inner_hw[1] < hw[0] * hw[1]
    assert (apart > 0).mean() < (0.2 if mixed or min(hw) < 4 else 0.02)
    large = np.stack([box.back_scores(plane) for plane in scores])
    ids, probabilities = After(frame)(torch.from_numpy(scores), torch.from_numpy(images))
    assert np.allclose(probabilities, [tempered(plane, 1.7) for plane in large], atol=1e-5)
    expected = np.stack([first_maximum(plane, shapes_classes()) for plane in large])
    assert ids.dtype == torch.uint8
    assert (ids.numpy() == expected).mean() > 0.998
    only = Frame(canvas_hw=CANVAS, fit=fit, classes=3)
    assert torch.equal(After(only)(torch.from_numpy(scores), torch.from_numpy(images))[0], ids)


def test_exact_halves_and_the_working_size_itself_are_exact() -> None:
    before = Before(Frame(canvas_hw=CANVAS, fit="pad", classes=2))
    for times in (1, 2, 3):
        image = np.random.default_rng(0).integers(0, 256, (times * 32, times * 48, 3), dtype=np.uint8)
        expected = Letterbox.fit(image.shape[:2], CANVAS).forward_image(image)
        assert np.array_equal(before(torch.from_numpy(image[None])).numpy()[0], expected)


def test_ties_go_to_the_lowest_id_and_many_classes_to_16_bits() -> None:
    image = torch.zeros(1, *CANVAS, 3, dtype=torch.uint8)
    for classes, dtype in ((3, torch.uint8), (255, torch.uint8), (256, torch.uint16)):
        scores = torch.zeros(1, classes, *CANVAS)
        scores[:, 1:] = 0.5
        (ids,) = After(Frame(canvas_hw=CANVAS, fit="pad", classes=classes))(scores, image)
        assert ids.dtype == dtype
        assert (ids.int() == 1).all()


@pytest.mark.parametrize(
    ("classes", "values"),
    [
        (None, {"data__fit": "stretch"}),
        (None, {"data__size": (33, 47), "model__name": "unet-aspp"}),
        (TWO, {"loss__name": "bce"}),
        (None, {"loss__name": "bce", "model__stem": 2}),
    ],
    ids=["stretch", "odd size", "one logit", "a sigmoid each"],
)
def test_the_parts_say_what_the_predictor_says(tmp_path: Path, classes: Classes | None, values: Any) -> None:
    run = make_run(tmp_path / "run", classes, **values)
    predictor, core = reference(run), core_of(run)
    frame = exporting.frame_of(run, core, 1.0, probabilities=True)
    for hw in ((60, 91), (20, 31), core.canvas_hw):
        images = torch.from_numpy(np.stack([shapes(seed, hw)[0] for seed in range(3)]))
        with torch.no_grad():
            ids, probabilities = After(frame)(core(Before(frame)(images)), images)
        for image, own_ids, own in zip(images.numpy(), ids.numpy(), probabilities.numpy(), strict=True):
            assert np.abs(own - predictor.probabilities(image)).max() < 0.02
            assert (own_ids == predictor.ids(image)).mean() > 0.995


@pytest.mark.parametrize(
    "values",
    [
        {"model__name": "unet-residual-attention"},
        {"model__name": "pretrained", "model__architecture": "UPerNet", "model__encoder": "resnet18"},
        {"model__name": "pretrained", "model__architecture": "PSPNet", "model__encoder": "resnet18"},
    ],
    ids=["attention", "UPerNet", "PSPNet"],
)
def test_cores_of_other_networks_are_the_same_as_onnx(tmp_path: Path, values: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    core = core_of(make_run(tmp_path / "run", data__size=(64, 96), **values))
    session = onnxruntime.InferenceSession(core_onnx(core), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        canvas = np.stack([shapes(seed, (64, 96))[0] for seed in range(count)])
        with torch.no_grad():
            expected = core(torch.from_numpy(canvas)).numpy()
        assert np.abs(session.run(None, {"canvas": canvas})[0] - expected).max() < 1e-3


def test_an_onnx_file_is_proven_described_and_runs_without_us(run: Run, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    made = export(run, "onnx", probabilities=True)
    assert made.folder == run.path / "exports" / "onnx-fp32"
    record = json.loads((made.folder / "export.json").read_text())
    assert record["parity"]["agreement"] >= 0.999
    assert record["parity"]["labelled"] == record["photos"] == 22
    assert abs(record["parity"]["lost"]) < 0.01
    assert len(record["parity"]["tests"]) == 6
    assert record["licence"] == "CC BY 4.0"
    session = onnxruntime.InferenceSession(str(made.file), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == ["background", "disc", "box"]
    assert said["weights_hash"] == weights_hash(run, "best")
    assert said["licence"] == "CC BY 4.0"
    assert [side.shape for side in session.get_inputs()] == [["N", "H", "W", 3]]
    predictor = reference(run)
    for count, hw in ((1, (77, 53)), (3, (19, 130))):
        images = np.stack([shapes(seed, hw)[0] for seed in range(count)])
        ids, probabilities = session.run(None, {"image": images})
        assert (ids == np.stack(predictor.ids_of(list(images)))).mean() > 0.998
        expected = np.stack(list(predictor.probabilities_of(list(images))))
        assert np.abs(probabilities - expected).max() < 0.02, "the run's temperature is inside"
    check_runner(made.folder / "segment.py", predictor, tmp_path)


def check_runner(runner: Path, predictor: Predictor, folder: Path) -> None:
    assert len(runner.read_text().splitlines()) <= 30
    image = shapes(4, (61, 83))[0]
    np.save(folder / "a.npy", image)
    write_image(folder / "b.png", image)
    code = "import runpy, sys; sys.modules['PIL'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    alone = [sys.executable, "-c", code, str(runner), str(folder / "a.npy")]
    for command in (alone, [sys.executable, str(runner), str(folder / "b.png")]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
    assert "maskwright" not in runner.read_text()
    for name in ("a.npy.ids.png", "b.png.ids.png"):
        assert (read_plane(folder / name) == predictor.ids(image)).mean() > 0.998


def test_openvino_stays_right_in_bf16_and_in_int8(run: Run, tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    for precision in ("bf16", "int8"):
        made = export(run, "openvino", precision=precision, out=tmp_path / precision, max_loss=1.0)
        assert made.parity.agreement > 0.9, f"{precision}: places in the image are never computed in bf16"
        assert (made.folder / "model.bin").is_file()
        model = ov.Core().read_model(made.file)
        assert json.loads(model.get_rt_info(["maskwright", "classes"]).astype(str)) == ["background", "disc", "box"]
    assert made.record["calibrated_on"] == 4


def test_torch_export_and_int8_by_onnx_runtime(run: Run, tmp_path: Path) -> None:
    made = export(run, "torch", out=tmp_path / "torch")
    said = {"maskwright.json": ""}
    torch.export.load(made.file, extra_files=said)
    assert json.loads(said["maskwright.json"])["classes"] == ["background", "disc", "box"]
    small = export(run, "onnx", precision="int8", out=tmp_path / "int8", max_loss=1.0)
    assert small.parity.agreement > 0.9
    assert b"QuantizeLinear" in small.file.read_bytes()


def test_what_differs_is_refused_and_nothing_is_left(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_nothing(parts: Any, precision: str, path: Path) -> None:
        path.write_bytes(b"a model")

    def open_wrong(path: Path, precision: str) -> Any:
        return lambda images: [np.zeros(images.shape[:3], np.uint8)]

    def open_broken(path: Path, precision: str) -> Any:
        raise_it: Any = lambda images: (_ for _ in ()).throw(RuntimeError("no such kernel\nmore"))  # noqa: E731
        return raise_it

    out = tmp_path / "new" / "export"
    wrong = vars(TARGETS["onnx"]) | {"build": build_nothing, "open": open_wrong}
    monkeypatch.setitem(TARGETS, "onnx", exporting.Target(**wrong))
    with pytest.raises(InputError, match=r"refused: it agrees with the run on .*99\.9% are wanted; please report"):
        export(run, "onnx", out=out)
    with pytest.raises(InputError, match=r"int8 is refused: .*--max-loss"):
        export(run, "onnx", precision="int8", out=out)
    monkeypatch.setitem(TARGETS, "onnx", exporting.Target(**(wrong | {"open": open_broken})))
    with pytest.raises(InputError, match=r"fails on photos of .*no such kernel.*not kept"):
        export(run, "onnx", out=out)
    assert not list(out.parent.iterdir())


def test_limits_by_precision() -> None:
    parity = Parity(labelled=9, mean_iou_run=0.7, mean_iou=0.65)
    parity.tests = {"a": exporting_count(1000, 1000), "b": exporting_count(10, 8)}
    assert "it agrees with the run on 99.802%" in parity.fault(LIMITS["fp32"], exact=True)
    parity.tests["a"] = exporting_count(10_000, 10_000)
    assert "on b, it agrees" in parity.fault(LIMITS["fp32"], exact=True)
    assert "loses 0.0500 of mean IoU on 9 photos, 0.01 are allowed" in parity.fault(LIMITS["int8"], exact=False)
    assert not parity.fault(Limit(agreement=0.0, lost=0.06), exact=False)


def exporting_count(pixels: int, same: int) -> Any:
    from maskwright.infer.exporting.parity import Count

    return Count(pixels=pixels, same=same, photos=1)


def test_what_cannot_be_is_said_in_a_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"Unknown target 'onx'\. Did you mean 'onnx'"):
        export(run, "onx")
    with pytest.raises(InputError, match="Unknown precision 'int4'"):
        export(run, "onnx", precision="int4")
    with pytest.raises(InputError, match=r"no export to onnx in bf16: ONNX Runtime .*take one of: fp32, fp16, int8"):
        require_target("onnx", "bf16")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no images"):
        export(run, "onnx", images=tmp_path / "empty")
    with pytest.raises(InputError, match=r"is not at any known place; name a folder .*--images"):
        export(make_run(tmp_path / "lonely"), "onnx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="exists already"):
        export(run, "onnx", out=tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    monkeypatch.setattr("maskwright.infer.exporting.extras.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"onnx, onnxruntime is not installed; run: pip install 'maskwright\[export\]'"
    ):
        require("onnx", "onnxruntime")


def test_sizes_differ_from_the_letterbox_by_a_pixel_at_most() -> None:
    from maskwright.infer.exporting.parts import inner_sides

    differ = 0
    for rows in range(1, 400, 7):
        for columns in range(1, 400, 11):
            source = torch.tensor(rows), torch.tensor(columns)
            inner = tuple(int(side) for side in inner_sides(source, CANVAS, "pad"))
            expected = Letterbox.fit((rows, columns), CANVAS).inner_hw
            assert max(abs(a - b) for a, b in zip(inner, expected, strict=True)) <= 1
            differ += inner != expected
    assert differ <= 2, "only where a float falls beside a half"
