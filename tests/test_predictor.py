from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import photo, shapes
from safetensors.torch import save_file

from maskwright.config import Recipe
from maskwright.geometry import Letterbox
from maskwright.infer.device import arithmetic, choose_device, choose_precision
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.losses import outputs_for
from maskwright.models import build
from maskwright.run import Run
from maskwright.types import Classes, InputError

THREE = Classes.from_names(["background", "disc", "box"])
TWO = Classes.from_names(["background", "disc"])
SIZES = [(32, 48), (100, 37), (7, 300), (1, 1), (64, 64), (33, 48)]


def make_run(path: Path, classes: Classes = THREE, *, loss: str = "cross_entropy", fit: str = "pad") -> Run:
    """A run folder with a tiny random network, whose predictions vary over the image."""
    recipe = Recipe(name="t").with_values(data__size=(32, 48), data__fit=fit, loss__name=loss, model__widths=(4, 8))
    run = Run.create(path, recipe, classes, {})
    torch.manual_seed(3)
    network = build(recipe.model, outputs_for(recipe.loss, classes)).train()
    for _ in range(3):
        network(torch.randint(0, 256, (4, 3, 32, 48), dtype=torch.uint8))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    for which in ("best", "last"):
        save_file(state, run.path / "weights" / f"{which}.safetensors")
    return run


def load(run: Run, precision: str = "fp32") -> Predictor:
    return Predictor.load(run, device="cpu", precision=precision)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("hw", SIZES)
def test_any_size_and_aspect_comes_back_at_its_own(tmp_path: Path, hw: tuple[int, int], fit: str) -> None:
    predictor = load(make_run(tmp_path / "run", fit=fit))
    probabilities, ids = predictor.probabilities(photo(hw)), predictor.ids(photo(hw))
    assert probabilities.shape == (3, *hw)
    assert probabilities.dtype == np.float32
    assert ids.shape == hw
    assert ids.dtype == np.uint8
    assert np.allclose(probabilities.sum(0), 1, atol=1e-5)
    assert probabilities.min() >= 0
    assert np.array_equal(ids, probabilities.argmax(0))


def test_a_batch_of_several_sizes_equals_one_by_one(tmp_path: Path) -> None:
    predictor = load(make_run(tmp_path / "run"))
    images = [shapes(seed, hw)[0] for seed, hw in enumerate([(32, 48), (100, 37), (40, 300), (64, 64)])]
    together = predictor.ids_of(images)
    assert len({mask.tobytes() for mask in together}) == len(images)
    for image, mask in zip(images, together, strict=True):
        assert mask.shape == image.shape[:2]
        assert (predictor.ids(image) != mask).mean() < 1e-3, "but for ties in the last bit"


def test_at_the_working_size_the_answer_is_the_networks_own(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    predictor = load(run)
    image = shapes(5, (32, 48))[0]
    with torch.inference_mode():
        logits = predictor.network(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert np.allclose(predictor.probabilities(image), logits.softmax(1)[0].numpy(), atol=1e-6)


def test_padding_has_no_part_in_the_answer(tmp_path: Path) -> None:
    predictor = load(make_run(tmp_path / "run"))
    image = shapes(6, (60, 40))[0]
    box = Letterbox.fit((60, 40), (32, 48), "pad")
    assert box.inner_hw[1] < 30, "padded left and right"
    padded = predictor.probabilities(box.forward_image(image))
    assert np.allclose(predictor.probabilities(image), box.back_scores(padded), atol=1e-5)


def test_one_logit_gives_two_probabilities(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TWO, loss="bce")
    predictor = load(run)
    image = shapes(1)[0]
    probabilities = predictor.probabilities(image)
    assert probabilities.shape == (2, *image.shape[:2])
    assert np.allclose(probabilities.sum(0), 1, atol=1e-6)
    assert np.array_equal(predictor.ids(image), (probabilities[1] > probabilities[0]).astype(np.uint8))


def test_one_against_the_rest_scores_each_class_by_itself(tmp_path: Path) -> None:
    predictor = load(make_run(tmp_path / "run", THREE, loss="bce"))
    image = shapes(1, (32, 48))[0]
    with torch.inference_mode():
        logits = predictor.network(torch.from_numpy(image).permute(2, 0, 1)[None])
    probabilities = predictor.probabilities(image)
    assert np.allclose(probabilities, logits.sigmoid()[0].numpy(), atol=1e-6)
    assert not np.allclose(probabilities.sum(0), 1, atol=1e-2)


def test_predicting_leaves_image_and_network_as_they_are(tmp_path: Path) -> None:
    predictor = load(make_run(tmp_path / "run"))
    image = shapes(1)[0]
    before, state = image.copy(), {k: v.clone() for k, v in predictor.network.state_dict().items()}
    first = predictor.probabilities(image)
    predictor.ids_of([photo((9, 9)), image])
    assert np.array_equal(image, before)
    assert all(torch.equal(value, state[name]) for name, value in predictor.network.state_dict().items())
    assert np.array_equal(predictor.probabilities(image), first)
    assert not predictor.network.training


def test_bf16_stays_near_fp32(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    image = shapes(2)[0]
    exact, half = load(run).probabilities(image), load(run, "bf16").probabilities(image)
    assert half.dtype == np.float32
    assert np.abs(exact - half).max() < 0.1
    assert not np.array_equal(exact, half)


def test_a_run_is_loaded_by_path_or_object_and_by_either_weights(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    image = shapes(1)[0]
    answers = [
        Predictor.load(source, weights=weights, device="cpu", precision="fp32").probabilities(image)
        for source in (run, run.path, str(run.path))
        for weights in ("best", "last")
    ]
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_missing_and_broken_weights_are_explained(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    path = run.weights("best")
    content = path.read_bytes()
    for broken in (content[:100], b"not weights", content[:-10]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"does not fit the run's recipe .*copy the run folder whole") as caught:
            load(run)
        assert str(path) in str(caught.value)
    other = make_run(tmp_path / "other", TWO)
    path.write_bytes(other.weights("best").read_bytes())
    with pytest.raises(InputError, match="does not fit"):
        load(run)
    path.unlink()
    with pytest.raises(InputError, match=r"best\.safetensors is missing.*train again"):
        load(run)
    with pytest.raises(InputError, match="not a run folder"):
        Predictor.load(tmp_path)


def test_the_highest_score_wins_and_the_lowest_id_on_a_tie() -> None:
    scores = np.array([[[0.2, 0.5, 0.1]], [[0.3, 0.5, 0.1]], [[0.5, 0.0, 0.8]]], np.float32)
    assert first_maximum(scores, THREE).tolist() == [[2, 0, 2]]
    wide = Classes.from_names([f"c{i}" for i in range(300)])
    many = np.random.default_rng(0).random((300, 5, 6), np.float32)
    assert first_maximum(many, wide).dtype == np.uint16
    assert np.array_equal(first_maximum(many, wide), many.argmax(0))


def test_devices_and_precisions_are_chosen_with_a_reason() -> None:
    device, why = choose_device("cpu")
    assert (device.type, why) == ("cpu", "asked for")
    assert choose_device("auto")[1].startswith("the best device here is")
    with pytest.raises(InputError, match=r"Device 'tpu' is not available here; choose one of: auto, cpu"):
        choose_device("tpu")
    assert choose_precision("fp32", device) == ("fp32", "asked for")
    assert choose_precision("auto", device)[0] in ("fp32", "bf16")
    with pytest.raises(InputError, match=r"far slower .*set train\.precision"):
        choose_precision("fp16", device)
    with arithmetic(device, "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with arithmetic(device, "fp32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
