"""The loss doctor: quiet about every loss of ours, and one sentence for each way in which a loss can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import add_sample, shapes, shapes_classes
from quick import quick
from torch import Tensor

import maskwright
from maskwright.config import Recipe
from maskwright.data.augmenting.sampling import count_pixels
from maskwright.data.dataset import Dataset
from maskwright.data.loader import training_batches
from maskwright.data.pairs import Decoded
from maskwright.files import read_json
from maskwright.imageio import read_image
from maskwright.losses import LOSSES, LossFunction, build_loss, outputs_for
from maskwright.models import build
from maskwright.run import Run
from maskwright.training.doctor import Check, check_function, examine, first_batch
from maskwright.training.sheet import draw_batch
from maskwright.training.weigh import measure_weights
from maskwright.types import Classes, InputError

IGNORE = 255


def examined(
    dataset: Dataset, folder: Path, recipe: Recipe, change: Callable[[LossFunction], LossFunction] = lambda loss: loss
) -> list[Check]:
    """The checks of a recipe's loss, after a change to it, on the first batch of a data set."""
    classes = dataset.classes
    run = Run.create(folder, recipe, classes, {})
    pairs = Decoded(dataset, dataset.labelled("train"), recipe)
    pixels_K = count_pixels(pairs, len(classes))
    weight_K, _ = measure_weights(pairs, recipe.loss, classes, pixels_K)
    torch.manual_seed(0)
    network = build(recipe.model, outputs_for(recipe.loss, classes))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    found = examine(
        run,
        network,
        change(build_loss(recipe.loss, classes, weight_K)),
        training_batches(pairs, recipe, classes.ignore),
        pixels_K,
        weight_K,
    )
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return found


def wrong(found: list[Check]) -> list[str]:
    return [check.name for check in found if not check.ok]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_of_ours_passes(shapes_dataset: Dataset, tmp_path: Path, name: str) -> None:
    found = examined(shapes_dataset, tmp_path / "run", quick(f"loss.name={name}", "train.precision=bf16"))
    assert wrong(found) == []
    record = read_json(tmp_path / "run" / "doctor.json")
    assert [row["name"] for row in record["checks"]] == [check.name for check in found]
    assert record["loss"] == name
    assert (tmp_path / "run" / "samples" / "first_batch.png").is_file()


@pytest.mark.parametrize("sets", [["loss.hard_share=0.1"], ["loss.weights=inverse"], ["loss.absent=count"],
                                  ["loss.background=false"], ["loss.smoothing=0.2", "model.dropout=0.5"]])  # fmt: skip
def test_options_pass(shapes_dataset: Dataset, tmp_path: Path, sets: list[str]) -> None:
    assert wrong(examined(shapes_dataset, tmp_path / "run", quick(*sets))) == []


def negated(loss: LossFunction) -> LossFunction:
    return lambda logits, target: 5 - loss(logits, target)


def leaking(loss: LossFunction) -> LossFunction:
    return lambda logits, target: loss(logits, target.clamp_max(2))


def never_zero(loss: LossFunction) -> LossFunction:
    return lambda logits, target: loss(logits, target) + 1


def mute(loss: LossFunction) -> LossFunction:
    return lambda logits, target: loss(logits.detach(), target)


def careless(loss: LossFunction) -> LossFunction:
    def plain(logits: Tensor, target: Tensor) -> Tensor:
        valid = (target != IGNORE).unsqueeze(1)
        truth = torch.nn.functional.one_hot(target.long().clamp_max(2), 3).movedim(3, 1)
        return -(valid * truth * logits.softmax(dim=1).log()).sum() / valid.sum().clamp_min(1)

    return plain


def needs_every_class(loss: LossFunction) -> LossFunction:
    def divided(logits: Tensor, target: Tensor) -> Tensor:
        missing = 3 - len(set(target[target != IGNORE].tolist()))
        return loss(logits, target) / (0.0 if 0 < missing < 3 else 1.0)

    return divided


