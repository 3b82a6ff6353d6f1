"""Ways to run a trained network: a backend turns a run into a core, and proves that it is the same network.

To add one: write its `make` and `open` in a file here, add a line to BACKENDS, and the contract test picks it up.
"""

from __future__ import annotations

from maskwright.infer.backends.choice import load_core
from maskwright.infer.backends.core import Core, Loaded
from maskwright.infer.backends.runtimes import BACKENDS, Backend

__all__ = ["BACKENDS", "Backend", "Core", "Loaded", "load_core"]
