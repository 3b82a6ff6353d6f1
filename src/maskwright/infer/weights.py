"""A run's network with its weights: what every backend begins with."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from maskwright.losses import outputs_for
from maskwright.models import PROMPT_MODELS, Network, build
from maskwright.models.weights import require_finite
from maskwright.run import Run
from maskwright.types import InputError


def load_network(run: Run, weights: str = "best") -> Network:
    """The network of a run with its 'best' or 'last' weights, at rest; raises InputError if it cannot be used."""
    if run.recipe.model.name in PROMPT_MODELS:
        raise InputError(
            f"{run.path} answers prompts and cannot segment a photo by itself; measure it with 'maskwright clicks "
            f"run:{run.path} DATASET', or use it with 'maskwright label DATASET --prompter run:{run.path}'."
        )
    path = run.weights(weights)
    if run.packed:
        from maskwright.infer.fitting import require_fit

        require_fit(run, path)
    network = build(run.recipe.model, outputs_for(run.recipe.loss, run.classes))
    fill_weights(network, path)
    return network.eval()


def fill_weights(network: Network, path: Path) -> None:
    """Load weights into a network; raises InputError where they are damaged, not finite or of another one."""
    try:
        state = load_file(path)
        network.load_state_dict(state)
    except Exception as error:  # safetensors raises its own type, load_state_dict RuntimeError
        raise InputError(f"{path} does not fit the run's recipe ({error}); copy the run folder whole.") from error
    require_finite(state, path)
