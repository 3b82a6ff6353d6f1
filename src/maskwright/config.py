"""The recipe: one typed, frozen tree that fully determines a training.

YAML in, YAML out. Unknown keys are errors that suggest the nearest known key; `None` means
"derive it", and what was derived is written back with its reason (see `training/plan.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
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
    workers: Annotated[int, Field(ge=0)] | None = Field(default=None, description="loader processes; derived if null")


class AugmentRecipe(Section):
    """Random changes to training samples; all geometry is one warp, all photometry one table."""

    flip: Share = Field(default=0.5, description="probability of a left-right flip")
    flip_vertical: Share = Field(default=0.0, description="probability of an upside-down flip")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(default=0.0, description="largest rotation, degrees")
    scale: tuple[Zoom, Zoom] = Field(default=(1.0, 1.0), description="smallest and largest zoom, drawn on a log scale")
    shift: Share = Field(default=0.0, description="largest shift, as a share of the side")
    brightness: Share = Field(default=0.0, description="largest shift of brightness, as a share of the full range")
    contrast: Share = Field(default=0.0, description="largest relative change of contrast")
    gamma: Share = Field(default=0.0, description="largest relative change of gamma")
    cast: Share = Field(default=0.0, description="largest relative change of one colour channel against the others")
    blur: Share = Field(default=0.0, description="probability of a light Gaussian blur")

    @field_validator("scale")
    @classmethod
    def _in_order(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] > scale[1]:
            raise ValueError("the smallest zoom comes first, then the largest")
        return scale


class ModelRecipe(Section):
    """The network, by its name in MODELS, and the options of the U-Net."""

    name: str = Field(default="unet", description="the network, see MODELS")
    width: Positive | None = Field(default=None, description="channels of the first level; derived from `size` if null")
    widths: tuple[Positive, ...] | None = Field(
        default=None, description="channels a level; null doubles `width` each level"
    )
    depth: Annotated[int, Field(ge=1, le=7)] = Field(default=4, description="number of poolings")
    block: Literal["double", "residual"] = Field(
        default="double", description="two convolutions, with or without a shortcut"
    )
    blocks: tuple[Positive, ...] | None = Field(default=None, description="encoder blocks a level; null is one each")
    decoder_width: Positive | None = Field(
        default=None, description="most channels in the decoder; null mirrors the encoder"
    )
    stem: Literal[1, 2, 4] = Field(default=1, description="stride before the first level; 2 and 4 train far faster")
    up: Literal["transposed", "bilinear"] = Field(default="transposed", description="how the decoder enlarges")
    dropout: Share = Field(default=0.0, description="dropout at the bottleneck")


class LossRecipe(Section):
    """The loss, by its name in LOSSES."""

    name: str = Field(default="cross_entropy", description="the loss, see LOSSES")
    background: bool = Field(default=True, description="whether pixels of the background class enter the loss")
    gamma: Annotated[float, Field(ge=0)] = Field(
        default=2.0, description="focal losses: how much easy pixels are damped"
    )
    alpha: Share | None = Field(
        default=None, description="focal losses: weight of the foreground, its complement elsewhere"
    )
    mix: Share = Field(default=0.5, description="mixed losses: share of the Dice part")
    class_power: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="weigh classes by (1 / pixel share) to this power; 0 leaves them equal"
    )


class OptimRecipe(Section):
    """Optimiser, learning-rate schedule and weight averaging."""

    name: Literal["adamw", "adam"] = Field(default="adamw", description="the optimiser")
    lr: Annotated[float, Field(gt=0)] = Field(default=1e-3, description="highest learning rate")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=1e-2, description="of kernels; biases and norms have none"
    )
    schedule: Literal["cosine", "plateau", "constant"] = Field(
        default="cosine", description="how the rate falls after warm-up"
    )
    warmup: Share = Field(default=0.03, description="share of the training over which the rate rises from 0")
    plateau_patience: Positive = Field(
        default=5, description="plateau: validations without a gain before the rate drops"
    )
    plateau_factor: Share = Field(default=0.3, description="plateau: what the rate is multiplied by")
    clip: Annotated[float, Field(gt=0)] | None = Field(default=1.0, description="largest norm of the gradient")
    ema: Share = Field(default=0.99, description="decay of the averaged weights a step; 0 turns averaging off")


class TrainRecipe(Section):
    """How long, how many at a time, and in which arithmetic."""

    epochs: Positive | None = Field(default=None, description="passes over the training images; derived if null")
    budget: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="minutes for everything up to the last checkpoint; replaces `epochs`"
    )
    small_first: Share = Field(
        default=0.0, description="share of the training that sees images at half the working size, four times as fast"
    )
    batch: Positive = Field(default=8, description="images a step")
    patience: Positive | None = Field(default=None, description="stop after this many validations without a gain")
    validate_every: Positive = Field(default=1, description="epochs between validations")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(default="auto", description="arithmetic of the network")
    channels_last: bool | None = Field(default=None, description="memory layout; derived if null")
    deterministic: bool = Field(default=False, description="bit-equal results on the CPU, at some cost in speed")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="where the training runs")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of everything random")


class ScoreRecipe(Section):
    """What the mean is taken over."""

    background: bool = Field(
        default=True, description="whether the background class enters the mean IoU that picks the best"
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
    score: ScoreRecipe = ScoreRecipe()

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


def _explain(error: ValidationError, source: str) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = known_keys()
        if isinstance(first["input"], dict):
            known = list(dict.fromkeys(key.partition(".")[0] for key in known if "." in key))
        same = [key for key in known if key.rpartition(".")[2] == str(first["loc"][-1])]
        near = get_close_matches(where, same or known, n=1, cutoff=0.0 if same else 0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}."
        return f"{source}: unknown key '{where}'; {hint}"
    return f"{source}: '{where}' is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


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
