"""The contract of every network in MODELS, and the U-Net's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskwright.config import ModelRecipe
from maskwright.models import MODELS, Network, build
from maskwright.models.joints import SelfAttention
from maskwright.types import InputError

TINY_ENCODER = {"encoder": "tu-test_resnet", "widths": (12, 8, 8, 6, 4)}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "unet": {
        "plain": {},
        "residual": {"block": "residual"},
        "bilinear": {"up": "bilinear"},
        "stem 2": {"stem": 2},
        "stem 4": {"stem": 4, "up": "bilinear", "block": "residual"},
        "widths": {"widths": (5, 7, 9, 6), "blocks": (1, 2, 1, 3), "decoder_width": 4},
        "flat": {"depth": 1, "dropout": 0.5},
        "group": {"norm": "group", "act": "leaky_relu", "block": "se"},
        "instance": {"norm": "instance", "act": "elu", "skip": "gate"},
        "no norm": {"norm": "none", "act": "gelu", "block": "inception", "bottleneck": "aspp"},
        "silu": {"act": "silu", "bias": False, "skip": "none", "block": "residual"},
        "narrow": {"width": 1, "block": "inception", "skip": "inception", "bottleneck": "attention"},
        "dropout": {"block_dropout": 0.1, "spatial_dropout": 0.1, "blocks": (2, 1, 1, 1)},
        "deep": {"deep_supervision": True, "stem": 2},
    },
    "unet-resnet34": {"small": TINY_ENCODER},
    "pretrained": {
        "unet": TINY_ENCODER,
        "fpn": {"architecture": "FPN", "encoder": "tu-test_resnet", "widths": (8,)},
        "deeplab": {"architecture": "DeepLabV3Plus", "encoder": "tu-test_resnet", "widths": (8,)},
    },
    "clip": {
        "light": {"encoder": "test_resnet", "widths": (12, 8, 4)},
        "fpn": {"encoder": "test_resnet", "decoder": "fpn", "width": 8},
    },
}
CASES = [
    pytest.param({"name": name, **options}, id=f"{name}, {label}")
    for name in MODELS
    for label, options in OPTIONS.get(name, {"plain": {}}).items()
]


def network(options: dict[str, Any], outputs: int = 3) -> Network:
    torch.manual_seed(0)
    small = {} if options.get("encoder") else {"width": 4, "depth": 3}
    return build(ModelRecipe(**{**small, **options}), outputs)


def pictures(rows: int = 37, columns: int = 53, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, rows, columns), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("options", CASES)
def test_any_size_goes_in_and_comes_out(options: dict[str, Any]) -> None:
    net = network(options).eval()
    for rows, columns in ((37, 53), (1, 1), (64, 64), (130, 3)):
        with torch.inference_mode():
            logits = net(pictures(rows, columns))
        assert logits.shape == (2, 3, rows, columns)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert not net.auxiliary, "coarser logits are for training"
    assert net(pictures(1, 2, count=1)).shape == (1, 3, 1, 2)


@pytest.mark.parametrize("options", CASES)
def test_outputs_are_as_many_as_asked(options: dict[str, Any]) -> None:
    for outputs in (1, 2, 5):
        assert network(options, outputs).eval()(pictures(16, 24, count=1)).shape == (1, outputs, 16, 24)


@pytest.mark.parametrize("options", CASES)
def test_the_gradient_reaches_every_trainable_parameter(options: dict[str, Any]) -> None:
    net = network({**options, "dropout": 0.0}).train()
    for module in net.modules():
        # What is behind a gate or a norm that starts at 0 learns one step later.
        if isinstance(module, SelfAttention):
            torch.nn.init.constant_(module.gate, 0.5)
        if isinstance(module, torch.nn.BatchNorm2d) and not module.weight.any():
            torch.nn.init.ones_(module.weight)
    logits = [net(pictures()), *net.auxiliary]
    sum((each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in logits).backward()
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if parameter.dim() > 1:  # a bias before batch norm has no effect
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("options", CASES)
def test_every_parameter_is_in_exactly_one_part(options: dict[str, Any]) -> None:
    net = network(options)
    parts = net.parts()
    assert list(parts) == ["encoder", "decoder", "head"]
    listed = [id(parameter) for part in parts.values() for parameter in part.parameters()]
    assert sorted(listed) == sorted(id(parameter) for parameter in net.parameters())
    assert set(net.body.frozen) <= set(parts)


@pytest.mark.parametrize("options", CASES)
def test_a_network_has_the_widths_that_it_says(options: dict[str, Any]) -> None:
    net = network(options)
    again = {key: value for key, value in options.items() if key != "width"}
    same = network({**again, "widths": net.body.widths})
    assert {name: value.shape for name, value in same.state_dict().items()} == {
        name: value.shape for name, value in net.state_dict().items()
    }


@pytest.mark.parametrize("options", CASES)
def test_saved_weights_give_equal_output(options: dict[str, Any], tmp_path: Path) -> None:
    net = network(options)
    net.train()(pictures())  # moves the running statistics of batch norm
    net.eval()
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    other = network(options).eval()
    torch.nn.init.normal_(next(iter(other.parts()["head"].parameters())))
    with torch.inference_mode():
        before = other(pictures())
        other.load_state_dict(load_file(path))
        assert torch.equal(other(pictures()), net(pictures()))
        assert not torch.equal(before, net(pictures()))


@pytest.mark.parametrize("options", CASES)
def test_memory_layout_and_number_type_of_the_pixels_do_not_matter(options: dict[str, Any]) -> None:
    net = network(options).eval()
    with torch.inference_mode():
        plain = net(pictures())
        assert torch.equal(net(pictures().float()), plain)
        last = net.to(memory_format=torch.channels_last)(pictures().contiguous(memory_format=torch.channels_last))
    assert torch.allclose(last, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", CASES)
def test_samples_of_a_batch_do_not_see_each_other(options: dict[str, Any]) -> None:
    net = network(options).eval()
    batch = pictures(count=3)
    with torch.inference_mode():
        together = net(batch)
        alone = torch.cat([net(batch[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_input_is_normalised_and_the_whole_image_is_used() -> None:
    net = network({})
    grey = torch.full((1, 3, 8, 8), 127.5)
    seen: list[Tensor] = []
    net.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net.eval()(grey)
    assert seen[0].abs().max() == 0
    net(torch.full((1, 3, 9, 8), 255.0))
    assert seen[1].shape == (1, 3, 16, 8)
    assert (seen[1] == 2).all(), "padding repeats the border"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "unett"}, r"Unknown model 'unett'\. Did you mean 'unet'"),
        ({"widths": (8,)}, "at least two levels"),
        ({"widths": (8, 16), "blocks": (1, 1, 1)}, "3 entries for 2 levels; give one a level"),
        ({"encoder": "resnet34"}, "model.encoder means nothing to the model 'unet'; set it back to null"),
        ({"name": "clip", "depth": 3, "width": None, "block": "se"}, "model.depth means nothing .* set it back to 4"),
        ({"params": 1000}, "are goals; solve them"),
    ],
)
def test_impossible_networks_are_explained(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        network(options)
