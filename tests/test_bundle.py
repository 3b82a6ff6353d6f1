"""A run as one file: packed, looked through, and used as a run is used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bundles import change_weights, members, rewrite, weighted_run
from drawing import photo, write_shapes
from huggingface_hub import ModelCard
from prompt_runs import write_prompt_run
from run_folders import TWO, add_evaluation, make_run, whole_scores

import maskwright
from maskwright.bundle import is_bundle, kind_of, sha256_of
from maskwright.bundling.pack import pack, without_paths
from maskwright.bundling.verify import verify
from maskwright.files import read_json, write_text
from maskwright.imageio import write_image
from maskwright.infer.predictor import Predictor
from maskwright.models import build, parameter_count
from maskwright.prompt import check_spec, load_prompter
from maskwright.reporting.hub_card import hub_card, licence
from maskwright.reporting.page import contents
from maskwright.run import Run
from maskwright.scoring.comparing.compare import compare
from maskwright.scoring.evaluating.score import evaluate
from maskwright.types import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the cache of the person who runs it, or writes into the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "maskwright" / "bundles"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with weights."""
    return weighted_run(tmp_path / "road", last=True)


def test_the_bundle_predicts_what_the_run_predicts(run: Run) -> None:
    packed = pack(run)
    assert packed.path == Path("road.maskwright")
    image_HW3 = photo((30, 50))
    theirs = Predictor.load(packed.path, device="cpu", precision="fp32").probabilities(image_HW3)
    ours = Predictor.load(run, device="cpu", precision="fp32").probabilities(image_HW3)
    assert (theirs == ours).all()


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(run: Run, tmp_path: Path) -> None:
    first = pack(run, tmp_path / "a.maskwright")
    moved = tmp_path / "elsewhere" / "road"
    shutil.copytree(run.path, moved)
    second = pack(moved, tmp_path / "b.maskwright")
    assert first.sha256 == second.sha256 == sha256_of(tmp_path / "a.maskwright")
    assert first.bytes == (tmp_path / "a.maskwright").stat().st_size


def test_what_is_in_it_and_nothing_of_this_machine(run: Run, tmp_path: Path) -> None:
    write_text(run.path / "card.yaml", f"licence: MIT\nintended_use: Counting cars, see {tmp_path}/plan.txt.\n")
    write_text(run.path / "checkpoint.ckpt", "a pickle")
    write_image(run.path / "samples" / "epoch-0001.jpg", photo())
    files = members(pack(run).path or Path())
    assert set(files) == {
        "MANIFEST.json", "README.md", "card.yaml", "classes.yaml", "metrics.csv", "recipe.yaml", "report.html",
        "run.yaml", "weights/best.safetensors",
    }  # fmt: skip
    for name, data in files.items():
        assert str(tmp_path).encode() not in data, name
        assert b"maskwright-pack-" not in data, name
    about = yaml.safe_load(files["run.yaml"])
    assert about["data"]["path"] == "shapes"
    assert about["command"] == "maskwright train 'my data' --set model.weights=x.pt"
    assert about["skipped"] == [{"file": "bad.jpg", "reason": "bad.jpg is truncated."}]
    assert "maskwright predict road.maskwright PHOTOS" in files["report.html"].decode()


def test_last_weights_and_photos_on_request(run: Run, tmp_path: Path) -> None:
    write_image(run.path / "samples" / "epoch-0001.jpg", photo())
    pack(run, "more.maskwright", last=True, photos=True)
    files = members(tmp_path / "more.maskwright")
    assert {"weights/last.safetensors", "samples/epoch-0001.jpg"} <= set(files)
    assert "data:image/jpeg" in files["report.html"].decode()
    assert Run.open("more.maskwright").weights("last").is_file()
    pack(run, "less.maskwright")
    with pytest.raises(InputError, match="packed without its last weights"):
        Run.open("less.maskwright").weights("last")


def test_paths_are_cut_and_other_slashes_stay() -> None:
    texts = {
        "/home/a/photos/x.png": "x.png",
        "read C:\\data\\set, then ~/photos/y": "read set, then y",
        "km/h and 3 / 4": "km/h and 3 / 4",
        "seq/0001": "seq/0001",
    }
    assert without_paths({"a": list(texts)}) == {"a": list(texts.values())}


