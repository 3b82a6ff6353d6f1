"""The protocol: objects, clicks, numbers, folder, command line."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import write_shapes
from prompt_runs import write_prompt_run
from prompters import Growing, Knowing, Useless
from typer.testing import CliRunner

import maskwright
import maskwright.prompt
from maskwright.cli import app
from maskwright.data.dataset import Dataset
from maskwright.data.pixels.parts import labelled_parts
from maskwright.files import read_json
from maskwright.prompt.clicking.clicks import Clicked, clicks
from maskwright.prompt.clicking.objects import Wanted, choose_objects
from maskwright.prompt.clicking.play import Rules, play, warm_up
from maskwright.prompt.clicking.single import answer_one, draw_prompt
from maskwright.prompt.clicking.tables import clicks_needed
from maskwright.run import read_csv
from maskwright.types import Classes, InputError, Prompt


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_shapes(tmp_path / "shapes", {"train": 2, "test": 8})


def few(data: Dataset, prompters: list[Any], out: Path, **how: Any) -> Clicked:
    return clicks(prompters, data, out=out, **{"objects": 6, "min_area": 20, "max_clicks": 8, **how})


def test_a_perfect_prompter_needs_one_click_and_a_useless_one_fails(data: Dataset, tmp_path: Path) -> None:
    found = few(data, [Knowing(data, "perfect"), Useless(data, "useless")], tmp_path / "out").facts
    perfect, useless = found["prompters"]
    for target in ("85", "90"):
        noc = perfect["centre"]["noc"][target]
        assert (noc["mean"], noc["low"], noc["high"], noc["failed"]) == (1, 1, 1, 0)
        noc = useless["centre"]["noc"][target]
        assert (noc["mean"], noc["failed"], noc["clicks"]) == (8, 6, [8] * 6)
    assert perfect["jittered"]["noc"]["90"]["mean"] == 1
    assert perfect["centre"]["iou_after"]["5"]["mean"] == 1
    assert perfect["centre"]["curve"]["mean"] == [1] * 8
    assert useless["centre"]["best"]["mean"] == 0
    assert useless["centre"]["unanswered"] > 0
    assert perfect["centre"]["unanswered"] == 0


@pytest.mark.parametrize("needs", [2, 5, 7])
def test_one_that_needs_n_clicks_is_measured_to_need_n(data: Dataset, tmp_path: Path, needs: int) -> None:
    prompter = Knowing(data, needs=needs, best=True)
    found = few(data, [prompter], tmp_path / "out", jitter=0).facts["prompters"][0]["centre"]
    assert found["noc"]["90"]["clicks"] == [needs] * 6
    assert found["curve"]["mean"] == [0] * (needs - 1) + [1] * (9 - needs)
    assert found["best"]["mean"] == 1  # it was among the candidates from the start
    if needs > 5:
        assert found["noc"]["85"]["mean"] == needs


def test_clicks_and_the_mask_so_far_are_given_back() -> None:
    truth = np.zeros((30, 40), np.bool_)
    truth[5:25, 8:30] = True

    class Half:
        def __init__(self) -> None:
            self.asked: list[Prompt] = []

        def predict(self, prompt: Prompt) -> Any:
            self.asked.append(prompt)
            soft = truth.astype(np.uint8)[None] * np.uint8(255)
            soft[:, :, 15 + 4 * len(self.asked) :] = 0
            return maskwright.prompt.prompter.Candidates(soft_NHW=soft, scores_N=np.ones(1, np.float32), chosen=0)

    prompter: Any = Half()
    game = play(prompter, truth, np.zeros_like(truth), 20, class_id=4)
    assert game.iou == sorted(game.iou)
    assert game.iou[-1] == 1
    first, second = prompter.asked[:2]
    assert first.previous_HW is None
    assert second.previous_HW.sum() == 20 * (19 - 8)
    assert second.points_xy[0] == first.points_xy[0]
    assert len(second.points_xy) == 2
    assert {prompt.class_id for prompt in prompter.asked} == {4}


def test_nobody_clicks_on_once_the_mask_is_good_but_five_times_at_least(data: Dataset) -> None:
    sample = data.labelled("test")[0]
    parts, area = labelled_parts(data.mask(sample))
    truth = parts == int(np.argsort(area)[-2])
    prompter = Growing(data)
    prompter.set_image(data.image(sample))
    game = play(prompter, truth, np.zeros_like(truth), 20)
    assert len(game.iou) in (4, 5)  # the fourth mask is right: nothing is left to click
    assert clicks_needed(game.iou, 0.85, 20) <= 4
    assert clicks_needed([0.2, 0.3], 0.85, 20) == 20
    assert clicks_needed([0.2, 0.86, 0.84, 0.9], 0.85, 20) == 2


def test_jitter_is_seeded_and_differs_from_the_centre(data: Dataset, tmp_path: Path) -> None:
    def places(name: str, seed: int) -> dict[str, set[tuple[str, str, str]]]:
        few(data, [Useless(data)], tmp_path / name, seed=seed, objects=20, max_clicks=1)
        rows = read_csv(tmp_path / name / "clicks.csv")
        return {
            way: {(row["object"], row["x"], row["y"]) for row in rows if row["way"] == way}
            for way in ("centre", "jittered 1")
        }

    first, again = places("first", 0), places("again", 0)
    assert first == again
    assert first["centre"] != first["jittered 1"]


def test_ignored_pixels_neither_help_nor_harm(data: Dataset) -> None:
    sample = data.labelled("test")[0]
    prompter = Knowing(data)
    prompter.set_image(data.image(sample))
    parts, area = labelled_parts(data.mask(sample))
    truth = parts == int(np.argsort(area)[-2])
    ignore = ~truth
    ignore[np.argwhere(truth)[0][0]] = False
    assert play(prompter, truth, ignore, 5).iou == [1]


def test_objects_are_even_over_classes_then_images() -> None:
    found = [
        Wanted(image=f"i{image}", class_id=kind, part=part, area_px=50)
        for kind, image, count in [(0, 0, 40), (0, 1, 5), (0, 2, 5), (1, 0, 3), (2, 1, 40), (2, 2, 1)]
        for part in range(count)
    ]
    chosen = choose_objects(found, 18, seed=0)
    assert Counter(one.class_id for one in chosen) == {0: 8, 1: 3, 2: 7}
    rocks = Counter(one.image for one in chosen if one.class_id == 0)
    assert max(rocks.values()) - min(rocks.values()) <= 3
    assert chosen == choose_objects(found, 18, seed=0)
    assert chosen != choose_objects(found, 18, seed=1)
    assert len(choose_objects(found, 1000, seed=0)) == len(found)


def test_objects_are_connected_regions_of_labels_without_the_background(data: Dataset, tmp_path: Path) -> None:
    found = few(data, [Knowing(data)], tmp_path / "out", objects=1000, min_area=30).facts
    by_id = {sample.id: sample for sample in data.samples}
    for one in found["objects"]:
        area = labelled_parts(data.mask(by_id[one["image"]]))[1]
        assert area[one["part"]] == one["area_px"] >= 30
        assert one["class_id"] != data.classes.background
        assert data.classes.names[one["class_id"]] == one["class"]
    assert found["objects_found"] == len(found["objects"])
    name = data.classes.names[-1]
    only = few(data, [Knowing(data)], tmp_path / "only", objects=1000, classes=[name]).facts
    assert {one["class"] for one in only["objects"]} == {name}


def test_pairs_say_who_needs_fewer_clicks(data: Dataset, tmp_path: Path) -> None:
    prompters = [Knowing(data, "slow", needs=4), Knowing(data, "quick"), Knowing(data, "quicker")]
    result = few(data, prompters, tmp_path / "out", objects=16)
    pairs = {(pair["a"], pair["b"], pair["target"]): pair for pair in result.facts["pairs"]}
    pair = pairs["slow", "quick", 0.9]
    assert (pair["mean"], pair["better"]) == (-3, "quick")
    assert pair["sentence"].startswith("quick needs 3.0 fewer clicks than slow to an IoU of 0.90 (95 % interval 3.0 to")
    assert "the same clicks" in pairs["quick", "quicker", 0.9]["sentence"]
    nothing = few(data, [Useless(data, "a"), Useless(data, "b")], tmp_path / "none").facts["pairs"]
    assert nothing[0]["sentence"] == "Neither a nor b comes to an IoU of 0.85 on any object."
    assert any("quick needs 3.0 fewer" in line for line in result.lines())


def test_one_random_prompt_an_image_is_balanced_and_wants_the_whole_class() -> None:
    classes = Classes.from_names(["background", "cat", "dog"])
    mask = np.zeros((20, 30), np.uint8)
    mask[2:6, 3:9] = mask[12:15, 20:25] = 1
    mask[0] = 255
    kinds: Counter[tuple[str, int]] = Counter()
    for seed in range(400):
        drawn = draw_prompt(mask, classes, np.random.default_rng(seed))
        assert drawn is not None
        prompt, wanted = drawn
        kinds["box" if prompt.boxes_xyxy else "point", wanted] += 1
        if prompt.boxes_xyxy and wanted == 1:
            assert prompt.boxes_xyxy == ((3, 2, 25, 15),)
        for x, y in prompt.points_xy:
            assert mask[int(y), int(x)] == wanted
        assert prompt.class_id is None
    assert all(60 < kinds[kind, wanted] < 140 for kind in ("point", "box") for wanted in (0, 1))
    told = draw_prompt(mask, classes, np.random.default_rng(0), tell_class=True)
    assert told is not None
    assert told[0].class_id == told[1]
    assert draw_prompt(np.full((4, 4), 255, np.uint8), classes, np.random.default_rng(0)) is None


def test_the_answer_to_one_prompt_is_scored_without_ignored_pixels(data: Dataset) -> None:
    sample = data.labelled("test")[0]
    mask = data.mask(sample)
    useless = Useless(data)
    useless.set_image(data.image(sample))
    found = answer_one(useless, mask, data.classes, np.random.default_rng(1), tell_class=False)
    assert found is not None
    assert found["iou"] == 0
    wanted = np.count_nonzero(mask == found["class"])
    assert found["pixels"] == [0, 0, wanted, np.count_nonzero(mask < len(data.classes)) - wanted]


def test_files_hold_what_the_result_says(data: Dataset, tmp_path: Path) -> None:
    result = few(data, [Knowing(data, needs=2)], tmp_path / "out", jitter=2)
    assert json.loads((tmp_path / "out" / "clicks.json").read_text()) == json.loads(json.dumps(result.facts))
    rows = read_csv(tmp_path / "out" / "clicks.csv")
    assert len(rows) == 6 * 3 * 2
    assert {row["way"] for row in rows} == {"centre", "jittered 1", "jittered 2"}
    assert (rows[0]["click"], rows[0]["positive"], float(rows[1]["iou"])) == ("1", "1", 1)
    assert (tmp_path / "out" / "clicks.txt").read_text().splitlines() == result.lines()
    assert not list(tmp_path.glob(".*"))


def test_an_interrupted_call_goes_on_and_an_earlier_result_stays_until_then(data: Dataset, tmp_path: Path) -> None:
    class Stopping(Knowing):
        left = 1000

        def set_image(self, image_HW3: Any) -> None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            super().set_image(image_HW3)

    few(data, [Knowing(data)], tmp_path / "out", seed=1)
    before = (tmp_path / "out" / "clicks.json").read_text()
    broken = Stopping(data)
    broken.left = 4  # one to warm up
    with pytest.raises(KeyboardInterrupt):
        few(data, [broken], tmp_path / "out")
    assert (tmp_path / "out" / "clicks.json").read_text() == before
    again = Knowing(data)
    result = few(data, [again], tmp_path / "out")
    whole = Knowing(data)
    fresh = few(data, [whole], tmp_path / "fresh")
    assert again.images == whole.images - 3
    strip = ("time", "prompters")
    assert {k: v for k, v in result.facts.items() if k not in strip} == {
        k: v for k, v in fresh.facts.items() if k not in strip
    }
    assert result.facts["prompters"][0]["centre"] == fresh.facts["prompters"][0]["centre"]


def test_images_that_cannot_be_read_are_left_out_for_all(data: Dataset, tmp_path: Path) -> None:
    prompters = [Knowing(data, "a"), Knowing(data, "b")]
    sample = data.labelled("test")[0]
    photo = data.path / sample.image
    whole = len(few(data, prompters, tmp_path / "whole", objects=100).facts["objects"])
    stamp = photo.stat().st_mtime_ns
    photo.write_bytes(photo.read_bytes()[:200])
    os.utime(photo, ns=(stamp, stamp))
    result = few(data, prompters, tmp_path / "out", objects=100)
    assert [row.file for row in result.skipped] == [sample.id]
    assert len(result.facts["objects"]) == whole - result.facts["left_out"] < whole
    with pytest.raises(InputError, match=r"truncated|damaged"):
        few(data, prompters, tmp_path / "strict", objects=100, strict=True)
    assert not (tmp_path / "strict").exists()


def test_what_cannot_be_done_is_said_in_a_sentence(data: Dataset, tmp_path: Path) -> None:
    knowing = Knowing(data)
    with pytest.raises(InputError, match="No prompter"):
        clicks([], data, out=tmp_path / "x")
    with pytest.raises(InputError, match="at least 1"):
        few(data, [knowing], tmp_path / "x", objects=0)
    with pytest.raises(InputError, match="named twice"):
        few(data, [knowing, Knowing(data)], tmp_path / "x")
    with pytest.raises(InputError, match="Unknown class 'house'"):
        few(data, [knowing], tmp_path / "x", classes=["house"])
    with pytest.raises(InputError, match=r"no object of .* 1,000,000 pixels"):
        few(data, [knowing], tmp_path / "x", min_area=1_000_000)
    with pytest.raises(InputError, match="no labelled images in split 'val'"):
        few(data, [knowing], tmp_path / "x", split="val")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    with pytest.raises(InputError, match="exists already"):
        few(data, [knowing], tmp_path / "full")
    assert not (tmp_path / "x").exists()


def test_the_defaults_are_those_of_the_protocol_and_warming_up_needs_no_data(data: Dataset) -> None:
    assert Rules().max_clicks == 20
    warm_up(Knowing(data))


@pytest.fixture
def verb(data: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setitem(maskwright.prompt.PROMPTERS, "classical", lambda argument, download: Knowing(data, needs=2))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["clicks", *words], catch_exceptions=True)


def test_the_verb_writes_a_page_and_prints_a_table(verb: Any, data: Dataset, tmp_path: Path) -> None:
    quick = ("--objects", "3", "--min-area", "20", "--max-clicks", "3")
    done = verb("classical", str(data.path), *quick)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "clicks" / "test-1" / "clicks.html").is_file()
    done = verb("classical", str(data.path), *quick, "--json", "--jitter", "0")
    facts = json.loads(done.stdout)
    assert facts["folder"] == "clicks/test-2"
    assert facts["prompters"][0]["centre"]["noc"]["90"]["mean"] == 2
    assert facts["prompters"][0]["jittered"] is None


def test_one_run_alone_keeps_its_clicks_and_tells_of_them_in_its_report(
    verb: Any, data: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_prompt_run(tmp_path / "mine")
    monkeypatch.setitem(maskwright.prompt.PROMPTERS, "run", lambda argument, download: Knowing(data, argument))
    quick = ("--objects", "2", "--min-area", "20", "--max-clicks", "2")
    for words in (("run:mine",), ("mine", "--seed", "1")):  # the second result replaces the first
        done = verb(words[0], str(data.path), *words[1:], *quick)
        assert done.exit_code == 0, done.output
    result = read_json(tmp_path / "mine" / "clicks" / "test" / "clicks.json")
    assert result["seed"] == 1
    assert [path.name for path in (tmp_path / "mine" / "clicks").iterdir()] == ["test"]
    assert "Clicks to a good mask: test" in (tmp_path / "mine" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("classic",), "Unknown prompter 'classic'. Did you mean 'classical'?"),
        (("classical", "--classes", "house"), "Unknown class 'house'"),
        (("classical", "--classes", "a,,b"), "empty name"),
        (("classical", "--split", "val"), "no labelled images in split 'val'"),
        (("classical", "classical"), "named twice"),
    ],
)
def test_the_verb_says_what_is_wrong(verb: Any, data: Dataset, words: tuple[str, ...], sentence: str) -> None:
    names = [word for word in words[:2] if not word.startswith("--") and word.startswith("classic")]
    done = verb(*names, str(data.path), *words[len(names) :])
    assert isinstance(done.exception, InputError)
    assert sentence in str(done.exception)
