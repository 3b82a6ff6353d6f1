"""Suggestions: diversity that avoids near-copies, doubt and rare classes that count, honest validation, the verb."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from drawing import add_sample, photo, shapes, shapes_classes
from hypothesis import given
from hypothesis import strategies as st
from test_predictor import make_run
from typer.testing import CliRunner

import maskwright
from maskwright.cli import app
from maskwright.data import jobs
from maskwright.data.dataset import Dataset, Sample
from maskwright.files import read_json
from maskwright.infer.features import probabilities_and_features
from maskwright.infer.predictor import Predictor
from maskwright.run import Run
from maskwright.scoring.suggesting import see as seeing
from maskwright.scoring.suggesting.choose import cover, distances, ranks
from maskwright.scoring.suggesting.describe import LENGTH, describe, joined
from maskwright.scoring.suggesting.rarity import labelled_shares, rarity
from maskwright.scoring.suggesting.suggest import METHODS, quotas
from maskwright.types import InputError

CPU: Any = {"device": "cpu", "precision": "fp32"}
VIDEOS = 4


def write_videos(folder: Path, *, frames: int = 5, labelled: int = 1, split: str = "train") -> Dataset:
    """Four 'videos' that look different, whose frames are nearly equal; the first `labelled` frames have masks."""
    samples = []
    rng = np.random.default_rng(0)
    for video in range(VIDEOS):
        scene = np.roll(photo((40, 56), seed=3 * video), 9 * video, axis=1)
        for frame in range(frames):
            image = np.clip(scene + rng.normal(0, 1.5, scene.shape), 0, 255).astype(np.uint8)
            mask = shapes(video, (40, 56))[1] if video * frames + frame < labelled else None
            name = f"v{video}-{frame}"
            samples.append(add_sample(folder, name, image, mask, split=split, classes=shapes_classes()))
    return Dataset.create(folder, shapes_classes(), samples, {})


def videos_of(ids: list[str]) -> list[str]:
    return [id.split("-")[0] for id in ids]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run", shapes_classes())


def test_without_a_run_every_video_comes_before_any_near_copy(tmp_path: Path) -> None:
    data = write_videos(tmp_path / "photos", labelled=0)
    ids = maskwright.suggest(None, data, count=8).ids
    assert len(set(ids)) == 8
    assert set(videos_of(ids[:VIDEOS])) == {f"v{i}" for i in range(VIDEOS)}


@pytest.mark.parametrize("method", ["mixed", "diversity"])
def test_what_is_labelled_is_not_suggested_again_under_another_name(tmp_path: Path, run: Run, method: str) -> None:
    data = write_videos(tmp_path / "photos", labelled=2)
    result = maskwright.suggest(run, data, count=3, method=method, **CPU)
    assert sorted(videos_of(result.ids)) == ["v1", "v2", "v3"]
    assert any("unlike anything labelled" in row["reason"] for row in result.rows)


def test_the_files_hold_what_is_returned(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos")
    result = maskwright.suggest(run, data.path, count=4, **CPU)
    assert result.path == data.path / ".label" / "queue.json"
    facts = read_json(result.path)
    assert facts["suggestions"] == result.rows
    assert facts["run_name"] == "run"
    assert (facts["labelled"], facts["pool"], facts["method"]) == (1, VIDEOS * 5 - 1, "mixed")
    assert [row["rank"] for row in result.rows] == [1, 2, 3, 4]
    with (data.path / ".label" / "queue.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == result.ids
    for row in result.rows:
        assert row["unsure_about"] in shapes_classes().names
        assert 0 <= row["uncertainty"] <= 1
        assert row["reason"]
    elsewhere = maskwright.suggest(run, data, count=2, out=tmp_path / "new" / "place", **CPU)
    assert elsewhere.path == tmp_path / "new" / "place" / "suggestions.json"


def test_the_most_doubtful_images_come_first_by_uncertainty(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos")
    rows = maskwright.suggest(run, data, count=99, method="uncertainty", **CPU).rows
    assert len(rows) == VIDEOS * 5 - 1
    values = [row["uncertainty"] for row in rows]
    assert values == sorted(values, reverse=True)
    predictor = Predictor.load(run, **CPU)
    first, last = (next(s for s in data.samples if s.id == rows[i]["id"]) for i in (0, -1))
    sure = [np.sort(predictor.probabilities(data.image(s)).max(0).ravel())[:500].mean() for s in (first, last)]
    assert sure[0] < sure[1], "the first is less sure than the last"


def test_seeds_repeat_and_differ_and_random_goes_on_where_it_ended(tmp_path: Path) -> None:
    data = write_videos(tmp_path / "photos", labelled=0)
    one, again, other = (maskwright.suggest("none", data, count=6, method="random", seed=s).ids for s in (1, 1, 2))
    assert one == again != other
    ten = maskwright.suggest(None, data, count=10, method="random", seed=1).ids
    assert ten[:6] == one
    assert maskwright.suggest(None, data, count=10).ids == maskwright.suggest(None, data, count=10).ids


def test_validation_and_test_images_are_taken_at_random_by_their_share(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos", frames=10)
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    samples = [replace(s, split="train" if s.mask else splits[i % 10]) for i, s in enumerate(data.samples)]
    data = Dataset.create(data.path, data.classes, samples, {})
    rows = maskwright.suggest(run, data, count=10, **CPU).rows
    assert Counter(row["split"] for row in rows) == {"train": 6, "val": 2, "test": 2}
    for row in rows:
        assert ("at random" in row["reason"]) == (row["split"] != "train")
    assert rows[0]["split"] == "train", "spread over the queue"
    val = [row["id"] for row in rows if row["split"] == "val"]
    others = maskwright.suggest(None, data, count=10, method="diversity").rows
    assert [row["id"] for row in others if row["split"] == "val"] == val, "whatever the run says"


@given(counts=st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)).filter(any), wanted=st.integers(1, 40))
def test_quotas_add_up_and_never_ask_for_more_than_there_is(counts: tuple[int, int, int], wanted: int) -> None:
    plain = Sample(id="", image="", height=1, width=1, image_hash="")
    sides = [side for side, count in zip(("train", "val", "test"), counts, strict=True) for _ in range(count)]
    found = quotas([replace(plain, split=side) for side in sides], wanted, by_side=True)
    assert sum(found.values()) == min(wanted, sum(counts))
    assert all(0 <= found[key] <= have for key, have in zip(("", "val", "test"), counts, strict=True))
    if counts[0] and wanted > 1:
        assert found[""] > 0


def test_started_and_skipped_images_are_left_alone_and_an_end_is_said(tmp_path: Path) -> None:
    data = write_videos(tmp_path / "photos", frames=2, labelled=0)
    states = ["started", "skipped", *["unlabelled"] * 6]
    samples = [replace(s, status=state) for s, state in zip(data.samples, states, strict=True)]
    data = Dataset.create(data.path, data.classes, samples, {})
    assert set(maskwright.suggest(None, data, count=99).ids) == {s.id for s in samples[2:]}
    data = Dataset.create(data.path, data.classes, [replace(s, status="skipped") for s in samples], {})
    with pytest.raises(InputError, match=r"no unlabelled images left; add photos"):
        maskwright.suggest(None, data)


def test_a_pool_is_chosen_from_whatever_its_state(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos", labelled=20)
    pool = [s.id for s in data.samples if not s.id.startswith("v0")]
    result = maskwright.suggest(run, data, count=3, pool=pool, labelled=["v0-0"], **CPU)
    assert sorted(videos_of(result.ids)) == ["v1", "v2", "v3"]
    assert (result.facts["labelled"], result.facts["pool"]) == (1, 15)
    with pytest.raises(InputError, match=r"Unknown id in the pool 'v9-9'"):
        maskwright.suggest(run, data, pool=["v9-9"])


def test_what_was_seen_is_kept_and_an_interruption_keeps_its_part(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_videos(tmp_path / "photos")
    asked: list[int] = []
    real = seeing.ask

    def ask(*arguments: Any) -> seeing.Seen:
        if len(asked) == 7:
            raise KeyboardInterrupt
        asked.append(1)
        return real(*arguments)

    monkeypatch.setattr(seeing, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        maskwright.suggest(run, data, **CPU)
    assert not (data.path / ".label" / "queue.json").exists()
    counted = Mock(side_effect=real)
    monkeypatch.setattr(seeing, "ask", counted)
    first = maskwright.suggest(run, data, **CPU)
    assert counted.call_count == VIDEOS * 5 - 7
    counted.reset_mock()
    assert maskwright.suggest(run, data, **CPU).rows == first.rows
    assert not counted.called
    for path in (data.path / ".label" / "suggest").iterdir():
        path.write_bytes(path.read_bytes()[:500])
    assert maskwright.suggest(run, data, **CPU).rows == first.rows, "a damaged store is made anew"


def test_the_work_can_be_sent_to_processes(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_videos(tmp_path / "photos")

    def pooled(work: Any, items: Any, *, name: Any, **how: Any) -> Any:
        sent, called = pickle.loads(pickle.dumps((work, name)))
        assert called(items[0]) == items[0].id
        return jobs.pooled(sent, items, name=called, **how)

    monkeypatch.setattr(seeing, "pooled", pooled)
    assert maskwright.suggest(run, data, count=3, **CPU).ids


def test_an_unreadable_image_is_left_out_and_named(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos")
    (data.path / "images" / "v2-0.png").write_bytes(b"\x89PNG cut off")
    result = maskwright.suggest(run, data, count=99, **CPU)
    assert [item.file for item in result.skipped] == ["v2-0"]
    assert "v2-0" not in result.ids
    with pytest.raises(InputError, match=r"v2-0\.png"):
        maskwright.suggest(run, data, strict=True, **CPU)


def test_mistakes_are_explained(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos")
    for match, call in {
        r"Unknown method 'magic'.*Known: diversity": {"method": "magic"},
        r"--count 0 suggests nothing": {"count": 0},
    }.items():
        with pytest.raises(InputError, match=match):
            maskwright.suggest(run, data, **call)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'uncertainty' asks a run.*--method diversity"):
        maskwright.suggest(None, data, method="uncertainty")
    with pytest.raises(InputError, match="not a run folder"):
        maskwright.suggest(tmp_path, data)
    with pytest.raises(InputError, match="not a data set"):
        maskwright.suggest(None, tmp_path)


def test_greedy_cover_gains_most_and_ends_with_copies() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 5)).astype(np.float32)
    points[20:] = points[:10]
    even = np.ones(30)
    none = np.zeros((0, 5), np.float32)
    picks = cover(points, none, 30, value_N=even, rng=rng)
    rows = [pick.row for pick in picks]
    assert sorted(rows) == list(range(30))
    away = distances(points, points)
    assert rows[0] == away.sum(0).argmin(), "the medoid of all"
    by_hand = [np.minimum(away[:, rows[0]], away[:, row]).sum() for row in range(30)]
    assert by_hand[rows[1]] == pytest.approx(min(by_hand), rel=1e-5)
    assert len({tuple(points[row]) for row in rows[:20]}) == 20, "no copy before all are covered"
    assert picks[0].distance == np.inf
    assert picks[-1].distance == 0
    valued = cover(points, none, 1, value_N=np.where(np.arange(30) == 17, 50.0, 0.1), rng=rng)
    assert valued[0].row == 17
    covered = cover(points, points[[rows[0]]], 1, value_N=even, rng=rng)
    assert covered[0].row == rows[1]


def test_more_images_than_are_represented_still_avoid_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.scoring.suggesting.choose.REPRESENTED", 25)
    centres = 10 * np.eye(8, dtype=np.float32)
    points = np.repeat(centres, 12, axis=0) + np.random.default_rng(0).normal(0, 0.01, (96, 8)).astype(np.float32)
    picks = cover(points, centres[:2], 6, value_N=np.ones(96), rng=np.random.default_rng(3))
    assert {pick.row // 12 for pick in picks} == set(range(2, 8))


def test_a_long_queue_is_quick_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.scoring.suggesting.choose.GREEDY", 5)
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    points[7] = points[9]
    picks = cover(points, points[:1], 40, value_N=np.ones(40), rng=np.random.default_rng(0))
    assert sorted(pick.row for pick in picks) == list(range(40))
    later = [pick.distance for pick in picks[5:]]
    assert later == sorted(later, reverse=True)


def test_descriptions_are_near_for_frames_and_far_for_scenes() -> None:
    scenes = [photo((60, 80), seed) for seed in range(3)]
    noisy = [np.clip(s.astype(int) + 3, 0, 255).astype(np.uint8) for s in scenes]
    points = joined([np.stack([describe(image) for image in (*scenes, *noisy)])])
    assert len(points) == 6
    assert np.isfinite(points).all()
    assert distances(points, points)[:3, 3:].argmin(1).tolist() == [0, 1, 2]
    assert describe(np.zeros((1, 1, 3), np.uint8)).shape == (LENGTH,)
    parts = [np.random.default_rng(0).normal(5, [1, 9, 0], (50, 3)), np.random.default_rng(1).normal(0, 100, (50, 1))]
    space = joined([part.astype(np.float32) for part in parts])
    assert space.var(0) == pytest.approx([0.5, 0.5, 1], rel=1e-3), "every part alike, every value of a part alike"


def test_ranks_and_rarity() -> None:
    assert ranks(np.array([5.0, 1, 1, 9])).tolist() == [0.625, 0.25, 0.25, 0.875]
    labelled = np.array([0.9, 0.1, np.nan])
    usual, rare = np.array([[0.9, 0.1, 0.0]]), np.array([[0.5, 0.4, 0.1]])
    assert rarity(usual, labelled)[0] == pytest.approx(1)
    assert rarity(rare, labelled)[0] > 1.2
    never = rarity(rare, np.array([1.0, 0.0, 0.0]))
    assert np.isfinite(never).all()
    assert rarity(rare, np.full(3, np.nan)).tolist() == [1]


def test_shares_are_those_of_the_masks_by_name(tmp_path: Path) -> None:
    data = write_videos(tmp_path / "photos", labelled=2)
    known = [s for s in data.samples if s.mask]
    found = labelled_shares(data, known, ["disc", "elephant", "background"])
    planes = np.concatenate([data.mask(s).ravel() for s in known])
    planes = planes[planes != 255]
    assert found[[0, 2]] == pytest.approx([(planes == 1).mean(), (planes == 0).mean()])
    assert np.isnan(found[1])


def test_features_are_the_deepest_and_leave_no_hooks(run: Run) -> None:
    predictor = Predictor.load(run, **CPU)
    image = shapes(1, (32, 48))[0]
    scores, features = probabilities_and_features(predictor, image)
    assert np.array_equal(scores, predictor.probabilities(image))
    assert features.shape == (2 * 8,), "8 channels at the bottleneck, mean and deviation"
    assert not any(module._forward_hooks for module in predictor.network.modules())


def test_the_verb_prints_reasons_json_and_exit_codes(tmp_path: Path, run: Run) -> None:
    data = write_videos(tmp_path / "photos")
    (tmp_path / "ids.txt").write_text("v1-0\nv1-1.png\nv2-0\n")
    none = ["suggest", "none", str(data.path), "--pool", str(tmp_path / "ids.txt"), "-n", "2", "--json"]
    assert {row["id"][:2] for row in json.loads(CliRunner().invoke(app, none).stdout)["suggestions"]} == {"v1", "v2"}
    words = ["suggest", str(run.path), str(data.path), "--count", "3", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert len(facts["suggestions"]) == 3
    assert facts["suggestions"][0]["id"] in done.stderr
    assert facts["suggestions"][0]["reason"] in done.stderr
    shutil.rmtree(data.path / ".label")
    (data.path / "images" / "v3-0.png").write_bytes(b"broken")
    assert CliRunner().invoke(app, words).exit_code == 3
    assert isinstance(CliRunner().invoke(app, ["suggest", "none", str(tmp_path)]).exception, InputError)


def test_a_start_without_a_run_loads_no_torch(tmp_path: Path) -> None:
    data = write_videos(tmp_path / "photos", labelled=0)
    code = f"""
import sys, maskwright
maskwright.Proposals, maskwright.BackgroundTraining
maskwright.suggest(None, {str(data.path)!r}, count=3)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_method_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "suggest.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in METHODS)
