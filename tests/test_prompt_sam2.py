"""SAM 2 as a prompter: what is missing is said at once, and prompts reach the network as they were meant."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import photo
from safetensors.torch import load_file, save_file
from tiny_sam2 import SIDE, save_tiny_sam2

from maskwright.prompt import sam2_weights
from maskwright.prompt.desk import PromptDesk
from maskwright.prompt.prompter import HALF
from maskwright.prompt.sam2 import Sam2
from maskwright.prompt.sam2_prompts import along, asked_of, objects_of, shared_out
from maskwright.prompt.sam2_weights import find_sam2
from maskwright.prompt.soft_masks import cleaned, hold_prompt, in_order, soft_at
from maskwright.types import InputError, Prompt, Stroke


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sam2(tmp_path_factory.mktemp("sam2") / "tiny")


@pytest.fixture(scope="module")
def sam2(folder: Path) -> Sam2:
    return Sam2.load(folder)


def cache_of(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_missing_weights_are_said_at_once_and_how_to_get_them(tmp_path: Path) -> None:
    code = f"""
import os, sys
os.environ["HF_HUB_CACHE"] = {str(tmp_path)!r}
from maskwright.prompt import load_prompter
for spec in ("sam2", "sam2:large", "sam2:somebody/thing"):
    try:
        load_prompter(spec)
    except ValueError as error:
        print(error)
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert "facebook/sam2.1-hiera-tiny" in first
    assert "'maskwright label DATASET --prompter sam2 --download'" in first
    assert "sam2:FOLDER" in first
    assert "facebook/sam2.1-hiera-large" in second
    assert "--prompter sam2:large --download" in second
    assert "somebody/thing" in third


def test_the_cache_is_looked_through(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache_of(monkeypatch, tmp_path)
    small = tmp_path / "models--facebook--sam2.1-hiera-small" / "snapshots" / "abc"
    shutil.copytree(folder, small)
    assert find_sam2() == small
    assert find_sam2("small") == find_sam2("facebook/sam2.1-hiera-small") == small
    with pytest.raises(InputError, match="hiera-tiny"):
        find_sam2("tiny")
    (small / "config.json").unlink()  # a download that was interrupted
    with pytest.raises(InputError, match="--download"):
        find_sam2("small")


def test_a_download_is_asked_for_and_its_failure_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    cache_of(monkeypatch, tmp_path)
    asked: list[str] = []

    def fetched(repository: str, allow_patterns: list[str]) -> str:
        asked.append(repository)
        assert "model.safetensors" in allow_patterns
        return str(folder)

    def offline(repository: str, allow_patterns: list[str]) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert find_sam2(download=True) == folder
    assert asked == ["facebook/sam2.1-hiera-tiny"]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(InputError, match=r"could not be downloaded \(no route\)"):
        find_sam2("large", download=True)


def test_no_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam2_weights, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'maskwright\[sam2\]'"):
        Sam2.load("anything")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def other_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def lost_tensor(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["mask_decoder.iou_token.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_config, "has no config.json"),
        (other_model, "model of type 'bert', not SAM 2"),
        (no_json, "not valid JSON"),
        (no_weights, "has no model.safetensors"),
        (cut_weights, "cannot be loaded as SAM 2"),
        (lost_tensor, "lacks 1 of SAM 2's tensors"),
    ],
)
def test_a_folder_that_is_not_sam2(folder: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    spoil(copy)
    with pytest.raises(InputError, match=words) as caught:
        Sam2.load(copy)
    assert str(copy) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_path_that_is_no_folder() -> None:
    with pytest.raises(InputError, match=r"sam2:\./nowhere is not a folder"):
        find_sam2("./nowhere")


def test_a_checkpoint_of_the_video_model_loads_without_a_word(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The Hub's checkpoints are such: another type, and a memory that images have no use for."""
    shutil.copytree(folder, tmp_path / "video")
    folder = tmp_path / "video"
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "sam2_video", "architectures": ["Sam2VideoModel"], "num_maskmem": 7}
    for part in ("prompt_encoder", "mask_decoder"):
        config[f"{part}_config"]["model_type"] = f"sam2_video_{part}"
    (folder / "config.json").write_text(json.dumps(config))
    state = load_file(folder / "model.safetensors")
    state["memory_encoder.projection.weight"] = torch.zeros(3, 3)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "processor_config.json").unlink()  # some repositories have none: sizes come from the network's
    capfd.readouterr()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        prompter = Sam2.load(folder)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    prompter.set_image(photo((60, 90)))
    assert prompter.predict(Prompt(points_xy=((40, 30),), positive=(True,))).soft_NHW.shape[1:] == (60, 90)


def test_the_fingerprint_is_of_the_weights(folder: Path, sam2: Sam2, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert Sam2.load(copy).fingerprint == sam2.fingerprint
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-7] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(data))
    assert Sam2.load(copy).fingerprint != sam2.fingerprint


