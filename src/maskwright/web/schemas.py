"""What requests may say, as JSON; anything else is refused with one sentence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]
Name = Annotated[str, Field(max_length=4096)]


class Body(BaseModel):
    """The body of a request; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StatusBody(Body):
    """POST /api/images/{id}/status; without a revision the newest labels are meant, whatever they are."""

    status: Name
    revision: int | None = None


class PrepareBody(Body):
    """POST /api/images/{id}/prepare; `next` are encoded after it."""

    prompter: Name
    next: Annotated[list[Name], Field(max_length=16)] = []


class StrokeBody(Body):
    """A scribble of a prompt."""

    points: Annotated[list[tuple[Finite, Finite]], Field(min_length=1, max_length=20_000)]
    positive: bool = True
    radius: Annotated[Finite, Field(gt=0, le=10_000)] = 2.0


class BitsBody(Body):
    """A mask: packed bits of the rectangle (x, y, w, h), deflated, in base64."""

    x: int
    y: int
    w: int
    h: int
    bits: str


class PromptBody(Body):
    """POST /api/images/{id}/prompt."""

    prompter: Name
    points: Annotated[list[tuple[Finite, Finite, bool]], Field(max_length=10_000)] = []
    boxes: Annotated[list[tuple[Finite, Finite, Finite, Finite]], Field(max_length=1000)] = []
    strokes: Annotated[list[StrokeBody], Field(max_length=1000)] = []
    class_id: Annotated[int | None, Field(alias="class")] = None
    previous: BitsBody | None = None


class PrompterBody(Body):
    """POST /api/prompters."""

    spec: Name


class ClassBody(Body):
    """POST /api/classes; the palette's next colour if left out."""

    name: str
    colour: Colour | None = None


class ClassChangeBody(Body):
    """PATCH /api/classes/{id}."""

    name: str | None = None
    colour: Colour | None = None


class SuggestionBody(Body):
    """POST /api/suggestion; null takes the suggestion away."""

    run: Name | None


class TrainBody(Body):
    """POST /api/train."""

    recipe: Name = "default"
    minutes: Annotated[Finite | None, Field(gt=0, le=10_000)] = None
    sets: Annotated[list[Name], Field(max_length=100)] = []


Method = Literal["mixed", "uncertainty", "diversity", "random"]
