"""The class table, the ignore id and the error that users see.

Shape letters used in names throughout the package:
N batch, K classes, C channels, H rows, W columns. `image_HW3` is RGB uint8, `mask_HW` holds class ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
IGNORE_WIDE = 65535
IGNORE_COLOUR = (255, 255, 255)

Colour = tuple[int, int, int]
Image = NDArray[np.uint8]
Mask = NDArray[np.uint8] | NDArray[np.uint16]

# Distinct on screen and in print, also for most colour-blind readers; later ids walk the hue circle.
_PALETTE: tuple[Colour, ...] = (
    (60, 60, 60),
    (230, 97, 0),
    (26, 133, 255),
    (212, 17, 89),
    (64, 176, 166),
    (255, 194, 10),
    (93, 58, 155),
    (0, 108, 30),
    (153, 79, 0),
    (225, 190, 235),
    (12, 123, 220),
    (180, 220, 80),
)


class InputError(ValueError):
    """What a user can mend: one sentence that names the file or setting, and the remedy."""


class TargetError(InputError):
    """The place that is written to cannot be used: unlike one bad file, this ends the work."""


class Conflict(InputError):  # noqa: N818
    """What is to be saved was not made from the newest labels; `revision` is the newest one's number."""

    def __init__(self, message: str, revision: int) -> None:
        super().__init__(message)
        self.revision = revision


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An error for a name that is not in a visible dict: suggests the nearest and prints the known ones."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return InputError(f"Unknown {kind} '{name}'.{hint} Known: {', '.join(names)}.")


