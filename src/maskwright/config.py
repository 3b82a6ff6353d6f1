"""The recipe: one typed, frozen tree that fully determines a training.

YAML in, YAML out. Unknown keys are errors that suggest the nearest known key; `None` means
"derive it", and what was derived is written back with its reason (see `training/plan.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from maskwright.files import read_yaml, write_text
from maskwright.types import InputError, unknown_name

Size = Literal["tiny", "small", "base"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Hw = tuple[Positive, Positive]
Zoom = Annotated[float, Field(gt=0)]
Sigma = Annotated[float, Field(gt=0, le=20)]
Quality = Annotated[int, Field(ge=1, le=100)]


class Section(BaseModel):
    """A frozen block of the recipe; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # YAML reads yes, no, on and off as booleans, which would pass for the numbers 1 and 0.
        wanted = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (wanted, *get_args(wanted)):
            raise ValueError("yes and no do not fit here; write a number, or a word in quotes")
        return value


class DataRecipe(Section):
    """What the network sees of a sample."""

    size: Hw | None = Field(
        default=None, description="rows, columns of the working size; derived from the images if null"
    )
    fit: Literal["pad", "stretch"] = Field(default="pad", description="keep the aspect and pad, or stretch")
    crop: Hw | None = Field(
        default=None, description="rows, columns of random training crops; null trains on whole images"
    )
    cache: bool = Field(
        default=True, description="keep decoded, resized samples in a memory-mapped file beside the data set"
    )
    sampling: Literal["uniform", "balanced"] = Field(
        default="uniform", description="every image once an epoch, or images with rare classes more often"
    )
    crop_focus: Share = Field(
        default=0.0, description="probability that a crop is centred on a class, rare ones drawn more often"
    )
    workers: Annotated[int, Field(ge=0)] | None = Field(default=None, description="loader processes; derived if null")
    fold: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="validate on this fold and train on the others; null follows the split as it is"
    )