def test_a_folder_for_a_model_hub(run: Run, tmp_path: Path) -> None:
    packed = pack(run, folder=tmp_path / "hub")
    assert packed.path is None
    assert (tmp_path / "hub" / "MANIFEST.json").is_file()
    write_text(tmp_path / "hub" / ".gitattributes", "*.safetensors filter=lfs")  # as hubs add
    found = verify(tmp_path / "hub")
    assert (found.name, found.sha256) == ("road", "")
    assert Predictor.load(tmp_path / "hub", device="cpu").ids(photo((20, 30))).shape == (20, 30)
    write_text(tmp_path / "hub" / "metrics.csv", "epoch\n7\n")
    with pytest.raises(InputError, match=r"metrics.csv is not what its MANIFEST.json says"):
        verify(tmp_path / "hub")
    with pytest.raises(InputError, match="exists already"):
        pack(run, folder=tmp_path / "hub")


def test_the_model_card_is_what_a_hub_reads(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a run", TWO)
    counts = add_evaluation(run)
    add_evaluation(run, "val", **whole_scores(counts, TWO))
    write_text(run.path / "card.yaml", "licence: CC BY-NC 4.0\n")
    text = hub_card(run, contents(run))
    card: Any = ModelCard(text).data  # huggingface_hub's own reading of it
    data = card.to_dict()
    assert data["license"] == "cc-by-nc-4.0"
    assert data["library_name"] == "maskwright"
    assert data["pipeline_tag"] == "image-segmentation"
    assert card.model_name == "a run"
    results = {(one.dataset_split, one.metric_type): one.metric_value for one in card.eval_results}
    scores = read_json(run.evaluation_folder("test") / "scores.json")
    assert results["test", "mean_iou"] == pytest.approx(scores["mean_iou"], abs=1e-4)
    assert ("val", "pixel_accuracy") in results
    assert "\\<b\\>nass" in text  # a class name is no HTML
    assert f"| {scores['classes'][0]['iou']:.3f} |" in text


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        (None, {"license": "unknown"}),
        ("MIT", {"license": "mit"}),
        ("MIT License", {"license": "mit"}),
        ("Apache 2.0", {"license": "apache-2.0"}),
        ("CC BY-SA 4.0", {"license": "cc-by-sa-4.0"}),
        ("research only", {"license": "other", "license_name": "research-only"}),
    ],
)
def test_licences_as_hubs_name_them(stated: str | None, wanted: dict[str, str]) -> None:
    assert licence(stated) == wanted


def test_verify_tells_what_it_is(run: Run) -> None:
    packed = pack(run)
    found = verify("road.maskwright")
    assert found.sha256 == packed.sha256
    assert found.parameters == parameter_count(build(run.recipe.model, 3))
    assert found.classes == run.classes.names
    assert set(found.members) | {"MANIFEST.json"} == set(packed.members)


def test_it_is_unpacked_once_and_again_when_it_changes(
    run: Run, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(run)
    first = Run.open("road.maskwright")
    assert first.path.name == "road"
    assert cache in first.path.parents
    assert "its run is in" in capsys.readouterr().err
    shutil.copyfile("road.maskwright", "same.maskwright")
    assert Run.open("same.maskwright").path == first.path
    assert capsys.readouterr().err == ""
    run.write_about({"note": "another"})
    pack(run)
    assert Run.open("road.maskwright").path != first.path
    assert sorted(path.name for path in cache.iterdir()) == sorted(
        {path.name for path in cache.iterdir() if not path.name.startswith(".")}
    ), "no stage is left"


def test_evaluations_and_comparisons_take_it(run: Run, cache: Path, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"test": 7})
    pack(run)
    result = evaluate("road.maskwright", data, device="cpu", draws=100)
    assert cache in result.folder.parents
    assert result.scores["source"]["name"] == "road"
    again = compare(["road.maskwright", run.path], dataset=data, device="cpu", out=tmp_path / "compared")
    assert "predict the same" in " ".join(again.lines())
    page = maskwright.report("road.maskwright", out=tmp_path / "page.html")
    assert "Model card" in page.read_text("utf-8")
    assert evaluate("road.maskwright", device="cpu", draws=100).scores["images"] == 7  # 'shapes' lies here
    shutil.rmtree(data.path)
    with pytest.raises(InputError, match="is gone; name a data set"):
        evaluate("road.maskwright", device="cpu")


