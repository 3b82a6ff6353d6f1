"""Perturbations as augmentation: drawn where a recipe wants them, nothing where not, and on record in the run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from drawing import photo, shapes
from quick import QUICK, quick
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app
from maskwright.config import AugmentRecipe, Recipe
from maskwright.data.augmenting.augment import draw_generator
from maskwright.data.dataset import Dataset
from maskwright.data.perturbing import CORRUPTIONS, LADDER, applied
from maskwright.data.perturbing.training import ROBUST_KINDS, kinds_of, spoil
from maskwright.run import Run
from maskwright.types import InputError

PAIR = photo((40, 56)), shapes(0, (40, 56))[1]


def test_a_recipe_that_perturbs_nothing_draws_nothing() -> None:
    rng, untouched = draw_generator(0, 0, 0), draw_generator(0, 0, 0)
    for recipe in (AugmentRecipe(), AugmentRecipe(perturb_kinds=("noise",))):
        image, mask = spoil(PAIR, recipe, rng, 255)
        assert image is PAIR[0]
        assert mask is PAIR[1]
        assert kinds_of(recipe) == ()
    assert rng.random() == untouched.random()


def test_perturbations_come_as_often_as_asked_at_every_level_of_every_kind() -> None:
    recipe = AugmentRecipe(perturb=0.4, perturb_kinds=("contrast_down", "rotation"))
    changed = [spoil(PAIR, recipe, draw_generator(0, 0, n), 255) for n in range(400)]
    share = np.mean([image is not PAIR[0] for image, _ in changed])
    assert 0.33 < share < 0.47
    shown = {image.tobytes() for image, _ in changed} - {PAIR[0].tobytes()}
    wanted = {
        applied(LADDER["contrast_down"], n, *PAIR, draw_generator(0, 0, 0), 255)[0].tobytes() for n in range(2, 11)
    }
    assert wanted <= shown
    assert len(shown) == len(wanted) + 2 * (CORRUPTIONS["rotation"].levels - 1), "to either side"
    assert all(set(np.unique(mask)) <= {*np.unique(PAIR[1]), 255} for _, mask in changed)
    assert any(not np.array_equal(mask, PAIR[1]) for _, mask in changed), "the mask turns too"


def test_an_empty_list_of_kinds_changes_nothing() -> None:
    assert spoil(PAIR, AugmentRecipe(perturb=1, perturb_kinds=()), draw_generator(0, 0, 0), 255)[0] is PAIR[0]


def test_kinds_of_both_suites_are_left_unseen() -> None:
    names = {kind.name for kind in kinds_of(AugmentRecipe(perturb=1))}
    assert names == set(ROBUST_KINDS)
    for suite in (LADDER, CORRUPTIONS):
        assert len(names & set(suite)) >= 3
        assert len(set(suite) - names) >= 5


def test_the_run_names_what_it_was_trained_with(
    shapes_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = maskwright.train(shapes_dataset, quick("train.epochs=1", "augment.perturb=1"), out=tmp_path / "run").run
    assert Run.open(run.path).recipe.augment.perturb_kinds == ROBUST_KINDS
    assert "one of each family" in run.about["derived"]["augment.perturb_kinds"]
    assert "augment.perturb_kinds = ['noise', " in " ".join(capsys.readouterr().err.split())
    own = quick("train.epochs=1", "augment.perturb=1", "augment.perturb_kinds=[snow, scale]")
    run = maskwright.train(shapes_dataset, own, out=tmp_path / "own").run
    assert run.recipe.augment.perturb_kinds == ("snow", "scale")
    assert "augment.perturb_kinds" not in run.about["derived"]
    plain = maskwright.train(shapes_dataset, quick("train.epochs=1"), out=tmp_path / "plain").run
    assert plain.recipe.augment.perturb_kinds is None


def test_perturbed_trainings_repeat_to_the_bit(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick("train.epochs=2", "augment.perturb=0.7")
    losses = [
        [row["train_loss"] for row in maskwright.train(shapes_dataset, recipe, out=tmp_path / name).run.metrics()]
        for name in ("first", "second")
    ]
    assert losses[0] == losses[1]
    plain = maskwright.train(shapes_dataset, quick("train.epochs=2"), out=tmp_path / "plain").run.metrics()
    assert losses[0] != [row["train_loss"] for row in plain]


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["augment.perturb=1", "augment.perturb_kinds=[fogg]"], r"Unknown perturbation 'fogg'\. Did you mean 'fog'"),
        (["augment.perturb_kinds=fogg"], "Unknown perturbation 'fogg'"),
    ],
)
def test_an_unknown_kind_is_named_before_anything_is_written(
    shapes_dataset: Dataset, tmp_path: Path, sets: list[str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        maskwright.train(shapes_dataset, quick(*sets), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_written_versions_are_perturbed_too_and_refuse_an_unknown_kind(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(name="t").with_values(augment__flip=0, augment__perturb=1, augment__perturb_kinds=["contrast_down"])
    made = maskwright.augment_dataset(shapes_dataset, tmp_path / "more", recipe, versions=maskwright.Versions(each=2))
    drawn = [sample for sample in made.dataset.samples if sample.extra.get("parent")]
    assert drawn
    for sample in drawn:
        source = next(other for other in shapes_dataset.samples if other.id == sample.extra["parent"])
        assert made.dataset.image(sample).mean() < shapes_dataset.image(source).mean()
    wrong = recipe.with_values(augment__perturb_kinds=["snwo"])
    with pytest.raises(InputError, match="Unknown perturbation 'snwo'"):
        maskwright.augment_dataset(shapes_dataset, tmp_path / "wrong", wrong)


def test_a_probability_beyond_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"'augment\.perturb' is 1\.5"):
        Recipe.load("default", ["augment.perturb=1.5"])


def test_the_dial_sets_and_says_what_it_sets(shapes_dataset: Dataset, tmp_path: Path) -> None:
    def called(*more: str) -> tuple[Run, str]:
        sets = [part for text in [*QUICK, "train.epochs=1"] for part in ("--set", text)]
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        done = CliRunner().invoke(app, ["train", str(shapes_dataset.path), *sets, "--out", str(out), *more])
        assert done.exit_code == 0, done.output
        return Run.open(out), " ".join(re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).split())

    run, said = called("--robust")
    assert run.recipe.augment.perturb == 0.5
    assert run.recipe.augment.perturb_kinds == ROBUST_KINDS
    assert "augment.perturb = 0.5: --robust" in said
    run, said = called("--robust", "--set", "augment.perturb=0.8")
    assert run.recipe.augment.perturb == 0.8
    assert "augment.perturb = 0.8: --robust" in said
    run, said = called()
    assert run.recipe.augment.perturb == 0
    assert "robust" not in said
    refused = CliRunner().invoke(app, ["train", "--resume", str(run.path), "--robust"])
    assert refused.exit_code != 0
