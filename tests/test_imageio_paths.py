"""Names and folders of files."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from drawing import photo

from maskwright.files import list_files, read_bytes, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, read_image, write_image
from maskwright.types import InputError


def test_paths_with_spaces_and_umlauts(tmp_path: Path) -> None:
    folder = tmp_path / "Mein Ördner mit Fotos"
    folder.mkdir()
    path = folder / "Straße im Schnee 雪.png"
    write_image(path, photo())
    assert np.array_equal(read_image(path), photo())
    assert list_files(folder, IMAGE_SUFFIXES) == [path]


def test_stems_match_in_either_unicode_form() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Bäume.2.jpg") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert stem_of(Path(composed)) == stem_of(Path(decomposed)) == unicodedata.normalize("NFC", "Bäume.2")


def test_list_files_is_sorted_and_leaves_out_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/z.png", "a.png", ".hidden.png", ".cache/x.png", "notes.txt", "folder.png/in.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path, IMAGE_SUFFIXES)]
    assert found == ["a.png", "a/z.png", "b.JPG", "folder.png/in.png"]
    with pytest.raises(InputError, match="does not exist"):
        list_files(tmp_path / "none", IMAGE_SUFFIXES)
    with pytest.raises(InputError, match="folder was expected"):
        list_files(tmp_path / "b.JPG", IMAGE_SUFFIXES)


def test_a_file_below_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    path = tmp_path / "file" / "below.png"
    with pytest.raises(InputError, match=r"cannot be read .*check the path") as caught:
        read_bytes(path)
    assert str(path) in str(caught.value)