def test_an_evaluated_run_packs_its_tables_and_no_photo(run: Run, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"test": 7})
    evaluate(run, data, device="cpu", draws=100)
    files = members(pack(run).path or Path())
    inside = {name.removeprefix("evaluation/test/") for name in files if name.startswith("evaluation/")}
    assert inside == {"scores.json", "scores.txt", "classes.csv", "images.csv", "counts.npz", "weak.json"}
    assert not any(name.endswith((".jpg", ".png")) for name in files)
    assert "data:image/jpeg" not in files["report.html"].decode()
    assert json.loads(files["evaluation/test/scores.json"])["source"]["path"] == "road"
    opened = Run.open("road.maskwright")
    assert opened.evaluations()["test"]["mean_iou"] == run.evaluations()["test"]["mean_iou"]


def test_a_prompter_comes_as_a_bundle_too(tmp_path: Path) -> None:
    Run.open(write_prompt_run(tmp_path / "clicker")).write_about({"prompted": True})
    pack(tmp_path / "clicker")
    assert check_spec("clicker.maskwright") == ("run", "clicker.maskwright")
    prompter = load_prompter("run:clicker.maskwright")
    prompter.set_image(photo((32, 40)))
    card = members(tmp_path / "clicker.maskwright")["README.md"].decode()
    assert "maskwright label DATASET --prompter run:clicker.maskwright" in card


def test_weights_that_are_not_finite_are_neither_packed_nor_loaded(run: Run) -> None:
    name = "body.head.weight"

    def spoil(state: dict[str, torch.Tensor]) -> None:
        state[name].view(-1)[3] = float("nan")

    change_weights(run, spoil)
    with pytest.raises(InputError, match=f"'{name}' holds numbers that are not finite"):
        Predictor.load(run, device="cpu")
    with pytest.raises(InputError, match="not finite"):
        pack(run)
    assert not Path("road.maskwright").exists()


def test_large_finite_weights_are_no_infinity(run: Run) -> None:
    change_weights(run, lambda state: state["body.head.weight"].fill_(3e38))
    assert np.isfinite(Predictor.load(run, device="cpu").size_hw).all()


def test_a_run_folder_of_any_name_packs(tmp_path: Path) -> None:
    run = weighted_run(tmp_path / "Straße: <b> 'x'?")
    packed = pack(run)
    assert packed.path == Path("Straße_ _b_ 'x'_.maskwright")
    assert verify(packed.path).name == "Straße_ _b_ 'x'_"


def test_what_cannot_be_packed_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        pack(tmp_path)
    bare = make_run(tmp_path / "bare")
    with pytest.raises(InputError, match="stopped before its first validation"):
        pack(bare)
    run = weighted_run(tmp_path / "whole")
    with pytest.raises(InputError, match="is a folder; name the file"):
        pack(run, tmp_path)


def test_names_that_a_bundle_may_hold() -> None:
    for name in ("run.yaml", "weights/best.safetensors", "evaluation/test/counts.npz", "stress/ladder-val/cases/a.jpg"):
        assert kind_of(name), name
    for name in ("checkpoint.ckpt", "weights/best.pt", "a/../run.yaml", "evaluation/../x/scores.json", "RUN.YAML", ""):
        assert kind_of(name) is None, name


def test_a_file_that_is_no_bundle(tmp_path: Path) -> None:
    write_text(tmp_path / "notes.txt", "hello")
    assert not is_bundle(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="is not a run folder"):
        Run.open(tmp_path / "notes.txt")
    write_text(tmp_path / "x.maskwright", "hello")
    with pytest.raises(InputError, match="is no whole bundle"):
        Run.open(tmp_path / "x.maskwright")


def test_a_packed_run_is_not_trained_further(run: Run) -> None:
    pack(run)
    with pytest.raises(InputError, match="bundle"):
        maskwright.resume("road.maskwright")


def test_a_bundle_of_a_newer_format_says_so(run: Run) -> None:
    pack(run)

    def newer(files: dict[str, bytes]) -> None:
        files["MANIFEST.json"] = files["MANIFEST.json"].replace(b'"format": 1', b'"format": 2')

    with pytest.raises(InputError, match="use a newer maskwright"):
        verify(rewrite(Path("road.maskwright"), newer, honest=False))
