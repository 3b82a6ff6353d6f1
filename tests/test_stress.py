"""The stress test from the outside, on a run that a test trained, and the numbers by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import shapes_classes, write_shapes
from quick import quick
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app
from maskwright.data.dataset import Dataset
from maskwright.data.perturbing import SUITES, perturb
from maskwright.files import read_json
from maskwright.imageio import read_image
from maskwright.metrics.counts import confusion
from maskwright.metrics.tally import tally_of
from maskwright.metrics.units import choose_units
from maskwright.run import Run, read_csv
from maskwright.scoring.stressing import stress_images
from maskwright.scoring.stressing.cases import choose, find_objects
from maskwright.scoring.stressing.gates import judge, metric_names, metrics, read_gate
from maskwright.scoring.stressing.retention import robustness, table
from maskwright.scoring.stressing.stress import trained_on
from maskwright.scoring.stressing.stress_images import StressImage
from maskwright.types import Classes, InputError

runner = CliRunner()
KINDS = ["noise", "occlusion"]
FEW: dict[str, Any] = {"kinds": KINDS, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Dataset]:
    """A run that has learned a little, and its data set."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_shapes(folder / "shapes", {"train": 8, "val": 2, "test": 4})
    return maskwright.train(data, quick("train.epochs=8"), out=folder / "run").run, data


@pytest.fixture
def run(trained: tuple[Run, Dataset], tmp_path: Path) -> Run:
    """A copy of it without results."""
    return Run.open(shutil.copytree(trained[0].path, tmp_path / "a run"))


def counts(folder: Path) -> np.ndarray[Any, Any]:
    with np.load(folder / "counts.npz") as arrays:
        return np.array(arrays["tally_PLN3K"])


def test_counts_are_those_of_each_picture_predicted_by_itself(run: Run, trained: tuple[Run, Dataset]) -> None:
    (result,) = maskwright.stress(run, suite="both", **{**FEW, "kinds": ["scale"]}, workers=0)
    tally = counts(result.path)
    predictor = maskwright.Predictor.load(run, device="cpu", precision="fp32")
    data = trained[1]
    for n, sample in enumerate(data.labelled("test")):
        for level in range(1, 7):
            image, mask = perturb(
                "scale", level, data.image(sample), data.mask(sample), seed=0, sample_id=sample.id, ignore=255
            )
            by_hand = tally_of(confusion(mask, predictor.ids(image), 3))
            assert (tally[0, level - 1, n] == by_hand).all()
    assert not (tally[0, 0] == tally[0, 5]).all()


def test_the_first_level_is_what_evaluate_says(run: Run) -> None:
    (result,) = maskwright.stress(run, **FEW, workers=0)
    scores = maskwright.evaluate(run, device="cpu", precision="fp32").scores
    assert result.scores["clean"]["mean_iou"] == pytest.approx(scores["mean_iou"])
    assert result.scores["clean"]["mean_dice"] == pytest.approx(scores["mean_dice"])
    assert result.scores["images"] == scores["images"]
    total = counts(result.path)[:, 0].sum(1)
    assert (total == tally_of(np.array(scores["confusion"]))).all()


def test_any_number_of_workers_gives_the_same_result(run: Run) -> None:
    found = []
    for workers in (0, 1, 2):
        (result,) = maskwright.stress(run, **FEW, workers=workers)
        found.append((counts(result.path), result.scores["kinds"], result.scores["cases"]))
        shutil.rmtree(result.path)
    assert (found[0][0] == found[1][0]).all()
    assert (found[0][0] == found[2][0]).all()
    assert found[0][1:] == found[1][1:] == found[2][1:]


