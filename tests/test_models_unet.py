"""The U-Net's options, its own numbers, and the autoencoder's two stages."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from test_models import network, pictures
from torch import nn
from torch.nn import functional as F

from maskwright.config import ModelRecipe, Recipe
from maskwright.models import build, parameter_count
from maskwright.models.autoencoder import as_images, reconstruction_error, reconstructor, take_encoder
from maskwright.models.blocks import Inception, Style, conv_norm_act
from maskwright.models.joints import Gate, SelfAttention
from maskwright.models.unet import UNet
from maskwright.types import InputError


def counted(**options: Any) -> int:
    with torch.device("meta"):
        return parameter_count(build(ModelRecipe(**{"width": 64, **options}), 3))


def test_the_unet_of_2015_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        assert parameter_count(build(ModelRecipe(width=64), 3)) == 31_043_651


@pytest.mark.parametrize(("width", "millions"), [(16, 1.94), (32, 7.77)])
def test_smaller_unets_have_as_many_parameters_as_the_sizes_promise(width: int, millions: float) -> None:
    with torch.device("meta"):
        assert round(parameter_count(build(ModelRecipe(width=width), 3)) / 1e6, 2) == millions


def test_a_stem_saves_work() -> None:
    sizes: dict[int, torch.Size] = {}
    for stem in (1, 2, 4):
        net = network({"stem": stem}).eval()
        first = next(iter(net.body.children())) if stem > 1 else net
        hook = first.register_forward_hook(lambda _m, _i, out, stem=stem: sizes.update({stem: out.shape[-2:]}))
        net(pictures(64, 64))
        hook.remove()
    assert sizes == {1: (64, 64), 2: (32, 32), 4: (16, 16)}


def test_dropout_works_in_training_only() -> None:
    net = network({"dropout": 0.5})
    assert not torch.equal(net.train()(pictures()), net(pictures()))
    net.eval()
    assert torch.equal(net(pictures()), net(pictures()))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("unet-residual-attention", 33_748_484),
        ("unet-se", 31_264_891),
        ("unet-aspp", 39_962_947),
        ("unet-inception", 8_079_955),
        ("unet-gated", 31_395_175),
        ("autoencoder", 27_910_211),
    ],
)
def test_the_named_unets_have_as_many_parameters_as_the_docs_say(name: str, count: int) -> None:
    assert counted(name=name) == count


def test_where_the_31_million_come_from() -> None:
    assert counted(bias=False) == 31_043_651 - 2 * (64 + 128 + 256 + 512) * 2 - 2 * 1024
    assert counted(norm="none") == 31_043_651 - 2 * (2 * (64 + 128 + 256 + 512) * 2 + 2 * 1024)
    assert counted(name="autoencoder", skip="concat") == 31_043_651, "with skips an autoencoder is the U-Net"


GOLDEN: dict[str, tuple[dict[str, Any], int, str]] = {
    "plain": ({}, 30_727, "f585255295ee0380"),
    "residual": ({"block": "residual"}, 32_259, "fd2eb624ecb9ed24"),
    "bilinear": ({"up": "bilinear"}, 28_711, "9af5c7679cdd89fa"),
    "stem": ({"stem": 4, "up": "bilinear", "block": "residual"}, 30_535, "ee821161dce57dc4"),
}


@pytest.mark.parametrize("label", GOLDEN)
def test_initial_weights_for_a_seed_stay_what_they_were(label: str) -> None:
    options, count, digest = GOLDEN[label]
    net = network(options)
    assert parameter_count(net) == count
    found = hashlib.sha256()
    for name, value in net.state_dict().items():
        found.update(name.encode() + value.numpy().tobytes())
    assert found.hexdigest()[:16] == digest


@pytest.mark.parametrize("name", ["unet-residual-attention", "unet-se", "unet-aspp", "unet-inception", "unet-gated"])
def test_a_named_unet_is_the_unet_with_options_that_the_recipe_may_change(name: str) -> None:
    plain = {"block": "double", "act": "relu", "bias": True, "bottleneck": "plain", "skip": "concat"}
    assert counted(name=name, **plain) == counted()
    assert counted(name=name) != counted()


def test_a_preset_survives_the_way_through_yaml_and_a_change_of_name() -> None:
    recipe = Recipe.from_dict({"model": {"name": "unet"}}).with_values(model__name="unet-se", model__width=4)
    net = build(recipe.model, 2)
    assert any("weigh" in name for name, _ in net.named_parameters())


def test_attention_starts_as_if_it_were_not_there_and_is_scaled_dot_product() -> None:
    torch.manual_seed(0)
    block, x = SelfAttention(16, Style()), torch.randn(2, 16, 3, 5)
    assert torch.equal(block(x), x)
    nn.init.ones_(block.gate)
    assert block.query.out_channels == 2
    q, k, v = (layer(x).flatten(2) for layer in (block.query, block.key, block.value))
    share = (q.transpose(1, 2) @ k / 2**0.5).softmax(dim=-1)
    assert torch.allclose(block(x), x + (v @ share.transpose(1, 2)).reshape(x.shape), atol=1e-5)


def test_a_closed_gate_lets_nothing_of_the_skip_through() -> None:
    gate, skip, below = Gate(6, 4, Style()), torch.randn(2, 6, 5, 5), torch.randn(2, 4, 5, 5)
    last = gate.weigh[1]
    assert isinstance(last, nn.Conv2d)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    for value, share in ((-100.0, 0.0), (100.0, 1.0)):
        nn.init.constant_(last.bias, value)
        assert torch.allclose(gate(skip, below), torch.cat([share * skip, below], dim=1), atol=1e-6)


@pytest.mark.parametrize("out", [1, 2, 3, 4, 7, 16])
def test_inception_has_as_many_channels_as_asked(out: int) -> None:
    assert Inception(3, out, Style())(torch.randn(2, 3, 6, 5)).shape == (2, out, 6, 5)


def test_a_convolution_without_norm_always_has_a_bias() -> None:
    conv = conv_norm_act(3, 4, Style(norm="none", bias=False))[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network({"norm": "none"}).modules())


@pytest.mark.parametrize("norm", ["group", "instance", "none"])
def test_norms_that_see_one_image_train_on_one_pixel(norm: str) -> None:
    net = network({"norm": norm, "bottleneck": "aspp"}).train()
    assert net(pictures(1, 1, count=1)).isfinite().all()


def test_deep_supervision_leaves_coarser_logits_in_training_only() -> None:
    net = network({"deep_supervision": True, "stem": 2}).train()
    logits = net(pictures(45, 70))
    assert [tuple(level.shape) for level in net.auxiliary] == [tuple(logits.shape)] * 2
    # The second is enlarged from a map half as large as the first.
    rough = [(level[..., 1:] - level[..., :-1]).diff().abs().gt(1e-5).float().mean() for level in net.auxiliary]
    assert rough[0] > rough[1]
    copied = copy.deepcopy(net)
    assert copied.auxiliary == []
    net.eval()(pictures())
    assert net.auxiliary == []
    plain = network({"stem": 2}).state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in net.state_dict().items() if name in plain) is False
    assert set(net.state_dict()) - set(plain) == {
        f"body.side_heads.{i}.{k}" for i in (0, 1) for k in ("weight", "bias")
    }


@pytest.mark.parametrize("key", ["block_dropout", "spatial_dropout"])
def test_dropout_after_blocks_acts_in_training_only(key: str) -> None:
    net = network({key: 0.5})
    assert not torch.equal(net.train()(pictures()), net(pictures()))
    assert torch.equal(net.eval()(pictures()), net(pictures()))


def test_what_learns_nothing_rests() -> None:
    net = network({"dropout": 0.5})
    net.parts()["encoder"].requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()(pictures())
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("body.decoder") for name in changed), "statistics of a frozen encoder stay"
    net.requires_grad_(True).train()(pictures())
    assert not torch.equal(
        net.state_dict()["body.encoder.0.0.0.1.running_mean"], before["body.encoder.0.0.0.1.running_mean"]
    )


def test_an_autoencoder_learns_to_redraw_and_passes_its_encoder_on() -> None:
    recipe = ModelRecipe(name="autoencoder", widths=(8, 16), skip="concat")
    torch.manual_seed(0)
    first, images = reconstructor(recipe), pictures(16, 16)
    images = F.avg_pool2d(images.float(), 5, 1, 2)
    optimiser = torch.optim.Adam(first.parameters(), 1e-2)
    errors = []
    for _ in range(30):
        optimiser.zero_grad()
        error = reconstruction_error(first.train()(images), images)
        error.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.3 * errors[0]
    drawn = as_images(first.eval()(images))
    assert (len(drawn), drawn[0].shape, drawn[0].dtype) == (2, (16, 16, 3), np.dtype(np.uint8))

    second = build(recipe, 4)
    take_encoder(second, first)
    for own, learned in zip(
        second.parts()["encoder"].state_dict().values(), first.parts()["encoder"].state_dict().values(), strict=True
    ):
        assert torch.equal(own, learned)


def test_a_perfect_drawing_has_no_error() -> None:
    images = pictures(8, 8)
    assert reconstruction_error(images.float() / 255, images) == 0
    assert np.array_equal(as_images(images.float() / 255)[1], images[1].permute(1, 2, 0).numpy())


def test_the_first_stage_has_no_skips_that_would_let_the_image_through() -> None:
    first = reconstructor(ModelRecipe(name="unet", width=4, depth=2, deep_supervision=True)).eval()
    drawn = first(pictures(32, 32))
    assert not torch.allclose(drawn[0], drawn[1])
    assert isinstance(first.body, UNet)
    first.body.bottleneck.register_forward_hook(lambda _module, _inputs, out: torch.zeros_like(out))
    silenced = first(pictures(32, 32))
    assert torch.equal(silenced[0], silenced[1]), "all that it knows of the image comes through the bottleneck"


def test_a_network_with_an_encoder_of_its_own_does_not_learn_by_redrawing() -> None:
    with pytest.raises(InputError, match="'clip' has a pretrained encoder"):
        reconstructor(ModelRecipe(name="clip", encoder="test_resnet"))