class AugmentRecipe(Section):
    """Random changes to training samples; all geometry is one warp, every change of tone one table; 0 is off."""

    flip: Share = Field(default=0.5, description="probability of a left-right flip")
    flip_vertical: Share = Field(default=0.0, description="probability of an upside-down flip")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(default=0.0, description="largest rotation, degrees")
    rotate_safe: bool = Field(
        default=False, description="zoom in until no new border shows; this limits shifts and zooming out as well"
    )
    scale: tuple[Zoom, Zoom] = Field(default=(1.0, 1.0), description="smallest and largest zoom, drawn on a log scale")
    shift: Share = Field(default=0.0, description="largest shift, as a share of the side")
    shear: Annotated[float, Field(ge=0, le=60)] = Field(default=0.0, description="largest shear, degrees")
    elastic: Annotated[float, Field(ge=0, le=0.2)] = Field(
        default=0.0, description="largest smooth displacement, as a share of the shorter side; 0.03 is clearly visible"
    )
    brightness: Share = Field(default=0.0, description="largest shift of brightness, as a share of the full range")
    contrast: Share = Field(default=0.0, description="largest relative change of contrast")
    gamma: Share = Field(default=0.0, description="largest relative change of gamma")
    cast: Share = Field(default=0.0, description="largest relative change of one colour channel against the others")
    saturation: Share = Field(default=0.0, description="largest relative change of saturation")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="largest turn of the hue, as a share of the colour circle"
    )
    shadow: Share = Field(default=0.0, description="probability of a soft-edged shadow")
    blur: Share = Field(default=0.0, description="probability of a Gaussian blur")
    blur_sigma: tuple[Sigma, Sigma] = Field(default=(0.4, 1.2), description="smallest and largest sigma of it, pixels")
    noise: Share = Field(
        default=0.0, description="largest standard deviation of Gaussian noise, as a share of the full range"
    )
    jpeg: Share = Field(default=0.0, description="probability of JPEG compression")
    jpeg_quality: tuple[Quality, Quality] = Field(default=(30, 90), description="lowest and highest quality of it")
    perturb: Share = Field(default=0.0, description="probability of a perturbation, at a level drawn evenly")
    perturb_kinds: tuple[str, ...] | None = Field(
        default=None, description="names of perturbations, see `maskwright stress`; null: one of each family"
    )
    cutmix: Share = Field(default=0.0, description="probability that a box comes from another sample")
    classmix: Share = Field(default=0.0, description="probability that half of another sample's classes are laid over")
    paste: Share = Field(default=0.0, description="probability that objects of a rare class are pasted from another")
    paste_classes: tuple[str, ...] | None = Field(
        default=None, description="names of the classes to paste; null: those with under half of an even pixel share"
    )

    @field_validator("paste_classes", "perturb_kinds", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("scale", "blur_sigma", "jpeg_quality")
    @classmethod
    def _in_order(cls, pair: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        if pair[0] > pair[1]:
            noun = {"scale": "zoom", "blur_sigma": "sigma", "jpeg_quality": "quality"}[str(info.field_name)]
            raise ValueError(f"the smallest {noun} comes first, then the largest")
        return pair


class ModelRecipe(Section):
    """The network, by its name in MODELS, and its options; null leaves an option to the named network."""

    name: str = Field(default="unet", description="the network, see MODELS")
    width: Positive | None = Field(default=None, description="channels of the first level; derived from `size` if null")
    widths: tuple[Positive, ...] | None = Field(
        default=None, description="channels a level (pretrained, clip: of the decoder); null doubles `width` each level"
    )
    params: Positive | None = Field(
        default=None, description="number of parameters to reach, as in 31M, frozen ones counted; solves the widths"
    )
    gflops: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="10^9 operations to reach for an image of the working size; solves the widths"
    )
    depth: Annotated[int, Field(ge=1, le=7)] = Field(default=4, description="number of poolings")
    block: Literal["double", "residual", "se", "inception"] | None = Field(
        default=None, description="two convolutions, plain, with a shortcut or with channel weights; or four branches"
    )
    blocks: tuple[Positive, ...] | None = Field(default=None, description="encoder blocks a level; null is one each")
    decoder_width: Positive | None = Field(
        default=None, description="most channels in the decoder; null mirrors the encoder"
    )
    stem: Literal[1, 2, 4] = Field(default=1, description="stride before the first level; 2 and 4 train far faster")
    norm: Literal["batch", "group", "instance", "none"] | None = Field(
        default=None, description="normalisation after convolutions"
    )
    act: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] | None = Field(
        default=None, description="what follows a convolution and its norm"
    )
    bias: bool | None = Field(default=None, description="whether 3x3 convolutions before a norm have a bias")
    bottleneck: Literal["plain", "attention", "aspp"] | None = Field(
        default=None, description="what the deepest level adds: nothing, self-attention, or several dilations"
    )
    skip: Literal["concat", "gate", "inception", "none"] | None = Field(
        default=None, description="how encoder features join the decoder"
    )
    up: Literal["transposed", "bilinear"] | None = Field(default=None, description="how the decoder enlarges")
    dropout: Share = Field(default=0.0, description="dropout of whole channels at the bottleneck")
    block_dropout: Share = Field(default=0.0, description="dropout of single values after every block")
    spatial_dropout: Share = Field(default=0.0, description="dropout of whole channels after every block")
    deep_supervision: bool = Field(
        default=False, description="coarser levels of the decoder learn to predict too, see train.auxiliary"
    )
    architecture: str | None = Field(
        default=None, description="pretrained: a segmentation_models.pytorch architecture, as Unet or FPN"
    )
    encoder: str | None = Field(
        default=None, description="pretrained, clip: the encoder, as resnet34, resnet50.swsl or tu-convnext_tiny"
    )
    decoder: Literal["light", "fpn"] | None = Field(
        default=None, description="clip: from the coarsest features only, or from all levels"
    )
    weights: str | None = Field(
        default=None,
        description="pretrained, clip: file to start the encoder from; null looks in the cache, random starts anew",
    )
    download: bool = Field(default=False, description="pretrained, clip: fetch missing weights from the network")

    @field_validator("params", mode="before")
    @classmethod
    def _short_count(cls, value: Any) -> Any:
        found = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([kMG])\s*", value) if isinstance(value, str) else None
        return round(float(found[1]) * {"k": 1e3, "M": 1e6, "G": 1e9}[found[2]]) if found else value


