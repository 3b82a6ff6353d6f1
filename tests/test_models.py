"""The contract of every network in MODELS, and the U-Net's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskwright.config import ModelRecipe
from maskwright.models import MODELS, Network, build, parameter_count
from maskwright.types import InputError

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "unet": {
        "plain": {},
        "residual": {"block": "residual"},
        "bilinear": {"up": "bilinear"},
        "stem 2": {"stem": 2},
        "stem 4": {"stem": 4, "up": "bilinear", "block": "residual"},
        "widths": {"widths": (5, 7, 9, 6), "blocks": (1, 2, 1, 3), "decoder_width": 4},
        "flat": {"depth": 1, "dropout": 0.5},
    }
}
CASES = [
    pytest.param({"name": name, **options}, id=f"{name}, {label}")
    for name in MODELS
    for label, options in OPTIONS.get(name, {"plain": {}}).items()
]


def network(options: dict[str, Any], outputs: int = 3) -> Network:
    torch.manual_seed(0)
    return build(ModelRecipe(**{"width": 4, "depth": 3, **options}), outputs)


def pictures(rows: int = 37, columns: int = 53, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, rows, columns), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize(("rows", "columns"), [(37, 53), (1, 1), (64, 64), (130, 3)])
def test_any_size_goes_in_and_comes_out(options: dict[str, Any], rows: int, columns: int) -> None:
    net = network(options).eval()
    with torch.inference_mode():
        logits = net(pictures(rows, columns))
    assert logits.shape == (2, 3, rows, columns)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_outputs_are_as_many_as_asked(options: dict[str, Any], outputs: int) -> None:
    assert network(options, outputs).eval()(pictures(16, 24)).shape[1] == outputs


@pytest.mark.parametrize("options", CASES)
def test_the_gradient_reaches_every_trainable_parameter(options: dict[str, Any]) -> None:
    net = network({**options, "dropout": 0.0}).train()
    logits = net(pictures())
    (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if parameter.dim() > 1:  # a bias before batch norm has no effect
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("options", CASES)
def test_saved_weights_give_equal_output(options: dict[str, Any], tmp_path: Path) -> None:
    net = network(options)
    net.train()(pictures())  # moves the running statistics of batch norm
    net.eval()
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    torch.manual_seed(99)
    other = build(ModelRecipe(**{"width": 4, "depth": 3, **options}), 3).eval()
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
    ("options", "says"),
    [
        ({"name": "unett"}, r"Unknown model 'unett'\. Did you mean 'unet'"),
        ({"widths": (8,)}, "at least two levels"),
        ({"widths": (8, 16), "blocks": (1, 1, 1)}, "3 entries for 2 levels; give one a level"),
    ],
)
def test_impossible_networks_are_explained(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        network(options)
