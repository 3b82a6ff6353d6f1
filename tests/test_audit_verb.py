"""The verb `audit`: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawing import write_shapes
from scenes import faults
from typer.testing import CliRunner

from maskwright.cli import app
from maskwright.types import InputError

runner = CliRunner()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verb") / "planted set"
    faults.plant(faults.drawn_shots(45), faults.SCENE, path, each=1, seed=2)
    return path


def test_findings_are_printed_written_and_no_failure(planted: Path) -> None:
    done = runner.invoke(app, ["audit", str(planted)])
    assert done.exit_code == 0, done.stderr
    assert "45 images, 45 masks: " in done.stderr
    assert "error: files that cannot be read (2)" in done.stderr
    assert f"maskwright audit '{planted}' --fix '{planted}-fixed'" in done.stderr
    assert done.stdout == ""
    assert {path.name for path in (planted / "audit").iterdir()} == {
        "audit.json",
        "audit.txt",
        "index.html",
        "pictures",
    }


def test_json_is_one_object(planted: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, ["audit", str(planted), "--json", "--out", str(tmp_path / "out")])
    facts = json.loads(done.stdout)
    assert facts["counts"]["error"] == sum(row["severity"] == "error" for row in facts["findings"])
    assert Path(facts["page"]) == tmp_path / "out" / "index.html"


@pytest.mark.parametrize(("gate", "code"), [("error", 1), ("warning", 1)])
def test_the_gate_fails_where_there_is_something(planted: Path, gate: str, code: int) -> None:
    assert runner.invoke(app, ["audit", str(planted), "--gate", gate]).exit_code == code


def test_the_gate_is_open_for_good_data(tmp_path: Path) -> None:
    write_shapes(tmp_path / "good", {"train": 6})
    assert runner.invoke(app, ["audit", str(tmp_path / "good"), "--gate", "error"]).exit_code == 0


def test_fix_writes_a_new_set_that_passes_its_contract(planted: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, ["audit", str(planted), "--fix", str(tmp_path / "new"), "--turn", "--specks", "4"])
    assert done.exit_code == 0, done.stderr
    assert "repairs by sample" in done.stderr
    assert (tmp_path / "new" / "repairs.csv").is_file()
    again = runner.invoke(app, ["audit", str(tmp_path / "new"), "--json"])
    assert not [row for row in json.loads(again.stdout)["findings"] if row["repairs"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--gate", "note"], "none of: error, warning"), (["--specks", "3"], "--fix NEW_FOLDER"), (["--turn"], "--fix")],
)
def test_nonsense_is_refused_before_the_work(planted: Path, options: list[str], words: str) -> None:
    done = runner.invoke(app, ["audit", str(planted), *options])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)