class LossRecipe(Section):
    """The loss, by its name in LOSSES; options that the named loss does not use are said when training starts."""

    name: str = Field(default="cross_entropy", description="the loss, see LOSSES")
    background: bool = Field(
        default=True, description="false treats pixels of the background class as ignored, in the loss and in the score"
    )
    foreground_only: bool = Field(
        default=False,
        description="region losses: no term for the background; its pixels still count against the others",
    )
    absent: Literal["skip", "count"] = Field(
        default="skip", description="region losses: a class without a label in the batch has no term, or one near 1"
    )
    gamma: Annotated[float, Field(ge=0)] = Field(
        default=2.0, description="focal losses: how much easy pixels are damped"
    )
    alpha: Share | None = Field(
        default=None, description="focal losses: weight of the foreground, its complement elsewhere"
    )
    mix: Share = Field(default=0.5, description="mixed losses: share of the region part")
    smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="cross entropies: share of the truth that is spread over all classes"
    )
    hard_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="pixel losses: share of a batch's pixels that counts, those with the largest loss"
    )
    weights: str | None = Field(
        default=None, description="pixel losses: how class weights follow from the training masks, see CLASS_WEIGHTS"
    )
    class_power: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="weigh classes by (1 / pixel share) to this power; 0 leaves them equal"
    )
    effective_beta: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.999, description="weights by effective number: how slowly further pixels of a class stop counting"
    )
    tversky_fp: Share = Field(default=0.3, description="Tversky losses: weight of false positives")
    tversky_fn: Share = Field(default=0.7, description="Tversky losses: weight of false negatives")
    tversky_gamma: Annotated[float, Field(ge=1, le=3)] = Field(
        default=4 / 3, description="focal Tversky: above 1, classes that are found badly count more"
    )
    boundary_px: Positive = Field(default=2, description="boundary losses: how far from another class is near")
    boundary_weight: Annotated[float, Field(ge=1)] = Field(
        default=5.0, description="boundary losses: what a pixel near a boundary weighs against others"
    )
    check: bool = Field(default=True, description="examine the loss on the first batch before the first step")


class OptimRecipe(Section):
    """Optimiser, learning-rate schedule and weight averaging."""

    name: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="the optimiser")
    lr: Annotated[float, Field(gt=0)] = Field(default=1e-3, description="highest learning rate")
    parts: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="learning rate of named parts of the network as a multiple of it: {encoder: 0.1}"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=1e-2, description="of kernels; biases and norms have none"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="sgd: momentum")
    nesterov: bool = Field(default=False, description="sgd: look ahead along the momentum, which must not be 0")
    schedule: Literal["cosine", "one_cycle", "polynomial", "plateau", "constant"] = Field(
        default="cosine", description="how the rate falls after warm-up"
    )
    warmup: Share = Field(default=0.03, description="share of the training over which the rate rises from 0")
    power: Annotated[float, Field(gt=0)] = Field(default=0.9, description="polynomial: the exponent")
    cycle_rise: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.3, description="one_cycle: share of the training over which the rate rises, in place of `warmup`"
    )
    plateau_patience: Positive = Field(
        default=5, description="plateau: validations without a gain before the rate drops"
    )
    plateau_factor: Share = Field(default=0.3, description="plateau: what the rate is multiplied by")
    clip: Annotated[float, Field(gt=0)] | None = Field(default=1.0, description="largest norm of the gradient")
    ema: Share = Field(default=0.99, description="decay of the averaged weights a step; 0 turns averaging off")

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("nesterov needs a momentum; set optim.momentum above 0")
        return nesterov


