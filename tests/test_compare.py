"""Comparison from the outside: folders of predictions with planted differences, and a run that a test trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, shapes, shapes_classes, write_shapes
from quick import quick
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app, main
from maskwright.data.dataset import Dataset
from maskwright.files import read_json, write_json
from maskwright.imageio import read_image, read_mask, write_mask
from maskwright.metrics.counts import confusion
from maskwright.metrics.tally import iou, tally_of
from maskwright.run import read_counts
from maskwright.scoring.comparing import compare as compare_module
from maskwright.scoring.comparing.compare import compare
from maskwright.scoring.comparing.disagree import BOTH, IGNORED, NEITHER, ONLY_A, ONLY_B, likely, who_is_right
from maskwright.types import InputError, Mask, TargetError

IMAGES = 14
Spoil = Callable[[Mask, np.random.Generator], Mask]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", {"train": 4, "val": 2, "test": IMAGES})


def spoiled(share: float) -> Spoil:
    """A strip of random classes over that share of the rows."""

    def spoil(mask: Mask, rng: np.random.Generator) -> Mask:
        rows = max(1, round(share * len(mask)))
        mask[:rows] = rng.integers(0, 3, (rows, mask.shape[1]))
        return mask

    return spoil


def predict(data: Dataset, folder: Path, spoil: Spoil, *, seed: int = 0, skip: int = 0) -> Path:
    """A folder of predictions of the test images: the labels, spoiled."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for sample in data.labelled("test")[skip:]:
        mask = data.mask(sample)
        mask[mask == data.classes.ignore] = 0
        write_mask(folder / f"{sample.id}.png", spoil(mask, rng), data.classes)
    return folder


