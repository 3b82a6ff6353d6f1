"""What every prompter does alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import shapes
from prompt_runs import write_prompt_run
from tiny_sam2 import save_tiny_sam2

from maskwright.prompt import PROMPTERS, check_spec, label_of, load_prompter
from maskwright.prompt.prompter import Candidates, Prompter
from maskwright.types import Image, InputError, Prompt, Stroke

SIZE_HW = (96, 128)
IMAGE = shapes(3, SIZE_HW, ignored=False)[0]


@pytest.fixture(scope="module", params=sorted(PROMPTERS))
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("prompter")
    if request.param == "sam2":
        return f"sam2:{save_tiny_sam2(folder / 'tiny')}"
    if request.param == "run":
        return f"run:{write_prompt_run(folder / 'run')}"
    return str(request.param)


@pytest.fixture(scope="module")
def prompter(spec: str) -> Prompter:
    return load_prompter(spec)


def point(x: float, y: float, **more: Any) -> Prompt:
    return Prompt(points_xy=((x, y),), positive=(True,), **more)


def test_every_loader_says_what_it_does_not_know(tmp_path: Path) -> None:
    assert check_spec("sam2:a/b") == ("sam2", "a/b")
    assert check_spec(str(tmp_path)) == ("run", str(tmp_path))
    assert [label_of(spec) for spec in ("classical", "sam2:x/large", "run:runs/road")] == [
        "Classical",
        "SAM 2 (large)",
        "Run road",
    ]
    for wrong, words in {
        "clasical": "Did you mean 'classical'",
        "": "Unknown prompter ''",
        "classical:x": "takes nothing after the colon",
        "run": "needs the folder",
        "run:nowhere": "no run.yaml",
        str(tmp_path): "no run.yaml",
    }.items():
        with pytest.raises(InputError, match=words):
            load_prompter(wrong)


def test_the_prompters_are_known_without_torch_and_opencv() -> None:
    code = """
import sys
from maskwright.prompt import PROMPTERS, load_prompter
import maskwright.prompt.prompter, maskwright.prompt.desk
try:
    load_prompter("sam2:somebody/never-downloaded")
except ValueError:
    pass