def test_the_folder_holds_tables_counts_and_pictures(run: Run) -> None:
    (result,) = maskwright.stress(run, **FEW, workers=0)
    assert result.path == run.path / "stress" / "ladder-test"
    assert {path.name for path in result.path.iterdir()} == {
        "stress.json", "stress.txt", "stress.csv", "counts.npz", "cases",
    }  # fmt: skip
    assert [path.name for path in result.path.parent.iterdir()] == ["ladder-test"]
    rows = read_csv(result.path / "stress.csv")
    assert len(rows) == 2 * 10
    assert {"kind", "level", "value", "mean_iou", "mean_dice", "retention", "iou/disc", "dice/box"} <= rows[0].keys()
    scores = result.scores
    assert scores == read_json(result.path / "stress.json")
    assert [kind["name"] for kind in scores["kinds"]] == KINDS
    assert scores["kinds"][0]["levels"][9]["value"] == 18
    assert set(scores["cost"]) == {"predict_seconds", "perturb_seconds", "score_seconds"}
    assert all(value > 0 for value in scores["cost"].values())
    assert {case["kind"] for case in scores["cases"]} == set(KINDS)
    for case in scores["cases"]:
        assert case["recall_clean"] > 0.5
        assert case["class"] in ("disc", "box")
        for picture in case["pictures"].values():
            assert max(read_image(result.path / picture).shape[:2]) <= 256


def test_another_seed_gives_other_pictures_and_the_same_first_level(run: Run) -> None:
    zero, one = (counts(maskwright.stress(run, **FEW, seed=seed, workers=0)[0].path) for seed in (0, 1))
    assert (zero[:, 0] == one[:, 0]).all()
    assert not (zero[:, 9] == one[:, 9]).all()


class CrashError(Exception):
    pass


def crash_after(monkeypatch: pytest.MonkeyPatch, images: int) -> list[str]:
    """Let the work end with an error after some images; the list fills with the ids that were begun."""
    begun: list[str] = []
    honest = StressImage.__call__

    def work(self: StressImage, sample: Any) -> dict[str, Any]:
        if len(begun) == images:
            raise CrashError
        begun.append(sample.id)
        return honest(self, sample)

    monkeypatch.setattr(StressImage, "__call__", work)
    return begun


def test_what_is_done_is_not_done_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = maskwright.stress(run, **FEW, workers=0)
    expected = counts(whole.path)
    shutil.rmtree(whole.path)
    with monkeypatch.context() as patch:
        first = crash_after(patch, 2)
        with pytest.raises(CrashError):
            maskwright.stress(run, **FEW, workers=0)
    assert not whole.path.exists()
    with monkeypatch.context() as patch:
        second = crash_after(patch, 99)
        (result,) = maskwright.stress(run, **FEW, workers=0)
    assert len(first) == 2
    assert len(second) == 2
    assert not set(first) & set(second)
    assert (counts(result.path) == expected).all()


