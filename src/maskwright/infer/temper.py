"""Temperature scaling: one number that makes probabilities honest and leaves every prediction as it is.

Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017. Logits divided by T are
probabilities to the power 1 / T, made to sum to 1 again; so T works on probabilities at an image's own size, too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.files import content_hash, read_bytes
from maskwright.run import Run
from maskwright.types import InputError

Scores = NDArray[np.float32]
TINY = np.float32(1e-30)
BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))
LARGEST = np.float32(80)  # exp of it is still a float32
EDGE = np.float32(np.finfo(np.float32).eps)  # sigmoids stay so far from 0 and 1


def tempered(scores_KHW: Scores, temperature: float, *, each_class: bool = False) -> Scores:
    """Class probabilities (K, H, W) with their logits divided by `temperature`; a new array, but for T = 1.

    With `each_class` every class has a sigmoid of its own, and its logit is scaled by itself. The highest class of a
    pixel stays the highest, also where rounding would make it equal to another.
    """
    if temperature == 1:
        return scores_KHW
    beta = np.float32(1 / temperature)
    result: NDArray[Any]
    if each_class:
        held = np.clip(scores_KHW, EDGE, 1 - EDGE)
        result = 1 / (1 + np.exp(np.minimum(LARGEST, -beta * (np.log(held) - np.log1p(-held)))))
    else:
        logs = np.log(np.maximum(scores_KHW, TINY))
        logs -= logs.max(0)
        result = np.exp(beta * logs)
        result /= result.sum(0)
    result = np.minimum(result, BELOW_ONE)
    np.nextafter(result, np.float32(1), out=result, where=scores_KHW == scores_KHW.max(0))
    return result


def temperature_of(run: Run, weights: str) -> float:
    """The temperature that `maskwright calibrate` found for these weights of the run; 1 for any others.

    Raises InputError where `run.yaml` holds one that is no positive number.
    """
    found = run.about.get("calibration")
    if not found or found.get("weights_hash") != weights_hash(run, weights):
        return 1.0
    value = found.get("temperature")
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{run.path}/run.yaml has the temperature {value!r}; run 'maskwright calibrate' again.")
    return float(value)


def weights_hash(run: Run, weights: str) -> str:
    """Names the weights that a temperature belongs to: trained further, they need another."""
    return content_hash(read_bytes(run.weights(weights)))
