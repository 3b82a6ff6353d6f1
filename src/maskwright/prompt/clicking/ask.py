"""One question to a prompter, timed, and how good its answer is."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.prompter import Candidates, Prompter
from maskwright.types import InputError, Prompt

Flags = NDArray[np.bool_]


def ask(prompter: Prompter, prompt: Prompt) -> tuple[float, Candidates | None]:
    """Seconds, and what the prompter answers; None where it says that it cannot (InputError)."""
    began = time.perf_counter()
    try:
        found = prompter.predict(prompt)
    except InputError:
        found = None
    return time.perf_counter() - began, found


def iou(truth_HW: Flags, guess_HW: Flags, ignore_HW: Flags) -> float:
    """Intersection over union without ignored pixels; 1 where both are empty."""
    known_HW = ~ignore_HW
    union = np.count_nonzero((truth_HW | guess_HW) & known_HW)
    return float(np.count_nonzero(truth_HW & guess_HW & known_HW) / union) if union else 1.0