def test_another_job_begins_anew_and_keeps_the_old_result_until_it_is_done(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = maskwright.stress(run, **FEW, workers=0)
    for change in ({"seed": 1}, {"max_images": 3}, {"kinds": ["blur"]}):
        with monkeypatch.context() as patch:
            begun = crash_after(patch, 2)
            with pytest.raises(CrashError):
                maskwright.stress(run, **{**FEW, **change}, workers=0)
        assert len(begun) == 2
        assert read_json(old.path / "stress.json")["job"] == old.scores["job"]


def test_a_finished_job_is_not_repeated_but_other_weights_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = maskwright.stress(run, **FEW, workers=0)
    begun = crash_after(monkeypatch, 99)
    (again,) = maskwright.stress(run, **FEW, workers=0, gates=["retention>=0"])
    assert again.scores == first.scores
    assert again.verdicts[0].held
    assert not begun
    changed = bytearray(run.weights("best").read_bytes())
    changed[-1] ^= 1
    run.weights("best").write_bytes(changed)
    maskwright.stress(run, **FEW, workers=0)
    assert len(begun) == 4


def test_a_result_that_could_not_be_moved_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = maskwright.stress(run, **FEW, workers=0)
    result.path.rename(result.path.with_name(".ladder-test.new"))
    begun = crash_after(monkeypatch, 99)
    assert maskwright.stress(run, **FEW, workers=0)[0].scores == result.scores
    assert not begun


def test_fewer_images_are_spread_over_the_split(run: Run) -> None:
    (result,) = maskwright.stress(run, **FEW, max_images=2, workers=0)
    with np.load(result.path / "counts.npz") as arrays:
        assert arrays["ids"].tolist() == ["shape-010", "shape-012"]


def test_a_bad_file_is_left_out_or_fatal(run: Run, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "bad", {"test": 3})
    (data.path / data.samples[0].image).write_bytes(b"\x89PNG and no more")
    (result,) = maskwright.stress(run, data.path, **FEW, workers=0)
    assert result.scores["images"] == 2
    assert [item.file for item in result.skipped] == [data.samples[0].id]
    with pytest.raises(InputError, match="shape-000"):
        maskwright.stress(run, data.path, **FEW, workers=0, strict=True)
    for sample in data.samples:
        (data.path / sample.image).write_bytes(b"")
    with pytest.raises(InputError):
        maskwright.stress(run, data.path, **FEW, workers=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"suite": "lader"}, "Did you mean 'ladder'"),
        ({"kinds": ["nois"]}, "Did you mean 'noise'"),
        ({"kinds": ["fog"]}, "Unknown kind of suite ladder 'fog'"),
        ({"max_images": 0}, "at least 1"),
        ({"split": "tset"}, "no labelled images in split 'tset'"),
        ({"gates": ["retention>0.8"]}, "METRIC>=NUMBER"),
        ({"gates": ["retention>=high"]}, "METRIC>=NUMBER"),
        ({"gates": ["retention"]}, "METRIC>=NUMBER"),
        ({"gates": [""]}, "METRIC>=NUMBER"),
        ({"gates": ["retention/blurr>=0.8"]}, "did you mean 'retention/blur'"),
        ({"gates": ["mean_iou/noise@11>=0.8"]}, "names no metric"),
        ({"gates": ["retention/fog>=0.8"]}, "names no metric"),
        ({"weights": "middle"}, "middle"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(run: Run, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        maskwright.stress(run, device="cpu", **options)
    assert "\n" not in str(error.value)
    assert not (run.path / "stress").exists()


def test_another_class_table_is_refused(run: Run, tmp_path: Path) -> None:
    other = write_shapes(tmp_path / "other", {"test": 2})
    record = other.path / "dataset.yaml"
    record.write_text(record.read_text().replace("name: disc", "name: ring"))
    with pytest.raises(InputError, match="has classes"):
        maskwright.stress(run, other.path, **FEW)


# ---------------------------------------------------------------- the verb


def call(run: Run, *options: str) -> Any:
    return runner.invoke(
        app, ["stress", str(run.path), "--device", "cpu", "--precision", "fp32", "--workers", "0", *options]
    )


def test_the_verb_prints_the_table_and_ends_as_the_gate_says(run: Run) -> None:
    done = call(
        run, "--kinds", "noise,blur", "--classes", "disc", "--gate", "retention>=0", "--gate", "worst>=0,mean_iou>=0"
    )
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("mean IoU / mean Dice"))
    assert lines[head].split()[5:8] == ["1", "(clean)", "2"]
    assert lines[head + 1].startswith("Gaussian noise")
    assert lines[head + 2].startswith("Gaussian blur")
    assert lines[head + 1].count(" / ") == 10
    assert any(line.startswith("IoU / Dice of disc") for line in lines)
    assert sum("held with" in line for line in lines) == 3
    failed = call(run, "--kinds", "noise,blur", "--json", "--gate", "retention/noise>=5", "--gate", "worst>=0")
    assert failed.exit_code == 4
    facts = json.loads(failed.stdout)
    assert [row["held"] for row in facts["gates"]] == [False, True]
    assert facts["results"][0]["kinds"][0]["name"] == "noise"
    assert "gate retention/noise>=5: FAILED with" in failed.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--kinds", "noise,,blur"], "empty name"), (["--kinds", ""], "empty name"), (["--classes", "dsic"], "disc")],
)
def test_empty_and_unknown_names_are_refused_before_the_work(run: Run, options: list[str], words: str) -> None:
    done = call(run, *options)
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)
    assert not (run.path / "stress").exists()