@dataclass(frozen=True, kw_only=True)
class ClassInfo:
    """One row of the class table."""

    id: int
    name: str
    colour: Colour
    priority: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Classes:
    """Ordered table of class id, name, colour and overlap priority; ids are 0..K-1.

    `background` is the id of the background class, or None where a data set has none.

    Raises InputError where ids have gaps, names repeat or colours are not 0..255.
    """

    items: tuple[ClassInfo, ...]
    background: int | None = None
    _by_name: dict[str, ClassInfo] = field(init=False, repr=False, compare=False)
    _priorities: dict[int, float] = field(init=False, repr=False, compare=False)
    _palette: NDArray[np.uint8] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = [item.id for item in self.items]
        if not ids:
            raise InputError("A class table needs at least one class; give names, for example --classes sky,road.")
        if ids != list(range(len(ids))):
            raise InputError(f"Class ids must be 0..{len(ids) - 1} in order, not {ids}; renumber the class table.")
        if len(ids) >= IGNORE_WIDE:
            raise InputError(f"{len(ids)} classes are more than a 16-bit mask can hold; merge some.")
        names = [item.name for item in self.items]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"Class name '{twice[0]}' appears twice; give every class its own name.")
        if self.background is not None and self.background not in ids:
            raise InputError(f"Background id {self.background} is not in the class table (0..{len(ids) - 1}).")
        for item in self.items:
            if len(item.colour) != 3 or not all(0 <= channel <= 255 for channel in item.colour):
                raise InputError(f"Class '{item.name}' has colour {item.colour}; give three numbers from 0 to 255.")
        object.__setattr__(self, "_by_name", {item.name: item for item in self.items})
        object.__setattr__(self, "_priorities", {item.id: item.priority for item in self.items})
        table = np.full((self.ignore + 1, 3), IGNORE_COLOUR, np.uint8)
        table[: len(self.items)] = [item.colour for item in self.items]
        object.__setattr__(self, "_palette", table)

    @classmethod
    def from_names(
        cls,
        names: Iterable[str],
        *,
        background: int | str | None = "auto",
        colours: Mapping[str, Colour] | None = None,
    ) -> Classes:
        """Build a table from names; a first class called 'background' is the background unless told otherwise."""
        clean = [name.strip() for name in names]
        if any(not name for name in clean):
            raise InputError("A class name is empty; check the commas in the list of class names.")
        given = colours or {}
        items = tuple(
            ClassInfo(id=i, name=name, colour=given.get(name, default_colour(i))) for i, name in enumerate(clean)
        )
        if background == "auto":
            background = 0 if clean and clean[0].lower() in ("background", "bg") else None
        elif isinstance(background, str):
            if background not in clean:
                raise unknown_name("background class", background, clean)
            background = clean.index(background)
        return cls(items=items, background=background)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, source: str = "class table") -> Classes:
        """Read what `to_dict` wrote (the `classes` block of `dataset.yaml`); `source` names the file in errors."""
        try:
            rows = data["classes"]
            items = tuple(
                ClassInfo(
                    id=int(row["id"]),
                    name=str(row["name"]),
                    colour=(int(row["colour"][0]), int(row["colour"][1]), int(row["colour"][2])),
                    priority=float(row.get("priority", 1.0)),
                )
                for row in rows
            )
            background = None if data.get("background") is None else int(data["background"])
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise InputError(
                f"{source}: the classes are malformed ({error!r}); each class needs id, name and colour [r, g, b]."
            ) from error
        try:
            return cls(items=items, background=background)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON; `from_dict` reads it back."""
        rows = [
            {"id": item.id, "name": item.name, "colour": list(item.colour), "priority": item.priority}
            for item in self.items
        ]
        return {"background": self.background, "ignore": self.ignore, "classes": rows}

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> list[str]:
        """Class names in id order."""
        return [item.name for item in self.items]

    @property
    def ignore(self) -> int:
        """The id that enters no loss and no metric: 255, or 65535 where ids need 16 bits."""
        return IGNORE if len(self.items) <= IGNORE else IGNORE_WIDE

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, or uint16 beyond 255 classes."""
        return np.dtype(np.uint8 if self.ignore == IGNORE else np.uint16)

    @property
    def priorities(self) -> Mapping[int, float]:
        """Overlap priority by id."""
        return self._priorities

    def id_of(self, name: str) -> int:
        """The id of a class by name; raises InputError with the known names."""
        if name not in self._by_name:
            raise unknown_name("class", name, self.names)
        return self._by_name[name].id

    def palette(self) -> NDArray[np.uint8]:
        """Colours by id, shape (ignore + 1, 3) uint8; ids outside the table and ignore are white."""
        return self._palette.copy()


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A scribble: points along a line of `radius_px`, on the object (`positive`) or off it."""

    points_xy: tuple[tuple[float, float], ...]
    positive: bool = True
    radius_px: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a person points at in one image, for one object.

    Coordinates are pixels, x to the right and y down; pixel (row r, column c) covers r <= y < r + 1, c <= x < c + 1.
    `positive[i]` says whether point i is on the object. Boxes are (left, top, right, bottom). `previous_HW` is the
    mask so far, which clicks correct. `class_id` is what the object is to become, where a prompter knows classes.
    """

    points_xy: tuple[tuple[float, float], ...] = ()
    positive: tuple[bool, ...] = ()
    boxes_xyxy: tuple[tuple[float, float, float, float], ...] = ()
    strokes: tuple[Stroke, ...] = ()
    previous_HW: NDArray[np.bool_] | None = None
    class_id: int | None = None

    def check(self, size_hw: tuple[int, int]) -> None:
        """Raise InputError for a prompt that says nothing, only what is not wanted, or points outside the image."""
        rows, columns = size_hw
        if len(self.points_xy) != len(self.positive):
            raise InputError(f"{len(self.points_xy)} points have {len(self.positive)} labels; give one for each.")
        if not (self.points_xy or self.boxes_xyxy or self.strokes):
            raise InputError("The prompt is empty; click on the object, or draw a box or a stroke.")
        if not all(stroke.points_xy for stroke in self.strokes):
            raise InputError("A stroke has no points; draw it on the object, or off it.")
        wanted = any(self.positive) or self.boxes_xyxy or any(stroke.positive for stroke in self.strokes)
        if not wanted and self.previous_HW is None:
            raise InputError("The prompt only says what is not wanted; add a click, a box or a stroke on the object.")
        places = [*self.points_xy, *(point for stroke in self.strokes for point in stroke.points_xy)]
        places += [corner for x0, y0, x1, y1 in self.boxes_xyxy for corner in ((x0, y0), (x1, y1))]
        for x, y in places:
            if not (0 <= x <= columns and 0 <= y <= rows):
                raise InputError(f"The prompt at x {x:g}, y {y:g} is outside the image of {columns} x {rows} pixels.")
        for x0, y0, x1, y1 in self.boxes_xyxy:
            if x1 <= x0 or y1 <= y0:
                raise InputError(f"Box {x0:g}, {y0:g}, {x1:g}, {y1:g} is empty; give left, top, right, bottom.")
        if self.previous_HW is not None and self.previous_HW.shape != size_hw:
            raise InputError(
                f"The mask so far is {self.previous_HW.shape} for an image of {size_hw}; give equal sizes."
            )


def default_colour(index: int) -> Colour:
    """The colour of class `index` where none is given; never the white of ignored pixels, never repeated below 255."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    # Golden-angle hues: neighbours in the table are far apart on the circle.
    hue = (index * 0.61803398875) % 1.0
    value = 0.55 + 0.35 * ((index * 7) % 10) / 10
    sector, part = divmod(hue * 6, 1)
    p, q, t = value * 0.35, value * (1 - 0.65 * part), value * (1 - 0.65 * (1 - part))
    rgb = [(value, t, p), (q, value, p), (p, value, t), (p, q, value), (t, p, value), (value, p, q)][int(sector) % 6]
    red, green, blue = (round(255 * channel) for channel in rgb)
    return (red, green, blue)


def parse_colour(text: str) -> Colour:
    """'255,0,0', '255 0 0' or '#ff0000' -> (255, 0, 0)."""
    text = text.strip()
    if match := re.fullmatch(r"#?([0-9a-fA-F]{6})", text):
        value = int(match.group(1), 16)
        return (value >> 16, (value >> 8) & 255, value & 255)
    parts = re.split(r"[,;\s]+", text)
    if len(parts) == 3 and all(part.isdigit() and int(part) <= 255 for part in parts):
        return (int(parts[0]), int(parts[1]), int(parts[2]))
    raise InputError(f"'{text}' is not a colour; write 255,0,0 or #ff0000.")