class PretrainRecipe(Section):
    """A stage before: networks that can (`autoencoder`) learn to reproduce the training images, without masks."""

    epochs: Annotated[int, Field(ge=0)] = Field(default=0, description="most epochs of it; 0 leaves it out")
    patience: Positive = Field(default=5, description="stop after this many epochs without a lower validation error")
    lr: Annotated[float, Field(gt=0)] = Field(default=1e-3, description="learning rate of it (Adam)")


class TrainRecipe(Section):
    """How long, how many at a time, and in which arithmetic."""

    epochs: Positive | None = Field(default=None, description="passes over the training images; derived if null")
    budget: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="minutes for everything up to the last checkpoint; replaces `epochs`"
    )
    pretrain: PretrainRecipe = PretrainRecipe()
    freeze: dict[str, Share] = Field(
        default={}, description="share of the training in which named parts stay as they are: {encoder: 1.0}"
    )
    small_first: Share = Field(
        default=0.0, description="share of the training that sees images at half the working size, four times as fast"
    )
    batch: Positive = Field(default=8, description="images at a time, over all devices")
    accumulate: Positive = Field(default=1, description="batches whose gradients make one step")
    patience: Positive | None = Field(default=None, description="stop after this many validations without a gain")
    validate_every: Positive = Field(default=1, description="epochs between validations")
    keep_every: Positive | None = Field(
        default=None, description="epochs between weights that are kept, each with a picture; null keeps best and last"
    )
    auxiliary: Share = Field(
        default=0.5, description="model.deep_supervision: weight of the first coarser output, squared for the next, ..."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(default="auto", description="arithmetic of the network")
    channels_last: bool | None = Field(default=None, description="memory layout; derived if null")
    deterministic: bool = Field(default=False, description="bit-equal results on the CPU, at some cost in speed")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="where the training runs")
    devices: Positive = Field(default=1, description="how many of them share every batch, each in a process of its own")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of everything random")


class PromptRecipe(Section):
    """Models that answer prompts: what they are asked in training, drawn from the masks."""

    target: Literal["class", "region"] = Field(
        default="class", description="what a prompt means: all of the class under it, or the connected region alone"
    )
    background: Share = Field(
        default=0.5, description="share of prompts on the background, a class like others; the rest goes evenly"
    )
    box: Share = Field(default=0.5, description="probability that a first prompt is a box, not a point")
    sigma: Annotated[float, Field(gt=0, le=100)] = Field(
        default=10.0, description="of the Gaussian that a point is drawn as, pixels of the working size"
    )
    clicks: Annotated[int, Field(ge=0, le=20)] = Field(
        default=0, description="most further clicks in a training step, each on the largest error so far"
    )
    class_told: Share = Field(
        default=0.0, description="probability that the class is told with a prompt; 0 leaves it out of the network"
    )


class ScoreRecipe(Section):
    """What the mean is taken over."""

    background: bool | None = Field(
        default=None,
        description="whether the background class enters the mean IoU that picks the best; null: as loss.background",
    )


