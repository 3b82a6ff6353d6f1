"""Parts of the network that stay as they are, for a share of the training or throughout."""

from __future__ import annotations

from collections.abc import Mapping

from maskwright.models import Network
from maskwright.types import InputError, unknown_name


def frozen_shares(network: Network, wanted: Mapping[str, float]) -> dict[str, float]:
    """Part -> share of the training in which it is frozen: as the recipe says, else as the network comes.

    Raises InputError for a part that the network does not have, and where nothing would learn.
    """
    parts = network.parts()
    for name in wanted:
        if name not in parts:
            raise unknown_name("part of the network in train.freeze", name, parts)
    shares = dict.fromkeys(network.body.frozen, 1.0) | dict(wanted)
    learning = [part for name, part in parts.items() if shares.get(name, 0.0) < 1]
    if not any(True for part in learning for _ in part.parameters()):
        raise InputError("train.freeze holds every part of the network throughout; leave one that can learn.")
    return shares


def freeze(network: Network, shares: Mapping[str, float], progress: float) -> None:
    """Let the named parts learn or rest, as is due at `progress` (0..1); batch norm and dropout rest as well."""
    parts = network.parts()
    for name, share in shares.items():
        parts[name].requires_grad_(share < 1 and progress >= share)
    network.train()


def learns_later(shares: Mapping[str, float]) -> bool:
    """Whether a part is frozen at first only."""
    return any(0 < share < 1 for share in shares.values())
