"""What is to be predicted: folders, patterns, archives; and what an archive may try."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawing import photo

from maskwright.imageio import encode_image, write_image
from maskwright.infer.predicting import archives
from maskwright.infer.predicting.sources import Clip, Photo, find_sources
from maskwright.types import InputError

PNG = encode_image(photo(), ".png")


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, photo())


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def names(*given: str | Path | bytes | int) -> list[str]:
    return [source.name for source in find_sources(given)[0]]


def test_folders_keep_their_inner_structure_and_hide_what_is_hidden(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png", tmp_path / "in/sub/größe 1.jpg", tmp_path / "in/.cache/x.png")
    (tmp_path / "in/notes.txt").write_text("no photo")
    (tmp_path / "in/b.mp4").write_bytes(b"a film, by its name")
    found, refused = find_sources([tmp_path / "in"])
    assert [source.name for source in found] == ["a", "sub/größe 1", "b"]
    assert isinstance(found[-1], Clip)
    assert refused == []


def test_a_pattern_names_from_its_last_plain_folder(tmp_path: Path) -> None:
    draw(tmp_path / "in/day-1/a.png", tmp_path / "in/day-2/a.png", tmp_path / "in/day-2/deep/b.png")
    assert names(f"{tmp_path}/in/*/a.png") == ["day-1/a", "day-2/a"]
    assert names(f"{tmp_path}/in/day-?") == ["day-1/a", "day-2/a", "day-2/deep/b"]
    assert names(f"{tmp_path}/in/**/*") == ["day-1/a", "day-2/a", "day-2/deep/b"]
    with pytest.raises(InputError, match="matches no file"):
        find_sources([f"{tmp_path}/in/*.jpg"])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    draw(tmp_path / "in[1].png")
    assert names(tmp_path / "in[1].png") == ["in[1]"]


def test_the_same_file_named_twice_counts_once_and_twins_are_left_out(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png", tmp_path / "in/b.png", tmp_path / "in/b.jpg")
    found, refused = find_sources([tmp_path / "in", tmp_path / "in/a.png"])
    assert [source.name for source in found] == ["a"]
    assert [Path(item.file).name for item in refused] == ["b.jpg", "b.png"]
    assert all("rename one" in item.reason for item in refused)


def test_an_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    path = pack(tmp_path / "p.zip", {"day/a.png": PNG, "windows\\b.PNG": PNG, "c.txt": b"-", "__MACOSX/._a.png": b"-"})
    found, refused = find_sources([path])
    assert [source.name for source in found] == ["day/a", "windows/b"]
    assert refused == []
    for source in found:
        assert isinstance(source, Photo)
        assert not source.lies_alone
        assert np.array_equal(source.read(), photo())
    assert found[0].state() != found[1].state() or found[0] != found[1]
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "sub/../../a.png", "..\\a.png", "C:/a.png", "C:\\a.png"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, name: str) -> None:
    found, refused = find_sources([pack(tmp_path / "p.zip", {name: PNG, "fine.png": PNG})])
    assert [source.name for source in found] == ["fine"]
    assert len(refused) == 1
    assert "leads out" in refused[0].reason


def test_a_bomb_in_an_archive_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 16)
    path = pack(tmp_path / "p.zip", {"bomb.png": bytes(1 << 20), "fine.png": PNG})
    bomb, fine = find_sources([path])[0]
    assert isinstance(bomb, Photo)
    assert isinstance(fine, Photo)
    with pytest.raises(InputError, match=r"bomb\.png unpacks to more than"):
        bomb.read()
    assert fine.read().shape == photo().shape


def spoiled(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def test_damaged_locked_and_unknown_members_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.png", PNG)
    whole = path.read_bytes()
    local, central = whole.find(b"PK\x03\x04"), whole.find(b"PK\x01\x02")
    locked, unknown, bent = bytearray(whole), bytearray(whole), bytearray(whole)
    locked[local + 6] |= 1
    locked[central + 8] |= 1
    unknown[local + 8] = unknown[central + 10] = 98
    bent[local + 60] ^= 255
    for number, (data, said) in enumerate([(locked, "password"), (unknown, "unknown way"), (bent, "cannot be read")]):
        spoilt = tmp_path / f"{number}.zip"
        spoilt.write_bytes(bytes(data))
        (source,) = find_sources([spoilt])[0]
        assert isinstance(source, Photo)
        with pytest.raises(InputError, match=said):
            source.read()


def test_what_holds_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK but not really")
    with pytest.raises(InputError, match=r"no\.zip cannot be read"):
        find_sources([tmp_path / "no.zip"])
    with pytest.raises(InputError, match="holds no images"):
        find_sources([pack(tmp_path / "empty.zip", {"readme.txt": b"-"})])
    with pytest.raises(InputError, match="does not exist"):
        find_sources([tmp_path / "nowhere"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        find_sources([tmp_path / "folder"])


def test_a_state_changes_with_the_file(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (source,) = find_sources([tmp_path / "a.png"])[0]
    before = source.state()
    assert source.state() == before
    write_image(tmp_path / "a.png", photo((30, 31)))
    assert source.state() != before


def test_bytes_and_cameras_have_names_of_their_own() -> None:
    found, _ = find_sources([PNG, 3])
    assert [source.name for source in found] == ["stdin", "camera-3"]
    assert isinstance(found[0], Photo)
    assert np.array_equal(found[0].read(), photo())
