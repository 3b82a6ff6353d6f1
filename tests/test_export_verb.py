from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import make_run
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app
from maskwright.files import write_json
from maskwright.infer.exporting.export import Exported
from maskwright.infer.exporting.parity import Count, Parity
from maskwright.reporting.page import report
from maskwright.types import InputError


def a_parity() -> Parity:
    tests = {
        "their own sizes, one by one": Count(pixels=10_000, same=9_999, photos=20),
        "17x23, one by one and in batches of 3": Count(pixels=1_000, same=990, photos=6),
    }
    return Parity(tests=tests, labelled=20, mean_iou_run=0.6612, mean_iou=0.6589)


def a_record() -> dict[str, Any]:
    return {"bytes": 11_900_000, "photos": 20, "photos_from": "the data set <b>", "time": "2026-05-01T12:34:56+02:00"}


def test_the_verb_says_how_near_the_export_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fake(run: Path, to: str, **options: Any) -> Exported:
        asked.update(options, run=run, to=to)
        (tmp_path / "segment.py").write_text("")
        return Exported(folder=tmp_path, file=tmp_path / "model.onnx", parity=a_parity(), record=a_record())

    monkeypatch.setattr(maskwright, "export", fake, raising=False)
    done = CliRunner().invoke(app, ["export", "a-run", "--precision", "int8", "--max-loss", "0.02", "--json"])
    assert done.exit_code == 0, done.output
    assert (asked["to"], asked["precision"], asked["max_loss"]) == ("onnx", "int8", 0.02)
    assert "99.900% of the pixels of 20 photos" in done.stderr
    assert "least at 17x23, one by one and in batches of 3: 99.000%" in done.stderr
    assert "Mean IoU 0.6589, by the run 0.6612, on 20 labelled photos (-0.23 points)" in done.stderr
    assert "segment.py PHOTO.jpg" in done.stderr
    assert json.loads(done.stdout)["photos"] == 20


@pytest.mark.parametrize("options", [["--compare", "3"], ["--calibrate", "0"], ["--max-loss", "-1"]])
def test_nonsense_is_refused(options: list[str]) -> None:
    assert CliRunner().invoke(app, ["export", "a-run", *options]).exit_code == 2


def test_no_run_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path)])
    assert isinstance(done.exception, InputError)
    assert "is not a run folder" in str(done.exception)


def test_the_report_shows_every_export(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert 'id="exports"' not in report(run.path).read_text("utf-8")
    for name in ("onnx-fp32", "openvino-int8"):
        folder = run.path / "exports" / name
        folder.mkdir(parents=True)
        write_json(folder / "export.json", a_record() | {"parity": a_parity().to_dict()})
    html = report(run.path).read_text("utf-8")
    section = html.partition('<section id="exports"')[2].partition("</section>")[0]
    for text in ("onnx-fp32", "openvino-int8", "99.90 %", "99.00 %", "11.9 MB", "0.659", "-0.23"):
        assert text in section
    assert 'href="#exports"' in html