def in_half(loss: LossFunction) -> LossFunction:
    def rounded(logits: Tensor, target: Tensor) -> Tensor:
        value = loss(logits, target)
        return value.bfloat16().float() * 1.01 if torch.is_autocast_enabled("cpu") else value

    return rounded


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        (negated, "sign", "wrong sign"),
        (leaking, "ignored pixels", "ignored pixels have a gradient"),
        (never_zero, "all ignored", "it must cost 0"),
        (mute, "gradient", "nothing is learned"),
        (mute, "step", "does not lower the loss"),
        (careless, "extreme logits", "tens of thousands"),
        (needs_every_class, "one class", "one class only"),
        (needs_every_class, "absent class", "absent from the batch"),
        (in_half, "autocast", "half precision"),
    ],
)
def test_a_broken_loss_is_told_in_one_sentence(
    shapes_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    change: Callable[[LossFunction], LossFunction], name: str, sentence: str,
) -> None:  # fmt: skip
    found = examined(shapes_dataset, tmp_path / "run", quick("loss.name=cross_entropy"), change)
    assert name in wrong(found)
    assert sentence in next(check.says for check in found if check.name == name)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Loss doctor:")]
    assert len(said) == len(wrong(found))
    assert any(sentence in line for line in said)


def test_a_loss_that_is_not_finite_ends_the_training_before_it_begins(shapes_dataset: Dataset, tmp_path: Path) -> None:
    def broken(loss: LossFunction) -> LossFunction:
        return lambda logits, target: loss(logits, target) * torch.tensor(float("nan"))

    with pytest.raises(InputError, match=r"The loss 'dice' or its gradient is not finite on the first batch \(nan\)"):
        examined(shapes_dataset, tmp_path / "run", quick("loss.name=dice"), broken)


