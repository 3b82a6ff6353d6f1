"""The contract of every network in PROMPT_MODELS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskwright.config import ModelRecipe
from maskwright.models import MODELS, PROMPT_MODELS, PromptNetwork, build, build_prompted, parameter_count
from maskwright.models.budget import measure, solve
from maskwright.models.joints import SelfAttention
from maskwright.types import InputError

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "light": {"block": "residual", "up": "bilinear", "stem": 2},
    "uneven": {"widths": (5, 7, 9), "decoder_width": 4, "norm": "group", "skip": "gate", "bottleneck": "attention"},
    "deep": {"deep_supervision": True, "stem": 4, "skip": "none", "dropout": 0.1},
}
CASES = [
    pytest.param({"name": name, **options}, id=f"{name}, {label}")
    for name in PROMPT_MODELS
    for label, options in OPTIONS.items()
]


def network(options: dict[str, Any], classes: int = 3) -> PromptNetwork:
    torch.manual_seed(0)
    return build_prompted(ModelRecipe(**{"width": 4, "depth": 3, **options}), classes)


def asked(net: PromptNetwork, rows: int = 37, columns: int = 53, count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, rows, columns), dtype=torch.uint8, generator=generator)
    planes = torch.rand(count, len(net.body.planes), rows, columns, generator=generator)
    return images, planes, torch.arange(count) % 4


@pytest.mark.parametrize("options", CASES)
def test_any_size_goes_in_and_comes_out(options: dict[str, Any]) -> None:
    net = network(options).eval()
    for rows, columns in ((37, 53), (1, 1), (64, 64), (130, 3)):
        images, planes, classes = asked(net, rows, columns)
        with torch.inference_mode():
            logits = net(images, planes, classes)
            assert torch.equal(net.answer(net.encode_image(images), planes, classes), logits)
        assert logits.shape == (2, 1, rows, columns)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()


@pytest.mark.parametrize("options", CASES)
def test_the_gradient_reaches_every_parameter_and_every_one_is_in_one_part(options: dict[str, Any]) -> None:
    net = network({**options, "dropout": 0.0})
    for module in net.modules():
        if isinstance(module, SelfAttention):  # what is behind a gate that starts at 0 learns one step later
            torch.nn.init.constant_(module.gate, 0.5)
    logits = [net(*asked(net)), *net.auxiliary]
    assert (len(logits) > 1) == bool(options.get("deep_supervision"))
    sum((each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in logits).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        if parameter.dim() > 1:
            assert parameter.grad.abs().max() > 0, name
    parts = net.parts()
    assert list(parts) == ["encoder", "prompt", "decoder", "head"]
    listed = [id(parameter) for part in parts.values() for parameter in part.parameters()]
    assert sorted(listed) == sorted(id(parameter) for parameter in net.parameters())


@pytest.mark.parametrize("options", CASES)
def test_a_click_costs_no_pass_of_the_encoder(options: dict[str, Any]) -> None:
    net = network(options).eval()
    calls: list[str] = []
    for name in ("stem", "encoder", "bottleneck"):
        for module in net.body.get_submodule(name).modules():
            module.register_forward_hook(lambda *_, name=name: calls.append(name))
    images, planes, classes = asked(net)
    with torch.inference_mode():
        features = net.encode_image(images)
        assert calls
        calls.clear()
        first = net.answer(features, planes, classes)
        second = net.answer(features, planes.flip(0), classes)
        assert not calls
        assert torch.equal(net.answer(features, planes, classes), first), "features are not used up"
    assert not torch.equal(first, second)


@pytest.mark.parametrize("options", CASES)
def test_prompt_and_class_change_the_answer(options: dict[str, Any]) -> None:
    net = network(options).eval()
    images, planes, _ = asked(net)
    with torch.inference_mode():
        answers = [
            net(images, planes, torch.tensor([0, 0])),
            net(images, planes, torch.tensor([1, 1])),
            net(images, planes),
            net(images),
        ]
        assert torch.equal(net(images, planes, torch.tensor([3, 3])), answers[2]), "the last id is 'not told'"
        for plane in range(planes.shape[1]) if planes.shape[1] > 1 else ():
            other = planes.clone()
            other[:, plane] = 0
            answers.append(net(images, other))
    assert not any(torch.equal(one, two) for i, one in enumerate(answers) for two in answers[:i])
    assert network(options, classes=0).body.class_embedding is None


@pytest.mark.parametrize("name", PROMPT_MODELS)
def test_saved_weights_and_another_memory_layout_give_the_same(name: str, tmp_path: Path) -> None:
    net = network({"name": name})
    batch = asked(net)
    net.train()(*batch)
    net.eval()
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, tmp_path / "w.safetensors")
    other = network({"name": name, "width": None, "widths": net.body.widths}).eval()
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    with torch.inference_mode():
        plain = net(*batch)
        assert torch.equal(other(*batch), plain)
        last = other.to(memory_format=torch.channels_last)(*batch)
        alone = torch.cat([net(*(part[i : i + 1] for part in batch)) for i in range(2)])
    assert torch.allclose(last, plain, atol=1e-4)
    assert torch.allclose(alone, plain, atol=1e-5)


def test_the_published_prompt_encoder_has_1024_channels_at_a_sixteenth() -> None:
    with torch.device("meta"):
        net = build_prompted(ModelRecipe(name="prompt-unet", width=64))
        x = torch.zeros(1, 1, 256, 256)
        for level in net.body.prompt:
            x = level(x)
    assert x.shape == (1, 1024, 16, 16)
    assert net.body.planes == ("wanted",)
    assert parameter_count(net) > 31_043_521, "a U-Net of one output, and more"


@pytest.mark.parametrize("name", PROMPT_MODELS)
def test_they_are_measured_and_solved_for_a_budget_as_others(name: str) -> None:
    solved = solve(ModelRecipe(name=name, params=80_000, depth=3), 1)
    assert abs(parameter_count(build_prompted(solved)) / 80_000 - 1) <= 0.02
    facts = measure(solved, 1, (64, 64))
    assert facts.source.endswith(").")
    assert facts.train_bytes > facts.predict_bytes


def test_networks_that_answer_prompts_are_named_among_the_known() -> None:
    assert not set(MODELS) & set(PROMPT_MODELS)
    with pytest.raises(InputError, match="prompt-clicks"):
        build(ModelRecipe(name="prompt-klicks"), 1)
    with pytest.raises(InputError, match="are goals"):
        build_prompted(ModelRecipe(name="prompt-unet", params=1000))
    with pytest.raises(InputError, match=r"model\.encoder means nothing to the model 'prompt-unet'"):
        build_prompted(ModelRecipe(name="prompt-unet", encoder="resnet34"))
