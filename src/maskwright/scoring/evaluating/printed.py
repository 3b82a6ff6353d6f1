"""The scores as lines of text, at most 100 columns wide: what the verb prints and `scores.txt` keeps."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 100
NAME = 18
COLUMNS = {"dice": "Dice", "precision": "prec.", "recall": "recall", "boundary_iou": "bd. IoU"}
MEANS = {
    "mean_iou": "mean IoU",
    "mean_iou_no_background": "mean IoU, no background",
    "mean_dice": "mean Dice",
    "mean_dice_no_background": "mean Dice, no background",
    "mean_precision": "mean precision",
    "mean_recall": "mean recall",
    "mean_boundary_iou": "mean boundary IoU",
    "mean_boundary_f": "mean boundary F",
    "frequency_weighted_iou": "IoU weighted by pixels",
    "pixel_accuracy": "pixel accuracy",
}


def score_table(scores: Mapping[str, Any]) -> list[str]:
    """A row a class, the means with their intervals, groups, and what the numbers mean."""
    level = f"{100 * scores['units']['level']:g} % interval"
    titles = " ".join(f"{title:>7}" for title in COLUMNS.values())
    lines = [f"{'class':{NAME}} {'IoU':>6}  {level:15} {titles} {'pixels':>15}"]
    for row in scores["classes"]:
        cells = " ".join(f"{cell(row[key]):>7}" for key in COLUMNS)
        bounds = ends(row["intervals"]["iou"])
        lines.append(f"{short(row['name']):{NAME}} {cell(row['iou']):>6}  {bounds:15} {cells} {row['pixels']:>15,}")
    lines.append("")
    alone = scores["image_level"]
    lines.append(f"{'':24} {'':>6}  {level:15}   each image alone: mean, median, worst tenth")
    for key, title in MEANS.items():
        if key not in scores:
            continue
        one = alone.get(key)
        images = "" if one is None else f"   {cell(one['mean'])}  {cell(one['median'])}  {cell(one['p10'])}"
        lines.append(f"{title:24} {cell(scores[key]):>6}  {ends(scores['intervals'][key]):15}{images}".rstrip())
    return [*lines, *further(scores), "", *footnotes(scores)]


def further(scores: Mapping[str, Any]) -> list[str]:
    """Foreground against background, calibration and groups, a line each."""
    lines = []
    if binary := scores["binary"]:
        lines.append(f"{'foreground IoU (binary)':24} {cell(binary['iou']):>6}  {ends(binary['intervals']['iou'])}")
    if found := scores["calibration"]:
        lines.append(
            f"calibration error {cell(found['ece'])}, at most {cell(found['mce'])}; log loss {cell(found['nll'])}, "
            f"Brier score {cell(found['brier'])}"
        )
    for name, group in scores["groups"].items():
        lines.append(f"  group {short(name)}: mean IoU {cell(group['mean_iou'])} ({counted(group['images'], 'image')})")
    return lines


def footnotes(scores: Mapping[str, Any]) -> list[str]:
    """What the numbers are over, and how far they can be trusted."""
    units, definitions = scores["units"], scores["definitions"]
    scored = sum(row["iou"] is not None for row in scores["classes"])
    what = f"{counted(scores['images'], 'image')}, {counted(scores['pixels'], 'labelled pixel')}"
    classes = f"{scored} of {counted(len(scores['classes']), 'class')}"
    lines = wrapped(f"Over {what}, {classes}. IoU is {definitions['iou']}; {definitions['absent']}.")
    lines += wrapped(
        f"Intervals: {units['draws']:,} bootstrap draws over {counted(units['count'], units['of'].removesuffix('s'))}"
        + (f"; {units['note']}." if units["note"] else ".")
    )
    return lines


def cell(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def ends(bounds: Sequence[float] | None) -> str:
    """'0.512 to 0.634', or a dash."""
    return "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def counted(number: int, word: str) -> str:
    """'1 image', '2,000 images'."""
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{number:,} {word if number == 1 else plural}"


def short(name: str) -> str:
    """A name that fits its column."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def wrapped(text: str) -> list[str]:
    """Lines of at most 100 columns."""
    return textwrap.wrap(text, WIDTH)