class Recipe(Section):
    """One frozen tree that fully determines a training."""

    name: str = Field(default="default", description="what the recipe is called")
    size: Size = Field(default="tiny", description="the one dial: tiny 1.9 M, small 7.8 M, base 31 M parameters")
    data: DataRecipe = DataRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    model: ModelRecipe = ModelRecipe()
    loss: LossRecipe = LossRecipe()
    optim: OptimRecipe = OptimRecipe()
    train: TrainRecipe = TrainRecipe()
    prompt: PromptRecipe = PromptRecipe()
    score: ScoreRecipe = ScoreRecipe()

    @property
    def background_scored(self) -> bool:
        """Whether the background is one of the classes that the mean IoU is taken over."""
        return self.loss.background if self.score.background is None else self.score.background

    @property
    def background_ignored(self) -> bool:
        """Whether pixels of the background are as good as unlabelled: in no loss and in no count."""
        return not self.loss.background and not self.background_scored

    def to_dict(self) -> dict[str, Any]:
        """Plain data in recipe order."""
        return dict(json.loads(self.model_dump_json()))

    def to_yaml(self) -> str:
        """YAML that `Recipe.load` reads back to an equal recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, width=120)

    @classmethod
    def from_dict(cls, data: Any, *, source: str = "recipe") -> Recipe:
        """Validate plain data; raises InputError with `source`, the key, and the nearest known key."""
        if not isinstance(data, dict):
            raise InputError(f"{source} must be a mapping of recipe keys, not {type(data).__name__}.")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(_explain(error, source)) from error

    @classmethod
    def load(cls, name_or_path: str | Path, sets: Sequence[str] = ()) -> Recipe:
        """A shipped recipe by name, or a YAML file by path, with `a.b=c` changes applied."""
        text = str(name_or_path)
        path = Path(text)
        if path.suffix in (".yaml", ".yml") or path.is_file():
            data, source = read_yaml(path) or {}, text
        else:
            shipped = shipped_recipes()
            if text not in shipped:
                raise unknown_name("recipe", text, shipped)
            data, source = yaml.safe_load(shipped[text]) or {}, f"recipe '{text}'"
        if isinstance(data, dict):
            data = apply_sets(data, sets)
        return cls.from_dict(data, source=source)

    def with_values(self, **dotted: Any) -> Recipe:
        """A copy with some keys changed, named with `__` for the dot: `with_values(train__seed=1)`."""
        data = self.to_dict()
        for key, value in dotted.items():
            _assign(data, key.split("__"), value)
        return Recipe.from_dict(data)


def shipped_recipes() -> dict[str, str]:
    """Name -> YAML text of every recipe in the package."""
    folder = resources.files("maskwright") / "recipes"
    return {
        item.name.removesuffix(".yaml"): item.read_text(encoding="utf-8")
        for item in sorted(folder.iterdir(), key=lambda item: item.name)
        if item.name.endswith(".yaml")
    }


def apply_sets(data: dict[str, Any], sets: Iterable[str]) -> dict[str, Any]:
    """Apply `a.b=c` strings (values are YAML) to a tree; the tree itself is not changed."""
    changed = deepcopy(data)
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text} is not of the form key=value, for example --set optim.lr=0.001.")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text}: the value is not valid YAML.") from error
        _assign(changed, key.strip().split("."), parsed)
    return changed


def write_schema(path: Path) -> None:
    """Write the JSON schema of recipes, for editors that complete and check YAML."""
    write_text(path, json.dumps(Recipe.model_json_schema(), indent=2) + "\n")


def _assign(data: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"'{'.'.join(keys)}' is no recipe key: '{key}' holds a value, not a section.")
        data = inner
    data[keys[-1]] = value


# A value as an error shows it: whoever made the file may have made it endless.
_short = Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 3, 100, 100, 60


def _explain(error: ValidationError, source: str) -> str:
    first = error.errors()[0]
    where = " ".join(".".join(str(part) for part in first["loc"]).split())[:200]
    if first["type"] == "extra_forbidden":
        known = known_keys()
        if isinstance(first["input"], dict):
            known = list(dict.fromkeys(key.partition(".")[0] for key in known if "." in key))
        same = [key for key in known if key.rpartition(".")[2] == str(first["loc"][-1])]
        same = [key for key in same if key.count(".") == min(other.count(".") for other in same)]
        shallow = min((key.count(".") for key in same), default=0)
        same = [key for key in same if key.count(".") == shallow]
        near = get_close_matches(where, same or known, n=1, cutoff=0.0 if same else 0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}."
        return f"{source}: unknown key '{where}'; {hint}"
    return f"{source}: '{where}' is {_short.repr(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}."


def known_keys(section: type[BaseModel] = Recipe, prefix: str = "") -> list[str]:
    """Every dotted key of the recipe."""
    keys: list[str] = []
    for name, info in section.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += known_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys
