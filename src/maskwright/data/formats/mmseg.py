"""MMSegmentation's folders: `img_dir/{train,val}`, `ann_dir/{train,val}`, and a configuration that reads them.

Source: "Add new datasets" and `basesegdataset.py` of open-mmlab/mmsegmentation 1.x: one image suffix a data set, masks
are `uint8` class ids 0..K-1 (palette allowed) of the same stem, 255 is ignored, `reduce_zero_label` makes 0 ignored.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats import index
from maskwright.data.formats.listing import SPLIT_NAMES, Files, FromFile, Item, Listing, Options, each_sample, match
from maskwright.files import list_files, put_bytes, read_bytes, stem_of, write_text
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES, decode_image, encode_image, encode_mask
from maskwright.types import IGNORE, Classes, Colour, InputError

PHOTOS, MASKS, CONFIG = "img_dir", "ann_dir", "dataset.py"


def read(source: Path, options: Options) -> Listing:
    """Read `img_dir` and `ann_dir`, with classes from the options or from the Python configuration beside them.

    The configuration is parsed, never run. A split without any annotation holds unlabelled images. Raises InputError
    for another layout.
    """
    for folder in (source, source / (options.images or PHOTOS), source / (options.masks or MASKS)):
        if not folder.is_dir():
            raise InputError(f"Folder {folder} does not exist; expected {PHOTOS}/ and {MASKS}/ in {source}.")
    images = _by_split(source / (options.images or PHOTOS), IMAGE_SUFFIXES, "")
    masks = _by_split(source / (options.masks or MASKS), MASK_SUFFIXES, options.mask_suffix)
    annotated = {split for split, _ in masks}
    pairs, alone = match({key: files for key, files in images.items() if key[0] in annotated}, masks)
    if not pairs:
        raise InputError(f"{source}: no image has a mask of the same stem; if masks have a longer name, --mask-suffix.")
    items = [Item(id=pair.id, image=pair.image, mask=pair.mask, split=pair.split) for pair in pairs]
    taken = {item.id for item in items}
    for (split, stem), files in sorted(images.items()):
        for path in files if split not in annotated else ():
            items.append(Item(id=stem if stem not in taken else f"{split}-{path.name}", image=path, split=split))
            taken.add(stem)
    config = next((known for path in _configs(source) if (known := read_config(path))), None)
    notes: list[str] = []
    if config is not None:
        first = int(config.reduce_zero)
        names = options.names or config.names
        classes = Classes.from_names(names, colours=dict(zip(names, config.colours, strict=False)))
        ids = {i + first: i for i in range(len(classes))}
        options = replace(options, ignore_ids=(*options.ignore_ids, *range(first)))
    elif table := index.known_classes(source, options):
        classes, ids = table, {i: i for i in range(len(table))}
    else:
        ids, classes = index.scan(pairs, options)
        notes = [f"ids found in the masks: {', '.join(map(str, ids))}; name them with --classes"]
    paint = FromFile(index.Renamer(ids, classes, options))
    return Listing(classes=classes, items=items, paint=paint, alone=alone, notes=notes)


def _by_split(folder: Path, suffixes: frozenset[str], ending: str) -> Files:
    found: Files = defaultdict(list)
    for path in list_files(folder, suffixes):
        parts = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        split = next((SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES), "")
        found[split, stem_of(path).removesuffix(ending)].append(path)
    return found


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a configuration says about classes; with `reduce_zero` id 0 is ignored and ids start at 1."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    reduce_zero: bool


def _configs(source: Path) -> list[Path]:
    return [path for path in sorted(source.glob("*.py"), key=lambda path: path.name != CONFIG) if path.is_file()]


def read_config(path: Path) -> Config | None:
    """Classes, palette and `reduce_zero_label` of a configuration, None where it names no classes."""
    try:
        tree = ast.parse(read_bytes(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a Python configuration ({error}); correct it, or take it away.") from error
    found: dict[str, Any] = {}
    for name, node in _named(tree):
        if name in ("classes", "palette", "reduce_zero_label"):
            try:
                found.setdefault(name, ast.literal_eval(node))
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue  # a name or a call: the value stands elsewhere
    names, palette = found.get("classes"), found.get("palette") or ()
    if not isinstance(names, tuple | list) or not names:
        return None
    try:
        colours = tuple((int(red), int(green), int(blue)) for red, green, blue in palette)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the palette must be a list of [red, green, blue] ({error}).") from error
    return Config(names=tuple(map(str, names)), colours=colours, reduce_zero=found.get("reduce_zero_label") is True)


def _named(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Every `name=value` of calls, `'name': value` of dicts and `name = value` of statements."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def write(dataset: Dataset, target: Path) -> None:
    """Write the folders and `dataset.py`; photos of several suffixes all become PNG. Refuses more than 255 classes."""
    if dataset.classes.ignore != IGNORE:
        raise InputError(f"{dataset.path} has {len(dataset.classes)} classes; MMSegmentation reads 8-bit masks.")
    samples = dataset.labelled()
    suffixes = {Path(sample.image).suffix for sample in samples}
    suffix = suffixes.pop() if len(suffixes) == 1 else ".png"
    if inside := [sample.id for sample in samples if suffix in sample.id]:
        raise InputError(f"'{inside[0]}' holds '{suffix}', which MMSegmentation would replace; rename the image.")
    splits = list(dict.fromkeys(_split(sample) for sample in samples))
    for split in splits:
        for kind in (PHOTOS, MASKS):
            (target / kind / split).mkdir(parents=True, exist_ok=True)
    each_sample(_WritePair(dataset.only_table(), target, suffix), samples, target)
    write_text(target / CONFIG, configuration(dataset.classes, splits, suffix))


def _split(sample: Sample) -> str:
    return sample.split or "train"


@dataclass(frozen=True)
class _WritePair:
    dataset: Dataset
    target: Path
    suffix: str

    def __call__(self, sample: Sample) -> None:
        photo = self.dataset.path / sample.image
        data = read_bytes(photo)
        if photo.suffix != self.suffix:
            data = encode_image(decode_image(data, photo), self.suffix)
        put_bytes(self.target / PHOTOS / _split(sample) / f"{sample.id}{self.suffix}", data)
        png = encode_mask(self.dataset.mask(sample), self.dataset.classes)
        put_bytes(self.target / MASKS / _split(sample) / f"{sample.id}.png", png)


def configuration(classes: Classes, splits: list[str], suffix: str) -> str:
    """A `_base_` configuration of MMSegmentation 1.x for the written folders."""
    loaders = "".join(
        LOADER.format(
            name=name,
            split=split,
            suffix=suffix,
            batch=2 if name == "train" else 1,
            sampler="InfiniteSampler" if name == "train" else "DefaultSampler",
            shuffle=name == "train",
            pipeline="train" if name == "train" else "test",
        )
        for name in ("train", "val", "test")
        for split in [name if name in splits else "val" if "val" in splits else splits[0]]
    )
    palette = [list(item.colour) for item in classes.items]
    return HEAD.format(classes=tuple(classes.names), palette=palette) + loaders + TAIL


HEAD = """# Data set settings for MMSegmentation 1.x: name this file under _base_ and point data_root to its folder.
data_root = '.'
metainfo = dict(
    classes={classes!r},
    palette={palette!r})
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')]
"""
LOADER = """{name}_dataloader = dict(
    batch_size={batch},
    num_workers=2,
    sampler=dict(type='{sampler}', shuffle={shuffle}),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='img_dir/{split}', seg_map_path='ann_dir/{split}'),
        img_suffix='{suffix}',
        seg_map_suffix='.png',
        reduce_zero_label=False,
        ignore_index=255,
        pipeline={pipeline}_pipeline))
"""
TAIL = """val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
"""
