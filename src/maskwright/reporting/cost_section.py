"""What a page says of the cost of a prediction, where it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.files import read_json
from maskwright.reporting.words import count_text
from maskwright.run import Run


def cost(run: Run) -> dict[str, Any] | None:
    """What a comparison measured of this run last, as rows of words; None where nothing was."""
    path = run.path / "cost.json"
    if not path.is_file():
        return None
    found = read_json(path)
    low, high = found["latency_quartiles_ms"]
    rows, columns = found["size_hw"]
    machine = found["machine"]
    return {
        **found,
        "rows": {
            "Time an image": f"{found['latency_ms']:.3g} ms from photo to mask at its original size (median of "
            f"{machine['repeats']}; half of them took {low:.3g} to {high:.3g} ms)",
            "Operations": f"{found['gflops']:.3g} · 10⁹ at {rows} \N{MULTIPLICATION SIGN} {columns}",
            "Parameters": count_text(found["parameters"]),
            "Weights": f"{found['size_bytes'] / 1e6:.1f} MB",
            "Measured on": measured_on(machine, found["precision"]),
        },
    }


def measured_on(machine: Mapping[str, Any], precision: str) -> str:
    """'AMD EPYC, cpu, 2 threads, bf16'."""
    threads = f"{machine['threads']} thread{'' if machine['threads'] == 1 else 's'}"
    return ", ".join([str(machine["name"]), str(machine["device"]), threads, precision])
