"""The stress test on a page, and in the documentation."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import photo, shapes_classes
from quick import quick

from maskwright.data.perturbing import SUITES
from maskwright.files import write_json
from maskwright.imageio import write_image
from maskwright.metrics.units import choose_units
from maskwright.reporting.render import fill
from maskwright.reporting.stress_section import MOST_CASES, stress_sections
from maskwright.run import Run
from maskwright.scoring.stressing.retention import robustness

DOCS = Path(__file__).parents[1] / "docs"
KINDS = ["noise", "blur", "contrast_up", "contrast_down", "brightness_up", "occlusion", "salt_and_pepper"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", quick(), shapes_classes(), {})


def result(kinds: list[str], *, nothing: bool = False, seen: str = "blur") -> dict[str, Any]:
    """What `stress.json` holds, with counts that fall by level and kind."""
    heads = []
    for name in kinds:
        kind = SUITES["ladder"][name]
        values = [{"value": kind.values[i], "label": kind.label(i + 1)} for i in range(kind.levels)]
        heads.append(
            {"name": name, "title": kind.title, "unit": kind.unit, "trained_on": name == seen, "values": values}
        )
    tally = np.zeros((len(kinds), 10, 3, 3, 3), np.int64)
    left = 0 if nothing else 900 - 80 * np.arange(10)
    for p in range(len(kinds)):
        tally[p, :, :, 0] = np.broadcast_to(np.asarray(left) // (p + 1), (3, 3, 10)).T
        tally[p, 0, :, 0] = np.max(left)
    tally[:, :, :, 1:] = 1000
    scores = robustness(tally, heads, shapes_classes(), background=True, units=choose_units(["", "", ""]))
    scores |= {
        "suite": "ladder", "split": "test", "time": "2026-01-02T03:04:05+00:00", "seed": 0, "levels": 10, "images": 3,
        "dataset": {"path": "/somewhere/shapes", "fingerprint": "f" * 32}, "weights": "best", "precision": "fp32",
        "mean_over": "all classes", "cases": [], "skipped": [], "job": {},
        "cost": {"predict_seconds": 10.0, "perturb_seconds": 0.5, "score_seconds": 0.1},
    }  # fmt: skip
    return scores


def write(run: Run, scores: dict[str, Any], *, suite: str = "ladder", sizes: tuple[str, ...] = ("large",)) -> Path:
    folder = run.path / "stress" / f"{suite}-test"
    (folder / "cases").mkdir(parents=True)
    for size in sizes:
        for kind in scores["kinds"]:
            names = {name: f"cases/{size}-{name}.jpg" for name in ("photo", "label", "clean")}
            names |= {name: f"cases/{size}-{kind['name']}-{name}.jpg" for name in ("perturbed", "prediction")}
            for path in names.values():
                write_image(folder / path, photo((20, 30)))
            scores["cases"].append(
                {"kind": kind["name"], "level": 10, "size": size, "class": "disc", "id": "a <b>", "recall_clean": 0.9,
                 "recall": 0.1, "pictures": names}
            )  # fmt: skip
    write_json(folder / "stress.json", scores)
    return folder


def page(run: Run, **options: bool) -> str:
    return fill("_stress.html", {"stress": stress_sections(run, **options), "classes": run.classes})


class Balance(HTMLParser):
    """Every tag that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("img", "br", "path", "use", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "use", "rect"):
            assert self.open.pop() == tag


def test_a_run_without_a_stress_test_has_no_section(run: Run) -> None:
    assert stress_sections(run) == []
    assert "section" not in page(run)


def test_the_heat_map_has_a_row_a_kind_and_a_number_a_level(run: Run) -> None:
    write(run, result(KINDS))
    html = page(run)
    Balance().feed(html)
    heat = html[html.index('<table class="matrix levels">') : html.index("</table>")]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", heat)
    assert len(rows) == len(KINDS)
    for _, cells in rows:
        shades = [float(value) for value in re.findall(r"--v:([\d.]+)", cells)]
        assert len(shades) == 9
        assert shades == sorted(shades)
        assert all(0 <= shade <= 1 for shade in shades)
    noise = json.loads((run.path / "stress/ladder-test/stress.json").read_text())["kinds"][0]
    numbers = re.findall(r">(\d+)</td>", rows[0][1])
    assert numbers[0] == f"{100 * noise['levels'][1]['retention']:.0f}"
    assert [name.startswith("Gaussian blur<abbr") for name, _ in rows] == [kind == "blur" for kind in KINDS]


def test_the_page_says_what_is_left_and_where(run: Run) -> None:
    scores = result(KINDS)
    write(run, scores)
    html = page(run)
    assert f"{100 * scores['retention']:.1f}" in html
    assert "Least is left under Salt and pepper" in html
    assert "of which training saw nothing alike" in html
    assert "shapes" in html
    assert "/somewhere" not in html
    assert html.count("<svg") == len(KINDS)
    assert len(set(re.findall(r'<svg[^>]*aria-label="([^"]+)"', html))) == len(KINDS)
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_worst_cases_are_shown_and_names_are_escaped(run: Run) -> None:
    write(run, result(KINDS), sizes=("large", "small"))
    html = page(run)
    assert "A large object: disc in a &lt;b&gt;" in html
    assert "A small object" in html
    assert html.count("<img") == 2 * (3 + 2 * MOST_CASES)
    assert html.count("<img") == html.count('src="data:image/jpeg;base64,')
    assert page(run, few=True).count("<img") == 2 * (3 + 2)
    assert "<svg" not in page(run, few=True)


def test_pictures_that_are_gone_are_left_out(run: Run) -> None:
    folder = write(run, result(KINDS[:2]))
    (folder / "cases" / "large-photo.jpg").unlink()
    assert "<img" not in page(run)


def test_a_model_that_finds_nothing_has_a_section_all_the_same(run: Run) -> None:
    write(run, result(KINDS[:2], nothing=True), sizes=())
    html = page(run)
    Balance().feed(html)
    assert "nothing can be lost" in html


def test_the_ladder_comes_first_and_unfinished_work_is_not_shown(run: Run) -> None:
    for suite in ("corruptions", "ladder"):
        write(run, result(KINDS[:1]) | {"suite": suite}, suite=suite, sizes=())
    hidden = write(run, result(KINDS[:1]), suite=".corruptions", sizes=())
    assert hidden.name.startswith(".")
    assert [section["suite"] for section in stress_sections(run)] == ["ladder", "corruptions"]


def test_the_same_result_gives_the_same_bytes(run: Run) -> None:
    write(run, result(KINDS))
    assert page(run) == page(run)


@pytest.mark.parametrize("suite", SUITES)
def test_the_documentation_names_every_level(suite: str) -> None:
    text = (DOCS / "stress.md").read_text("utf-8")
    kinds = SUITES[suite]
    levels = next(iter(kinds.values())).levels
    rows = [f"| `{suite}` | unit | " + " | ".join(str(level) for level in range(1, levels + 1)) + " |"]
    rows.append("|---" * (levels + 2) + "|")
    for kind in kinds.values():
        labels = " | ".join(kind.label(level) for level in range(1, levels + 1))
        rows.append(f"| `{kind.name}` | {kind.unit} | {labels} |")
    assert "\n".join(rows) in text
    assert f"{1 + sum(kind.levels - 1 for kind in kinds.values())} " in text  # predictions an image