def test_the_encoding_is_half_precision_and_of_this_network(sam2: Sam2) -> None:
    encoding = sam2.encode(photo((50, 70)))
    assert {str(array.dtype) for name, array in encoding.items() if name != "size_hw"} == {"float16"}
    for spoilt in ({"size_hw": encoding["size_hw"]}, {**encoding, "features_1": encoding["features_0"]}):
        with pytest.raises(InputError, match="not of this SAM 2"):
            sam2.set_encoding(spoilt)


def test_the_answers_are_those_of_the_library(sam2: Sam2) -> None:
    """Against its own processor, which scales points and masks, in its own words."""
    import transformers

    library: Any = transformers
    image_HW3 = photo((80, SIDE))
    sam2.set_image(image_HW3)
    plain = Sam2(sam2.model, sam2.processor, clean=0)
    plain.precision = "fp32"
    plain.set_image(image_HW3)
    processor = library.Sam2Processor(image_processor=sam2.processor, target_size=SIDE)
    # They name a pixel by its index, we a place: its centre.
    inputs = processor(
        images=image_HW3, input_points=[[[[60, 41], [12, 70]]]], input_labels=[[[1, 0]]], return_tensors="pt"
    )
    with torch.inference_mode():
        out = sam2.model(**{name: inputs[name] for name in ("pixel_values", "input_points", "input_labels")})
    theirs_Mhw = out.pred_masks[0, 0].numpy()
    stretch = SIDE / 80  # rows are stretched
    prompt = Prompt(
        points_xy=((60.5, (41 * stretch + 0.5) / stretch), (12.5, (70 * stretch + 0.5) / stretch)),
        positive=(True, False),
    )
    asked = asked_of(prompt, (80, SIDE), SIDE)
    ours_Mhw = plain._decode(asked, None)[0][0]
    assert ours_Mhw.shape == (4, SIDE // 4, SIDE // 4)
    assert np.abs(ours_Mhw[1:] - theirs_Mhw).max() < 0.01 * np.abs(theirs_Mhw).max()


def test_a_settled_prompt_follows_the_single_mask() -> None:
    logits = np.full((1, 4, 8, 8), -3, np.float32)
    logits[0, 0, :4, :4] = 3
    logits[0, 1, :2, :2] = 3
    logits[0, 2, :4, :5] = 3
    logits[0, 3, :8, :7] = 3
    scores = np.array([[0.5, 0.6, 0.7, 0.9]], np.float32)
    masks, found, chosen = objects_of(logits, scores, settled=False, rule=(0.05, 0.98))
    assert [int((mask > 0).sum()) for mask in masks] == [4, 20, 56]
    assert chosen == 2
    masks, found, chosen = objects_of(logits, scores, settled=True, rule=(0.05, 0.98))
    assert [int((mask > 0).sum()) for mask in masks] == [4, 16, 56], "it takes the place of its likest"
    assert chosen == 1
    np.testing.assert_allclose(found, [0.6, 0.5, 0.9])
    logits[0, 0] = 0.01  # says nothing
    assert objects_of(logits, scores, settled=True, rule=(0.05, 0.98))[2] == 2


def test_boxes_are_united_and_share_the_clicks() -> None:
    logits = np.full((2, 4, 8, 8), -3, np.float32)
    logits[0, :, :4, :4] = 3
    logits[1, :, 4:, 4:] = 3
    masks, *_ = objects_of(logits, np.full((2, 4), 0.5, np.float32), settled=True, rule=(0.05, 0.98))
    assert all((mask > 0).sum() == 32 for mask in masks)
    boxes = np.array([(0, 0, 10, 10), (20, 0, 30, 10)], np.float32)
    rows = shared_out([(2, 2, True), (19, 5, True), (15, 5, False)], boxes)
    assert rows == [[(2, 2, True), (15, 5, False)], [(19, 5, True), (15, 5, False)]]
    prompt = Prompt(points_xy=((2, 2), (15, 5)), positive=(True, False), boxes_xyxy=((0, 0, 10, 10), (20, 0, 30, 10)))
    asked = asked_of(prompt, (10, 40), 80)
    assert asked.boxes_B4 is not None
    assert asked.labels_BP is not None
    assert asked.boxes_B4[1].tolist() == [39.5, -0.5, 59.5, 79.5]
    assert asked.labels_BP.tolist() == [[1, 0], [0, -10]]


def test_a_stroke_becomes_a_few_clicks() -> None:
    assert along(Stroke(points_xy=((3, 4),)), 10) == [(3, 4)]
    assert along(Stroke(points_xy=()), 10) == []
    assert along(Stroke(points_xy=((3, 4), (3, 4))), 10) == [(3, 4)]
    points = along(Stroke(points_xy=((0, 0), (30, 0), (30, 30))), 1)
    assert points == [(6, 0), (18, 0), (30, 0), (30, 12), (30, 24)]


def test_islands_and_holes_are_cleaned_unless_they_were_clicked() -> None:
    logits = np.full((40, 40), -5, np.float32)
    logits[5:30, 5:30] = 5
    logits[10:12, 10:12] = -4  # a hole
    logits[35, 35] = 4  # an island
    clean = cleaned(logits, 0.01, [], [])
    assert clean[10:12, 10:12].tolist() == [[4, 4], [4, 4]]
    assert clean[35, 35] == -4
    kept = cleaned(logits, 0.01, [(35, 35)], [(10, 11)])
    np.testing.assert_array_equal(kept, logits)
    np.testing.assert_array_equal(cleaned(logits, 0, [], []), logits)
    only = np.full((40, 40), -5, np.float32)
    only[3, 3] = 1
    np.testing.assert_array_equal(cleaned(only, 2.0, [], []), only)  # the largest stays


@pytest.mark.parametrize("size_hw", [(100, 60), (7, 5), (1, 1), (400, 33)])
def test_soft_masks_are_the_interpolated_logits(size_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    logits = np.full((32, 32), -20, np.float32)
    logits[8:20, 11:30] = rng.normal(0, 6, (12, 19))
    soft_HW = np.zeros(size_hw, np.uint8)
    soft_at(logits, soft_HW)
    large = torch.nn.functional.interpolate(torch.from_numpy(logits)[None, None], size_hw, mode="bilinear")[0, 0]
    wanted = (large.sigmoid() * 255).round().numpy()
    assert np.abs(soft_HW - wanted).max() <= 1
    sure = large.abs().numpy() > 0.01
    np.testing.assert_array_equal((soft_HW >= HALF)[sure], (large > 0).numpy()[sure])
    nothing = np.zeros(size_hw, np.uint8)
    soft_at(np.full((32, 32), -20, np.float32), nothing)
    assert not nothing.any()


def test_a_click_that_is_contradicted_is_a_disc_and_never_swallows_its_neighbour() -> None:
    soft_HW = np.zeros((400, 400), np.uint8)
    prompt = Prompt(points_xy=((100, 100), (103, 100), (300, 300)), positive=(True, False, True))
    hold_prompt(soft_HW, prompt)
    mask_HW = soft_HW >= HALF
    assert mask_HW[100, 100]
    assert not mask_HW[100, 103]
    assert mask_HW[300, 304]
    assert not mask_HW[300, 306]
    agreed_HW = np.full((50, 50), 200, np.uint8)
    hold_prompt(agreed_HW, Prompt(points_xy=((10, 10),), positive=(True,)))
    assert np.all(agreed_HW == 200), "what agrees is left alone"


def test_empty_candidates_are_left_out() -> None:
    soft_NHW = np.zeros((3, 4, 4), np.uint8)
    soft_NHW[0], soft_NHW[2, 1, 1] = 255, 255
    answer = in_order(soft_NHW, np.array([0.2, 0.9, 0.4], np.float32), 1)
    assert [int(mask.sum()) for mask in answer.masks()] == [1, 16]
    assert answer.chosen == 0, "the better of those that are left"
    with pytest.raises(InputError, match="nothing that fits"):
        in_order(np.zeros((2, 4, 4), np.uint8), np.ones(2, np.float32), 0)


def test_our_own_last_answer_comes_back_as_logits(sam2: Sam2) -> None:
    sam2.set_image(photo((96, 128)))
    first = sam2.predict(Prompt(points_xy=((60, 40),), positive=(True,)))
    last_Nhw = sam2._last_Nhw
    assert last_Nhw is not None
    ours = sam2._previous(Prompt(previous_HW=last_Nhw[1].repeat(3, axis=0).repeat(4, axis=1) >= 0))
    assert ours is last_Nhw[1] or np.array_equal(ours, last_Nhw[1])  # type: ignore[arg-type]
    theirs = sam2._previous(Prompt(previous_HW=np.arange(128)[None, :].repeat(96, axis=0) < 64))
    assert theirs is not None
    assert theirs.shape == (SIDE // 4, SIDE // 4)
    assert theirs[:, :15].min() == 10
    assert theirs[:, 17:].max() == -10
    sam2.set_image(photo((96, 128)))
    assert sam2._last_Nhw is None, "another image, another mask"
    assert first.soft_NHW.shape == (3, 96, 128)


def test_fifty_megapixels(sam2: Sam2) -> None:
    image_HW3 = np.zeros((5800, 8640, 3), np.uint8)
    sam2.set_image(image_HW3)
    answer = sam2.predict(Prompt(boxes_xyxy=((4000, 3000, 4600, 3500),)))
    assert answer.soft_NHW.shape[1:] == (5800, 8640)
    rows, columns = np.nonzero(answer.soft_NHW[:, ::20, ::20].any(axis=0))
    assert rows.min() * 20 >= 2940
    assert columns.max() * 20 <= 4680


def test_damaged_weights_do_not_answer_with_nothing(folder: Path) -> None:
    prompter = Sam2.load(folder)
    with torch.no_grad():
        prompter.model.mask_decoder.iou_token.weight.fill_(float("nan"))
    prompter.set_image(photo((30, 40)))
    with pytest.raises(InputError, match="numbers that are none"):
        prompter.predict(Prompt(points_xy=((10, 10),), positive=(True,)))


def test_behind_a_desk_the_answers_are_the_same(folder: Path, sam2: Sam2, tmp_path: Path) -> None:
    photos = [photo((90 + i, 120), seed=i) for i in range(4)]
    prompt = Prompt(points_xy=((60, 40), (10, 10)), positive=(True, False))
    wanted = []
    for image_HW3 in photos:
        sam2.set_image(image_HW3)
        wanted.append(sam2.predict(prompt).soft_NHW)
    spec = f"sam2:{folder}"
    for memory_mb in (512, 0):  # from memory, and with hardly any: from disk
        desk = PromptDesk([spec], cache=tmp_path, memory_mb=memory_mb)
        for i, image_HW3 in enumerate(photos):
            desk.prepare(spec, str(i), lambda image_HW3=image_HW3: image_HW3, ahead=i > 0)  # type: ignore[misc]
        for i in (0, 1, 0, 2, 3, 0, 3):
            found = desk.predict(spec, str(i), lambda i=i: photos[i], prompt)  # type: ignore[misc]
            np.testing.assert_array_equal(found.soft_NHW, wanted[i])
        assert desk.states()[0]["message"] == "SAM 2 (tiny) is ready."
        desk.close()
    assert len(list(tmp_path.glob("*.npz"))) == 4
