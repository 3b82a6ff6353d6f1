"""New data set folders: interrupted, killed, going on, full disks, and two processes at one place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from annotations import add_slow_format, annotation, box, many, picture, write_annotations
from drawing import photo

from maskwright.console import Skipped
from maskwright.data.build import LEFT_OUT, Made, gather, store
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.doors import Shares, build, import_dataset
from maskwright.data.formats import FORMATS, coco
from maskwright.data.formats.listing import Item, Listing, Options, Painted
from maskwright.files import JOURNAL, resumable_folder
from maskwright.imageio import encode_image, write_image
from maskwright.run import read_csv
from maskwright.types import Classes, InputError, TargetError

PATIENCE_SECONDS = 100
CLASSES = Classes.from_names(["background", "object"])
ALONE = Options(without_images=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Annotations of 12 images, without photos."""
    return many(tmp_path / "source" / "instances.json", 12)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def without_path(files: dict[str, bytes]) -> dict[str, bytes]:
    """dataset.yaml names the source."""
    return {name: data for name, data in files.items() if name != "dataset.yaml"}


class Stopper:
    """A painter that is interrupted at its nth image; sent nowhere, and of equal content each time."""

    painted: ClassVar[list[str]] = []
    stop_at: ClassVar[int | None] = None
    error: ClassVar[BaseException] = KeyboardInterrupt()

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        if len(Stopper.painted) == Stopper.stop_at:
            raise Stopper.error
        Stopper.painted.append(item.id)
        painted: Painted = self.inner(item, size_hw)
        return painted


def import_until(
    source: Path, target: Path, stop_at: int | None, *, options: Options = ALONE, link: bool = False, **shares: Any
) -> list[str]:
    """Import; ids of the images that were painted."""
    listing = coco.read(source, options)
    Stopper.painted, Stopper.stop_at = [], stop_at
    found = replace(listing, paint=Stopper(listing.paint))
    build(found, target, Shares(**shares), {"from": str(source)}, strict=False, workers=0, link=link)
    return Stopper.painted


def interrupt(source: Path, target: Path, stop_at: int, error: BaseException | None = None, **more: Any) -> list[str]:
    Stopper.error = error or KeyboardInterrupt()
    with pytest.raises(type(Stopper.error)):
        import_until(source, target, stop_at, **more)
    return Stopper.painted


def test_an_interrupted_import_goes_on_and_equals_an_uninterrupted_one(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt) as caught:
        import_until(source, target, 5)
    assert caught.value.__notes__ == [
        f"What is done is kept in {tmp_path / '.out.part'}: the same command goes on from there."
    ]
    assert not target.exists()
    first = list(Stopper.painted)
    assert len(first) == 5
    rest = import_until(source, target, None)
    assert sorted(first + rest) == sorted(str(i) for i in range(12))
    import_until(source, tmp_path / "whole", None)
    assert content_of(target) == content_of(tmp_path / "whole")
    assert {path.name for path in target.iterdir() if path.name.startswith(".")} == set()
    assert not (tmp_path / ".out.part").exists()
    assert (target / LEFT_OUT).is_file()


