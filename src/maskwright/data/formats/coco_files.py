"""Where the files of a COCO data set lie: annotations, photos, and what the samples are called."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from maskwright.data.formats.coco_json import CocoFile, Id, Picture
from maskwright.data.formats.listing import SPLIT_NAMES, Options
from maskwright.files import stem_of
from maskwright.types import InputError

PROBES = 1000  # photos that are looked for before a folder counts as the wrong one
MOST_PIXELS = 89_478_485  # what Pillow, and with it the whole package, opens


def annotation_files(source: Path) -> list[Path]:
    """The file itself; of a folder every `instances_*.json`, else its JSON files, else those of its split folders."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source} does not exist; name an annotation file or a folder of them.")
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    patterns = ("instances_*.json", "*.json", "*/_annotations.coco.json")  # the last one as Roboflow exports it
    found = next((files for one in patterns if (files := sorted(folder.glob(one)))), [])
    if not found:
        raise InputError(f"{folder} holds no annotation file; expected instances_train.json or the like.")
    return found


def split_of(path: Path) -> str:
    """'instances_val2017.json' -> 'val', and so 'valid/_annotations.coco.json'; '' where the path does not say it."""
    word = path.parent.name if path.stem == "_annotations.coco" else path.stem.removeprefix("instances_")
    return SPLIT_NAMES.get(word.rstrip("0123456789").lower(), "")


def photo_folders(source: Path, files: Sequence[CocoFile], options: Options) -> dict[int, Path]:
    """Annotation file -> the folder where its first photo is; raises InputError where it is nowhere."""
    found: dict[int, Path] = {}
    for number, file in enumerate(files):
        home = source if source.is_dir() else file.path.parent
        name = file.path.stem.removeprefix("instances_")
        tops = [options.images, home / options.images] if options.images else [home, file.path.parent, home.parent]
        inner = ("", name, f"images/{name}", "images", split_of(file.path) or ".", f"images/{split_of(file.path)}")
        probes = [picture.file_name for picture in file.pictures[:PROBES]]
        for folder in (top / part for top in tops for part in inner):
            if any(os.path.isfile(folder / probe) for probe in probes):
                found[number] = folder
                break
        else:
            raise InputError(
                f"The images of {file.path} are not beside it (looked for {probes[0] if probes else 'nothing'}); "
                "name their folder with --images, or make masks alone with --no-images."
            )
    return found


def unusable(picture: Picture, path: Path, file: Path, options: Options) -> str:
    """Why an image cannot be used, or ''."""
    parts = picture.file_name.split("/")
    leaves = not parts[0] or parts[0][1:2] == ":" or ".." in parts  # also C:/photos
    if leaves or parts[-1] in ("", ".") or "\0" in picture.file_name:
        return (
            f"{file}: image {picture.id} has the file name {picture.file_name!r}, which does not lie in the images' "
            "folder; name it relative to that folder."
        )
    if picture.height < 1 or picture.width < 1:
        return f"{file}: image {picture.id} ({picture.file_name}) has no size; give its height and width."
    if picture.height * picture.width > MOST_PIXELS:
        return (
            f"{file}: image {picture.id} ({picture.file_name}) is {picture.width}x{picture.height}, too many pixels to "
            "open at once; cut it into tiles first."
        )
    if not options.without_images and not os.path.isfile(path):
        return f"{path} does not exist; {file} lists it."
    return ""


def sample_ids(files: Sequence[CocoFile]) -> dict[tuple[int, Id], str]:
    """(file, image) -> the photo's stem; where stems repeat with split and folder before it, and suffix if need be."""
    stems: defaultdict[str, list[tuple[int, Picture]]] = defaultdict(list)
    for number, file in enumerate(files):
        for picture in file.pictures:
            name = picture.file_name.rpartition("/")[2]
            # pathlib takes longer than painting a mask; a plain name needs none of it.
            stem = name.rpartition(".")[0] if name.isascii() and "." in name[1:] else stem_of(Path(name))
            stems[stem].append((number, picture))
    ids: dict[tuple[int, Id], str] = {}
    for stem, pictures in stems.items():
        if len(pictures) == 1:
            ids[pictures[0][0], pictures[0][1].id] = stem
            continue
        paths = [(number, Path(picture.file_name)) for number, picture in pictures]
        in_folder = Counter((number, path.parent) for number, path in paths)
        for (number, path), (_, picture) in zip(paths, pictures, strict=True):
            parts = [*path.parts[:-1], stem]
            if len(files) > 1:
                parts.insert(0, split_of(files[number].path) or files[number].path.stem)
            if in_folder[number, path.parent] > 1:
                parts.append(path.suffix.removeprefix("."))
            ids[number, picture.id] = "-".join(filter(None, parts))
    if twice := [one for one, count in Counter(ids.values()).items() if count > 1]:
        raise InputError(
            f"{files[0].path}: two images are called '{twice[0]}'; rename one, in the annotation file as well."
        )
    return ids
