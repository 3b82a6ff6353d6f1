"""Doubt: measures against second implementations, nothing left behind, and the folder that the verb writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import shapes, shapes_classes, write_shapes
from safetensors.torch import load_file, save_file
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import roc_auc_score
from test_predictor import make_run

import maskwright
from maskwright.files import read_json, write_json, write_yaml
from maskwright.imageio import read_image
from maskwright.infer.predictor import Predictor
from maskwright.infer.uncertain import (
    Members,
    dropout_layers,
    dropped,
    dropping,
    entropy,
    least_confidence,
    margin,
    shares,
    views,
)
from maskwright.run import Run
from maskwright.scoring.doubting.doubt import MEASURES, expand, names_of
from maskwright.scoring.doubting.uncertainty_maps import choose
from maskwright.types import InputError

CPU: Any = {"device": "cpu", "precision": "fp32"}


def dirichlet(seed: int = 0, classes: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([0.4] * classes, (6, 7)).transpose(2, 0, 1).astype(np.float32)


def with_dropout(run: Run, **options: float) -> Run:
    """The same run with dropout, which has no weights of its own."""
    recipe = run.recipe.with_values(**{f"model__{key}": value for key, value in options.items()})
    write_yaml(run.path / "recipe.yaml", recipe.to_dict())
    if any(key != "dropout" for key in options):  # the decoder's blocks become sequences
        for which in ("best", "last"):
            path = run.path / "weights" / f"{which}.safetensors"
            old = load_file(path)
            parts = (key.split(".") for key in old)
            names = {
                ".".join(part): ".".join([*part[:3], "0", *part[3:]]) if part[1] == "decoder" else ".".join(part)
                for part in parts
            }
            save_file({names[key]: value for key, value in old.items()}, path)
    return Run.open(run.path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    data = write_shapes(tmp_path / "shapes", {"train": 2, "val": 2, "test": 4})
    run = make_run(tmp_path / "run", shapes_classes())
    run.write_about({"status": "finished", "data": {"path": str(data.path), "fingerprint": data.fingerprint}})
    return run


def another(run: Run, name: str, seed: int) -> Run:
    """The same run with weights that differ a little."""
    path = run.path.parent / name
    made = make_run(path, run.classes)
    made.write_about({"status": "finished", "data": run.about["data"]})
    torch.manual_seed(seed)
    state = {
        key: value + 0.05 * torch.randn_like(value) if value.is_floating_point() else value
        for key, value in load_file(run.weights()).items()
    }
    save_file(state, made.path / "weights" / "best.safetensors")
    return made


def test_measures_agree_with_scipy_and_with_sorting() -> None:
    p = dirichlet()
    assert np.allclose(entropy(p), scipy_entropy(p, axis=0) / np.log(5), atol=1e-5)
    ordered = np.sort(p, axis=0)
    assert np.allclose(margin(p), 1 - (ordered[-1] - ordered[-2]), atol=1e-6)
    assert np.allclose(least_confidence(p), 1 - ordered[-1], atol=1e-6)
    sure, unsure = np.zeros((3, 1, 1), np.float32), np.full((3, 1, 1), 1 / 3, np.float32)
    sure[1] = 1
    for measure in (entropy, margin, least_confidence):
        assert measure(sure)[0, 0] == pytest.approx(0, abs=1e-6)
        assert 0.6 < measure(unsure)[0, 0] <= 1
    assert entropy(unsure)[0, 0] == pytest.approx(1, abs=1e-6)
    one = np.ones((1, 2, 2), np.float32)
    assert margin(one).max() == 0
    assert entropy(one).max() == 0
    assert np.allclose(shares(np.full((2, 1, 1), 0.8, np.float32)), 0.5)


def test_members_agree_with_the_whole_stack() -> None:
    stack = np.stack([dirichlet(seed) for seed in range(6)])
    members = Members(stack.shape[1:])
    for one in stack:
        members.add(one)
    mean = stack.mean(0)
    assert np.allclose(members.mean(), mean, atol=1e-6)
    assert np.allclose(members.variance(), stack.var(0).sum(0), atol=1e-6)
    information = scipy_entropy(mean, axis=0) - scipy_entropy(stack, axis=1).mean(0)
    assert np.allclose(members.information(), information / np.log(5), atol=1e-5)


def test_one_member_twice_knows_nothing_new() -> None:
    members = Members((5, 6, 7))
    members.add(dirichlet())
    members.add(dirichlet())
    assert np.allclose(members.mean(), dirichlet(), atol=1e-7)
    assert members.variance().max() == pytest.approx(0, abs=1e-6)
    assert members.information().max() == pytest.approx(0, abs=1e-6)


def test_views_come_back_in_place(run: Run) -> None:
    predictor = Predictor.load(run, **CPU)
    image = shapes(3)[0]
    size = predictor.size_hw
    found = list(views(predictor, image, ["horizontal", "vertical"]))
    assert len(found) == 4
    assert predictor.size_hw == size
    assert all(view.shape == (3, *image.shape[:2]) for view in found)
    assert all(np.allclose(view.sum(0), 1, atol=1e-5) for view in found)
    by_hand = predictor.probabilities(np.ascontiguousarray(image[:, ::-1]))[:, :, ::-1]
    assert np.allclose(found[0], by_hand, atol=1e-6)
    here = predictor.probabilities(image)
    symmetric = np.concatenate([image, image[:, ::-1]], axis=1)
    assert next(views(predictor, symmetric, ["horizontal"])).shape == (3, 48, 128)
    assert not np.allclose(found[2], here, atol=1e-3), "another working size is another view"


def test_dropout_is_at_work_only_where_it_is_asked(run: Run) -> None:
    run = with_dropout(run, dropout=0.5, spatial_dropout=0.3)
    predictor = Predictor.load(run, **CPU)
    image = shapes(4)[0]
    assert len(dropout_layers(predictor.network)) > 1
    still, state = predictor.probabilities(image), {k: v.clone() for k, v in predictor.network.state_dict().items()}
    random_before = torch.random.get_rng_state()
    passes = list(dropped(predictor, image, 3, (7,)))
    assert torch.equal(torch.random.get_rng_state(), random_before)
    assert not any(module.training for module in predictor.network.modules())
    assert not np.allclose(passes[0], passes[1], atol=1e-3)
    assert np.array_equal(predictor.probabilities(image), still)
    assert all(torch.equal(value, state[name]) for name, value in predictor.network.state_dict().items())
    again = list(dropped(predictor, image, 3, (7,)))
    assert all(np.array_equal(a, b) for a, b in zip(passes, again, strict=True))
    torch.rand(5)
    assert np.array_equal(next(dropped(predictor, image, 1, (7,))), passes[0]), "whatever was drawn before"
    with pytest.raises(RuntimeError, match="on purpose"), dropping(predictor, (1,)):
        raise RuntimeError("on purpose")
    assert not any(module.training for module in predictor.network.modules())


def test_the_folder_holds_a_ranking_curves_calibration_and_maps(run: Run) -> None:
    run = with_dropout(run, dropout=0.5)
    result = maskwright.uncertainty([run], passes=3, maps=2, **CPU)
    scores = read_json(run.path / "uncertainty" / "test" / "uncertainty.json")
    assert result.path == run.path / "uncertainty" / "test"
    assert [row["name"] for row in scores["measures"]] == [row["name"] for row in result.scores["measures"]]
    assert {row["name"] for row in scores["measures"]} == {"entropy", "margin", "confidence", "tta", "dropout"}
    assert [row["aurc"] for row in scores["measures"]] == sorted(row["aurc"] for row in scores["measures"])
    assert set(scores["left_out"]) == {"ensemble"}
    assert scores["ensemble"] is None
    assert scores["calibration"]["after"] is None
    assert scores["images"] == 4
    for row in scores["measures"]:
        assert row["curve"]["risk"][-1] == pytest.approx(scores["risk"], abs=1e-6)
        assert row["quality"] <= 1
    for picture in scores["pictures"]:
        for name in picture["panels"]:
            assert read_image(result.path / "maps" / f"{picture['number']}-{name}.jpg").shape[2] == 3
    assert len(scores["pictures"]) == 2
    assert list((result.path / "maps").glob("*.jpg"))


def test_numbers_agree_with_doing_it_by_hand(run: Run) -> None:
    scores = maskwright.uncertainty([run], measures=["entropy"], maps=0, **CPU).scores
    data = maskwright.Dataset.open(run.about["data"]["path"])
    predictor = Predictor.load(run, **CPU)
    doubt, wrong = [], []
    for sample in data.labelled("test"):
        p, truth = predictor.probabilities(data.image(sample)), data.mask(sample)
        known = truth != 255
        doubt.append((scipy_entropy(p, axis=0) / np.log(3))[known])
        wrong.append((p.argmax(0) != truth)[known])
    doubts, errors = np.concatenate(doubt), np.concatenate(wrong)
    order = errors[np.argsort(doubts, kind="stable")]
    risks = np.cumsum(order) / np.arange(1, order.size + 1)
    row = scores["measures"][0]
    assert scores["risk"] == pytest.approx(errors.mean())
    assert scores["pixels"] == errors.size
    assert row["aurc"] == pytest.approx(risks.mean(), abs=5e-3), "equal doubts are in no order"
    assert row["risk_at"]["0.8"] == pytest.approx(risks[int(0.8 * order.size) - 1], abs=0.015)
    assert (row["quality"] > 0) == (roc_auc_score(errors, doubts) > 0.5)
    assert scores["mean_iou"] == pytest.approx(maskwright.evaluate(run, **CPU).scores["mean_iou"])


def test_a_run_with_itself_is_itself_and_with_others_their_mean(run: Run, tmp_path: Path) -> None:
    twin = another(run, "twin", 1)
    (twin.path / "weights" / "best.safetensors").write_bytes(run.weights().read_bytes())
    same = maskwright.uncertainty([run, twin], measures=["ensemble", "entropy"], maps=0, out=tmp_path / "a", **CPU)
    found = same.scores["ensemble"]
    assert found["mean_iou"] == pytest.approx(same.scores["mean_iou"], abs=1e-3)
    assert [row["mean_iou"] for row in found["runs"]] == [same.scores["mean_iou"]] * 2
    entropies = {row["name"]: row for row in same.scores["measures"]}
    assert found["aurc"] == pytest.approx(entropies["entropy"]["aurc"], abs=1e-3)
    others = [another(run, f"other-{seed}", seed) for seed in (2, 3)]
    mixed = maskwright.uncertainty([run, *others], measures=["ensemble"], maps=0, out=tmp_path / "b", **CPU).scores
    predictors = [Predictor.load(one, **CPU) for one in (run, *others)]
    data = maskwright.Dataset.open(run.about["data"]["path"])
    right = total = 0
    for sample in data.labelled("test"):
        mean = np.mean([predictor.probabilities(data.image(sample)) for predictor in predictors], axis=0)
        truth = data.mask(sample)
        right += int((mean.argmax(0) == truth)[truth != 255].sum())
        total += int((truth != 255).sum())
    assert 1 - mixed["ensemble"]["risk"] == pytest.approx(right / total, abs=1e-3)
    assert [row["name"] for row in mixed["ensemble"]["runs"]] == ["run", "other-2", "other-3"]


def test_a_series_stands_for_its_runs(run: Run, tmp_path: Path) -> None:
    series = tmp_path / "series"
    series.mkdir()
    for seed in (0, 2, 10):
        another(run, f"series/seed-{seed}", seed)
    write_json(series / "series.json", {})
    (series / "seed-3").mkdir()
    (series / "seed-3" / "run.yaml").write_text("format: 1\n")  # not finished: no weights
    found = expand([series])
    assert names_of(found) == ["seed-0", "seed-2", "seed-10"]
    twice = [found[0], Run.open(run.path)]
    assert names_of(twice) == ["seed-0", "run"]
    with pytest.raises(InputError, match="named twice"):
        expand([series, series / "seed-2"])
    (tmp_path / "empty").mkdir()
    write_json(tmp_path / "empty" / "series.json", {})
    with pytest.raises(InputError, match="no finished run"):
        expand([tmp_path / "empty"])
    with pytest.raises(InputError, match="No run is named"):
        expand([])


def test_impossible_wishes_are_refused_with_the_remedy(run: Run, tmp_path: Path) -> None:
    for measures, words in (
        (["dropout"], r"has no dropout: train with --set model\.spatial_dropout=0\.1"),
        (["ensemble"], "two runs or more"),
        (["entrpy"], "Did you mean 'entropy'"),
        ([], "No measure is named"),
    ):
        with pytest.raises(InputError, match=words):
            maskwright.uncertainty([run], measures=measures, **CPU)
    with pytest.raises(InputError, match="show no variance"):
        maskwright.uncertainty([run], passes=1, **CPU)
    with pytest.raises(InputError, match="not a run folder"):
        maskwright.uncertainty([tmp_path], **CPU)
    other = make_run(tmp_path / "two", maskwright.Classes.from_names(["a", "b", "c"]))
    with pytest.raises(InputError, match="different classes"):
        maskwright.uncertainty([run, other], **CPU)
    assert not (run.path / "uncertainty").exists(), "nothing is begun before all is known to be possible"
    assert set(MEASURES) == {"entropy", "margin", "confidence", "tta", "dropout", "ensemble"}


def test_calibration_before_and_after_is_told(run: Run) -> None:
    maskwright.calibrate(run, **CPU)
    scores = maskwright.uncertainty([run], split="val", measures=["confidence"], maps=0, **CPU).scores["calibration"]
    assert scores["temperature"] == run.about["calibration"]["temperature"]
    assert scores["after"]["nll"] < scores["before"]["nll"]
    assert scores["before"]["nll"] == pytest.approx(run.about["calibration"]["nll"][0], rel=0.05)


def test_pictures_are_spread_from_worst_to_best() -> None:
    wrong = [(f"i{n}", n / 10) for n in range(10)]
    assert choose(wrong, 4) == ["i9", "i6", "i3", "i0"]
    assert choose(wrong, 1) == ["i9"]
    assert choose(wrong, 0) == []
    assert choose(wrong[:2], 9) == ["i1", "i0"]
