"""Runs with several seeds and variants: the leaderboard, its words, and going on after an interruption."""

from __future__ import annotations

import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from quick import QUICK, quick

import maskwright
from maskwright.cli import main
from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.run import Run
from maskwright.training.ablate import parse_vary, plan_variants
from maskwright.training.keep import Stopper
from maskwright.training.series import Outcome, folder_name, leaderboard
from maskwright.types import InputError, TargetError

SHORT = quick("train.epochs=1", "train.batch=8")


def outcomes(variant: str, *scores: float) -> list[Outcome]:
    return [Outcome(variant=variant, seed=seed, score=score) for seed, score in enumerate(scores)]


def words(*others: float) -> str:
    found = [*outcomes("baseline", 0.50, 0.52, 0.54), *outcomes("other", *others)]
    return next(str(row["against"]) for row in leaderboard(["baseline", "other"], found) if row["variant"] == "other")


def test_the_leaderboard_has_mean_and_sample_deviation_best_first() -> None:
    rows = leaderboard(["a", "b", "c"], [*outcomes("a", 0.5, 0.6), *outcomes("b", 0.7, 0.7, 0.4)])
    assert [row["variant"] for row in rows] == ["b", "a", "c"]
    assert rows[0]["mean"] == pytest.approx(0.6)
    assert rows[0]["deviation"] == pytest.approx(statistics.stdev([0.7, 0.7, 0.4]))
    assert (rows[0]["lowest"], rows[0]["highest"], rows[0]["runs"]) == (0.4, 0.7, 3)
    assert (rows[2]["mean"], rows[2]["runs"]) == (None, 0), "a variant without a run comes last"