def test_all_is_said_in_one_line_where_all_is_well(
    shapes_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = examined(shapes_dataset, tmp_path / "run", quick())
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Loss doctor:")]
    assert len(said) == 1
    assert f"{len(found)} checks of 'cross_entropy_dice' passed" in said[0]


def dataset_of(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    samples = []
    for index, split in enumerate(["train"] * 4 + ["val"]):
        image, mask = shapes(index)
        changed = change(mask).astype(np.uint8)
        samples.append(add_sample(folder, f"s{index}", image, changed, classes=shapes_classes(), split=split))
    return Dataset.create(folder, shapes_classes(), samples, {"from": {"format": "drawn"}})


def test_masks_in_which_all_is_ignored_end_it_and_leave_nothing(tmp_path: Path) -> None:
    data = dataset_of(tmp_path / "data", lambda mask: np.full_like(mask, IGNORE))
    for check in ("true", "false"):
        with pytest.raises(InputError, match=r"Every pixel of the training masks is ignored \(id 255\).*audit"):
            maskwright.train(data, quick(f"loss.check={check}"), out=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_masks_of_background_alone_need_the_background(tmp_path: Path) -> None:
    data = dataset_of(tmp_path / "data", lambda mask: np.zeros_like(mask))
    with pytest.raises(InputError, match=r"is 'background', which loss\.background: false leaves out"):
        maskwright.train(data, quick("loss.background=false"), out=tmp_path / "run")
    found = examined(data, tmp_path / "other", quick())
    assert wrong(found) == ["classes"]
    assert "no training pixel is labelled disc, box" in next(check.says for check in found if not check.ok)


def test_weights_far_apart_are_said(tmp_path: Path) -> None:
    def rare(mask: np.ndarray) -> np.ndarray:
        few = np.where(mask == 1, 0, mask)
        few[20, 20:22] = 1
        return few

    found = examined(
        dataset_of(tmp_path / "data", rare), tmp_path / "run", quick("loss.weights=inverse", "data.size=[48, 64]")
    )
    assert "weights" in wrong(found)
    assert "'disc' rule every step; try loss.weights=inverse_sqrt" in next(c.says for c in found if c.name == "weights")


def test_options_without_effect_are_said(shapes_dataset: Dataset, tmp_path: Path) -> None:
    found = examined(shapes_dataset, tmp_path / "run", quick("loss.name=dice", "loss.hard_share=0.5"))
    assert wrong(found) == ["options"]
    assert found[0].says.startswith("loss.hard_share changes nothing in 'dice'")


def test_the_first_batch_is_the_one_that_training_sees(shapes_dataset: Dataset) -> None:
    recipe = quick("data.sampling=uniform", "augment.rotate=20")
    pairs = Decoded(shapes_dataset, shapes_dataset.labelled("train"), recipe)
    batches = training_batches(pairs, recipe, IGNORE)
    image, target = first_batch(batches, IGNORE)
    expected = next(iter(batches))
    assert torch.equal(image, expected[0])
    assert torch.equal(target, expected[1])


def test_a_first_batch_without_labels_is_replaced_by_a_later_one(tmp_path: Path) -> None:
    seen: list[int] = []

    def only_one(mask: np.ndarray) -> np.ndarray:
        seen.append(1)
        return mask if len(seen) == 3 else np.full_like(mask, IGNORE)

    data = dataset_of(tmp_path / "data", only_one)
    recipe = quick("augment.flip=0", "train.batch=1", "augment.scale=[1, 1]", "augment.shift=0", "augment.rotate=0")
    batches = training_batches(Decoded(data, data.labelled("train"), recipe), recipe, IGNORE)
    assert (first_batch(batches, IGNORE)[1] != IGNORE).any()


def test_it_can_be_turned_off_and_a_resumed_training_is_not_examined_again(
    shapes_dataset: Dataset, tmp_path: Path
) -> None:
    off = maskwright.train(shapes_dataset, quick("loss.check=false", "train.epochs=1"), out=tmp_path / "off").run
    assert not (off.path / "doctor.json").exists()
    run = maskwright.train(shapes_dataset, quick("train.epochs=1"), out=tmp_path / "run").run
    assert (run.path / "doctor.json").is_file()
    (run.path / "doctor.json").unlink()
    maskwright.resume(run)
    assert not (run.path / "doctor.json").exists()
    assert [row["train_loss"] for row in off.metrics()] == [row["train_loss"] for row in run.metrics()]
    assert "The first batch" not in maskwright.report(off).read_text(encoding="utf-8")


def test_the_report_shows_the_first_batch_and_what_is_odd(shapes_dataset: Dataset, tmp_path: Path) -> None:
    odd = quick("train.epochs=1", "loss.name=dice", "loss.smoothing=0.1")
    page = maskwright.report(maskwright.train(shapes_dataset, odd, out=tmp_path / "run").run).read_text(
        encoding="utf-8"
    )
    assert "The first batch, as the network saw it" in page
    assert "data:image/png;base64," in page
    assert "The loss is dice, over the classes that a batch holds." in page
    assert "<li>loss.smoothing changes nothing in &#39;dice&#39;" in page


def test_wide_ids_and_one_logit_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    many = Classes.from_names([f"c{i}" for i in range(300)])
    target = torch.randint(0, 300, (2, 16, 20), generator=generator, dtype=torch.int32)
    target[:, :2] = many.ignore
    logits = torch.randn(2, 300, 16, 20, generator=generator)
    recipe = quick("loss.name=cross_entropy_dice").loss
    assert wrong(list(check_function(build_loss(recipe, many), logits, target, many))) == []
    two = Classes.from_names(["background", "drop"])
    one = (target % 2).to(torch.uint8)
    recipe = quick("loss.name=bce").loss
    assert wrong(list(check_function(build_loss(recipe, two), logits[:, :1], one, two))) == []


def test_the_picture_shows_pixels_labels_and_ignore(tmp_path: Path) -> None:
    image = torch.full((1, 3, 12, 24), 90, dtype=torch.uint8)
    target = torch.zeros(1, 12, 24, dtype=torch.uint8)
    target[:, :, 12:] = 1
    target[:, :3] = IGNORE
    sheet = draw_batch(image, target, shapes_classes())
    assert sheet.shape == (120 + 6 + 120 + 24, 246, 3)
    assert (sheet[:120, :240] == 90).all()
    labels = sheet[126:246, :240]
    assert (labels[40:, :110] == 90).all()
    assert (labels[:30] == 255).all(axis=2).mean() > 0.15
    red, _, blue = labels[80, 200].astype(int)
    assert red > 120 > blue


def test_the_picture_of_a_large_batch_stays_small(shapes_dataset: Dataset, tmp_path: Path) -> None:
    recipe = quick("data.size=[400, 600]", "train.batch=8")
    examined(shapes_dataset, tmp_path / "run", recipe)
    picture = read_image(tmp_path / "run" / "samples" / "first_batch.png")
    assert picture.shape[1] == 4 * 246
