"""How much memory a forward pass, or a step of training, holds at its peak; counted on tensors without numbers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of all storages that operations made and that are still alive, now and at most."""

    def __init__(self, before: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        # What was there before is not counted, nor are views of it.
        self.known = {tensor.untyped_storage()._cdata: 0 for tensor in before}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._enter(leaf.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self.known:
            return
        self.known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._leave, key)

    def _leave(self, key: int) -> None:
        self.now -= self.known.pop(key, 0)


def peak_bytes(network: nn.Module, image: Tensor, *, training: bool) -> int:
    """Bytes of weights and of all tensors alive at the worst moment of a prediction or of a training step.

    In float32, with a batch as in `image` (on the meta device). A step of training also holds gradients and the
    two averages of Adam. What the library's kernels borrow for themselves comes on top.
    """
    network.train(training)
    held = [*network.parameters(), *network.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in held)
    trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    ledger = Ledger([*held, image])
    with torch.set_grad_enabled(training), ledger:
        logits = network(image)
        if training:
            (logits.mean() + sum(level.mean() for level in getattr(network, "auxiliary", []))).backward()
    network.zero_grad(set_to_none=True)
    # The gradients are in the peak already.
    return weights + ledger.peak + (2 * trained if training else 0)
