"""The recipe: one typed, frozen tree that fully determines a training.

YAML in, YAML out. Unknown keys are errors that suggest the nearest known key; `None` means
"derive it", and what was derived is written back with its reason (see `train/plan.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maskwright.imageio import read_yaml, write_text
from maskwright.types import InputError, unknown_name

Size = Literal["tiny", "small", "base"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Hw = tuple[Positive, Positive]


class Section(BaseModel):
    """A frozen block of the recipe; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataRecipe(Section):
    """What the network sees of a sample."""

    size: Hw | None = Field(None, description="rows, columns of the working size; derived from the images if null")
    fit: Literal["pad", "stretch"] = Field("pad", description="keep the aspect and pad, or stretch")
    crop: Hw | None = Field(None, description="rows, columns of random training crops; null trains on whole images")
    cache: bool = Field(True, description="keep decoded, resized samples in a memory-mapped file beside the data set")
    workers: Annotated[int, Field(ge=0)] | None = Field(None, description="loader processes; derived if null")


class AugmentRecipe(Section):
    """Random changes to training samples; all geometry is one warp, all photometry one table."""

    flip: Share = Field(0.5, description="probability of a left-right flip")
    flip_vertical: Share = Field(0.0, description="probability of an upside-down flip")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(0.0, description="largest rotation, degrees")
    scale: tuple[float, float] = Field((1.0, 1.0), description="smallest and largest zoom, drawn on a log scale")
    shift: Share = Field(0.0, description="largest shift, as a share of the side")
    brightness: Share = Field(0.0, description="largest shift of brightness, as a share of the full range")
    contrast: Share = Field(0.0, description="largest relative change of contrast")
    gamma: Share = Field(0.0, description="largest relative change of gamma")
    cast: Share = Field(0.0, description="largest relative change of one colour channel against the others")
    blur: Share = Field(0.0, description="probability of a light Gaussian blur")


class ModelRecipe(Section):
    """The network, by its name in MODELS, and the options of the U-Net."""

    name: str = "unet"
    width: Positive | None = Field(None, description="channels of the first level; derived from `size` if null")
    widths: tuple[Positive, ...] | None = Field(None, description="channels a level; null doubles `width` each level")
    depth: Annotated[int, Field(ge=1, le=7)] = Field(4, description="number of poolings")
    block: Literal["double", "residual"] = "double"
    blocks: tuple[Positive, ...] | None = Field(None, description="encoder blocks a level; null is one each")
    decoder_width: Positive | None = Field(None, description="most channels in the decoder; null mirrors the encoder")
    stem: Literal[1, 2, 4] = Field(1, description="stride before the first level; 2 and 4 train far faster")
    up: Literal["transposed", "bilinear"] = "transposed"
    dropout: Share = Field(0.0, description="dropout at the bottleneck")


class LossRecipe(Section):
    """The loss, by its name in LOSSES."""

    name: str = "cross_entropy"
    background: bool = Field(True, description="whether pixels of the background class enter the loss")
    gamma: Annotated[float, Field(ge=0)] = Field(2.0, description="focal losses: how much easy pixels are damped")
    alpha: Share | None = Field(None, description="focal losses: weight of the foreground, its complement elsewhere")
    mix: Share = Field(0.5, description="mixed losses: share of the Dice part")
    class_power: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="weigh classes by (1 / pixel share) to this power; 0 leaves them equal"
    )


class OptimRecipe(Section):
    """Optimiser, learning-rate schedule and weight averaging."""

    name: Literal["adamw", "adam"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: Share = Field(0.03, description="share of the training over which the rate rises from 0")
    plateau_patience: Positive = Field(5, description="plateau: validations without a gain before the rate drops")
    plateau_factor: Share = Field(0.3, description="plateau: what the rate is multiplied by")
    clip: Annotated[float, Field(gt=0)] | None = Field(1.0, description="largest norm of the gradient")
    ema: Share = Field(0.99, description="decay of the averaged weights a step; 0 turns averaging off")


class TrainRecipe(Section):
    """How long, how many at a time, and in which arithmetic."""

    epochs: Positive | None = Field(None, description="passes over the training images; derived if null")
    budget: Annotated[float, Field(gt=0)] | None = Field(
        None, description="minutes for everything up to the last checkpoint; replaces `epochs`"
    )
    batch: Positive = 8
    patience: Positive | None = Field(None, description="stop after this many validations without a gain")
    validate_every: Positive = Field(1, description="epochs between validations")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool | None = Field(None, description="memory layout; derived if null")
    deterministic: bool = Field(False, description="bit-equal results on the CPU, at some cost in speed")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0


class ScoreRecipe(Section):
    """What the mean is taken over."""

    background: bool = Field(True, description="whether the background class enters the mean IoU that picks the best")


class Recipe(Section):
    """One frozen tree that fully determines a training."""

    name: str = "default"
    size: Size = Field("tiny", description="the one dial: tiny 1.9 M, small 7.8 M, base 31 M parameters")
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
    changed: dict[str, Any] = json.loads(json.dumps(data))
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
        near = get_close_matches(where, known, n=1, cutoff=0.5) or [
            key for key in known if key.rsplit(".", 1)[-1] == str(first["loc"][-1])
        ]
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


SIZES: tuple[str, ...] = get_args(Size)
