"""Names that people gave to shapes in a labelling tool, as class ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskwright.data.dataset import Dataset
from maskwright.data.formats.groups import read_groups
from maskwright.data.formats.index import table_file
from maskwright.data.formats.listing import Options
from maskwright.files import read_yaml, write_yaml
from maskwright.types import Classes, ClassInfo, Colour, InputError, default_colour

IGNORE = "ignore"
UNWANTED = -1  # a label that is known and painted by nobody
_IGNORED = frozenset({IGNORE, "ignored", "__ignore__"})
_BACKGROUND = frozenset({"background", "_background_", "__background__"})


@dataclass(frozen=True, kw_only=True)
class Labels:
    """A class table, what each label paints in it (a class id, the ignore id or UNWANTED), and remarks for people."""

    classes: Classes
    ids: Mapping[str, int]
    notes: Sequence[str] = ()

    @property
    def blank(self) -> int:
        """The id of pixels under no shape: background, or ignore where the table has none."""
        return self.classes.ignore if self.classes.background is None else self.classes.background

    def id_of(self, label: Any) -> int:
        """What a label paints; raises ValueError for one that nobody listed."""
        if not isinstance(label, str) or _plain(label) not in self.ids:
            raise ValueError(f"its label {label!r} is not in the class table")
        return self.ids[_plain(label)]


def class_table(
    labels: Iterable[str], source: Path, options: Options, *, colours: Mapping[str, Colour] | None = None
) -> Labels:
    """The class table of a source whose shapes carry `labels`.

    `--as binary` and `--as groups` come first, then the names of `--classes` (other labels become background), then
    a `classes.yaml` in the source (new labels are appended), then the labels in their order after 'background'.
    Labels called 'ignore' or '__ignore__' are ignored, '_background_' is the background, unless a table names them.
    """
    found = list(dict.fromkeys(_plain(label) for label in labels if label.strip()))
    wanted = [name for name in found if name not in _IGNORED]
    if not wanted and not options.names and _table(source) is None:
        raise InputError(f"No shape of {source} has a label, so there are no classes; label some, or give --classes.")
    if options.kind == "groups":
        return _grouped(wanted, options)
    if options.kind == "binary":
        classes = Classes.from_names(_with_background(options.names or ["object"]), background="background")
        if len(classes) != 2:
            raise InputError(f"--as binary has one class beside the background, not {', '.join(classes.names)}.")
        return _labels(classes, {name: 0 if name == "background" else 1 for name in wanted})
    if options.names:
        classes = Classes.from_names(_with_background(options.names), background="background")
        given = {name: classes.id_of(name) if name in classes.names else UNWANTED for name in wanted}
        return _labels(classes, given, notes=_remarks(classes, given))
    known = _table(source)
    if known is not None:
        more = [name for name in wanted if name not in {*known.names, "background"}]
        start = len(known)
        new = (ClassInfo(id=i, name=name, colour=default_colour(i)) for i, name in enumerate(more, start))
        notes = [f"not in classes.yaml, so appended: {_few(more)}"] if more else []
        return _labels(replace(known, items=(*known.items, *new)), notes=notes)
    rows = ["background", *(name for name in wanted if name != "background")]
    return _labels(Classes.from_names(rows, background="background", colours=colours))


def write_table(dataset: Dataset, target: Path) -> None:
    """Keep ids, colours, priorities and background in `classes.yaml`, which `class_table` reads.

    Raises InputError where a class is called 'ignore', which means something else here.
    """
    for name in dataset.classes.names:
        if name in _IGNORED:
            raise InputError(f"{dataset.path}: a class is called '{name}', which means ignored here; rename it.")
    write_yaml(target / "classes.yaml", dataset.classes.to_dict())


def _labels(classes: Classes, ids: Mapping[str, int] | None = None, *, notes: Sequence[str] = ()) -> Labels:
    every = dict.fromkeys(_IGNORED, classes.ignore)
    every |= {item.name: item.id for item in classes.items} if ids is None else ids
    if classes.background is not None:
        every.setdefault("background", classes.background)
    return Labels(classes=classes, ids=every, notes=notes)


def _grouped(wanted: list[str], options: Options) -> Labels:
    groups = read_groups(options.groups)
    classes, group_of = groups.classes(), groups.group_of()
    ids = {name: classes.id_of(group_of[name]) if name in group_of else UNWANTED for name in wanted}
    notes = []
    if alone := [name for name, value in ids.items() if value == UNWANTED and name != "background"]:
        notes.append(f"in no group, so background: {_few(alone)}")
    if strangers := groups.strangers(wanted):
        notes.append(f"in the groups file, not in the annotations: {_few(strangers)}")
    return _labels(classes, {**ids, "background": 0}, notes=notes)


def _remarks(classes: Classes, ids: Mapping[str, int]) -> list[str]:
    notes = []
    if dropped := [name for name, value in ids.items() if value == UNWANTED]:
        notes.append(f"background by choice: {_few(dropped)}")
    if absent := [name for name in classes.names if name not in ids and name != "background"]:
        notes.append(f"in --classes, but on no shape: {_few(absent)}")
    return notes


def _table(source: Path) -> Classes | None:
    path = table_file(source if source.is_dir() else source.parent)
    return None if path is None else Classes.from_dict(read_yaml(path), source=str(path))


def _with_background(names: Iterable[str]) -> list[str]:
    names = [_plain(name) for name in names]
    return names if "background" in names else ["background", *names]


def _plain(label: str) -> str:
    label = label.strip()
    return "background" if label in _BACKGROUND else label


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