def test_a_sheet_is_drawn_without_the_work(run: Run, tmp_path: Path) -> None:
    done = call(run, "--suite", "both", "--sheet", str(tmp_path / "levels.png"))
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*.png")} == {"levels-ladder.png", "levels-corruptions.png"}
    assert not (run.path / "stress").exists()
    with pytest.raises(InputError, match=r"end in \.png or \.jpg"):
        maskwright.stress_sheet(run, None, tmp_path / "levels.txt")


# ---------------------------------------------------------------- numbers by hand


def tallies(iou_PL: list[list[float]]) -> np.ndarray[Any, Any]:
    """Two images and one class of 1,000 pixels each, of which a share is found and nothing else predicted."""
    hit = np.array(iou_PL) * 1000
    one = np.stack([hit, np.full(hit.shape, 1000.0), hit], axis=-1)[..., None]
    return np.stack([one, one], axis=2).astype(np.int64)


def heads(names: list[str], levels: int) -> list[dict[str, Any]]:
    values = [{"value": float(level), "label": f"{level}"} for level in range(levels)]
    return [{"name": name, "title": name, "unit": "", "trained_on": False, "values": values} for name in names]


def by_hand(iou_PL: list[list[float]]) -> dict[str, Any]:
    names = [f"kind{p}" for p in range(len(iou_PL))]
    classes = Classes.from_names(["thing"])
    scores = robustness(
        tallies(iou_PL), heads(names, len(iou_PL[0])), classes, background=True, units=choose_units(["", ""])
    )
    return {**scores, "levels": len(iou_PL[0])}


def test_retention_area_and_worst_drop() -> None:
    scores = by_hand([[0.8, 0.8, 0.4], [0.8, 0.2, 0.6]])
    first, second = scores["kinds"]
    assert first["retention"] == pytest.approx(0.75)
    assert second["retention"] == pytest.approx(0.5)
    assert scores["retention"] == pytest.approx(0.625)
    assert scores["worst"] == pytest.approx(0.25)
    assert first["area"] == pytest.approx(0.7)
    assert second["area"] == pytest.approx(0.45)
    assert second["worst"] == {"level": 2, "mean_iou": pytest.approx(0.2), "drop": pytest.approx(0.6)}
    assert second["levels"][1]["mean_dice"] == pytest.approx(2 * 0.2 / 1.2)
    assert first["interval"] == [pytest.approx(0.75)] * 2  # both images are alike


def test_a_model_that_finds_nothing_has_no_retention() -> None:
    scores = by_hand([[0.0, 0.0], [0.0, 0.0]])
    assert np.isnan(scores["retention"])
    assert np.isnan(scores["kinds"][0]["retention"])
    plain = json.loads(json.dumps(scores).replace("NaN", "null"))
    assert not judge([read_gate("retention>=0", ["retention"])], plain)[0].held
    assert table(plain)[1].split()[-1] == "-"


def test_the_table_has_a_row_a_kind_and_a_column_a_level() -> None:
    lines = table(by_hand([[0.777, 0.7], [0.777, 0.3915]]), ["thing"])
    assert lines[0].split("  ")[0] == "mean IoU / mean Dice"
    assert lines[1].startswith("kind0")
    assert "0.777 / 0.875  0.700 / 0.824" in lines[1]
    assert lines[3] == ""
    assert any(line.startswith("IoU / Dice of thing") for line in lines)
    columns = [line.index(" / 0.") for line in lines[1:3]]
    assert columns[0] == columns[1]


def test_gates_know_every_metric_that_a_result_has() -> None:
    scores = by_hand([[0.8, 0.8, 0.4], [0.8, 0.2, 0.6]])
    values = metrics(scores)
    assert set(values) == set(metric_names(["kind0", "kind1"], 3))
    assert values["mean_iou/kind1@2"] == pytest.approx(0.2)
    assert values["retention/kind0@3"] == pytest.approx(0.5)
    assert values["worst/kind0"] == pytest.approx(0.5)
    gates = [read_gate(text, values) for text in ("worst>=0.25", "worst>=0.26", " retention/kind0 >= .75 ")]
    assert [verdict.held for verdict in judge(gates, scores)] == [True, False, True]


