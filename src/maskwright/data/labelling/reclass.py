"""Changes of a class table that no mask feels: ids stay."""

from __future__ import annotations

from dataclasses import replace

from maskwright.types import IGNORE, Classes, ClassInfo, Colour, InputError, default_colour

LONGEST_NAME = 100


def added(classes: Classes, name: str, colour: Colour | None) -> Classes:
    """The table with one more class at its end.

    Raises InputError for a name that is empty, too long or taken, and where ids would no longer fit the masks' bits.
    """
    id = len(classes)
    if id == IGNORE:
        raise InputError(
            f"The table has {id} classes, as many as its 8-bit masks hold; make a data set with more of them instead."
        )
    item = ClassInfo(id=id, name=_clean(name), colour=colour or default_colour(id))
    return replace(classes, items=(*classes.items, item))


def changed(classes: Classes, id: int, name: str | None, colour: Colour | None) -> Classes:
    """The table with another name or colour for one class; raises InputError for an id that it lacks."""
    if not 0 <= id < len(classes):
        raise InputError(f"There is no class {id} in the table 0..{len(classes) - 1}; reload the page.")
    old = classes.items[id]
    item = replace(old, name=old.name if name is None else _clean(name), colour=colour or old.colour)
    return replace(classes, items=(*classes.items[:id], item, *classes.items[id + 1 :]))


def _clean(name: str) -> str:
    clean = " ".join(name.split())
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise InputError(f"'{name[:LONGEST_NAME]}' is no name for a class; give 1 to {LONGEST_NAME} characters.")
    return clean
