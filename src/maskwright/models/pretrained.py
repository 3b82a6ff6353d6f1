"""Any architecture of segmentation_models.pytorch with any of its encoders.

That library is imported on first use, as this takes seconds. It never gets to load weights: it would ask the
network, and forget where they came from (see weights.py).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.config import ModelRecipe
from maskwright.models.body import IMAGENET_MEAN, IMAGENET_STD, Body, filled, pixel_scale, require_only
from maskwright.models.timm_trunk import timm_settings
from maskwright.models.weights import ENCODERS
from maskwright.types import InputError, unknown_name

OPTIONS = frozenset({"architecture", "encoder", "weights", "download"})
# By architecture: the keys of its decoder's channels, with its authors' numbers.
CHANNELS: dict[str, dict[str, int | tuple[int, ...]]] = {
    "unet": {"decoder_channels": (256, 128, 64, 32, 16)},
    "unetplusplus": {"decoder_channels": (256, 128, 64, 32, 16)},
    "manet": {"decoder_channels": (256, 128, 64, 32, 16)},
    "linknet": {},
    "fpn": {"decoder_pyramid_channels": 256},  # its other channels must be a multiple of 32
    "pspnet": {"psp_out_channels": 512},
    "deeplabv3": {"decoder_channels": 256},
    "deeplabv3plus": {"decoder_channels": 256},
    "pan": {"decoder_channels": 32},
    "upernet": {"decoder_channels": 256},
    "segformer": {"decoder_segmentation_channels": 256},
    "dpt": {"decoder_intermediate_channels": (256, 512, 1024, 1024), "decoder_fusion_channels": 256},
}
# Encoders of the library's own that want other pixels than those of ImageNet, by the beginning of their name.
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NORMALISATIONS = {
    "inception": HALVES,
    "xception": HALVES,
    "timm-tf_efficientnet_lite": HALVES,
    "dpn": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
}


class Pretrained(Body):
    """A network of segmentation_models.pytorch; `widths` are its decoder's channels."""

    def __init__(self, recipe: ModelRecipe, outputs: int) -> None:
        super().__init__()
        require_only(recipe, OPTIONS)
        recipe = filled(recipe, architecture="Unet", encoder=ENCODERS["pretrained"])
        kind, encoder = str(recipe.architecture).lower(), str(recipe.encoder)
        if kind not in CHANNELS:
            raise unknown_name("architecture in model.architecture", kind, CHANNELS)
        channels, self.widths = decoder_channels(kind, recipe)
        self.network = build_smp(kind, encoder, outputs, channels)
        self.mean, self.std = pixel_scale(*normalisation(encoder))
        self.stride = int(max(32, self.network.encoder.output_stride))
        self.smallest = 128 if kind == "pan" else 1  # it pools three times below stride 16

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return logits

    def parts(self) -> dict[str, nn.Module]:
        own = self.network
        return {"encoder": own.encoder, "decoder": own.decoder, "head": own.segmentation_head}


def pretrained(recipe: ModelRecipe, outputs: int) -> Body:
    """Any architecture and pretrained encoder of segmentation_models.pytorch (Iakubovskii, 2019)."""
    return Pretrained(recipe, outputs)


def unet_resnet34(recipe: ModelRecipe, outputs: int) -> Body:
    """A U-Net on a ResNet-34 pretrained on ImageNet (He et al., CVPR 2016)."""
    return Pretrained(filled(recipe, architecture="Unet", encoder="resnet34"), outputs)


def build_smp(kind: str, encoder: str, outputs: int, channels: dict[str, Any]) -> Any:
    """The library's network with random weights; raises InputError for what it cannot build or run."""
    import segmentation_models_pytorch as smp

    # A tag names weights. timm builds the same network for every tag; the library knows its own without.
    name = encoder if encoder.startswith("tu-") else encoder.partition(".")[0]
    if not name.startswith("tu-") and name not in smp.encoders.encoders:
        raise unknown_name("encoder in model.encoder", name, smp.encoders.encoders)
    extra = {"dynamic_img_size": True} if kind == "dpt" else {}

    def construct() -> Any:
        return smp.MODEL_ARCHITECTURES_MAPPING[kind](
            encoder_name=name, encoder_weights=None, classes=outputs, **channels, **extra
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on old names of encoders, which still work
        try:
            network = construct()
            if name.startswith("tu-"):
                _try_sizes(construct)
        except Exception as error:  # what is raised for a combination depends on both sides
            if torch.get_default_device().type == "meta" and isinstance(error, RuntimeError):
                raise  # an encoder that computes with numbers while it is built, see budget.on_meta
            raise InputError(
                f"segmentation_models.pytorch cannot build '{kind}' on '{encoder}' for images of any size "
                f"({(str(error) or type(error).__name__).splitlines()[0]}); name another in model.encoder or "
                "model.architecture."
            ) from error
    return network


def _try_sizes(construct: Any) -> None:
    # Some transformers take one size only and say so at the first image. On the meta device this costs nothing.
    try:
        with torch.device("meta"), torch.no_grad():
            construct().eval()(torch.zeros(1, 3, 128, 160))
    except RuntimeError as error:
        if "meta" not in str(error):
            raise


def decoder_channels(kind: str, recipe: ModelRecipe) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The decoder's channels as the library's keywords, and as one tuple; scaled by `width`, or as `widths` says."""
    default = CHANNELS[kind]
    flat = [number for value in default.values() for number in (value if isinstance(value, tuple) else (value,))]
    if recipe.widths is not None:
        if len(recipe.widths) != len(flat):
            wants = f"takes {len(flat)} widths, for example {flat}" if flat else "has no width to choose"
            raise InputError(f"model.widths has {len(recipe.widths)} entries, and '{kind}' {wants}.")
        flat = list(recipe.widths)
    elif recipe.width is not None:
        if not flat:
            raise InputError(f"model.width: '{kind}' has no width to choose; set it back to null.")
        flat = [max(1, round(number * recipe.width / min(flat))) for number in flat]
    rest = iter(flat)
    keywords = {
        key: tuple(next(rest) for _ in value) if isinstance(value, tuple) else next(rest)
        for key, value in default.items()
    }
    return keywords, tuple(flat)


def normalisation(encoder: str) -> tuple[Any, Any]:
    """Mean and standard deviation, of pixels 0..1, that an encoder was trained with."""
    if encoder.startswith("tu-"):
        return timm_settings(encoder)
    if encoder.endswith(".advprop"):
        return HALVES
    found = [value for start, value in NORMALISATIONS.items() if encoder.startswith(start)]
    return found[0] if found else (IMAGENET_MEAN, IMAGENET_STD)