def test_a_bug_keeps_what_is_done_and_a_mistake_of_the_input_does_not(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out", 5, ZeroDivisionError())
    assert (tmp_path / ".out.part" / JOURNAL).is_file()
    listing = replace(coco.read(source, ALONE), alone=[Skipped("x", "bad")])
    with pytest.raises(InputError, match="bad"):
        build(listing, tmp_path / "new" / "other", Shares(), {}, strict=True, workers=0)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("more", [{"seed": 3}, {"options": Options(without_images=True, ties="first")}, {"link": True}])
def test_what_another_job_left_is_thrown_away(more: dict[str, Any], source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out", 5)
    (tmp_path / ".out.part" / "alien").write_text("")
    assert len(import_until(source, tmp_path / "out", None, **more)) == 12
    assert not (tmp_path / "out" / "alien").exists()


def test_other_groups_of_the_same_names_are_another_job(source: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.yaml"
    options = replace(ALONE, kind="groups", groups=groups)
    groups.write_text("a: [cat, dog]\nb: [potted plant]\n")
    interrupt(source, tmp_path / "out", 5, options=options)
    groups.write_text("a: [cat, potted plant]\nb: [dog]\n")
    assert len(import_until(source, tmp_path / "out", None, options=options)) == 12


def test_what_changed_in_between_is_done_again(tmp_path: Path) -> None:
    source, options = many(tmp_path / "source" / "instances.json", 12, photos=True), Options()
    done = interrupt(source, tmp_path / "out", 6, options=options)
    changed = source.with_name(f"{done[1]}.png")
    write_image(changed, photo((24, 36), seed=99))
    os.utime(changed, ns=(1, 1))
    rest = import_until(source, tmp_path / "out", None, options=options)
    assert set(rest) & set(done) == {done[1]}
    import_until(source, tmp_path / "whole", None, options=options)
    assert content_of(tmp_path / "out") == content_of(tmp_path / "whole")
    interrupt(source, tmp_path / "third", 6, options=options)
    source.write_text(source.read_text() + " ")
    assert len(import_until(source, tmp_path / "third", None, options=options)) == 12


def test_unreadable_leftovers_are_thrown_away(source: Path, tmp_path: Path) -> None:
    for spoiled in (b"\xff\xfe", None):
        interrupt(source, tmp_path / "out", 5)
        mark = tmp_path / ".out.part" / ".job"
        mark.unlink()
        if spoiled is not None:
            mark.write_bytes(spoiled)
        assert len(import_until(source, tmp_path / "out", None)) == 12
        shutil.rmtree(tmp_path / "out")


def test_two_at_one_place_is_one_too_many(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with resumable_folder(target, {}) as stage:
        (stage / "a").write_text("mine")
        with (
            pytest.raises(TargetError, match=rf"Process {os.getpid()} is filling .* right now; wait for it, or stop"),
            resumable_folder(target, {}),
        ):
            pass
        with pytest.raises(TargetError, match="is filling"), resumable_folder(target, {"another": "job"}):
            pass
        assert (stage / "a").read_text() == "mine"
    assert (target / "a").read_text() == "mine"
    with pytest.raises(TargetError, match="exists already"), resumable_folder(target, {}):
        pass


def test_the_number_of_a_process_that_is_gone_or_not_ours_blocks_nothing(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out", 5)
    mark = tmp_path / ".out.part" / ".job"
    mark.write_text(f"{mark.read_text().split()[0]} 1")  # process 1 is alive, and does something else
    assert len(import_until(source, tmp_path / "out", None)) == 7


@pytest.fixture
def slow_source(tmp_path: Path) -> Path:
    return many(tmp_path / "source" / "instances.json", 240)


def start(source: Path, target: Path, *, pause_seconds: float, workers: int) -> subprocess.Popen[str]:
    # A shell that runs the tests in the background has them, and all that they start, ignore Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "import annotations; annotations.add_slow_format(); from maskwright.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "import", "slow", source, target, "--no-images", "--workers", str(workers)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # a group of its own, as a terminal gives it
        cwd=Path(__file__).parent,
        env=os.environ | {"SLOW_SECONDS": str(pause_seconds), "OMP_NUM_THREADS": "1"},
    )


def lines_in(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def wait_until(reached: Any, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert process is None or process.poll() is None, "ended too early to show anything"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_killed_interrupted_and_gone_on_through_the_command_line(slow_source: Path, tmp_path: Path) -> None:
    target, journal = tmp_path / "out", tmp_path / ".out.part" / JOURNAL
    killed = start(slow_source, target, pause_seconds=0.05, workers=1)
    wait_until(lambda: lines_in(journal) >= 16, killed)
    with pytest.raises(TargetError, match=f"Process {killed.pid} is filling"):
        import_dataset("coco", slow_source, target, options=ALONE, workers=0)
    killed.kill()
    killed.communicate()
    wait_until(lambda: group_is_gone(killed.pid))  # workers end with their parent
    kept = lines_in(journal)
    with journal.open("ab") as file:
        file.write(b'{"key":"torn')
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".out.part" / "masks").iterdir()}

    interrupted = start(slow_source, target, pause_seconds=0.2, workers=2)  # long enough on a busy machine, too
    wait_until(lambda: lines_in(journal) >= kept + 16, interrupted)
    os.killpg(interrupted.pid, signal.SIGINT)  # what Ctrl-C does
    _, messages = interrupted.communicate()
    assert interrupted.returncode == 130, messages
    assert f"{kept} of 240 are done already; going on." in messages
    assert "the same command goes on from there" in messages
    assert "Traceback" not in messages
    wait_until(lambda: group_is_gone(interrupted.pid))
    assert not target.exists()

    last = start(slow_source, target, pause_seconds=0, workers=0)
    _, messages = last.communicate()
    assert last.returncode == 3, messages  # some annotations are malformed
    again = [name for name, time_ns in times.items() if (target / "masks" / name).stat().st_mtime_ns != time_ns]
    assert len(again) <= len(times) - kept
    add_slow_format()
    try:
        import_dataset("slow", slow_source, tmp_path / "whole", options=ALONE, workers=0)
    finally:
        FORMATS.pop("slow")
    assert without_path(content_of(target)) == without_path(content_of(tmp_path / "whole"))
    assert Dataset.open(target).fingerprint == Dataset.open(tmp_path / "whole").fingerprint


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own in memory; the test is skipped where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_keeps_what_is_done_and_goes_on_with_more_room(workers: int, tmp_path: Path) -> None:
    source = many(tmp_path / "source" / "instances.json", 150)
    with mounted(tmp_path / "small", "size=400k") as disk:
        with pytest.raises(TargetError, match=r"The disk is full while writing .*; free some space") as caught:
            import_dataset("coco", source, disk / "out", options=ALONE, workers=workers)
        assert "the same command goes on" in caught.value.__notes__[0]
        kept = lines_in(disk / ".out.part" / JOURNAL)
        assert 0 < kept < 150
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        data = import_dataset("coco", source, disk / "out", options=ALONE, workers=workers).dataset
        whole = import_dataset("coco", source, tmp_path / "whole", options=ALONE, workers=0).dataset
        assert data.fingerprint == whole.fingerprint
        assert content_of(disk / "out") == content_of(tmp_path / "whole")


def test_a_full_disk_from_the_start_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=4k") as disk:
        (disk / "filler").write_bytes(b"x" * 4096)
        with pytest.raises(TargetError, match="disk is full"):
            import_dataset("coco", source, disk / "out", options=ALONE, workers=0)
        assert [path.name for path in disk.iterdir()] == ["filler"]


def test_a_read_only_place_is_named(source: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "fixed", "ro") as disk, pytest.raises(TargetError, match="may not be written; choose"):
        import_dataset("coco", source, disk / "out", options=ALONE)


def test_a_file_in_the_way_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(TargetError, match=r"exists already|cannot be written"):
            import_dataset("coco", source, target, options=ALONE)


def test_links_take_no_space_and_are_never_written_through(tmp_path: Path) -> None:
    source, options = many(tmp_path / "source" / "instances.json", 12, photos=True), Options()
    photos = content_of(source.parent)
    done = interrupt(source, tmp_path / "out", 6, options=options, link=True)
    linked = tmp_path / ".out.part" / "images" / f"{done[0]}.png"
    assert linked.samefile(source.with_name(f"{done[0]}.png"))
    import_until(source, tmp_path / "out", None, options=options)
    assert not (tmp_path / "out" / "images" / f"{done[0]}.png").samefile(source.with_name(f"{done[0]}.png"))
    import_until(source, tmp_path / "links", None, options=options, link=True)
    assert all(path.stat().st_nlink > 1 for path in (tmp_path / "links" / "images").iterdir())
    assert Dataset.open(tmp_path / "links").fingerprint == Dataset.open(tmp_path / "out").fingerprint
    assert content_of(source.parent) == photos


def test_where_no_link_can_be_made_photos_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = many(tmp_path / "source" / "instances.json", 3, photos=True)
    monkeypatch.setattr(os, "link", refuse)
    data = import_dataset("coco", source, tmp_path / "out", link=True, workers=0).dataset
    assert all((data.path / sample.image).stat().st_nlink == 1 for sample in data.samples)
    assert np.array_equal(data.image(data.samples[0]), photo((24, 36), seed=0))


def test_a_linked_photo_behind_a_symbolic_link_is_the_photo(tmp_path: Path) -> None:
    real = many(tmp_path / "real" / "instances.json", 3, photos=True)
    (tmp_path / "linked").mkdir()
    for path in real.parent.iterdir():
        (tmp_path / "linked" / path.name).symlink_to(path)
    data = import_dataset("coco", tmp_path / "linked", tmp_path / "out", link=True, workers=0).dataset
    assert not (data.path / data.samples[0].image).is_symlink()
    assert (data.path / data.samples[0].image).samefile(real.with_name("0.png"))


def take_or_leave(item: str) -> Made:
    if item == "bad":
        raise InputError("bad is bad")
    sample = Sample(id=item, image="", height=1, width=1, image_hash="")
    return Made(samples=(sample,), left_out=(Skipped(f"part of {item}", "odd"),), tally={"a": 2, item: 1})


def test_what_items_made_is_put_together(tmp_path: Path) -> None:
    before = [Skipped("x", "broken")]
    made = gather(
        tmp_path, ["p", "bad", "q"], take_or_leave, key=str, label="", name=str.upper, skipped=before, workers=0
    )
    assert [sample.id for sample in made.samples] == ["p", "q"]
    assert made.tally == {"a": 4, "p": 1, "q": 1}
    left_out = [("x", "broken"), ("part of p", "odd"), ("BAD", "bad is bad"), ("part of q", "odd")]
    assert [(row.file, row.reason) for row in made.skipped] == left_out
    assert [tuple(row.values()) for row in read_csv(tmp_path / LEFT_OUT)] == left_out
    with pytest.raises(InputError, match=r"None of 1 images could be used\. The first: bad is bad"):
        gather(tmp_path / "masks", ["bad"], take_or_leave, key=str, label="", workers=0)


def test_names_that_no_disk_takes_are_left_out_alone(tmp_path: Path) -> None:
    names = ["a.png", "ä" * 130 + ".png"]
    source = write_annotations(
        tmp_path / "instances.json",
        [picture(i, name) for i, name in enumerate(names)],
        [annotation(1, 0, 7, box(1, 1, 9, 9))],
    )
    result = import_dataset("coco", source, tmp_path / "out", options=ALONE, shares=Shares(val=0, test=0), workers=0)
    assert [sample.id for sample in result.dataset.samples] == ["a"]
    assert "is no name for a file here (File name too long); rename it." in result.skipped[0].reason


def test_one_sample_is_stored_with_its_hashes(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    encoded = encode_image(photo((4, 5)), ".png")
    sample = store(
        tmp_path, "a", encoded, ".png", np.ones((4, 5), np.uint8), CLASSES, height=4, width=5, split="val", source="A"
    )
    data = Dataset.create(tmp_path, CLASSES, [sample], {})
    assert np.array_equal(data.mask(sample), np.ones((4, 5)))
    assert (sample.status, sample.split, sample.source) == ("labelled", "val", "A")
    bare = store(tmp_path, "b", encoded, ".png", None, CLASSES, height=4, width=5)
    assert (bare.status, bare.mask, bare.mask_hash, bare.image_hash) == ("unlabelled", "", "", sample.image_hash)
    alone = store(tmp_path, "c", None, ".JPG", np.ones((4, 5), np.uint8), CLASSES, height=4, width=5)
    assert (alone.image, alone.image_hash) == ("images/c.JPG", "")
    assert not (tmp_path / alone.image).exists()


def test_a_listing_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No image can be used\. The first: gone"):
        build(
            Listing(classes=CLASSES, items=[], alone=[Skipped("a", "gone")]),
            tmp_path / "out",
            Shares(),
            {},
            strict=False,
        )
    assert list(tmp_path.iterdir()) == []
