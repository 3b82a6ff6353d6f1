from __future__ import annotations

import os
from pathlib import Path

import pytest
from drawing import shapes_classes

from maskwright.config import Recipe
from maskwright.run import Run, environment, now, read_csv, write_csv
from maskwright.types import InputError

RECIPE = Recipe(name="mine").with_values(data__size=(32, 48), optim__lr=1e-4)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", RECIPE, shapes_classes(), {"command": "train", "data": {"path": "x"}})


def test_a_run_opens_as_it_was_created(run: Run) -> None:
    again = Run.open(run.path)
    assert again.recipe == RECIPE
    assert again.classes == shapes_classes()
    assert again.about["status"] == "started"
    assert again.about["data"] == {"path": "x"}
    again.write_about({"status": "finished"})
    assert Run.open(str(run.path)).about == {**run.about, "status": "finished"}


def test_a_folder_with_content_is_never_reused(run: Run, tmp_path: Path) -> None:
    before = (run.path / "run.yaml").read_bytes()
    with pytest.raises(InputError, match="exists already; remove it or choose another name"):
        Run.create(run.path, Recipe(), shapes_classes(), {})
    assert (run.path / "run.yaml").read_bytes() == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        Run.create(tmp_path / "file", Recipe(), shapes_classes(), {})
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path / "empty", Recipe(), shapes_classes(), {}).recipe == Recipe()


def test_what_is_no_run_is_explained(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run folder .* 'maskwright train' makes one"):
        Run.open(tmp_path)
    (run.path / "run.yaml").write_text("format: 999\n")
    with pytest.raises(InputError, match="newer maskwright"):
        Run.open(run.path)


@pytest.mark.parametrize(("name", "says"), [("recipe.yaml", "lrr"), ("classes.yaml", "malformed")])
def test_a_broken_part_of_a_run_is_named(run: Run, name: str, says: str) -> None:
    (run.path / name).write_text("optim: {lrr: 1}\n")
    with pytest.raises(InputError, match=says) as caught:
        Run.open(run.path)
    assert name in str(caught.value)
    (run.path / name).unlink()
    with pytest.raises(InputError, match="does not exist"):
        Run.open(run.path)


def test_weights_that_are_not_there_are_explained(run: Run) -> None:
    with pytest.raises(InputError, match=r"best\.safetensors is missing.*train again"):
        run.weights()
    (run.path / "weights" / "last.safetensors").write_bytes(b"x")
    assert run.weights("last").name == "last.safetensors"


def test_metrics_keep_numbers_and_leave_gaps_out(run: Run) -> None:
    assert run.metrics() == []
    run.write_metrics([{"epoch": 0, "loss": 1.25}, {"epoch": 1, "loss": 0.1 + 0.2, "iou": 0.5}])
    assert run.metrics() == [{"epoch": 0, "loss": 1.25}, {"epoch": 1, "loss": 0.1 + 0.2, "iou": 0.5}]
    assert (run.path / "metrics.csv").read_text().splitlines()[0] == "epoch,loss,iou"


def test_evaluations_come_in_the_order_they_were_made(run: Run) -> None:
    for second, name in enumerate(["val", "test", "other"]):
        run.write_scores(name, {"mean_iou": second}, [{"image": "a", "iou": 1.0}])
        os.utime(run.evaluation_folder(name) / "scores.json", (1000 + second, 1000 + second))
    os.utime(run.evaluation_folder("val") / "scores.json", (2000, 2000))
    assert list(run.evaluations()) == ["test", "other", "val"]
    assert run.evaluations()["other"] == {"mean_iou": 2}
    run.evaluation_folder("broken").mkdir()
    assert "broken" not in run.evaluations(), "without scores.json it is not complete"


def test_csv_survives_commas_quotes_newlines_and_umlauts(tmp_path: Path) -> None:
    rows = [{"a": 'say "hi", ä', "b": "two\nlines"}, {"a": " spaced ", "b": ""}]
    write_csv(tmp_path / "t.csv", rows)
    assert read_csv(tmp_path / "t.csv") == rows
    (tmp_path / "bom.csv").write_bytes("\ufeffid,x\n1,2\n".encode())
    assert read_csv(tmp_path / "bom.csv") == [{"id": "1", "x": "2"}]


def test_csv_that_is_no_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe\x80,1\n")
    with pytest.raises(InputError, match=r"t\.csv is not a readable CSV file .*save it as UTF-8"):
        read_csv(tmp_path / "t.csv")


def test_environment_and_time_are_plain_text() -> None:
    versions = environment()
    assert {"python", "platform", "maskwright", "torch", "numpy"} <= versions.keys()
    assert versions["numpy"] != "not installed"
    assert len(now()) == len("2000-01-01T00:00:00+00:00")
