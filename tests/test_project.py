"""Labels are saved whole, in numbered revisions; nothing is lost and nothing half done is learned from."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import add_sample, shapes, shapes_classes
from labelling import painted, write_unlabelled
from test_build import mounted

from maskwright.data.audit.write import audit_dataset
from maskwright.data.dataset import Dataset
from maskwright.data.doors import convert_dataset
from maskwright.data.labelling.begin import begin_labelling
from maskwright.data.labelling.project import Project
from maskwright.data.labelling.record import read_record
from maskwright.data.splits.holdout import SplitRule
from maskwright.data.splits.resplit import split_dataset
from maskwright.imageio import read_mask, write_mask
from maskwright.types import Classes, Conflict, InputError, TargetError

ONE = "shape-000"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_unlabelled(tmp_path / "data").path


def test_a_new_image_has_no_labels_and_opening_changes_nothing(data: Path) -> None:
    before = (data / "samples.csv").read_bytes(), (data / "dataset.yaml").read_bytes()
    with Project.open(data) as project:
        mask, record = project.mask(ONE)
        assert (mask == 255).all()
        assert mask.shape == (48, 64)
        assert (record.revision, record.status) == (0, "unlabelled")
        assert project.counts() == {"unlabelled": 3, "started": 0, "labelled": 0, "skipped": 0}
    assert before == ((data / "samples.csv").read_bytes(), (data / "dataset.yaml").read_bytes())


def test_tiles_are_laid_in_order_and_the_mask_is_valid_after_every_save(data: Path) -> None:
    with Project.open(data) as project:
        record = project.apply(ONE, [(3, 4, painted(1)), (5, 4, painted(2))], revision=0, clicks=2, seconds=1.5)
        assert (record.revision, record.status, record.clicks, record.seconds) == (1, "started", 2, 1.5)
        assert record.present == (1, 2)
        record = project.apply(ONE, [(63, 47, painted(1, 1, 1))], revision=1, clicks=1)
        assert (record.revision, record.clicks) == (2, 3)
    expected = np.full((48, 64), 255, np.uint8)
    expected[4:12, 3:11], expected[4:12, 5:13], expected[47, 63] = 1, 2, 1
    assert np.array_equal(read_mask(data / "masks" / f"{ONE}.png", shapes_classes(), (48, 64)), expected)
    with Project.open(data) as project:
        assert np.array_equal(project.mask(ONE)[0], expected)
        assert project.record(ONE).revision == 2


@pytest.mark.parametrize(
    ("tile", "says"),
    [
        ((60, 0, painted(1)), "outside the image of 64 x 48"),
        ((0, 41, painted(1)), "outside the image"),
        ((-1, 0, painted(1)), "outside the image"),
        ((0, 0, painted(3)), "Class id 3 is not in the class table 0..2"),
        ((0, 0, painted(254)), "Class id 254"),
        ((0, 0, np.zeros((0, 4), np.uint8)), "outside the image"),
    ],
)
def test_tiles_that_do_not_fit_change_nothing(data: Path, tile: Any, says: str) -> None:
    with Project.open(data) as project:
        with pytest.raises(InputError, match=says):
            project.apply(ONE, [(0, 0, painted(1)), tile], revision=0)
        assert project.record(ONE).revision == 0
        assert (project.mask(ONE)[0] == 255).all()
    assert not list((data / "masks").iterdir())


def test_the_second_of_two_is_told_and_may_overwrite(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0, writer="first")
        with pytest.raises(Conflict, match=r"saved elsewhere meanwhile \(revision 1 now\)") as caught:
            project.apply(ONE, [(0, 0, painted(2))], revision=0, writer="second")
        assert caught.value.revision == 1
        with pytest.raises(Conflict):
            project.set_status(ONE, "labelled", revision=0)
        assert project.apply(ONE, [(0, 0, painted(2))], revision=None, writer="second").revision == 2


def test_a_save_whose_answer_was_lost_may_be_repeated_by_its_writer_alone(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0, writer="tab")
        again = project.apply(ONE, [(0, 0, painted(1))], revision=0, writer="tab")
        assert again.revision == 1, "the same labels are no new revision"
        assert project.apply(ONE, [(9, 9, painted(2))], revision=0, writer="tab").revision == 2
        for writer in ("other", ""):
            with pytest.raises(Conflict):
                project.apply(ONE, [(0, 0, painted(1))], revision=1, writer=writer)


def test_finishing_may_be_repeated_by_who_heard_nothing_of_it(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0, writer="tab")
        project.set_status(ONE, "labelled", revision=1, writer="tab")
        record, changed = project.set_status(ONE, "labelled", revision=1, writer="tab")
        assert (record.revision, changed) == (2, False)
        with pytest.raises(Conflict):
            project.set_status(ONE, "labelled", revision=1, writer="other")


def test_effort_without_labels_is_added_and_is_no_save(data: Path) -> None:
    with Project.open(data) as project:
        record = project.apply(ONE, [], revision=7, clicks=3, seconds=2.0)
        assert (record.revision, record.status, record.clicks) == (0, "unlabelled", 3)
    assert not list((data / "masks").iterdir())


def test_finishing_makes_the_rest_background_and_the_row_labelled(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(2))], revision=0)
        record, changed = project.set_status(ONE, "labelled", revision=1)
        assert changed
        assert record.revision == 2
        assert set(np.unique(project.mask(ONE)[0])) == {0, 2}
        assert project.set_status(ONE, "labelled", revision=2)[1] is False
    sample = next(sample for sample in Dataset.open(data).samples if sample.id == ONE)
    assert (sample.mask, sample.status) == (f"masks/{ONE}.png", "labelled")
    fresh, skipped = Dataset.open(data).refresh()
    assert not skipped
    assert fresh.fingerprint == Dataset.open(data).fingerprint


def test_the_rest_stays_ignored_by_choice_and_where_there_is_no_background(tmp_path: Path) -> None:
    data = write_unlabelled(tmp_path / "a").path
    with Project.open(data) as project:
        project.keep_settings({"rest_is_background": False, "zoom": [1, 2]})
        project.apply(ONE, [(0, 0, painted(2))], revision=0)
        assert project.set_status(ONE, "labelled", revision=1)[1] is False
        assert 255 in project.mask(ONE)[0]
    with Project.open(data) as project:
        assert project.settings["zoom"] == [1, 2], "remembered"
        assert not project.rest_is_background
    bare = write_unlabelled(tmp_path / "b", classes=Classes.from_names(["sky", "road"])).path
    with Project.open(bare) as project:
        with pytest.raises(InputError, match=f"Nothing in '{ONE}' is labelled yet"):
            project.set_status(ONE, "labelled", revision=0)
        assert not list((bare / "masks").iterdir())


def test_begun_and_skipped_images_are_unlabelled_for_everybody_else(tmp_path: Path) -> None:
    data = write_unlabelled(tmp_path / "data", 6).path
    with Project.open(data) as project:
        for n, status in enumerate(["labelled", "labelled", "skipped", "started"]):
            id = f"shape-{n:03}"
            project.apply(id, [(0, 0, painted(1)), (20, 20, painted(2))], revision=0)
            if status != "started":
                project.set_status(id, status, revision=1)
        project.set_status("shape-004", "skipped", revision=0)
    assert sorted(path.stem for path in (data / "masks").iterdir()) == [f"shape-{n:03}" for n in range(4)]
    fresh, _ = Dataset.open(data).refresh(strict=True)
    assert [s.status for s in fresh.samples] == ["labelled", "labelled", "skipped", "started", "skipped", "unlabelled"]
    assert [s.id for s in fresh.labelled()] == ["shape-000", "shape-001"]
    assert sum(facts.mask is not None for facts in audit_dataset(data, workers=0).facts) == 2
    split_dataset(data, SplitRule(val=0.5, test=0.0), workers=0)
    assert [s.status for s in Dataset.open(data).samples] == [s.status for s in fresh.samples]
    convert_dataset(data, "index", tmp_path / "index")
    assert len(list((tmp_path / "index").rglob("*.png"))) == 4, "two photos, two masks"


def test_an_image_is_set_aside_in_the_table_before_its_half_mask_is_there(data: Path) -> None:
    """Else a training that starts after a crash would take the mask in as finished."""
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0)
        assert Dataset.open(data).samples[0].status == "started"
        assert not Dataset.open(data).refresh()[0].samples[0].mask


def test_skipping_and_opening_again(data: Path) -> None:
    with Project.open(data) as project:
        assert project.set_status(ONE, "skipped", revision=0)[0].status == "skipped"
        assert project.set_status(ONE, "started", revision=0)[0].status == "unlabelled", "it has no labels"
        project.apply(ONE, [(0, 0, painted(1))], revision=0)
        project.set_status(ONE, "labelled", revision=1)
        assert project.set_status(ONE, "started", revision=2)[0].status == "started"
        assert project.set_status(ONE, "skipped", revision=2)[0].status == "skipped"
        assert project.apply(ONE, [(0, 0, painted(2))], revision=2).status == "started"
        with pytest.raises(InputError, match=r"Unknown status 'done'.*Known: labelled"):
            project.set_status(ONE, "done", revision=3)
    assert Dataset.open(data).samples[0].mask == ""


def test_masks_that_were_there_before_are_revision_one_and_edits_elsewhere_the_next(tmp_path: Path) -> None:
    classes = shapes_classes()
    image, mask = shapes(0)
    sample = add_sample(tmp_path / "d", "a", image, mask, classes=classes)
    data = Dataset.create(tmp_path / "d", classes, [sample], {}).path
    with Project.open(data) as project:
        assert np.array_equal(project.mask("a")[0], mask)
        assert project.record("a").revision == 1
        write_mask(data / "masks" / "a.png", np.where(mask == 2, 1, mask).astype(np.uint8), classes)
        plane, record = project.mask("a")
        assert (record.revision, record.status) == (2, "labelled")
        assert 2 not in plane
        with pytest.raises(Conflict):
            project.apply("a", [(0, 0, painted(1))], revision=1)
    write_mask(data / "masks" / "a.png", mask, classes)
    with Project.open(data) as project:
        assert project.mask("a")[1].revision == 3, "also between two servers"
    (data / "masks" / "a.png").unlink()
    with Project.open(data) as project:
        plane, record = project.mask("a")
        assert (record.revision, record.status) == (4, "unlabelled")
        assert (plane == 255).all()


def test_a_mask_that_breaks_the_contract_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    classes = shapes_classes()
    samples = [add_sample(tmp_path / "d", f"s{n}", *shapes(n), classes=classes) for n in range(2)]
    data = Dataset.create(tmp_path / "d", classes, samples, {}).path
    (data / "masks" / "s0.png").write_bytes(b"no picture")
    with Project.open(data) as project:
        assert "s0.png" in project.problems["s0"]
        with pytest.raises(InputError, match=r"s0\.png"):
            project.mask("s0")
        assert project.mask("s1")[1].status == "labelled"
        assert project.ids() == ["s0", "s1"]


def test_other_verbs_may_write_the_table_meanwhile(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0)
        split_dataset(data, SplitRule(val=0.4, test=0.0), near_copies=False, workers=0)
        splits = [sample.split for sample in Dataset.open(data).samples]
        project.set_status(ONE, "labelled", revision=1)
    after = Dataset.open(data)
    assert [sample.split for sample in after.samples] == splits
    assert after.samples[0].status == "labelled"
    assert after.record["fingerprint"] == after.fingerprint


def test_classes_are_added_renamed_and_recoloured_but_never_renumbered(data: Path) -> None:
    with Project.open(data) as project:
        project.add_class("  long   grass ", (1, 2, 3))
        project.change_class(1, name="plate")
        project.change_class(1, colour=(9, 9, 9))
        for call, says in [
            (lambda: project.add_class("plate"), "'plate' appears twice"),
            (lambda: project.add_class("  "), "no name for a class"),
            (lambda: project.add_class("a\x00b"), "no name for a class"),
            (lambda: project.add_class("x" * 101), "no name for a class"),
            (lambda: project.change_class(9, name="x"), "There is no class 9"),
            (lambda: project.change_class(-1, name="x"), "There is no class -1"),
            (lambda: project.add_class("red", (300, 0, 0)), "three numbers from 0 to 255"),
        ]:
            with pytest.raises(InputError, match=says):
                call()  # type: ignore[no-untyped-call]
        assert project.apply(ONE, [(0, 0, painted(3))], revision=0).present == (3,)
    table = Dataset.open(data).classes
    assert table.names == ["background", "plate", "box", "long grass"]
    assert [table.items[1].colour, table.items[3].colour] == [(9, 9, 9), (1, 2, 3)]
    assert table.background == 0


def test_a_class_that_eight_bits_cannot_hold_is_refused(tmp_path: Path) -> None:
    data = write_unlabelled(tmp_path / "d", 1, classes=Classes.from_names([f"c{n}" for n in range(255)])).path
    with Project.open(data) as project, pytest.raises(InputError, match="255 classes, as many as its 8-bit masks hold"):
        project.add_class("one more")


def test_sixteen_bit_labels(tmp_path: Path) -> None:
    table = Classes.from_names(["background", *(f"c{n}" for n in range(400))])
    data = write_unlabelled(tmp_path / "d", 1, classes=table).path
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(300, dtype=np.uint16))], revision=0)
        with pytest.raises(InputError, match="Class id 401"):
            project.apply(ONE, [(0, 0, painted(401, dtype=np.uint16))], revision=1)
    plane = read_mask(data / "masks" / f"{ONE}.png", table, (48, 64))
    assert (plane[:8, :8] == 300).all()
    assert (plane[8:] == 65535).all()


def test_two_at_once_are_refused_and_told_who_it_is(data: Path) -> None:
    with Project.open(data) as project:
        project.sign("http://127.0.0.1:9999/")
        with pytest.raises(TargetError, match=rf"process {os.getpid()} at http://127.0.0.1:9999/; use its page"):
            Project.open(data)
    Project.open(data).close()


def test_rows_that_name_files_outside_the_data_set_are_refused(data: Path) -> None:
    table = (data / "samples.csv").read_text()
    for image in ("../../secret.png", "/etc/passwd", "images/../../x.png"):
        (data / "samples.csv").write_text(table.replace(f"images/{ONE}.png", image))
        with pytest.raises(InputError, match="outside the data set"):
            Project.open(data)
    for id in ("../shape-000", "a/b", "..", "a\\b"):
        (data / "samples.csv").write_text(table.replace(f"\n{ONE},", f"\n{id},"))
        with pytest.raises(InputError, match="outside the data set"):
            Project.open(data)


def test_changes_are_told_by_ticks_and_everything_to_a_page_of_an_earlier_server(data: Path) -> None:
    with Project.open(data) as project:
        tick = project.tick
        assert project.changed_since(tick) == []
        project.apply("shape-001", [(0, 0, painted(1))], revision=0)
        assert project.changed_since(tick) == ["shape-001"]
        assert project.changed_since(project.tick) == []
        assert project.changed_since(0) == project.ids()
        assert project.changed_since(project.tick + 10**6) == project.ids()


def test_the_budget_counts_what_was_done_and_what_is_left(data: Path) -> None:
    with Project.open(data) as project:
        assert project.budget()["hours_left"] is None
        for n, seconds in enumerate([30.0, 90.0]):
            project.apply(f"shape-00{n}", [(0, 0, painted(1))], revision=0, clicks=4 + 2 * n, seconds=seconds)
            project.set_status(f"shape-00{n}", "labelled", revision=1)
        assert project.budget() == {
            "labelled": 2,
            "clicks": 10,
            "seconds": 120.0,
            "median_seconds": 60.0,
            "median_clicks": 5,
            "left": 1,
            "hours_left": 60 / 3600,
        }


def test_classes_in_masks_from_elsewhere_are_found_once(tmp_path: Path) -> None:
    classes = shapes_classes()
    samples = [add_sample(tmp_path / "d", f"s{n}", *shapes(n), classes=classes) for n in range(2)]
    data = Dataset.create(tmp_path / "d", classes, samples, {}).path
    with Project.open(data) as project:
        assert project.record("s0").present is None
        project.look(threading.Event())
        assert project.record("s0").present == (0, 1, 2)
    with Project.open(data) as project:
        assert project.record("s0").present == (0, 1, 2), "remembered"
    (data / ".label" / "present.json").write_text("[1, 2")
    with Project.open(data) as project:
        assert project.record("s0").present is None, "a damaged memory is none"


def test_ten_thousand_rows(tmp_path: Path) -> None:
    first = write_unlabelled(tmp_path / "d", 1)
    (sample,) = first.samples
    header, row = (first.path / "samples.csv").read_text().splitlines()
    rows = [row.replace(f"{sample.id},", f"s{n:05},", 1) for n in range(10_000)]
    (first.path / "samples.csv").write_text("\n".join([header, *rows]) + "\n")
    with Project.open(first.path) as project:
        assert len(project.ids()) == 10_000
        project.apply("s09999", [(0, 0, painted(1))], revision=0)
        assert project.counts()["started"] == 1
    assert Dataset.open(first.path).samples[-1].status == "started"


# A full disk, a read-only one, and the end at any moment


class Failing:
    """`os.replace` that fails from the n-th call on."""

    def __init__(self, after: int, number: int) -> None:
        self.left, self.number, self.real = after, number, os.replace

    def __call__(self, *paths: Any) -> None:
        if self.left <= 0:
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1
        self.real(*paths)


@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "may not be written")])
@pytest.mark.parametrize("status", ["unlabelled", "started"])
@pytest.mark.parametrize("after", range(4))
def test_a_save_that_the_disk_refuses_did_not_happen(
    data: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str, status: str, after: int
) -> None:
    project = Project.open(data)
    if status == "started":
        project.apply(ONE, [(0, 0, painted(1))], revision=0)
    before, record = project.mask(ONE)
    steps = 4 if status == "unlabelled" else 2  # table, record, mask; the table is two files
    with monkeypatch.context() as patch:
        patch.setattr("maskwright.files.os.replace", Failing(after, number))
        if after < steps:
            with pytest.raises(TargetError, match=says):
                project.apply(ONE, [(9, 9, painted(2))], revision=record.revision)
            assert project.record(ONE).revision == record.revision
            assert np.array_equal(project.mask(ONE)[0], before)
        else:
            project.apply(ONE, [(9, 9, painted(2))], revision=record.revision)
        snapshot = data.with_name("crashed")
        shutil.copytree(data, snapshot)
    with Project.open(snapshot) as after_crash:
        plane, found = after_crash.mask(ONE)
        assert np.array_equal(plane, project.mask(ONE)[0]), "as if the process had ended there"
        assert (found.revision, found.status) == (project.record(ONE).revision, project.record(ONE).status)
    if after < steps:
        assert project.apply(ONE, [(9, 9, painted(2))], revision=record.revision).revision == record.revision + 1
    project.close()
    assert Dataset.open(data).samples[0].status == "started"


def fill(path: Path) -> None:
    """Take all the space that is left."""
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def test_a_disk_that_is_full_and_then_is_not(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=2m") as disk:
        data = write_unlabelled(disk / "data").path
        noise = np.random.default_rng(0).integers(0, 3, (48, 64)).astype(np.uint8)
        with Project.open(data) as project:
            project.apply(ONE, [(0, 0, painted(1))], revision=0)
            fill(disk / "filler")
            with pytest.raises(TargetError, match=r"The disk is full while writing .*; free some space"):
                project.apply(ONE, [(0, 0, noise)], revision=1)
            assert project.mask(ONE)[1].revision == 1
            (disk / "filler").unlink()
            assert project.apply(ONE, [(0, 0, noise)], revision=1).revision == 2


def test_a_read_only_data_set_is_refused_at_once(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=2m") as disk:
        data = write_unlabelled(disk / "data").path
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(TargetError, match="may not be written"):
            Project.open(data)


def test_what_a_killed_process_was_writing_is_cleared_away(data: Path) -> None:
    Project.open(data).close()
    rests = [data / "masks" / f".{ONE}.png.123.part", data / ".label" / "state" / f".{ONE}.json.123.part"]
    for path in rests:
        path.write_bytes(b"half")
    Project.open(data).close()
    assert not any(path.exists() for path in rests)


def test_a_damaged_record_is_named(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0)
    state = data / ".label" / "state" / f"{ONE}.json"
    for text in (
        '{"revision": 1}',
        "[]",
        '{"revision": "x", "status": "started", "mask_hash": ""}',
        '{"status": "odd"}',
    ):
        state.write_text(text)
        if text == '{"revision": 1}':
            assert read_record(state).revision == 1
            continue
        with pytest.raises(InputError, match=f"{ONE}.json"):
            Project.open(data)
    state.unlink()
    with Project.open(data) as project:
        plane, record = project.mask(ONE)
        assert (record.status, int(plane[0, 0])) == ("started", 1), "the labels are in masks/"


def test_a_record_without_its_mask_is_the_one_before(data: Path) -> None:
    with Project.open(data) as project:
        project.apply(ONE, [(0, 0, painted(1))], revision=0)
        png = (data / "masks" / f"{ONE}.png").read_bytes()
        project.apply(ONE, [(0, 0, painted(2))], revision=1, clicks=5)
    state = data / ".label" / "state" / f"{ONE}.json"
    (data / "masks" / f"{ONE}.png").write_bytes(png)
    os.utime(data / "masks" / f"{ONE}.png", ns=(0, state.stat().st_mtime_ns - 10**9))
    with Project.open(data) as project:
        assert (project.record(ONE).revision, project.record(ONE).clicks) == (1, 0)


SAVER = """
import sys
import numpy as np
from maskwright.data.labelling.project import Project
project = Project.open(sys.argv[1])
revision = project.mask("shape-000")[1].revision
while True:
    number = revision + 1
    tile = np.full((20, 30), number % 3, np.uint8)
    tile[0, 0] = (number // 3) % 3
    revision = project.apply("shape-000", [(number % 30, number % 20, tile)], revision=revision).revision
    print(revision, flush=True)
"""


def test_a_process_that_is_killed_in_mid_save_loses_at_most_that_save(data: Path) -> None:
    expected = np.full((48, 64), 255, np.uint8)
    planes = {0: expected.copy()}
    for number in range(1, 2000):
        tile = expected[number % 20 : number % 20 + 20, number % 30 : number % 30 + 30]
        tile[:], tile[0, 0] = number % 3, (number // 3) % 3
        planes[number] = expected.copy()
    last = 0
    for enough in (1, 4, 7):
        process = subprocess.Popen([sys.executable, "-c", SAVER, str(data)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = [int(line) for line, _ in zip(process.stdout, range(enough), strict=False)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout]
        process.wait()
        process.stdout.close()
        assert told[0] == last + 1
        with Project.open(data) as project:
            plane, record = project.mask(ONE)
            assert record.revision in (told[-1], told[-1] + 1)
            assert np.array_equal(plane, planes[record.revision])
            last = record.revision
        assert Dataset.open(data).samples[0].status == "started"


# The way in


def test_a_folder_of_photos_becomes_a_data_set_beside_it_and_is_gone_on_with(tmp_path: Path) -> None:
    photos = write_unlabelled(tmp_path / "first").path / "images"
    begun = begin_labelling(photos)
    assert (begun.path, begun.made) == (photos.parent / "images-labels", True)
    data = Dataset.open(begun.path)
    assert data.classes.names == ["background", "object"]
    assert {sample.split for sample in data.samples} == {"train", "val"}
    again = begin_labelling(photos)
    assert (again.path, again.made) == (begun.path, False)
    assert begin_labelling(begun.path).path == begun.path
    with pytest.raises(InputError, match=r"has no class 'tree' \(it has background, object\)"):
        begin_labelling(photos, classes=["tree"])
    with pytest.raises(InputError, match="is a data set already; leave out --out"):
        begin_labelling(begun.path, out=tmp_path / "x")
    named = begin_labelling(photos, classes=["sky", "road"], out=tmp_path / "named")
    assert Dataset.open(named.path).classes.names == ["sky", "road"]
    with pytest.raises(InputError, match="does not exist"):
        begin_labelling(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        begin_labelling(tmp_path / "empty")


def test_one_photo_is_enough(tmp_path: Path) -> None:
    photos = write_unlabelled(tmp_path / "first", 1).path / "images"
    assert [sample.split for sample in Dataset.open(begin_labelling(photos).path).samples] == ["train"]


def test_what_suggest_wants_next(data: Path) -> None:
    with Project.open(data) as project:
        assert project.queue() is None
        rows = [{"rank": 1, "id": "shape-002"}, {"rank": 2, "id": "gone"}]
        (data / ".label" / "queue.json").write_text(json.dumps({"suggestions": rows}))
        assert project.queue() == ["shape-002"]
        (data / ".label" / "queue.json").write_text("{")
        assert project.queue() is None
