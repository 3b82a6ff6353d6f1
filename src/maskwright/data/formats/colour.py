"""Masks that paint each class in its colour, with a colour table given or found."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.data.formats.listing import Listing, Options, Pair, find_pairs, listing, write_pairs
from maskwright.data.jobs import pooled
from maskwright.data.pixels.lookup import NOWHERE, ColourTable
from maskwright.files import read_bytes, read_yaml, write_text
from maskwright.imageio import colourise, encode_image, pack_colour, pack_colours, read_colours
from maskwright.types import IGNORE_COLOUR, Classes, Colour, Image, InputError, Mask, parse_colour

RARE = 0.001
MOST_COLOURS = 254
IGNORED = "ignore"


def read(source: Path, options: Options) -> Listing:
    """Read `images/` + `masks/` by a table: from `--table`, from `colours.csv` in the source, or found by scanning.

    A table that was found is returned in `found` for a person to confirm; there, rare colours that lie between
    two frequent ones look like smoothed edges and become ignore.
    """
    pairs, alone = find_pairs(source, options)
    path = options.table or (source / "colours.csv" if (source / "colours.csv").is_file() else None)
    if path is not None:
        table, found = read_table(path), ""
        unknown = options.unknown or "error"
    else:
        table, found = scan(pairs, options)
        unknown = options.unknown or "ignore"
    first = {name: colour for colour, name in reversed(table.items()) if name != IGNORED}
    names = dict.fromkeys(name for name in table.values() if name != IGNORED)
    classes = Classes.from_names(names, colours=first)
    several = [name for name, count in Counter(table.values()).items() if count > 1 and name != IGNORED]
    notes = [f"several colours are one class: {', '.join(several)}"] if several else []
    reader = ColourReader(table, classes, options.ignore_colours, unknown)
    return listing(classes, pairs, reader, alone, notes=notes, found=found)


def read_table(path: Path) -> dict[Colour, str]:
    """Colour -> class name, from YAML (`road: [128, 64, 128]`) or lines of `name,r,g,b` or `r g b name`.

    A class may have several colours: several lines, or a list of colours in YAML. Colours of the name `ignore` do not
    count.
    """
    if path.suffix in (".yaml", ".yml"):
        data = read_yaml(path)
        if not isinstance(data, dict) or not data:
            raise InputError(f"{path} must map class names to colours, for example 'road: [128, 64, 128]'.")
        rows = [(str(name), _colour_of(one, path)) for name, colours in data.items() for one in _each(colours)]
    else:
        lines = read_bytes(path).decode("utf-8-sig", errors="replace").splitlines()
        rows = [_table_line(line, path) for line in lines if _holds_colour(line)]
    if not rows:
        raise InputError(f"{path} holds no colours; write one class a line as name,r,g,b.")
    table: dict[Colour, str] = {}
    for name, colour in rows:
        if table.setdefault(colour, name) != name:
            raise InputError(f"{path}: '{table[colour]}' and '{name}' share the colour {colour}; give each its own.")
    return table


def _each(colours: object) -> list[object]:
    """One colour of YAML, or a list of them."""
    several = isinstance(colours, list) and colours and isinstance(colours[0], list | str)
    return colours if several else [colours]  # type: ignore[return-value]


def _colour_of(value: object, path: Path) -> Colour:
    try:
        return parse_colour(" ".join(map(str, value)) if isinstance(value, list) else str(value))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _holds_colour(line: str) -> bool:
    return not line.lstrip().startswith("#") and any(word.isdigit() for word in _words(line))


def _words(line: str) -> list[str]:
    return line.replace(",", " ").replace(";", " ").split()


def _table_line(line: str, path: Path) -> tuple[str, Colour]:
    sign = "," if "," in line else ";"
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=sign, skipinitialspace=True))]
    words = _words(line)
    # A name may be a number or hold spaces, so the order of these matters: name,r,g,b / r g b name / name r g b.
    for name, colour in (
        (sign.join(cells[:-3]), cells[-3:]),
        (" ".join(words[3:]), words[:3]),
        (" ".join(words[:-3]), words[-3:]),
    ):
        if name and all(part.isdigit() for part in colour):
            return name, _colour_of(list(colour), path)
    raise InputError(f"{path}: line '{line.strip()}' is not a colour; write name,r,g,b.")


def scan(pairs: list[Pair], options: Options) -> tuple[dict[Colour, str], str]:
    """Find the colours of all masks; returns the table and a text for a person to confirm."""
    pixels: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for found in pooled(stored_colours, pairs, label="scanning colours", name=attrgetter("id")):
        if isinstance(found, Skipped):
            continue  # the importer meets this file again and lists it
        pixels.update(found)
        images.update(found.keys())
        if len(pixels) > 100_000:
            break
    for colour in options.ignore_colours:
        pixels.pop(pack_colour(colour), None)
    smooth = antialiased(pixels)
    kept = [code for code, _ in pixels.most_common() if code not in smooth]
    if len(kept) > MOST_COLOURS:
        raise InputError(
            f"{pairs[0].mask.parent}: {len(pixels):,} colours in the masks are too many for classes; "
            "were they saved as JPEG or smoothed? Give the true ones with --table, and --unknown nearest."
        )
    table = {_unpack(code): f"colour-{code:06x}" for code in kept}
    return table, describe_table(pixels, images, smooth)


def stored_colours(pair: Pair) -> dict[int, int]:
    """Packed colour -> pixels of a mask file."""
    codes, counts = np.unique(pack_colours(read_colours(pair.mask)), return_counts=True)
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))


def antialiased(pixels: Counter[int]) -> set[int]:
    """Rare colours that lie on the line between two frequent ones, as smoothed edges leave them."""
    total = max(1, pixels.total())
    frequent = np.array([_unpack(code) for code, n in pixels.items() if n >= RARE * total], float).reshape(-1, 3)
    rare = [code for code, n in pixels.items() if n < RARE * total]
    if len(frequent) < 2 or not rare:
        return set()
    first, second = np.triu_indices(len(frequent), 1)
    start, along = frequent[first], frequent[second] - frequent[first]
    length = (along**2).sum(1)
    found: set[int] = set()
    for code in rare:
        offset = np.array(_unpack(code), float) - start
        place = np.clip((offset * along).sum(1) / length, 0, 1)
        distance = np.sqrt(((offset - place[:, None] * along) ** 2).sum(1))
        if ((distance < 6) & (place > 0.01) & (place < 0.99)).any():
            found.add(code)
    return found


def describe_table(pixels: Counter[int], images: Counter[int], smooth: set[int], shown: int = 40) -> str:
    """The colours found, as lines of text: most frequent first."""
    total = max(1, pixels.total())
    lines = [f"{'colour':>15}  {'hex':7}  {'pixels':>14}  {'share':>9}  {'images':>7}"]
    for code, count in pixels.most_common(shown):
        r, g, b = _unpack(code)
        verdict = "  smoothed edge? becomes ignore" if code in smooth else ("  rare" if count < RARE * total else "")
        lines.append(
            f"{f'{r},{g},{b}':>15}  #{code:06x}  {count:>14,}  {count / total:>9.4%}  {images[code]:>7,}{verdict}"
        )
    if len(pixels) > shown:
        rest = [code for code, _ in pixels.most_common()[shown:]]
        lines.append(
            f"... and {len(rest)} more colours, {sum(code in smooth for code in rest)} of them smoothed edges?"
        )
    return "\n".join(lines)


class ColourReader:
    """Reads one colour mask into class ids by a table of colours and class names."""

    def __init__(
        self, table: Mapping[Colour, str], classes: Classes, ignore_colours: tuple[Colour, ...], unknown: str
    ) -> None:
        self.classes, self.unknown = classes, unknown
        ids = {
            pack_colour(colour): classes.ignore if name == IGNORED else classes.id_of(name)
            for colour, name in table.items()
        }
        ids |= {pack_colour(colour): classes.ignore for colour in ignore_colours}
        ids.setdefault(pack_colour(IGNORE_COLOUR), classes.ignore)
        self.table = ColourTable(ids)
        self.colours = np.array(list(table), float)
        self.of_colour = [ids[pack_colour(colour)] for colour in table]

    def __call__(self, path: Path) -> Mask:
        """Class ids (H, W) of one file."""
        return self.ids_of(read_colours(path), str(path))

    def ids_of(self, pixels_HW3: Image, name: str) -> Mask:
        """Class ids (H, W) of a colour picture; `name` is what errors call it."""
        ids, strangers = self.table.ids_of(pixels_HW3)
        if strangers:
            outside = ids == NOWHERE
            codes, inverse = np.unique(pack_colours(pixels_HW3[outside][None]), return_inverse=True)
            ids[outside] = np.array([self._id_of(int(code), name) for code in codes], np.uint16)[inverse.ravel()]
        return ids.astype(self.classes.dtype)

    def _id_of(self, code: int, name: str) -> int:
        if self.unknown == "ignore":
            return self.classes.ignore
        colour = _unpack(code)
        if self.unknown == "nearest":
            return self.of_colour[int(((self.colours - colour) ** 2).sum(1).argmin())]
        raise InputError(
            f"{name} holds the colour {colour[0]},{colour[1]},{colour[2]}, which is not in the colour table; "
            "add it to the table, or choose --unknown ignore or nearest."
        )


def write(dataset: Dataset, target: Path) -> None:
    """Write `images/`, `masks/` in class colours (ignore is white) and `colours.csv`."""
    if IGNORE_COLOUR in [item.colour for item in dataset.classes.items]:
        raise InputError(f"{dataset.path}: a class is white, which means ignore here; change its colour.")
    write_pairs(dataset, target, encode_colours)
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows([("name", "r", "g", "b"), *((item.name, *item.colour) for item in dataset.classes.items)])
    write_text(target / "colours.csv", table.getvalue())


def encode_colours(mask_HW: Mask, classes: Classes) -> bytes:
    """A PNG in class colours; ignore is white."""
    return encode_image(colourise(mask_HW, classes), ".png")


def _unpack(code: int) -> Colour:
    return (code >> 16, (code >> 8) & 255, code & 255)
