"""Evaluation and prediction from the outside, on a run that a test trained."""

from __future__ import annotations

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
from maskwright.run import Run, read_csv
from maskwright.scoring.score import gallery_choice
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
    maskwright.evaluate(run, split="val", device="cpu", precision="fp32")
    folder = run.evaluation_folder("val")
    scores = read_json(folder / "scores.json")
    assert {"mean_iou", "mean_iou_no_background", "pixel_accuracy", "confusion", "definitions"} <= scores.keys()
    assert {"iou", "dice", "precision", "recall"} <= scores["classes"][0].keys()
    assert "absent" in scores["definitions"]
    assert scores["dataset"]["fingerprint"] == data.fingerprint
    assert [row["id"] for row in read_csv(folder / "images.csv")] == [s.id for s in data.labelled("val")]
    assert (folder / "gallery" / "worst-0-errors.jpg").is_file()


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
    result = maskwright.predict(
        run, photos.parent, tmp_path / "out", probabilities=True, device="cpu", precision="fp32"
    )
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
