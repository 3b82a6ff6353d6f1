"""What a prediction costs: parameters, operations, time on this machine, size on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from maskwright.console import track
from maskwright.data.dataset import Dataset
from maskwright.files import write_json
from maskwright.infer.machine import processor
from maskwright.infer.predictor import Predictor
from maskwright.losses import outputs_for
from maskwright.models.budget import blank, count_operations, on_meta
from maskwright.models.network import parameter_count
from maskwright.run import Run, now
from maskwright.scoring.comparing.entries import Asked, Entry
from maskwright.types import Image, InputError, TargetError

WARM_UP = 3
REPEATS = 20
AT_ONCE = 8  # networks in memory
BUSY = 0.3


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one image costs a run; the quartiles say how much the machine was busy with something else."""

    parameters: int
    gflops: float
    size_hw: tuple[int, int]
    size_bytes: int
    latency_ms: float
    latency_quartiles_ms: tuple[float, float]
    precision: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


COLUMNS = tuple(item.name for item in fields(Cost))


def costs_of(
    entries: Sequence[Entry], data: Dataset, ids: Sequence[str], asked: Asked
) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None, list[str]]:
    """Name -> what `Cost` holds for every source, what it was timed on, and a sentence for every run not timed.

    Folders of predictions cost nothing that could be measured; neither do runs whose weights are gone. What a run costs
    is written to RUN/cost.json too, where its report finds it.
    """
    by_id = {sample.id: sample for sample in data.samples}
    spread = sorted({round(place) for place in np.linspace(0, len(ids) - 1, REPEATS)})
    images = [data.image(by_id[ids[place]]) for place in spread] if any(entry.run for entry in entries) else []
    costs: dict[str, dict[str, Any]] = {entry.name: dict.fromkeys(COLUMNS) for entry in entries}
    where: dict[str, Any] | None = None
    notes: list[str] = []
    runs = [entry for entry in entries if entry.run is not None]
    for start in track(range(0, len(runs), AT_ONCE), "measuring time"):
        loaded: dict[str, tuple[Run, Predictor]] = {}
        for entry in runs[start : start + AT_ONCE]:
            assert entry.run is not None
            try:
                how: dict[str, Any] = {"weights": asked.weights, "device": asked.device, "precision": asked.precision}
                loaded[entry.name] = (entry.run, Predictor.load(entry.run, **how))
            except InputError as error:
                notes.append(f"{entry.name} has no time and no size here: {error}")
        for name, seconds in timed({name: predictor for name, (_, predictor) in loaded.items()}, images).items():
            run, predictor = loaded[name]
            costs[name] = cost_of(run, predictor, seconds, asked.weights).to_dict()
            where = machine(predictor.device)
            with suppress(TargetError):  # a run that may only be read is compared all the same
                write_json(run.path / "cost.json", {"time": now(), **costs[name], "machine": where})
    busy = [name for name, cost in costs.items() if cost["latency_ms"] is not None and spread_of(cost) > BUSY]
    if busy:
        notes.append(
            f"Times of {', '.join(busy)} vary by more than {BUSY:.0%}: images differ in size, or the machine was "
            "busy with something else."
        )
    return costs, where, notes


def spread_of(cost: Mapping[str, Any]) -> float:
    """The middle half of the times, as a share of their median."""
    low, high = cost["latency_quartiles_ms"]
    return float((high - low) / cost["latency_ms"])


def cost_of(run: Run, predictor: Predictor, seconds: Sequence[float], weights: str) -> Cost:
    """Cost of a run whose predictions took so many seconds.

    10^9 operations are counted at the run's own size, a multiplication and an addition as two.
    """
    size = run.recipe.data.size
    assert size is not None, "a run's recipe is resolved"
    network = on_meta(run.recipe.model, outputs_for(run.recipe.loss, run.classes))
    low, middle, high = (1000 * float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return Cost(
        parameters=parameter_count(network),
        gflops=count_operations(network, blank(size)) / 1e9,
        size_hw=size,
        size_bytes=run.weights(weights).stat().st_size,
        latency_ms=middle,
        latency_quartiles_ms=(low, high),
        precision=predictor.precision,
    )


def timed(predictors: Mapping[str, Predictor], images: Sequence[Image]) -> dict[str, list[float]]:
    """Seconds of REPEATS predictions of single images, from photo to mask at its original size, after WARM_UP.

    All predict an image before the next comes, so that what else the machine does hits all alike. Masks come back to
    the processor, so nothing is still under way when the clock stops.
    """
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for turn in range(WARM_UP + REPEATS):
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor.ids(images[turn % len(images)])
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def machine(device: torch.device) -> dict[str, Any]:
    """What times were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "name": name,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "warm_up": WARM_UP,
        "repeats": REPEATS,
    }
