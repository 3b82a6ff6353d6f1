"""Encoders of others: where their weights come from, what is refused, and the numbers of CLIP and ResNet-34."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from test_models import pictures
from torch import Tensor

from maskwright.config import ModelRecipe
from maskwright.models import Network, build, find_weights, initialise, parameter_count
from maskwright.models.pretrained import CHANNELS, normalisation
from maskwright.types import InputError

CLIP: dict[str, Any] = {"name": "clip", "encoder": "test_resnet", "widths": (12, 8, 4)}
SMP: dict[str, Any] = {"name": "pretrained", "encoder": "tu-test_resnet", "widths": (12, 8, 8, 6, 4)}


@pytest.fixture(autouse=True)
def nothing_cached_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in place of the user's, and a hub that must not be asked."""
    cache = tmp_path / "hub"

    def asked(*_: Any, **__: Any) -> str:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", asked)
    return cache


def made(options: dict[str, Any], seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return build(ModelRecipe(**options), 3)


def trunk_of_timm(seed: int = 5) -> dict[str, Tensor]:
    """The state of the whole classifier, as timm's own files have it: its head included."""
    import timm

    torch.manual_seed(seed)
    state: dict[str, Tensor] = timm.create_model("test_resnet").state_dict()
    return {name: torch.rand_like(value) if value.is_floating_point() else value for name, value in state.items()}


def encoder_equals(network: Network, state: dict[str, Tensor]) -> bool:
    given = {name.replace(".", "_"): value for name, value in state.items()}
    own = {
        name.removeprefix("model.").replace(".", "_"): value
        for name, value in network.parts()["encoder"].state_dict().items()
    }
    return all(torch.equal(value, given[name]) for name, value in own.items())


@pytest.mark.parametrize("options", [CLIP, SMP], ids=["clip", "smp"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_file_and_end_in_the_encoder(options: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    state, path = trunk_of_timm(), tmp_path / f"trunk{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    else:
        save_file(state, path)
    network = made(options)
    head = network.parts()["decoder"].state_dict()
    before = {name: value.clone() for name, value in head.items()}
    assert not encoder_equals(network, state)
    initialise(network, ModelRecipe(**options, weights=str(path)))
    assert encoder_equals(network, state)
    assert all(torch.equal(value, before[name]) for name, value in network.parts()["decoder"].state_dict().items())


def test_features_saved_by_themselves_fit_too(tmp_path: Path) -> None:
    donor = made(CLIP, seed=3)
    save_file({f"trunk.{n}": v for n, v in donor.parts()["encoder"].state_dict().items()}, tmp_path / "t.safetensors")
    network = made(CLIP)
    initialise(network, ModelRecipe(**CLIP, weights=str(tmp_path / "t.safetensors")))
    assert encoder_equals(network, donor.parts()["encoder"].state_dict())


@pytest.mark.parametrize(
    ("options", "repository"),
    [
        (CLIP, "timm/test_resnet.r160_in1k"),
        ({**SMP, "encoder": "tu-test_resnet.r160_in1k"}, "timm/test_resnet.r160_in1k"),
        ({"name": "clip"}, "timm/resnet50_clip.openai"),
        ({"name": "unet-resnet34"}, "smp-hub/resnet34.imagenet"),
        ({"name": "pretrained", "encoder": "resnet50.swsl"}, "smp-hub/resnet50.swsl"),
    ],
)
def test_weights_are_looked_for_in_the_cache(
    options: dict[str, Any], repository: str, nothing_cached_and_no_network: Path
) -> None:
    recipe = ModelRecipe(**options)
    with pytest.raises(InputError, match=f"get model.safetensors of {repository} from .* --set model.weights=FILE"):
        find_weights(recipe)
    folder = nothing_cached_and_no_network / f"models--{repository.replace('/', '--')}" / "snapshots" / "0a1b"
    folder.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    assert find_weights(recipe) == folder / "model.safetensors"


def test_the_network_is_asked_only_with_leave(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(InputError):
        find_weights(ModelRecipe(name="clip"))
    assert not asked
    assert find_weights(ModelRecipe(name="clip", download=True)) == tmp_path / "model.safetensors"
    assert asked == [("timm/resnet50_clip.openai", "model.safetensors")]


def test_a_download_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any) -> str:
        raise OSError("no route to host\nand a long story")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(InputError, match=r"could not be downloaded \(no route to host\); get it elsewhere"):
        find_weights(ModelRecipe(name="unet-resnet34", download=True))


def test_unusable_weights_are_explained(tmp_path: Path) -> None:
    state = trunk_of_timm()
    text, half, wrong, list_ = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "c.safetensors", "d.pt"))
    text.write_text("not weights")
    some = dict(list(state.items())[:4])
    save_file(some, half)
    first = next(iter(state))
    save_file({**state, first: torch.zeros(2, 3)}, wrong)
    torch.save([1, 2], list_)
    for path, says in (
        (text, "is not a readable weights file"),
        (half, r"has \d+ of the \d+ tensors .* is missing\); these are the weights of another encoder"),
        (wrong, r"has shape \(2, 3\), and the encoder wants \("),
        (list_, "holds no named tensors"),
        (tmp_path, "is not a file; name the model.safetensors of test_resnet, or write 'random'"),
        (tmp_path / "gone", "is not a file"),
    ):
        with pytest.raises(InputError, match=says):
            initialise(made(CLIP), ModelRecipe(**CLIP, weights=str(path)))


def test_random_weights_and_models_of_our_own_ask_for_nothing() -> None:
    assert find_weights(ModelRecipe(name="clip", weights="random")) is None
    assert find_weights(ModelRecipe(name="unet")) is None


def test_a_network_is_built_again_without_the_file_that_it_started_from(tmp_path: Path) -> None:
    save_file(trunk_of_timm(), tmp_path / "t.safetensors")
    recipe = ModelRecipe(**SMP, weights=str(tmp_path / "t.safetensors"))
    network = build(recipe, 3)
    initialise(network, recipe)
    (tmp_path / "t.safetensors").unlink()
    again = build(recipe, 3)
    again.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert torch.equal(again.eval()(pictures()), network.eval()(pictures()))


def test_the_trunk_of_clip_is_frozen_and_its_numbers_are_those_of_the_original() -> None:
    with torch.device("meta"):
        light, fpn = (build(ModelRecipe(name="clip", decoder=d), 3) for d in ("light", "fpn"))
    assert parameter_count(light.parts()["encoder"]) == 23_527_264
    assert parameter_count(light) == 30_642_915
    assert parameter_count(fpn) == 24_768_483
    assert sum(p.numel() for p in light.parameters() if p.requires_grad) == 30_642_915 - 23_527_264
    network = made(CLIP)
    before = {name: value.clone() for name, value in network.parts()["encoder"].state_dict().items()}
    network.train()(pictures())
    assert all(torch.equal(value, before[name]) for name, value in network.parts()["encoder"].state_dict().items())
    assert not any(module.training for module in network.parts()["encoder"].modules())


def test_the_resnet34_unet_is_that_of_the_library() -> None:
    import segmentation_models_pytorch as smp

    with torch.device("meta"):
        own = build(ModelRecipe(name="unet-resnet34"), 12)
        theirs = smp.Unet("resnet34", encoder_weights=None, classes=12)
    assert parameter_count(own) == parameter_count(theirs)
    assert own.body.widths == (256, 128, 64, 32, 16)
    assert own.mean.flatten().shape == (3,)


@pytest.mark.parametrize(
    ("encoder", "mean"),
    [
        ("resnet34", 0.485),
        ("inceptionv4", 0.5),
        ("tu-test_resnet", 0.5),
        ("tu-convnext_tiny", 0.485),
        ("timm-efficientnet-b0.advprop", 0.5),
        ("dpn68", 124 / 255),
    ],
)
def test_the_normalisation_is_that_of_the_encoder(encoder: str, mean: float) -> None:
    assert normalisation(encoder)[0][0] == mean


def test_clip_sees_pixels_as_clip_was_trained() -> None:
    with torch.device("cpu"):
        network = made({"name": "clip", "encoder": "resnet50_clip.openai", "widths": (4, 4, 4)})
    assert torch.allclose(network.mean.flatten() / 255, torch.tensor([0.48145466, 0.4578275, 0.40821073]))
    assert torch.allclose(network.std.flatten() / 255, torch.tensor([0.26862954, 0.26130258, 0.27577711]))


@pytest.mark.parametrize("architecture", [name for name in CHANNELS if name != "dpt"])
def test_every_architecture_takes_odd_sizes(architecture: str) -> None:
    network = made({"name": "pretrained", "architecture": architecture, "encoder": "resnet18"}).to("meta").eval()
    image = torch.zeros(2, 3, 37, 53, dtype=torch.uint8, device="meta")
    with torch.inference_mode():
        assert network(image).shape == (2, 3, 37, 53)


def test_a_vision_transformer_takes_odd_sizes() -> None:
    options: dict[str, Any] = {"architecture": "DPT", "encoder": "tu-test_vit", "widths": (8, 8, 8, 8, 8)}
    with torch.inference_mode():
        assert made({"name": "pretrained", **options}).eval()(pictures(37, 53)).shape == (2, 3, 37, 53)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"name": "pretrained", "encoder": "resnet35"},
            "Unknown encoder in model.encoder 'resnet35'. Did you mean 'resnet",
        ),
        ({"name": "pretrained", "encoder": "tu-none"}, "cannot build 'unet' on 'tu-none' .*Unknown model"),
        ({"name": "pretrained", "encoder": "tu-test_vit"}, "cannot build 'unet' on 'tu-test_vit'"),
        ({"name": "pretrained", "encoder": "resnet18", "architecture": "dpt"}, "cannot build 'dpt' on 'resnet18'"),
        ({"name": "pretrained", "architecture": "Unett"}, "Unknown architecture in model.architecture 'unett'"),
        ({"name": "pretrained", "widths": (8, 8)}, "2 entries, and 'unet' takes 5 widths, for example"),
        ({"name": "pretrained", "architecture": "linknet", "widths": (8,)}, "'linknet' has no width to choose"),
        ({"name": "pretrained", "architecture": "linknet", "width": 8}, "'linknet' has no width to choose"),
        ({"name": "pretrained", "norm": "group"}, "model.norm means nothing to the model 'pretrained'"),
        ({"name": "clip", "encoder": "resnet3"}, "timm cannot build the features of 'resnet3'"),
        ({**CLIP, "widths": (8,)}, "model.widths of the light decoder are three numbers"),
        ({**CLIP, "decoder": "fpn"}, "model.widths of the fpn decoder is one number"),
    ],
)
def test_impossible_combinations_are_explained(options: dict[str, Any], says: str) -> None:
    with warnings.catch_warnings(), pytest.raises(InputError, match=says):
        build(ModelRecipe(**options), 2)


def test_an_encoder_for_one_size_only_is_refused_before_it_meets_an_image() -> None:
    recipe = ModelRecipe(name="pretrained", encoder="tu-swin_tiny_patch4_window7_224")
    with pytest.raises(InputError, match=r"cannot build 'unet' on .* for images of any size"), torch.device("meta"):
        build(recipe, 2)