heavy = {"torch", "cv2", "transformers", "numba"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def check(answer: Candidates, size_hw: tuple[int, int]) -> None:
    count = len(answer.soft_NHW)
    assert count >= 1
    assert answer.soft_NHW.shape == (count, *size_hw)
    assert answer.soft_NHW.dtype == np.uint8
    assert answer.scores_N.shape == (count,)
    assert answer.scores_N.dtype == np.float32
    assert np.all((answer.scores_N >= 0) & (answer.scores_N <= 1))
    assert 0 <= answer.chosen < count
    areas = answer.masks().sum(axis=(1, 2))
    assert np.all(np.diff(areas) >= 0), f"smallest extent first: {areas}"
    assert np.all(areas > 0), "never an empty answer"
    assert np.all((answer.stability_N >= 0) & (answer.stability_N <= 1))


@pytest.mark.parametrize(
    "size_hw", [SIZE_HW, (1, 1), (3, 3), (1, 40), (37, 53), (61, 17)], ids=lambda hw: f"{hw[0]}x{hw[1]}"
)
def test_candidates_at_any_size(prompter: Prompter, size_hw: tuple[int, int]) -> None:
    image = np.ascontiguousarray(IMAGE[: size_hw[0], : size_hw[1]])
    prompter.set_image(image)
    x, y = size_hw[1] / 2, size_hw[0] / 2
    check(prompter.predict(point(x, y)), size_hw)
    check(prompter.predict(point(size_hw[1], size_hw[0])), size_hw)  # the far corner is in the image
    check(prompter.predict(point(x, y, boxes_xyxy=((0, 0, size_hw[1], size_hw[0]),))), size_hw)


def test_a_grey_image_and_one_of_a_single_colour(prompter: Prompter) -> None:
    flat: Image = np.full((40, 56, 3), 90, np.uint8)
    for image in (IMAGE[:, :, :1], flat):
        prompter.set_image(np.ascontiguousarray(image))
        check(prompter.predict(point(20, 20)), image.shape[:2])


def test_every_candidate_has_what_was_clicked_and_not_what_was_clicked_away(prompter: Prompter) -> None:
    prompter.set_image(IMAGE)
    rng = np.random.default_rng(5)
    for count in (2, 4, 7):
        places = rng.choice(SIZE_HW[0] * SIZE_HW[1], count, replace=False)
        rows, columns = np.divmod(places, SIZE_HW[1])
        positive = np.arange(count) % 2 == 0
        points = tuple((column + 0.5, row + 0.5) for row, column in zip(rows.tolist(), columns.tolist(), strict=True))
        answer = prompter.predict(Prompt(points_xy=points, positive=tuple(positive.tolist())))
        check(answer, SIZE_HW)
        for mask_HW in answer.masks():
            assert np.array_equal(mask_HW[rows, columns], positive)


def test_scribbles_are_followed(prompter: Prompter) -> None:
    prompter.set_image(IMAGE)
    on = Stroke(points_xy=((10, 10), (40, 30), (60, 30)))
    off = Stroke(points_xy=((100, 80), (120, 80)), positive=False, radius_px=4)
    answer = prompter.predict(Prompt(strokes=(on, off)))
    check(answer, SIZE_HW)
    for mask_HW in answer.masks():
        assert mask_HW[30, 42:58].all()
        assert not mask_HW[80, 102:118].any()


def test_nothing_is_outside_the_boxes(prompter: Prompter) -> None:
    prompter.set_image(IMAGE)
    for boxes in ([(30, 20, 70, 60)], [(10, 10, 40, 40), (80, 50, 120, 90)]):
        answer = prompter.predict(Prompt(boxes_xyxy=tuple(boxes)))
        check(answer, SIZE_HW)
        outside_HW = np.ones(SIZE_HW, bool)
        for x0, y0, x1, y1 in boxes:
            dx, dy = (x1 - x0) // 10, (y1 - y0) // 10
            outside_HW[y0 - dy : y1 + dy, x0 - dx : x1 + dx] = False
        assert not answer.masks()[:, outside_HW].any()


def test_a_mask_so_far_is_corrected(prompter: Prompter) -> None:
    prompter.set_image(IMAGE)
    first = prompter.predict(point(64, 48))
    row, column = np.argwhere(first.mask_HW)[-1].tolist()
    away = Prompt(points_xy=((column + 0.5, row + 0.5),), positive=(False,), previous_HW=first.mask_HW)
    second = prompter.predict(away)
    check(second, SIZE_HW)
    assert not second.mask_HW[row, column]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Prompt(), "empty"),
        (Prompt(points_xy=((5, 5),), positive=(False,)), "not wanted"),
        (Prompt(points_xy=((500, 5),), positive=(True,)), "outside the image of 128 x 96"),
        (Prompt(points_xy=((float("nan"), 5),), positive=(True,)), "outside"),
        (Prompt(boxes_xyxy=((5, 5, 5, 20),)), "empty"),
        (Prompt(points_xy=((5, 5),), positive=(True,), previous_HW=np.zeros((3, 3), bool)), "equal sizes"),
        (Prompt(points_xy=((5, 5),), positive=()), "labels"),
        (Prompt(strokes=(Stroke(points_xy=()),)), "stroke"),
    ],
)
def test_a_prompt_that_cannot_be_answered(prompter: Prompter, prompt: Prompt, words: str) -> None:
    prompter.set_image(IMAGE)
    with pytest.raises(InputError, match=words) as caught:
        prompter.predict(prompt)
    assert len(str(caught.value).splitlines()) == 1
    check(prompter.predict(point(20, 20)), SIZE_HW)  # and it goes on


def test_the_same_answer_again_and_from_a_file(prompter: Prompter, tmp_path: Path) -> None:
    prompts = [
        point(64, 48),
        Prompt(boxes_xyxy=((30, 20, 70, 60),)),
        Prompt(points_xy=((64, 48), (5, 5)), positive=(True, False)),
    ]
    encoding = prompter.encode(IMAGE)
    assert encoding["size_hw"].tolist() == list(SIZE_HW)
    np.savez(tmp_path / "encoding.npz", **encoding)  # type: ignore[arg-type]
    with np.load(tmp_path / "encoding.npz", allow_pickle=False) as arrays:
        read = {name: arrays[name] for name in arrays.files}

    def answers() -> list[Candidates]:
        return [prompter.predict(prompt) for prompt in prompts]

    prompter.set_image(IMAGE)
    first = answers()
    prompter.set_image(np.ascontiguousarray(IMAGE[::-1]))
    for other in (encoding, read):
        prompter.set_encoding(other)
        for one, two in zip(first, answers(), strict=True):
            np.testing.assert_array_equal(one.soft_NHW, two.soft_NHW)
            np.testing.assert_array_equal(one.scores_N, two.scores_N)
            assert one.chosen == two.chosen


def test_no_image_is_an_error(spec: str) -> None:
    with pytest.raises(InputError, match="image"):
        load_prompter(spec).predict(point(1, 1))
