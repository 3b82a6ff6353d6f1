"""Evaluation and prediction from the outside, on a run that a test trained."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from drawing import photo, write_shapes
from quick import quick

import maskwright
from maskwright.data.dataset import Dataset
from maskwright.files import read_json
from maskwright.imageio import read_image, read_mask, write_image
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.run import Run, read_counts, read_csv
from maskwright.scoring.evaluating import score
from maskwright.scoring.evaluating.gallery import gallery_choice
from maskwright.scoring.evaluating.observe import Observer
from maskwright.types import InputError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Dataset]:
    """A run that has learned a little, and its data set."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_shapes(folder / "shapes", {"train": 8, "val": 2, "test": 5})
    recipe = quick("train.epochs=8", "augment={flip: 0.5}")
    return maskwright.train(data, recipe, out=folder / "run").run, data


def test_scores_are_counts_over_all_images_at_their_own_size(trained: tuple[Run, Dataset]) -> None:
    run, data = trained
    result = maskwright.evaluate(run, device="cpu", precision="fp32")
    predictor = maskwright.Predictor.load(run, device="cpu", precision="fp32")
    by_hand = np.zeros((3, 3), np.int64)
    for sample in data.labelled("test"):
        guess = predictor.ids(data.image(sample))
        assert guess.shape == sample.size_hw
        by_hand += confusion(data.mask(sample), guess, 3)
    assert (result.confusion_KK == by_hand).all()
    assert result.scores["mean_iou"] == pytest.approx(mean_iou(by_hand))
    assert result.scores["pixels"] == by_hand.sum()


def test_batch_size_changes_no_count(trained: tuple[Run, Dataset]) -> None:
    run, _ = trained
    one, many = (maskwright.evaluate(run, batch=batch, device="cpu", precision="fp32").confusion_KK for batch in (1, 4))
    assert (one == many).all()


def test_the_folder_holds_scores_rows_definitions_and_a_gallery(trained: tuple[Run, Dataset]) -> None:
    run, data = trained
    result = maskwright.evaluate(run, split="val", device="cpu", precision="fp32", surface_px=1.0)
    folder = run.evaluation_folder("val")
    assert result.folder == folder
    scores = read_json(folder / "scores.json")
    assert {"mean_iou", "mean_iou_no_background", "pixel_accuracy", "confusion", "definitions"} <= scores.keys()
    assert {"iou", "dice", "precision", "recall", "specificity", "boundary_iou"} <= scores["classes"][0].keys()
    assert scores["source"] == {"kind": "run", "path": str(run.path.resolve()), "name": "run"}
    assert "absent" in scores["definitions"]
    assert scores["dataset"]["fingerprint"] == data.fingerprint
    assert [row["name"] for row in scores["surface"]] == list(data.classes.names)
    assert [row["id"] for row in read_csv(folder / "images.csv")] == [s.id for s in data.labelled("val")]
    assert [row["name"] for row in read_csv(folder / "classes.csv")] == list(data.classes.names)
    assert (folder / "scores.txt").read_text().splitlines() == result.table
    assert (folder / "gallery" / "worst-0-errors.jpg").is_file()
    assert (folder / "weak.json").is_file()
    counted = read_counts(folder)
    assert counted.ids.tolist() == [s.id for s in data.labelled("val")]
    assert counted.tally_N3K[:, 1].sum() == scores["pixels"]


