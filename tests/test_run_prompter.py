"""A run trained with prompts as a prompter, beside what the contract of all prompters says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import shapes, shapes_classes
from numpy.typing import NDArray
from prompt_runs import write_prompt_run
from quick import quick
from torch import Tensor

from maskwright.data.clicks.simulate import next_click
from maskwright.prompt.run_prompter import RunPrompter
from maskwright.run import Run
from maskwright.types import InputError, Prompt, Stroke

HW = (96, 128)
IMAGE = shapes(3, HW, ignored=False)[0]
BOTH = pytest.mark.parametrize("name", ["prompt-unet", "prompt-clicks"])


def point(x: float, y: float, **more: Any) -> Prompt:
    return Prompt(points_xy=((x, y),), positive=(True,), **more)


def loaded(folder: Path, name: str, *sets: str) -> RunPrompter:
    return RunPrompter.load(write_prompt_run(folder, name, *sets), device="cpu", precision="fp32")


def listen(prompter: RunPrompter, monkeypatch: pytest.MonkeyPatch, gain: float = 20.0) -> list[Tensor]:
    """Make the network say 'object' where the first plane is above a half; returns the planes that it is given."""
    seen: list[Tensor] = []

    def answer(features: list[Tensor], planes: Tensor, class_N: Tensor | None = None) -> Tensor:
        seen.append(planes)
        return gain * (planes[:, :1] - 0.5)

    monkeypatch.setattr(prompter.network, "answer", answer)
    return seen


@BOTH
def test_a_click_costs_no_pass_of_the_encoder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompter = loaded(tmp_path / "run", name)
    calls: list[str] = []
    for part in ("encoder", "bottleneck", "decoder"):
        for module in prompter.network.body.get_submodule(part).modules():
            module.register_forward_hook(lambda *_, part=part: calls.append(part))
    prompter.set_image(IMAGE)
    assert set(calls) == {"encoder", "bottleneck"}
    calls.clear()
    for x in (20, 60, 100):
        prompter.predict(point(x, 40))
    assert set(calls) == {"decoder"}


@BOTH
def test_features_are_kept_as_half_floats(name: str, tmp_path: Path) -> None:
    prompter = loaded(tmp_path / "run", name)
    encoding = prompter.encode(IMAGE)
    levels = {key: value for key, value in encoding.items() if key != "size_hw"}
    assert [levels[f"level{level}"].shape for level in range(3)] == [(1, 4, 32, 40), (1, 8, 16, 20), (1, 8, 8, 10)]
    assert {value.dtype for value in levels.values()} == {np.dtype(np.float16)}


@BOTH
@pytest.mark.parametrize("hw", [(96, 128), (300, 100), (20, 200)])
@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_prompts_go_to_the_working_size_and_answers_come_back(
    name: str, hw: tuple[int, int], fit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompter = loaded(tmp_path / "run", name, f"data.fit={fit}")
    listen(prompter, monkeypatch)
    prompter.set_image(np.zeros((*hw, 3), np.uint8))
    for across, down in ((0.3, 0.7), (0.5, 0.5), (0.85, 0.2)):
        x, y = across * hw[1], down * hw[0]
        rows, columns = np.nonzero(prompter.predict(point(x, y)).mask_HW)
        assert abs(columns.mean() + 0.5 - x) < 0.06 * max(hw)
        assert abs(rows.mean() + 0.5 - y) < 0.06 * max(hw)


def test_every_kind_of_prompt_reaches_its_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompter = loaded(tmp_path / "run", "prompt-clicks", "data.size=[48, 64]")
    seen = listen(prompter, monkeypatch)
    prompter.set_image(IMAGE)
    previous_HW = np.zeros(HW, bool)
    previous_HW[20:60, 30:90] = True
    prompter.predict(
        Prompt(
            points_xy=((40, 30), (60, 40), (100, 80)),
            positive=(True, True, False),
            boxes_xyxy=((20, 10, 100, 70),),
            strokes=(Stroke(points_xy=((110, 10), (120, 10)), positive=False),),
            previous_HW=previous_HW,
        )
    )
    (planes,) = seen
    positive, negative, box, previous = planes[0].numpy()
    assert positive[15, 20] > 0.9
    assert positive[20, 30] > 0.9
    assert negative[40, 50] > 0.9
    assert negative[5, 57] > 0.9
    assert box.sum() == 40 * 30
    assert previous.sum() == 20 * 30
    assert previous[10:30, 15:45].all()


def test_a_network_of_one_prompt_unites_several_and_takes_negative_ones_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompter = loaded(tmp_path / "run", "prompt-unet", "data.size=[96, 128]", "prompt.sigma=12", "prompt.target=class")
    seen = listen(prompter, monkeypatch)
    prompter.set_image(IMAGE)
    one, two = (prompter.predict(point(x, 48)).mask_HW for x in (40, 90))
    assert not (one & two).any()
    both = prompter.predict(Prompt(points_xy=((40, 48), (90, 48)), positive=(True, True))).mask_HW
    np.testing.assert_array_equal(both, one | two)
    assert seen[-1].shape == (2, 1, 96, 128), "a prompt each, in one batch"
    less = prompter.predict(Prompt(points_xy=((40, 48), (52, 48)), positive=(True, False))).mask_HW
    assert less.sum() < one.sum()
    assert not less[48, 52]
    assert less[48, 40]
    kept = prompter.predict(Prompt(points_xy=((5, 5),), positive=(False,), previous_HW=one)).mask_HW
    np.testing.assert_array_equal(kept, one)


def test_a_run_of_regions_answers_the_region_clicked_and_offers_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompter = loaded(tmp_path / "run", "prompt-clicks", "data.size=[96, 128]")
    logits = torch.full((1, 1, 96, 128), -4.0)
    logits[..., 20:50, 20:50] = 3.0
    logits[..., 60:90, 70:110] = 3.0
    logits[..., 92:94, 2:4] = 3.0  # a speck
    monkeypatch.setattr(prompter.network, "answer", lambda *_: logits)
    prompter.set_image(IMAGE)
    answer = prompter.predict(point(30, 30))
    assert answer.mask_HW.sum() == 30 * 30
    assert sorted(set(answer.masks().sum(axis=(1, 2)))) == [900, 2100]
    assert answer.scores_N[answer.chosen] == answer.scores_N.max()
    assert answer.scores_N[answer.chosen] == pytest.approx(1 / (1 + np.exp(-3.0)), abs=1e-4)
    whole = loaded(tmp_path / "other", "prompt-clicks", "data.size=[96, 128]", "prompt.target=class")
    monkeypatch.setattr(whole.network, "answer", lambda *_: logits)
    whole.set_image(IMAGE)
    assert whole.predict(point(30, 30)).mask_HW.sum() == 2100


def test_readings_differ_in_extent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompter = loaded(tmp_path / "run", "prompt-clicks", "data.size=[96, 128]")
    away: NDArray[np.float64] = np.hypot(*(np.indices(HW) - np.array([48, 64])[:, None, None]))
    monkeypatch.setattr(prompter.network, "answer", lambda *_: torch.from_numpy((20 - away) / 4).float()[None, None])
    prompter.set_image(IMAGE)
    answer = prompter.predict(point(64, 48))
    areas = answer.masks().sum(axis=(1, 2))
    assert len(areas) == 3
    np.testing.assert_allclose(np.sqrt(areas / np.pi), [14, 20, 26], atol=0.5)
    assert answer.chosen == 1
    assert answer.scores_N.argmax() == 1


def test_the_class_is_told_where_the_network_knows_it(tmp_path: Path) -> None:
    prompter = loaded(tmp_path / "run", "prompt-clicks", "prompt.class_told=0.5")
    prompter.set_image(IMAGE)
    answers = [prompter.predict(point(60, 40, class_id=class_id)).soft_NHW.tobytes() for class_id in (None, 0, 1, 77)]
    assert len(set(answers)) == 3
    assert answers[0] == answers[3], "a class that the run does not know is not told"
    other = loaded(tmp_path / "other", "prompt-clicks")
    other.set_image(IMAGE)
    assert len({other.predict(point(60, 40, class_id=k)).soft_NHW.tobytes() for k in (None, 0, 1)}) == 1


def test_a_simulated_person_can_go_on_for_long(tmp_path: Path) -> None:
    prompter = loaded(tmp_path / "run", "prompt-unet")
    prompter.set_image(IMAGE)
    truth_HW = shapes(3, HW, ignored=False)[1] == 2
    prompt, guess_HW = Prompt(), np.zeros(HW, bool)
    for _ in range(12):
        click = next_click(truth_HW, guess_HW, clicked=prompt.points_xy)
        assert click is not None
        points_xy = (*prompt.points_xy, (click.x, click.y))
        prompt = replace(prompt, points_xy=points_xy, positive=(*prompt.positive, click.positive), previous_HW=guess_HW)
        guess_HW = prompter.predict(prompt).mask_HW
        for (x, y), positive in zip(prompt.points_xy, prompt.positive, strict=True):
            assert guess_HW[int(y), int(x)] == positive


def test_runs_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    plain = Run.create(tmp_path / "plain", quick(), shapes_classes(), {"status": "finished"})
    with pytest.raises(InputError, match=r"answers no prompts \(its model is 'unet'\).*--recipe prompt-clicks"):
        RunPrompter.load(plain)
    with pytest.raises(InputError, match="is not a run folder"):
        RunPrompter.load(tmp_path)
    run = Run.open(write_prompt_run(tmp_path / "run"))
    with pytest.raises(InputError, match=r"last\.safetensors is missing"):
        RunPrompter.load(run, weights="last")
    first = RunPrompter.load(run, device="cpu")
    assert first.name == "run:run"
    assert first.fingerprint == RunPrompter.load(run, device="cpu").fingerprint
    torch.manual_seed(1)
    other = write_prompt_run(tmp_path / "other", "prompt-clicks", "prompt.sigma=4")
    assert RunPrompter.load(other, device="cpu").fingerprint != first.fingerprint
    run.weights().write_bytes(run.weights().read_bytes()[:500])
    with pytest.raises(InputError, match="does not fit the run's recipe"):
        RunPrompter.load(run)
