"""The command line as a person and as a machine uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import photo, shapes, write_shapes
from quick import QUICK

from maskwright.cli import app, main
from maskwright.imageio import read_mask, write_image, write_mask
from maskwright.types import Classes

Cli = Callable[..., tuple[int, str, str]]
SETS = [word for text in QUICK for word in ("--set", text)]


def run(*words: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    monkeypatch.setattr(sys, "argv", ["maskwright", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), captured.out, captured.err


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command in a fresh working directory."""
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> tuple[int, str, str]:
        return run(*words, capsys=capsys, monkeypatch=monkeypatch)

    return command


def draw_pairs(folder: Path, count: int = 8) -> Path:
    """images/ and masks/ of 0, 1, 2 and 255."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    classes = Classes.from_names(["a", "b", "c"])
    for index in range(count):
        image, mask = shapes(index)
        write_image(folder / "images" / f"{index}.png", image)
        write_mask(folder / "masks" / f"{index}.png", mask, classes)
    return folder


def test_ones_own_photos_from_import_to_prediction(cli: Cli, tmp_path: Path) -> None:
    draw_pairs(tmp_path / "mine")
    code, out, err = cli("import", "folders", "mine", "data", "--classes", "ground,disc,box", "--json")
    assert code == 0, err
    assert json.loads(out)["classes"] == ["ground", "disc", "box"]
    assert "masks read as 'index'" in err
    assert "maskwright train data" in err

    code, out, err = cli("train", "data", "--seed", 3, "--out", "run", *SETS, "--json")
    assert code == 0, err
    assert json.loads(out)["ended"] == "finished"
    assert "maskwright evaluate run" in err
    assert (tmp_path / "run/report.html").is_file()

    code, out, err = cli("evaluate", "run", "--json", "--device", "cpu")
    assert code == 0, err
    assert 0 <= json.loads(out)["mean_iou"] <= 1
    assert "mean IoU" in err
    assert "never labelled" in err

    code, out, err = cli("predict", "run", "mine/images", "-o", "found", "--json")
    assert code == 0, err
    assert len(json.loads(out)["images"]) == 8
    assert (tmp_path / "found/ids/0.png").is_file()

    code, _, err = cli("report", "run", "--out", "page.html")
    assert code == 0, err
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_photos_first_masks_later(cli: Cli, tmp_path: Path) -> None:
    draw_pairs(tmp_path / "mine")
    assert cli("init", "mine/images", "data", "--classes", "ground,disc,box")[0] == 0
    code, _, err = cli("train", "data", "--out", "run", *SETS)
    assert code == 2
    assert "no labelled images" in err
    for mask in (tmp_path / "mine/masks").iterdir():
        (tmp_path / "data/masks" / mask.name).write_bytes(mask.read_bytes())
    code, _, err = cli("train", "data", "--out", "run", *SETS)
    assert code == 0, err


def test_runs_are_numbered_where_no_name_is_given(cli: Cli, tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", {"train": 4, "val": 2})
    one_epoch = [*SETS, "--set", "train.epochs=1"]
    for number in (1, 2):
        assert cli("train", "shapes", *one_epoch)[0] == 0
        assert (tmp_path / f"runs/shapes-default-{number}/run.yaml").is_file()


def test_left_out_files_are_listed_and_change_the_exit_code(cli: Cli, tmp_path: Path) -> None:
    draw_pairs(tmp_path / "mine")
    (tmp_path / "mine/images/3.png").write_bytes(b"")
    code, out, err = cli("import", "index", "mine", "data", "--classes", "a,b,c", "--json")
    assert code == 3
    assert json.loads(out)["images"] == 7
    assert json.loads(out)["skipped"][0]["file"].endswith("3.png")
    assert "Left out, 1 in all" in err
    code, _, err = cli("import", "index", "mine", "strict", "--classes", "a,b,c", "--strict")
    assert code == 2
    assert "3.png" in err
    assert not (tmp_path / "strict").exists()


def test_found_colours_await_a_yes(cli: Cli, tmp_path: Path) -> None:
    for index in range(4):
        for name in ("images", "masks"):
            (tmp_path / "mine" / name).mkdir(parents=True, exist_ok=True)
        image, mask = shapes(index)
        write_image(tmp_path / f"mine/images/{index}.png", image)
        painted = Classes.from_names(["a", "b", "c"]).palette()[mask]
        write_image(tmp_path / f"mine/masks/{index}.png", painted)
    code, _, err = cli("import", "colour", "mine", "data")
    assert code == 2
    assert "--yes" in err
    assert "#3c3c3c" in err
    code, out, err = cli("import", "colour", "mine", "data", "--yes", "--ignore", "255,255,255", "--json")
    assert code == 0, err
    assert len(json.loads(out)["classes"]) == 3


def test_mistakes_are_one_sentence_and_code_2(cli: Cli, tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", {"train": 4, "val": 2})
    for words, message in [
        (("train", "nowhere"), "does not exist"),
        (("train", "shapes", "--recipe", "raod"), "Did you mean 'road'"),
        (("train", "shapes", "--set", "optim.lrr=1"), "did you mean 'optim.lr'"),
        (("train",), "--resume"),
        (("train", "--resume", "shapes"), "not a run folder"),
        (("import", "indx", "shapes", "x"), "Did you mean 'index'"),
        (("evaluate", "shapes"), "not a run folder"),
        (("report", "shapes"), "not a run folder"),
        (("init", "shapes/images", "x", "--classes", "a,a"), "appears twice"),
    ]:
        code, out, err = cli(*words, "--json")
        assert code == 2, words
        assert message in err, words
        assert len(err.strip().splitlines()) == 1, err
        assert json.loads(out)["error"] in err


def test_raindrops_over_photos(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for index in range(4):
        write_image(tmp_path / f"photos/{index}.png", photo((80, 96), seed=index))
    code, out, err = cli("synth", "raindrops", "photos", "drops", "--per-photo", 2, "--side", 64, "--json")
    assert code == 0, err
    assert json.loads(out)["images"] == 8
    masks = list((tmp_path / "drops/masks").glob("*.png"))
    assert read_mask(masks[0], Classes.from_names(["background", "raindrop"]), (64, 64)).max() == 1


def test_recipes_and_their_schema(cli: Cli, tmp_path: Path) -> None:
    assert json.loads(cli("recipes", "--json")[1]).keys() >= {"default", "road", "demo"}
    assert json.loads(cli("recipes", "road", "--json")[1])["name"] == "road"
    assert cli("recipes", "--schema", "schema.json")[0] == 0
    assert json.loads((tmp_path / "schema.json").read_text())["additionalProperties"] is False


def test_convert_and_back(cli: Cli, tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", {"train": 3, "val": 2})
    assert cli("convert", "shapes", "colour", "painted")[0] == 0
    code, out, _ = cli("import", "colour", "painted", "again", "--json")
    assert code == 0
    assert json.loads(out)["splits"] == {"train": 3, "val": 2}


def test_every_verb_has_help(cli: Cli) -> None:
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        code, out, _ = cli(name, "--help")
        assert code == 0
        assert "Usage" in out


def test_importing_and_help_are_light() -> None:
    code = (
        "import sys, maskwright, maskwright.cli; print(*(m for m in ('torch', 'cv2', 'lightning') if m in sys.modules))"
    )
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == ""
