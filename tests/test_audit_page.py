"""The audit's page: complete in itself, escaped, the same twice, and honest about what there is not."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from drawing import add_sample, shapes, write_shapes
from scenes import faults

from maskwright.data.audit.write import audit_dataset
from maskwright.data.dataset import Dataset
from maskwright.reporting.audit_page import audit_page
from maskwright.types import Classes, InputError


class Balanced(HTMLParser):
    """Every element is closed."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "planted"
    faults.plant(faults.drawn_shots(60), faults.SCENE, path, each=1, seed=1)
    result = audit_dataset(path)
    assert result.path is not None
    return result.path


def test_the_page_says_what_was_found_and_needs_nothing_else(folder: Path) -> None:
    page = audit_page(folder)
    assert page == folder / "index.html"
    html = page.read_text("utf-8")
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "http" not in html.replace("http-equiv", "")
    assert len(html) < 4_000_000
    record = json.loads((folder / "audit.json").read_text("utf-8"))
    for kind in {row["kind"] for row in record["findings"]}:
        assert record["kinds"][kind]["title"] in html
    assert html.count("<img ") == sum(len(row["pictures"]) for row in record["findings"])
    assert html.count("<svg ") == 2
    assert "--fix NEW_FOLDER" in html
    assert str(folder.parent) in html  # in the command only
    assert html.count(str(folder.parent)) == 1


def test_the_same_audit_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert audit_page(folder).read_bytes() == audit_page(folder, out=tmp_path / "other.html").read_bytes()


def test_a_good_set_says_so(tmp_path: Path) -> None:
    shots = faults.drawn_shots(9)
    for shot in shots:
        shot.split = "train"
    faults.write(shots, faults.SCENE, tmp_path / "good")
    result = audit_dataset(tmp_path / "good")
    assert result.path is not None
    html = audit_page(result.path).read_text("utf-8")
    if not result.findings:
        assert "Nothing to report" in html
    assert "Fix these first" not in html


def test_names_are_escaped_and_pictures_may_be_gone(tmp_path: Path) -> None:
    classes = Classes.from_names(["<script>alert(1)</script>", "b & c"], background=None)
    row = add_sample(tmp_path / "d", "a", shapes(0)[0], np.full((48, 64), 9, np.uint8), classes=classes)
    result = audit_dataset(Dataset.create(tmp_path / "d", classes, [row], {}))
    assert result.path is not None
    for picture in (result.path / "pictures").iterdir():
        picture.unlink()
    html = audit_page(result.path).read_text("utf-8")
    assert "<script>alert" not in html
    assert "b &amp; c" in html
    assert "<img " not in html


@pytest.mark.parametrize("count", [1, 40])
def test_one_class_and_many(tmp_path: Path, count: int) -> None:
    classes = Classes.from_names([f"class {n}" for n in range(count)], background=None)
    image, _ = shapes(0)
    row = add_sample(tmp_path / "d", "a", image, np.zeros(image.shape[:2], np.uint8), classes=classes)
    result = audit_dataset(Dataset.create(tmp_path / "d", classes, [row], {}))
    assert result.path is not None
    assert "Classes that occur together" not in audit_page(result.path).read_text("utf-8")


def test_no_audit_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no audit"):
        audit_page(tmp_path)
    (tmp_path / "audit.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="does not know"):
        audit_page(tmp_path)


def test_an_unlabelled_set_has_a_page(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "d", {"train": 1})
    row = add_sample(tmp_path / "d", "plain", shapes(3)[0], None, classes=data.classes)
    result = audit_dataset(Dataset.create(tmp_path / "d", data.classes, [row], {}))
    assert result.path is not None
    assert "<svg" in audit_page(result.path).read_text("utf-8")