def test_an_interrupted_evaluation_leaves_the_last_one_or_none(
    trained: tuple[Run, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = trained
    out = tmp_path / "scored"
    maskwright.evaluate(run, out=out, device="cpu", precision="fp32")
    before = (out / "scores.json").read_bytes()

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Observer, "__call__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            maskwright.evaluate(run, out=out, device="cpu", precision="fp32")
    assert (out / "scores.json").read_bytes() == before, "nothing was written yet"
    with monkeypatch.context() as patch:
        patch.setattr(score, "write_gallery", interrupt)
        with pytest.raises(KeyboardInterrupt):
            maskwright.evaluate(run, out=out, device="cpu", precision="fp32")
    assert not (out / "scores.json").exists(), "what is half-written is not called complete"


def test_probabilities_are_calibrated_against_the_label(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    run, data = trained
    result = maskwright.evaluate(run, out=tmp_path / "scored", device="cpu", precision="fp32")
    predictor = maskwright.Predictor.load(run, device="cpu", precision="fp32")
    losses, briers = [], []
    gaps: dict[int, list[float]] = {}
    for sample in data.labelled("test"):
        truth, scores_KHW = data.mask(sample), predictor.probabilities(data.image(sample)).astype(float)
        for y, x in np.argwhere(truth != 255):
            p = scores_KHW[:, y, x]
            losses.append(-np.log(max(p[truth[y, x]], 1e-7)))
            briers.append(((p - np.eye(3)[truth[y, x]]) ** 2).sum())
            gap = gaps.setdefault(min(int(p.max() * 15), 14), [0.0])
            gap[0] += p.max() - (p.argmax() == truth[y, x])
    found = result.scores["calibration"]
    assert found["nll"] == pytest.approx(np.mean(losses), rel=1e-3)
    assert found["brier"] == pytest.approx(np.mean(briers), rel=1e-3)
    assert found["ece"] == pytest.approx(sum(abs(gap[0]) for gap in gaps.values()) / len(losses), abs=1e-3)
    low, high = found["intervals"]["nll"]
    assert low <= found["nll"] <= high


def test_background_can_be_left_out_of_every_count(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", {"train": 4, "val": 2, "test": 3})
    recipe = quick("train.epochs=1", "loss.background=false")
    run = maskwright.train(data, recipe, out=tmp_path / "run").run
    result = maskwright.evaluate(run, device="cpu", precision="fp32", surface_px=1.0)
    assert result.confusion_KK[0].sum() == 0
    assert result.scores["classes"][0]["pixels"] == 0
    assert sum(size["pixels"] for size in result.scores["object_sizes"]) == result.scores["pixels"]
    assert all(row["labelled"] == 0 for size in result.scores["objects"] for row in size["classes"][:1])
    assert "background" in result.scores["definitions"]["ignored"]
    counted = read_counts(result.folder)
    assert counted.boundary_N7K[:, 1, 0].sum() == 0, "no contour of what is ignored"


def test_groups_are_scored_apart(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    run, _ = trained
    data = write_shapes(tmp_path / "grouped", {"test": 4})
    table = data.path / "samples.csv"
    lines = table.read_text().splitlines()
    lines[1:] = [line.replace(",test,,", f",test,{'ab'[i % 2]},") for i, line in enumerate(lines[1:])]
    table.write_text("\n".join(lines) + "\n")
    result = maskwright.evaluate(run, data.path, device="cpu", precision="fp32")
    groups = result.scores["groups"]
    assert {name: group["images"] for name, group in groups.items()} == {"a": 2, "b": 2}
    assert sum(group["pixels"] for group in groups.values()) == result.scores["pixels"]


def test_another_class_table_is_refused(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    other = write_shapes(tmp_path / "other", {"test": 2})
    record = other.path / "dataset.yaml"
    record.write_text(record.read_text().replace("name: disc", "name: ring"))
    with pytest.raises(InputError, match="has classes"):
        maskwright.evaluate(trained[0], other.path, device="cpu", precision="fp32")


def test_a_bad_file_is_left_out_or_fatal(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "bad", {"test": 3})
    broken = data.path / data.samples[0].image
    broken.write_bytes(broken.read_bytes()[:200])
    result = maskwright.evaluate(trained[0], data.path, device="cpu", precision="fp32")
    assert result.scores["images"] == 2
    assert [item.file for item in result.skipped] == [data.samples[0].id]
    with pytest.raises(InputError, match=broken.name):
        maskwright.evaluate(trained[0], data.path, strict=True, device="cpu", precision="fp32")


def test_a_file_that_breaks_without_a_trace_is_left_out_too(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "bad", {"test": 3})
    broken = data.path / data.samples[1].image
    broken.write_bytes(broken.read_bytes()[:200])
    os.utime(broken, (0, 0))
    result = maskwright.evaluate(trained[0], data.path, batch=2, out=tmp_path / "o", device="cpu", precision="fp32")
    assert (result.scores["images"], result.scores["left_out"]) == (2, 1)
    assert [item.file for item in result.skipped] == [data.samples[1].id]
    with pytest.raises(InputError, match="truncated"):
        maskwright.evaluate(trained[0], data.path, out=tmp_path / "o", strict=True, device="cpu", precision="fp32")


def test_gallery_never_shows_an_image_twice() -> None:
    for count in range(12):
        shown = [index for some in gallery_choice(list(range(count))).values() for index in some]
        assert len(shown) == len(set(shown))
        assert bool(shown) == bool(count)


@pytest.mark.parametrize("hw", [(31, 77), (200, 33), (8, 8), (64, 64)])
def test_predictions_have_the_size_and_name_of_the_photo(
    trained: tuple[Run, Dataset], tmp_path: Path, hw: tuple[int, int]
) -> None:
    run, data = trained
    photos = tmp_path / "my phötos" / "sub folder"
    photos.mkdir(parents=True)
    write_image(photos / "größe 1.png", photo(hw))
    kinds = ["ids", "colour", "overlay", "probabilities"]
    result = maskwright.predict(run, photos.parent, tmp_path / "out", write=kinds, device="cpu", precision="fp32")
    assert result.images == ["sub folder/größe 1"]
    ids = read_mask(tmp_path / "out/ids/sub folder/größe 1.png", data.classes, hw)
    assert read_image(tmp_path / "out/colour/sub folder/größe 1.png").shape == (*hw, 3)
    assert read_image(tmp_path / "out/overlay/sub folder/größe 1.jpg").shape == (*hw, 3)
    probabilities = np.load(tmp_path / "out/probabilities/sub folder/größe 1.npz")["probabilities"]
    assert probabilities.shape == (3, *hw)
    np.testing.assert_allclose(probabilities.astype(float).sum(0), 1, atol=5e-3)
    assert (probabilities.argmax(0) == ids).mean() > 0.99


def test_predict_leaves_out_what_it_cannot_read(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.png", photo())
    (tmp_path / "in" / "b.jpg").write_bytes(b"not a photo")
    write_image(tmp_path / "in" / "c.png", photo())
    write_image(tmp_path / "in" / "c.jpg", photo())
    result = maskwright.predict(trained[0], tmp_path / "in", tmp_path / "out", device="cpu", precision="fp32")
    assert result.images == ["a"]
    assert sorted(Path(item.file).name for item in result.skipped) == ["b.jpg", "c.jpg", "c.png"]
    with pytest.raises(InputError, match="rename one"):
        maskwright.predict(trained[0], tmp_path / "in", tmp_path / "out2", strict=True, device="cpu", precision="fp32")


def test_predict_says_what_is_missing(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        maskwright.predict(trained[0], tmp_path / "nowhere", tmp_path / "out", device="cpu", precision="fp32")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        maskwright.predict(trained[0], tmp_path / "empty", tmp_path / "out", device="cpu", precision="fp32")
    write_image(tmp_path / "photo.png", photo())
    with pytest.raises(InputError, match="not a run folder"):
        maskwright.predict(tmp_path / "empty", tmp_path / "photo.png", tmp_path / "out", device="cpu", precision="fp32")
    assert not (tmp_path / "out").exists()