def test_groups_are_resampled_where_there_are_enough() -> None:
    tally = np.repeat(tallies([[0.8, 0.4]]), 12, axis=2)
    few = choose_units(["a", "b"] * 12)
    many = choose_units([f"g{n // 2}" for n in range(24)])
    classes = Classes.from_names(["thing"])
    found = [
        robustness(tally, heads(["k"], 2), classes, background=True, units=units)["units"] for units in (few, many)
    ]
    assert found[0]["of"] == "images"
    assert found[0]["note"]
    assert found[1]["of"] == "groups"
    assert found[1]["count"] == 12


# ---------------------------------------------------------------- pictures


def test_objects_that_were_found_and_then_lost() -> None:
    truth = np.zeros((100, 200), np.uint8)
    truth[10:50, 10:60] = 1  # large, found
    truth[70:80, 20:30] = 2  # small, found
    truth[70:80, 120:130] = 2  # small, never found
    truth[20:60, 120:180] = 255
    truth[90, 90] = 1  # a speck
    clean = truth.copy()
    clean[truth == 255] = 0
    clean[70:80, 120:130] = 0
    objects = find_objects(truth, clean, shapes_classes())
    assert [(row["size"], row["class"]) for row in objects.rows] == [("large", 1), ("small", 2)]
    assert not objects.lost(clean)
    spoiled = clean.copy()
    spoiled[10:30, 10:60] = 0
    spoiled[70:80, 20:30] = 1
    assert objects.lost(spoiled) == [
        {"size": "large", "class": 1, "at": [10, 10], "drop": 0.5},
        {"size": "small", "class": 2, "at": [70, 20], "drop": 1.0},
    ]


def test_an_object_in_a_wall_of_its_class_does_not_count_as_found() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[40:48, 40:48] = 2
    assert not find_objects(truth, np.full_like(truth, 2), shapes_classes()).rows
    assert not find_objects(np.zeros_like(truth), truth, shapes_classes()).rows


def test_the_case_is_chosen_under_the_kind_that_costs_most() -> None:
    kinds = [
        {"name": name, "levels": [{"mean_iou": 0.8}, {"mean_iou": last}]} for name, last in [("a", 0.5), ("b", 0.2)]
    ]
    rows = [
        {"kind": "a", "size": "large", "drop": 1.0, "id": "x"},
        {"kind": "b", "size": "large", "drop": 0.4, "id": "y"},
        {"kind": "b", "size": "large", "drop": 0.6, "id": "z"},
        {"kind": "a", "size": "small", "drop": 0.1, "id": "x"},
    ]
    assert {size: row["id"] for size, row in choose(rows, kinds).items()} == {"large": "z", "small": "x"}


def test_kinds_that_training_saw_are_named() -> None:
    assert (
        trained_on(quick("augment={brightness: 0, contrast: 0, gamma: 0, cast: 0, rotate: 0, scale: [1, 1]}")) == set()
    )
    found = trained_on(quick("augment={brightness: 0.1, jpeg: 0.5, scale: [0.9, 1.1]}"))
    assert {"brightness_up", "brightness_down", "jpeg", "scale"} <= found
    found |= trained_on(quick("augment={perturb: 0.5, perturb_kinds: [fog, noise]}"))
    assert {"fog", "noise"} <= found
    assert found <= {name for suite in SUITES.values() for name in suite}


def test_each_suite_has_one_number_of_levels() -> None:
    for suite in SUITES.values():
        assert len({kind.levels for kind in suite.values()}) == 1


def test_few_images_stay_in_this_process() -> None:
    assert stress_images._workers("cpu", 1, None) == 0
    assert stress_images._workers("cpu", 1, 3) == 3
    assert stress_images._workers("cuda", 500, 4) == 0