def test_a_difference_is_said_to_be_one_only_beyond_the_spread() -> None:
    assert "no difference shown" in words(0.51, 0.53, 0.55)
    assert words(0.70, 0.72, 0.74) == (
        "better by 0.2000, more than the spread between seeds (0.0200); higher with 3 of 3 seeds"
    )
    assert words(0.49, 0.53).endswith("no difference shown; higher with 1 of 2 seeds"), (
        "the third seed is still to come"
    )
    assert words(0.30, 0.32, 0.34).startswith("worse by 0.2000")
    assert "one seed" in words(0.9)
    assert "no difference shown" in words(0.2, 0.52, 0.99), "a wide spread hides a difference of means"


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("optim.lr=0.1,0.2", "optim.lr", [0.1, 0.2]),
        ("model.widths=[4,8],[8, 16]", "model.widths", [[4, 8], [8, 16]]),
        ("loss.name=dice, focal", "loss.name", ["dice", "focal"]),
        ("train.freeze.encoder=0.5,1", "train.freeze.encoder", [0.5, 1]),
        ("train.patience=null", "train.patience", [None]),
    ],
)
def test_values_to_vary_are_yaml(text: str, key: str, values: list[object]) -> None:
    assert parse_vary(text) == (key, values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optim.lr", "not of the form"),
        ("optim.lr=", "not of the form"),
        ("optim.lr=[1", "not of the form"),
        ("train.seed=1,2", "--seeds"),
    ],
)
def test_what_cannot_be_varied_is_said(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_vary(text)


def test_one_at_a_time_or_every_combination() -> None:
    varied: list[tuple[str, list[Any]]] = [("optim.lr", [0.01, 0.02]), ("loss.name", ["dice", "focal"])]
    alone = plan_variants(SHORT, varied, product=False)
    assert [v.name for v in alone] == ["baseline", "optim.lr=0.02", "loss.name=dice", "loss.name=focal"]
    assert alone[1].recipe.optim.lr == 0.02
    assert alone[1].recipe.loss == SHORT.loss
    every = plan_variants(SHORT, varied, product=True)
    assert [v.name for v in every[1:]] == [
        f"optim.lr={lr} loss.name={name}" for lr in (0.01, 0.02) for name in ("dice", "focal")
    ]
    assert len({v.place for v in every}) == len(every)
    assert (every[4].recipe.optim.lr, every[4].recipe.loss.name) == (0.02, "focal")


@pytest.mark.parametrize(
    ("varied", "says"),
    [
        ([], "Nothing is varied"),
        ([("optim.lr", [0.01])], "equals the recipe"),
        ([("optim.lr", [1]), ("optim.lr", [2])], "varied twice"),
        ([("optim.lr", [-1])], "greater than 0"),
        ([("optim.lrr", [1])], "unknown key 'optim.lrr'; did you mean 'optim.lr'"),
    ],
)
def test_a_plan_without_sense_is_refused(varied: list[tuple[str, list[Any]]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        plan_variants(SHORT, varied, product=False)


def test_variants_have_folders_of_their_own() -> None:
    assert folder_name("model.widths=[4, 8]") == "model.widths=_4,_8"
    assert folder_name("../x") == "x"
    places = [v.place for v in plan_variants(SHORT, [("name", ["a b", "a/b"])], product=False)]
    assert len(set(places)) == 3


def test_seeds_make_a_leaderboard_and_more_seeds_go_on(shapes_dataset: Dataset, tmp_path: Path) -> None:
    one = maskwright.train(shapes_dataset, SHORT, out=tmp_path / "one")
    series = maskwright.train_seeds(shapes_dataset, SHORT, out=tmp_path / "seeds", seeds=1)
    assert series.rows[0]["mean"] == one.best_score, "seed 0 is the run that it would be alone"
    began = (tmp_path / "seeds/seed-0/run.yaml").stat().st_mtime_ns
    series = maskwright.train_seeds(shapes_dataset, SHORT, out=tmp_path / "seeds", seeds=3)
    assert (tmp_path / "seeds/seed-0/run.yaml").stat().st_mtime_ns == began, "not trained again"
    scores = [Run.open(tmp_path / f"seeds/seed-{seed}").about["best"]["val_score"] for seed in range(3)]
    assert series.rows[0]["mean"] == pytest.approx(statistics.fmean(scores))
    assert series.rows[0]["deviation"] == pytest.approx(statistics.stdev(scores))
    assert len(set(scores)) > 1
    written = json.loads((tmp_path / "seeds/leaderboard.json").read_text())
    assert [run["score"] for run in written["runs"]] == scores
    assert "it also chose the weights" in written["score"]


def test_another_series_in_the_same_folder_is_refused(shapes_dataset: Dataset, tmp_path: Path) -> None:
    maskwright.train_seeds(shapes_dataset, SHORT, out=tmp_path / "seeds", seeds=1)
    with pytest.raises(TargetError, match="holds another series"):
        maskwright.train_seeds(shapes_dataset, SHORT.with_values(optim__lr=0.5), out=tmp_path / "seeds", seeds=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    with pytest.raises(TargetError, match="exists already"):
        maskwright.train_seeds(shapes_dataset, SHORT, out=tmp_path / "mine", seeds=1)


def test_an_interrupted_ablation_goes_on_and_equals_an_uninterrupted_one(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vary = ["optim.lr=0.01,0.0001"]
    whole = maskwright.ablate(shapes_dataset, SHORT, vary=vary, seeds=2, out=tmp_path / "whole")
    started = Stopper.on_train_start
    seen: list[int] = []

    def interrupt(stopper: Stopper, *arguments: object) -> None:
        started(stopper, *arguments)  # type: ignore[arg-type]
        seen.append(1)
        if len(seen) == 3:
            stopper.interrupted.set()

    monkeypatch.setattr(Stopper, "on_train_start", interrupt)
    torn = maskwright.ablate(shapes_dataset, SHORT, vary=vary, seeds=2, out=tmp_path / "torn")
    assert torn.interrupted
    assert [row["runs"] for row in torn.rows] == [1, 1], "every variant with the first seed first"
    monkeypatch.undo()
    torn = maskwright.ablate(shapes_dataset, SHORT, vary=vary, seeds=2, out=tmp_path / "torn")
    assert not torn.interrupted
    assert [row["runs"] for row in torn.rows] == [2, 2]
    assert {row["variant"] for row in torn.rows} == {row["variant"] for row in whole.rows}


def test_a_variant_that_fails_leaves_the_others(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = maskwright.train

    def fragile(dataset: Dataset, recipe: Recipe, *, out: Path) -> object:
        if recipe.optim.lr == 0.5:
            raise InputError("a file went bad")
        return train(dataset, recipe, out=out)

    monkeypatch.setattr("maskwright.training.series.train", fragile)
    found = maskwright.ablate(shapes_dataset, SHORT, vary=["optim.lr=0.5,0.02"], seeds=1, out=tmp_path / "x")
    assert [(outcome.variant, outcome.reason) for outcome in found.failed] == [("optim.lr=0.5", "a file went bad")]
    assert {row["variant"]: row["runs"] for row in found.rows} == {"baseline": 1, "optim.lr=0.02": 1, "optim.lr=0.5": 0}


def test_mistakes_end_before_the_first_training(shapes_dataset: Dataset, tmp_path: Path) -> None:
    for vary, says in (("model.name=unet,unett", "unett"), ("loss.name=dise", "dise")):
        with pytest.raises(InputError, match=says):
            maskwright.ablate(shapes_dataset, SHORT, vary=[vary], out=tmp_path / "x")
        assert not (tmp_path / "x").exists()


def test_ablate_on_the_command_line(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for text in [*QUICK, "train.epochs=1", "train.batch=8"] for word in ("--set", text)]
    words = ["ablate", str(shapes_dataset.path), "--vary", "loss.name=dice", "--seeds", "2", "--split", "test", *sets]
    monkeypatch.setattr(sys, "argv", ["maskwright", *words, "--out", str(tmp_path / "x"), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code in (0, None), err
    facts = json.loads(out)
    assert {row["variant"] for row in facts["rows"]} == {"baseline", "loss.name=dice"}
    assert "on the test images" in err
    with (tmp_path / "x/leaderboard.csv").open() as file:
        table = list(csv.DictReader(file))
    run = Run.open(tmp_path / "x" / table[0]["best_run"])
    assert run.evaluations()["test"]["mean_iou"] == pytest.approx(float(table[0]["highest"]))
    job = yaml.safe_load((tmp_path / "x/series.json").read_text())
    assert job["split"] == "test"


def test_seeds_on_the_command_line(
    shapes_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for text in [*QUICK, "train.epochs=1", "train.batch=8"] for word in ("--set", text)]
    words = ["train", str(shapes_dataset.path), "--seeds", "2", "--seed", "5", *sets, "--out", str(tmp_path / "x")]
    monkeypatch.setattr(sys, "argv", ["maskwright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert {path.name for path in (tmp_path / "x").glob("seed-*")} == {"seed-5", "seed-6"}
    assert "+/-" in capsys.readouterr().err
