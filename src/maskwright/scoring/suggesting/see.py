"""What is known of every image before one is suggested: how it looks, and what a run says of it; kept on disk."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped, say
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import pooled
from maskwright.files import content_hash, explained, write_bytes
from maskwright.geometry import Fit, Letterbox
from maskwright.run import Run
from maskwright.scoring.suggesting.describe import LENGTH, Vector, describe
from maskwright.types import Image, TargetError

if TYPE_CHECKING:
    from maskwright.infer.predictor import Predictor

FORMAT = 1
TOP = 0.25  # share of an image's pixels, the most doubtful ones, whose doubt is its uncertainty


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One image: `described` (describe.py), and of the run: mean entropy of its most doubtful pixels (0..1), mean
    probability by class, entropy by class, and features of its deepest layer. Without a run those are empty.
    """

    described: Vector
    doubt: Vector
    share_K: Vector
    doubt_K: Vector
    features: Vector


@dataclass(frozen=True, kw_only=True)
class Look:
    """Read a sample, describe it, and shrink it to what the run will see; sent to worker processes."""

    data: Dataset
    size_hw: tuple[int, int] | None
    fit: Fit

    def __call__(self, sample: Sample) -> tuple[Vector, Image | None]:
        """The description, and the shrunk photo if there is a working size."""
        image_HW3 = self.data.image(sample)
        described = describe(image_HW3)
        if self.size_hw is None:
            return described, None
        rows, columns = Letterbox.fit(sample.size_hw, self.size_hw, self.fit).inner_hw
        if rows * columns < image_HW3.shape[0] * image_HW3.shape[1]:
            shrunk = cv2.resize(image_HW3, (columns, rows), interpolation=cv2.INTER_AREA)
            image_HW3 = shrunk.astype(np.uint8, copy=False)
        return described, image_HW3


def see(
    data: Dataset,
    samples: Sequence[Sample],
    run: Run | None,
    *,
    weights: str,
    device: str,
    precision: str,
    strict: bool,
) -> tuple[dict[str, Seen], list[Skipped]]:
    """What is seen of every sample, by id, and the files that cannot be read.

    What was seen before comes from DATASET/.label/suggest; an interruption keeps what it got to.
    """
    key = "looks" if run is None else content_hash(run.weights(weights).read_bytes())
    store = data.path / ".label" / "suggest" / f"{key}.npz"
    kept = load(store)
    rest = [sample for sample in samples if not sample.image_hash or sample.image_hash not in kept]
    fresh: dict[str, Seen] = {}
    skipped: list[Skipped] = []
    if rest:
        predictor = None if run is None else _predictor(run, weights, device, precision)
        look = Look(
            data=data.only_table(),
            size_hw=predictor.size_hw if predictor else None,
            fit=predictor.fit if predictor else "pad",
        )
        looked = pooled(look, rest, label=f"looking at {len(rest)} images", name=attrgetter("id"), strict=strict)
        try:
            for sample, result in zip(rest, looked, strict=True):
                if isinstance(result, Skipped):
                    skipped.append(result)
                else:
                    fresh[sample.id] = ask(predictor, *result)
        finally:
            hashed = {one.image_hash: fresh[one.id] for one in rest if one.id in fresh and one.image_hash}
            if hashed:
                save(store, kept | hashed)
    found = {sample.id: fresh.get(sample.id) or kept.get(sample.image_hash) for sample in samples}
    return {id: seen for id, seen in found.items() if seen is not None}, skipped


def _predictor(run: Run, weights: str, device: str, precision: str) -> Predictor:
    from maskwright.infer.predictor import Predictor  # torch, which a start without a run does not need

    return Predictor.load(run, weights=weights, device=device, precision=precision)


def ask(predictor: Predictor | None, described: Vector, image_HW3: Image | None) -> Seen:
    """What the run says of one image at its working size."""
    if predictor is None or image_HW3 is None:
        nothing = np.zeros(0, np.float32)
        return Seen(described=described, doubt=nothing, share_K=nothing, doubt_K=nothing, features=nothing)
    from maskwright.infer.features import probabilities_and_features
    from maskwright.infer.uncertain import entropy, shares

    scores_KHW, features = probabilities_and_features(predictor, image_HW3)
    shares_KHW = shares(scores_KHW)
    doubt_HW = entropy(shares_KHW)
    top = max(1, round(TOP * doubt_HW.size))
    return Seen(
        described=described,
        doubt=np.array([np.partition(doubt_HW.ravel(), -top)[-top:].mean()], np.float32),
        share_K=shares_KHW.mean((1, 2)),
        doubt_K=np.einsum("khw,hw->k", shares_KHW, doubt_HW) / np.float32(doubt_HW.size),
        features=features,
    )


def stacked(seen: Iterable[Seen], name: str) -> NDArray[np.float32]:
    """One field of every image, in rows."""
    return np.stack([np.asarray(getattr(one, name)) for one in seen])


def load(path: Path) -> dict[str, Seen]:
    """What was kept, by hash of the image; nothing where the file is damaged or of another version."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if int(arrays["format"]) != FORMAT or arrays["described"].shape[1] != LENGTH:
                return {}
            columns = {item.name: arrays[item.name] for item in fields(Seen)}
            keys = arrays["keys"].tolist()
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile):
        return {}
    return {key: Seen(**{name: column[i] for name, column in columns.items()}) for i, key in enumerate(keys)}


def save(path: Path, seen: dict[str, Seen]) -> None:
    """Keep what was seen; where that cannot be written, say so and go on: it only costs time."""
    buffer = io.BytesIO()
    columns = {item.name: stacked(seen.values(), item.name) for item in fields(Seen)}
    np.savez(buffer, format=FORMAT, keys=np.array(list(seen)), **columns)  # type: ignore[arg-type]
    try:
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
    except TargetError as error:
        say(f"What was seen of the images is not kept: {error}")
