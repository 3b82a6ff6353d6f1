"""What a backend is to a predictor: canvases in, scores out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Canvases (N, H, W, 3) at the working size -> scores (N, K, H, W): after softmax or sigmoid, before any temperature.
Canvases = NDArray[np.uint8]
Scores = NDArray[np.float32]
Core = Callable[[Canvases], Scores]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A core that is ready, and what is to be known of it.

    `name` is that of its backend, `precision` what it computes in, and `reason` one sentence: which it is, and why.
    With `each_class` every class has a sigmoid of its own; scores do not sum to 1 then.
    """

    core: Core
    name: str
    precision: str
    each_class: bool
    reason: str