@pytest.fixture(scope="module")
def good(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predict(data, tmp_path_factory.mktemp("a") / "good", spoiled(0.1), seed=1)


@pytest.fixture(scope="module")
def bad(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predict(data, tmp_path_factory.mktemp("b") / "bad", spoiled(0.4), seed=2)


@pytest.fixture(scope="module")
def run(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = quick("train.epochs=3", "train.validate_every=1")
    return maskwright.train(data, recipe, out=tmp_path_factory.mktemp("run") / "run").run.path


def test_a_planted_difference_is_found_with_its_numbers(data: Dataset, good: Path, bad: Path, tmp_path: Path) -> None:
    result = compare([bad, good], data, out=tmp_path / "out")
    totals = []
    for folder in (bad, good):
        counts = np.zeros((3, 3), np.int64)
        for sample in data.labelled("test"):
            counts += confusion(data.mask(sample), read_mask(folder / f"{sample.id}.png", data.classes), 3)
        totals.append(iou(tally_of(counts)))
    pair = result.facts["pairs"][0]
    assert pair["better"] == "good"
    assert pair["verdict"].startswith("good is better than bad by")
    assert pair["difference"] == pytest.approx(totals[1].mean() - totals[0].mean())
    for place, row in enumerate(pair["classes"]):
        assert row["difference"] == pytest.approx(totals[1][place] - totals[0][place])
        assert row["low"] < row["difference"] < row["high"]
    assert [source["rank"] for source in result.facts["sources"]] == [2, 1]
    assert result.facts["images"] == IMAGES
    assert read_json(tmp_path / "out/comparison.json")["pairs"][0]["verdict"] == pair["verdict"]
    assert pair["verdict"] in (tmp_path / "out/comparison.txt").read_text("utf-8")


def test_the_pictures_show_where_exactly_one_is_right(data: Dataset, good: Path, bad: Path, tmp_path: Path) -> None:
    rows = compare([bad, good], data, out=tmp_path / "out").facts["disagreements"]
    assert len(rows) == 6
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)
    by_id = {sample.id: sample for sample in data.samples}
    every = {}
    for sample in data.labelled("test"):
        truth = data.mask(sample)
        a, b = (read_mask(folder / f"{sample.id}.png", data.classes) for folder in (bad, good))
        known = truth < 3
        every[sample.id] = float((((a == truth) != (b == truth)) & known).sum() / known.sum())
    assert {row["id"] for row in rows} == set(sorted(every, key=lambda key: -every[key])[:6])
    for row in rows:
        assert row["share"] == pytest.approx(every[row["id"]])
        assert row["only_a"] + row["only_b"] == pytest.approx(row["share"])
        assert row["both"] + row["share"] + row["neither"] == pytest.approx(1)
        for picture in row["pictures"].values():
            assert read_image(tmp_path / "out" / picture).shape[:2] == by_id[row["id"]].size_hw


def test_the_map_says_who_is_right() -> None:
    truth = np.array([[0, 0, 1, 1, 255]], np.uint8)
    shares, drawn = who_is_right(truth, np.array([[0, 0, 0, 0, 0]]), np.array([[0, 1, 1, 0, 0]]), 2)
    assert (shares.both, shares.only_a, shares.only_b, shares.neither) == (0.25, 0.25, 0.25, 0.25)
    assert drawn.tolist() == [[list(map(int, colour)) for colour in (BOTH, ONLY_A, ONLY_B, NEITHER, IGNORED)]]


def test_counts_bound_where_two_can_disagree() -> None:
    same = np.array([[[10], [10], [10]]])
    nothing = np.array([[[0], [10], [0]]])
    half = np.array([[[5], [10], [5]]])
    assert likely(same, same) == 0
    assert likely(same, nothing) == 1
    assert likely(half, half) == 0.25


def test_only_images_that_all_have_are_compared(data: Dataset, good: Path, tmp_path: Path) -> None:
    part = predict(data, tmp_path / "part", spoiled(0.2), seed=3, skip=2)
    result = compare([good, part], data, out=tmp_path / "out")
    assert result.facts["images"] == IMAGES - 2
    assert result.facts["left_out"] == [{"name": "good", "images": 2}]
    assert "2 images of good left out, which not all others have." in result.facts["notes"]
    assert result.skipped, "what a folder lacks is left out, and said"


def test_the_same_predictions_are_called_the_same(data: Dataset, good: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(good, copy, ignore=shutil.ignore_patterns("evaluation"))
    facts = compare([good, copy], data, out=tmp_path / "out").facts
    assert facts["pairs"][0]["verdict"] == "good and copy predict the same: every count is equal."
    assert facts["disagreements"] == []


def test_few_images_allow_no_verdict(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "few", {"train": 1, "test": 4})
    folders = [predict(data, tmp_path / name, spoiled(share)) for name, share in (("a", 0.1), ("b", 0.9))]
    facts = compare(folders, data, out=tmp_path / "out").facts
    assert facts["pairs"][0]["better"] is None
    assert "4 images: fewer than 6" in facts["pairs"][0]["verdict"]


def test_a_run_is_measured_drawn_and_timed(run: Path, data: Dataset, good: Path, bad: Path, tmp_path: Path) -> None:
    result = compare([run, good, bad], out=tmp_path / "out", device="cpu", precision="fp32")
    source = result.facts["sources"][0]
    assert source["kind"] == "run"
    assert source["parameters"] == maskwright.Run.open(run).about["parameters"]
    assert source["latency_quartiles_ms"][0] <= source["latency_ms"] <= source["latency_quartiles_ms"][1]
    assert source["size_bytes"] == (run / "weights/best.safetensors").stat().st_size
    assert source["gflops"] > 0
    kept = read_json(run / "cost.json")
    assert kept["latency_ms"] == source["latency_ms"]
    assert kept["machine"] == result.facts["machine"]
    assert [row["epoch"] for row in source["curve"]] == [1, 2, 3]
    assert result.facts["machine"]["threads"] > 0
    assert result.facts["sources"][1]["latency_ms"] is None
    assert {(row["a"], row["b"]) for row in result.facts["disagreements"]} == {("run", "good"), ("good", "bad")}
    assert "What it costs" in maskwright.compare_page(result.path).read_text("utf-8")


def test_an_evaluation_is_used_while_it_is_current_and_made_again_after(
    run: Path, data: Dataset, good: Path, tmp_path: Path
) -> None:
    first = compare([run, good], out=tmp_path / "first", device="cpu")
    scores = run / "evaluation/test/scores.json"
    written = scores.stat().st_mtime_ns
    second = compare([run, good], out=tmp_path / "second", device="cpu")
    assert scores.stat().st_mtime_ns == written
    assert second.facts["pairs"] == first.facts["pairs"]
    assert not any("evaluated again" in note for note in second.facts["notes"])
    old = read_json(scores)
    write_json(scores, old | {"dataset": {**old["dataset"], "fingerprint": "0" * 32}})
    third = compare([run, good], out=tmp_path / "third", device="cpu")
    assert "run was evaluated again: the data set has changed since." in third.facts["notes"]
    assert read_json(scores)["dataset"]["fingerprint"] == data.fingerprint
    write_json(scores, read_json(scores) | {"time": "2020-01-01T00:00:00+00:00"})
    fourth = compare([run, good], out=tmp_path / "fourth", device="cpu")
    assert "run was evaluated again: it was trained further since." in fourth.facts["notes"]


def test_new_masks_in_a_folder_are_scored_again(data: Dataset, good: Path, tmp_path: Path) -> None:
    folder = predict(data, tmp_path / "mine", spoiled(0.3))
    compare([good, folder], data, out=tmp_path / "first")
    before = read_counts(folder / "evaluation/test").tally_N3K.sum()
    predict(data, folder, spoiled(0.0))
    again = compare([good, folder], data, out=tmp_path / "second")
    assert "mine was evaluated again: its masks have changed since." in again.facts["notes"]
    assert read_counts(folder / "evaluation/test").tally_N3K.sum() > before


def test_a_scored_run_without_weights_is_compared_by_its_counts(run: Path, good: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    maskwright.evaluate(bare, device="cpu")
    for path in (bare / "weights").iterdir():
        path.unlink()
    facts = compare([bare, good], out=tmp_path / "out", device="cpu").facts
    assert facts["sources"][0]["latency_ms"] is None
    assert facts["pairs"][0]["difference"] is not None
    assert any("bare has no time and no size here" in note for note in facts["notes"])
    assert any("bare is in no picture" in note for note in facts["notes"])
    shutil.rmtree(bare / "evaluation")
    with pytest.raises(InputError, match="weights"):
        compare([bare, good], out=tmp_path / "none", device="cpu")
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_compared_is_said_and_leaves_nothing(
    run: Path, data: Dataset, good: Path, bad: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="two sources or more"):
        compare([good], data, out=out)
    with pytest.raises(InputError, match="named twice"):
        compare([good, good.parent / "." / good.name], data, out=out)
    with pytest.raises(InputError, match="is not a folder"):
        compare([good, tmp_path / "nothing"], data, out=out)
    fresh = predict(data, tmp_path / "fresh", spoiled(0.3))
    with pytest.raises(InputError, match="--dataset"):
        compare([fresh, predict(data, tmp_path / "fresher", spoiled(0.3))], out=out)
    other = write_shapes(tmp_path / "other", {"test": 3})
    named = maskwright.Classes.from_names(["background", "disc", "ring"])
    write_json(other.path / "unused.json", {})
    renamed = Dataset.create(other.path, named, other.samples, {})
    with pytest.raises(InputError, match="same class table"):
        compare([run, good], renamed, out=out)
    with pytest.raises(InputError, match="images"):
        compare([good, bad], data, out=out, split="nothing")
    with pytest.raises(InputError, match="unit"):
        compare([good, bad], data, out=out, units="pixels")
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(TargetError, match="exists already"):
        compare([good, bad], data, out=out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_no_common_images_are_said(data: Dataset, tmp_path: Path) -> None:
    first = predict(data, tmp_path / "first", spoiled(0.3), skip=IMAGES // 2)
    second = predict(data, tmp_path / "second", spoiled(0.3))
    for sample in data.labelled("test")[IMAGES // 2 :]:
        (second / f"{sample.id}.png").unlink()
    with pytest.raises(InputError, match="no image in common"):
        compare([first, second], data, out=tmp_path / "out")


def test_an_interrupted_comparison_leaves_no_folder(
    data: Dataset, good: Path, bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_module, "draw_pairs", stopped)
    with pytest.raises(KeyboardInterrupt):
        compare([good, bad], data, out=tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


def test_sources_with_one_name_are_told_apart(data: Dataset, tmp_path: Path) -> None:
    folders = [predict(data, tmp_path / parent / "ids", spoiled(0.2), seed=3) for parent in ("x", "y")]
    facts = compare(folders, data, out=tmp_path / "out").facts
    assert [source["name"] for source in facts["sources"]] == ["x/ids", "y/ids"]


def test_groups_are_the_units_where_there_are_enough(tmp_path: Path) -> None:
    samples = []
    for index in range(24):
        image, mask = shapes(index)
        sample = add_sample(tmp_path / "set", f"s{index:02}", image, mask, split="test", classes=shapes_classes())
        samples.append(sample)
    from dataclasses import replace

    grouped = [replace(sample, group=f"place {index // 2}") for index, sample in enumerate(samples)]
    data = Dataset.create(tmp_path / "set", shapes_classes(), grouped, {})
    folders = [predict(data, tmp_path / name, spoiled(share)) for name, share in (("a", 0.1), ("b", 0.3))]
    facts = compare(folders, data, out=tmp_path / "out").facts
    assert (facts["units"]["of"], facts["units"]["count"]) == ("groups", 12)
    assert facts["pairs"][0]["better"] == "a"


def test_the_verb_writes_a_page_prints_the_verdict_and_json(
    data: Dataset, good: Path, bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["compare", str(good), str(bad), "--dataset", str(data.path)]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0
    assert "good is better than bad by" in shown.stderr
    assert (tmp_path / "comparisons/test-1/report.html").is_file()
    as_json = CliRunner().invoke(app, [*call, "--json"])
    found = json.loads(as_json.stdout)
    assert found["folder"] == "comparisons/test-2"
    assert found["pairs"][0]["better"] == "good"


def test_the_verb_ends_with_2_where_nothing_can_be_compared(
    good: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["maskwright", "compare", str(good)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "two sources or more" in capsys.readouterr().err
