"""`maskwright split` from files to files: what it looks at, writes, says and undoes, and what training makes of it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, photo, shapes, shapes_classes
from quick import QUICK, quick

from maskwright.cli import main
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.splits.holdout import SplitRule
from maskwright.data.splits.resplit import BEFORE, split_dataset, undo_split
from maskwright.data.splits.split import split_hash, with_fold
from maskwright.files import write_yaml
from maskwright.imageio import write_image
from maskwright.reporting.page import report
from maskwright.run import Run, read_csv, write_csv
from maskwright.scoring.evaluating.score import evaluate
from maskwright.training.fit import resume, train
from maskwright.types import Classes, InputError, Mask

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command in a fresh working directory: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["maskwright", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return (ended.value.code if isinstance(ended.value.code, int) else 0), captured.out, captured.err

    return command


def scenes(folder: Path, count: int = 12, per_scene: int = 2) -> Dataset:
    """Scenes of a few pictures; only the first three scenes show a box."""
    classes = shapes_classes()
    samples = []
    for number in range(count):
        for view in range(per_scene):
            image, mask = shapes(100 * number + view)
            mask[mask == 2] = 2 if number < 3 else 1
            name = f"scene{number:02}-{view}"
            samples.append(replace(add_sample(folder, name, image, mask, classes=classes), extra={"camera": "left"}))
    return Dataset.create(folder, classes, samples, {"from": {"format": "drawn"}, "split": "given by the source"})


def sides(data: Dataset) -> dict[str, str]:
    return {sample.id: sample.split for sample in data.samples}


def grown(data: Dataset, name: str, image: np.ndarray, mask: Mask | None) -> Dataset:
    """The data set with one more row, as another tool appends it."""
    sample = add_sample(data.path, name, image, mask, classes=data.classes, split="")
    write_csv(data.path / "samples.csv", [one.to_row() for one in (*Dataset.open(data.path).samples, sample)])
    return Dataset.open(data.path)


def test_every_class_everywhere_in_whole_scenes(cli: Cli, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    code, out, err = cli("split", "data", "--group", r"^scene\d+", "--json")
    assert code == 0, err
    told = json.loads(out)
    after = Dataset.open(data.path)
    assert {sample.group for sample in after.samples} == {f"scene{number:02}" for number in range(12)}
    assert len({(sample.group, sample.split) for sample in after.samples}) == 12
    for side in ("train", "val", "test"):
        assert told["sides"][side]["images"] == Counter(sides(after).values())[side]
        assert told["sides"][side]["classes"]["box"]["images"] > 0
    pixels = sum(int((after.mask(s) == 2).sum()) for s in after.samples if s.split == "train")
    assert told["sides"]["train"]["classes"]["box"]["pixels"] == pixels
    assert told["split_hash"] == after.record["split_hash"] == split_hash(after.samples)
    assert len(told["split_hash"]) == 32
    assert told["split_hash"] in err
    for move in told["moved"]:
        assert f"{move['unit']} (2 images): {move['source']} -> {move['target']} for" in err
    assert "own split is replaced" in err
    assert "maskwright train data" in err
    assert "--undo" in err
    assert after.record["split"] == r"by hash of the group (^scene\d+), seed 0, 15% validation, 15% test"
    assert all(sample.extra == {"camera": "left"} for sample in after.samples), "other columns are kept"
    assert after.record["fingerprint"] == after.fingerprint


def test_nothing_else_is_touched_and_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    everything = {path: path.read_bytes() for path in data.path.rglob("*") if path.is_file()}
    shown = split_dataset(data.path, dry_run=True)
    assert not shown.written
    assert {path: path.read_bytes() for path in everything} == everything
    assert not (data.path / BEFORE).exists()
    done = split_dataset(data.path)
    assert done.hash == shown.hash
    assert done.written
    changed = {path.name for path, content in everything.items() if path.read_bytes() != content}
    assert changed == {"samples.csv", "dataset.yaml"}


def test_the_second_call_changes_nothing_and_new_images_move_none(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    first = split_dataset(data.path)
    files = [(data.path / name).read_bytes() for name in ("samples.csv", "dataset.yaml", BEFORE)]
    second = split_dataset(data.path)
    assert (second.written, second.hash, second.new) == (False, first.hash, 0)
    assert [(data.path / name).read_bytes() for name in ("samples.csv", "dataset.yaml", BEFORE)] == files
    image, mask = shapes(77)
    grown(data, "new-one", image, mask)
    third = split_dataset(data.path)
    assert third.new == 1
    assert "1 of 25 images are new; the others keep their sides" in third.notes[0]
    assert sides(third.dataset).items() >= sides(first.dataset).items()
    assert sides(third.dataset)["new-one"] in ("train", "val", "test")
    assert third.hash != first.hash
    other_seed = split_dataset(data.path, SplitRule(seed=5))
    assert "not that of the last split" in other_seed.notes[0]
    assert sides(other_seed.dataset) != sides(third.dataset)


def test_a_near_copy_follows_its_original(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    classes = shapes_classes()
    samples = []
    for number in range(16):
        rough = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        image = np.kron(rough, np.ones((8, 8, 1), np.uint8))
        samples.append(add_sample(folder, f"p{number:02}", image, np.zeros((48, 64), np.uint8), classes=classes))
        if number in (3, 9):
            bright = np.clip(image * 0.9 + 14, 0, 255).astype(np.uint8)
            samples.append(add_sample(folder, f"q{number:02}", bright, np.ones((48, 64), np.uint8), classes=classes))
    data = Dataset.create(folder, classes, samples, {})
    for seed in range(6):
        result = split_dataset(data, SplitRule(seed=seed), dry_run=True)
        assert result.linked == (("p03", "q03"), ("p09", "q09"))
        side = sides(result.dataset)
        assert (side["p03"], side["p09"]) == (side["q03"], side["q09"])
    alone = split_dataset(data, near_copies=False, dry_run=True)
    assert alone.linked == ()


def test_undo_brings_back_what_was_there(cli: Cli, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    assert cli("split", "data", "--undo")[0] == 2
    split_dataset(data.path, SplitRule(folds=3, group=r"^scene\d+"))
    image, mask = shapes(77)
    grown(data, "new-one", image, mask)
    assert cli("split", "data", "--undo")[0] == 0
    back = Dataset.open(data.path)
    assert [s for s in back.samples if s.id != "new-one"] == list(data.samples)
    assert sides(back)["new-one"] == ""
    assert back.record["split"] == "given by the source"
    assert "split_hash" not in back.record
    assert not (data.path / BEFORE).exists()
    split_dataset(data.path)
    split_dataset(data.path, SplitRule(seed=1))
    assert undo_split(data.path).record["split_rule"] == SplitRule().to_record()


def test_mistakes_are_one_sentence(cli: Cli, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data", count=3)
    before = (data.path / "samples.csv").read_bytes()
    (tmp_path / "ids.txt").write_text("scene00-0\nscene99-0\n")
    for words, says in [
        (("--column", "camra"), "Did you mean 'camera'?"),
        (("--column", "camera"), "1 group (or images without one) cannot be split 3 ways"),
        (("--group", "take"), "does not match the name 'scene00-0'"),
        (("--val", "0.9", "--test", "0.2"), "below 1"),
        (("--hold-out", "nowhere.txt"), "neither a number of images nor a file of ids"),
        (("--hold-out", "ids.txt"), "'scene99-0' is to be held out"),
        (("--hold-out", "-3"), "cannot be held out"),
        (("--hold-out", "400"), "400 labelled images cannot be held out for val: only"),
        (("--folds", "1"), "2 or more"),
        (("--folds", "60"), "cannot be split 60 ways"),
        (("--keep-test",), "finds no test images"),
    ]:
        code, out, err = cli("split", "data", *words, "--json")
        assert code == 2, (words, err)
        assert says in err, words
        assert json.loads(out)["error"] in err
    assert (data.path / "samples.csv").read_bytes() == before
    assert cli("split", "nowhere")[0] == 2


def test_held_out_by_number_and_by_list(cli: Cli, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    code, out, _ = cli("split", "data", "--hold-out", 10, "--test", 0, "--json")
    assert code == 0
    assert json.loads(out)["sides"]["val"]["images"] == 10
    (tmp_path / "ids.txt").write_text("images/scene00-0.png\nscene05-1\n")
    assert cli("split", "data", "--hold-out", "ids.txt", "--hold-out-test", 3)[0] == 0
    after = Dataset.open(data.path)
    assert {id for id, side in sides(after).items() if side == "val"} == {"scene00-0", "scene05-1"}
    assert Counter(sides(after).values())["test"] == 3
    assert "2 validation images named, 3 test images by hash" in after.record["split"]


def test_a_missing_class_is_called_out_with_the_remedy(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    classes = Classes.from_names(["background", "disc", "box", "pole"])
    write_yaml(data.path / "dataset.yaml", {**data.record, **classes.to_dict()})
    rows = [replace(s, group=s.id[:7]) for s in data.samples if s.id[:7] not in ("scene01", "scene02")]
    write_csv(data.path / "samples.csv", [row.to_row() for row in rows])
    result = split_dataset(data.path)
    said = " ".join(result.notes)
    assert "'box' is missing from val, test: only 1 group has it, and 3 sides need one each; label more" in said
    assert "'pole' is labelled nowhere" in said
    held = split_dataset(data.path, SplitRule(hold_out=2))
    assert "'box' is missing from" in " ".join(held.notes)


def test_one_unit_that_holds_most_images_is_named(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    rows = [replace(s, group="all" if s.id < "scene10" else s.id) for s in data.samples]
    write_csv(data.path / "samples.csv", [row.to_row() for row in rows])
    result = split_dataset(data.path)
    assert "20 of 24 images hang together as one unit ('all')" in result.notes[-1]
    assert "val has 8% of the images instead of 15%" in " ".join(result.notes)


def test_broken_files_keep_their_row_and_are_listed(cli: Cli, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    (data.path / data.samples[0].mask).write_bytes(b"no png")
    (data.path / data.samples[1].image).unlink()
    code, out, err = cli("split", "data", "--json")
    assert code == 3, err
    assert {row["file"] for row in json.loads(out)["skipped"]} == {data.samples[0].id, data.samples[1].id}
    after = Dataset.open(data.path)
    assert [sample.id for sample in after.samples] == [sample.id for sample in data.samples]
    assert all(sample.split for sample in after.samples)
    assert sum(side["images"] for side in json.loads(out)["sides"].values()) == 23
    code, _, err = cli("split", "data", "--strict", "--again")
    assert code == 2


def test_photos_without_masks_and_masks_later(tmp_path: Path) -> None:
    folder, classes = tmp_path / "data", shapes_classes()
    samples = [add_sample(folder, f"n{number}", photo(seed=number), None, classes=classes) for number in range(8)]
    data = Dataset.create(folder, classes, samples, {})
    result = split_dataset(data.path, near_copies=False)
    assert "No labelled images: sides follow the hash alone" in result.notes[0]
    assert all(sample.split for sample in result.dataset.samples)
    write_image(folder / "masks" / "n3.png", np.ones((24, 36), np.uint8))
    later = split_dataset(data.path, near_copies=False)
    assert sum(side.images for side in later.sides) == 1
    assert "No labelled image is in" in " ".join(later.notes)
    assert sides(later.dataset) == sides(result.dataset)


def test_without_a_look_at_the_pixels_no_file_is_opened(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data")
    for sample in data.samples[2:]:
        (data.path / sample.image).write_bytes(b"")
    copied = [replace(sample, image_hash=data.samples[0].image_hash) for sample in data.samples[:4]]
    write_csv(data.path / "samples.csv", [sample.to_row() for sample in (*copied, *data.samples[4:])])
    result = split_dataset(data.path, stratify=False, near_copies=False, dry_run=True)
    assert result.skipped == []
    assert result.linked == (("scene00-0", "scene00-1", "scene01-0", "scene01-1"),)
    assert sum(side.images for side in result.sides) == 24


def test_an_empty_table_and_a_missing_one(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data", count=2)
    Dataset.create(data.path, data.classes, [], {})
    with pytest.raises(InputError, match="has no rows"):
        split_dataset(data.path)


def test_folds_are_written_and_trained_on(cli: Cli, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data", count=8)
    result = split_dataset(data.path, SplitRule(folds=3, group=r"^scene\d+"))
    table = read_csv(data.path / "samples.csv")
    assert {row["fold"] for row in table if row["split"] != "test"} == {"0", "1", "2"}
    assert {row["fold"] for row in table if row["split"] == "test"} == {""}
    assert [side.name for side in result.sides] == ["fold 0", "fold 1", "fold 2", "test"]
    folded = with_fold(result.dataset, 2)
    assert {s.id for s in folded.samples if s.split == "val"} == {row["id"] for row in table if row["fold"] == "2"}
    assert {s.id for s in folded.samples if s.split == "test"} == {row["id"] for row in table if row["fold"] == ""}
    assert with_fold(result.dataset, None) is result.dataset

    sets = [word for text in (*QUICK, "train.epochs=1", "data.fold=2") for word in ("--set", text)]
    code, _, err = cli("train", "data", "--out", "run", *sets)
    assert code == 0, err
    run = Run.open(tmp_path / "run")
    known = run.about["data"]
    assert (known["split_hash"], known["fold"], known["val_images"]) == (
        result.hash,
        2,
        sum(row["fold"] == "2" for row in table),
    )
    page = report(run).read_text("utf-8")
    assert result.hash in page
    assert "validated on fold 2" in page
    scored = evaluate(run, split="val", device="cpu")
    assert {row["id"] for row in scored.images} == {row["id"] for row in table if row["fold"] == "2"}
    assert resume(run).ended == "finished"
    moved = [row | {"fold": {"0": "1", "1": "0"}.get(row["fold"], row["fold"])} for row in table]
    write_csv(data.path / "samples.csv", moved)
    with pytest.raises(InputError, match="is not what"):
        resume(run)


def test_a_fold_that_is_not_there(tmp_path: Path) -> None:
    data = scenes(tmp_path / "data", count=8)
    with pytest.raises(InputError, match=r"has no folds, but data.fold is 0; make some with 'maskwright split"):
        train(data.path, quick("data.fold=0"), out=tmp_path / "run")
    split_dataset(data.path, SplitRule(folds=3))
    with pytest.raises(InputError, match=r"has no fold 3; data.fold can be 0, 1, 2"):
        train(data.path, quick("data.fold=3"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    split_dataset(data.path)
    assert all("fold" not in sample.extra for sample in Dataset.open(data.path).samples), "old folds do not linger"


def test_the_hash_of_a_split() -> None:
    def row(id: str, split: str, **extra: str) -> Sample:
        return Sample(id=id, image=f"{id}.png", split=split, height=1, width=1, image_hash="", extra=extra)

    some = [row("a", "train"), row("b", "val")]
    assert split_hash(some) == split_hash(some[::-1])
    others = [
        [row("a", "val"), row("b", "train")],
        [row("a", "train"), row("c", "val")],
        [row("a", "train", fold="1"), row("b", "val", fold="0")],
        [row("a", "train", fold="2"), row("b", "val", fold="0")],
    ]
    assert len({split_hash(rows) for rows in (some, *others)}) == 5
    assert split_hash([row("a", "train", fold="", camera="x"), row("b", "val")]) == split_hash(some)


@pytest.mark.data
def test_rover_frames_of_one_place_stay_together(cli: Cli, shared_data: Path) -> None:
    assert cli("import", "binary", shared_data / "mars_rocks", "mars", "--classes", "ground,rock")[0] == 0
    place = r"^(?:cr_)?0*(\d+)"

    def torn(data: Dataset) -> int:
        """Pairs of frames of one place on two sides."""
        rows = [(s.id.removeprefix("cr_").partition("_")[0].lstrip("0"), s.split) for s in data.samples]
        return sum(a[0] == b[0] and a[1] != b[1] for n, a in enumerate(rows) for b in rows[:n])

    code, out, err = cli("split", "mars", "--no-near-copies", "--json")
    assert code == 0, err
    assert torn(Dataset.open("mars")) > 20
    code, out, err = cli("split", "mars", "--group", place, "--json")
    assert code == 0, err
    assert torn(Dataset.open("mars")) == 0
    told = json.loads(out)
    assert ["1533", "1534"] in told["joined"], "two sols, one place: only the look at the images tells"
    assert all(abs(told["sides"][side]["images"] / 122 / 0.15 - 1) < 0.36 for side in ("val", "test"))
