"""A loaded run: RGB image in, class probabilities or ids at the original size out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskwright.geometry import Letterbox
from maskwright.infer.backends import Loaded, load_core
from maskwright.infer.highest import first_maximum
from maskwright.infer.temper import temperature_of, tempered
from maskwright.run import Run
from maskwright.types import Image, InputError, Mask

__all__ = ["Predictor", "first_maximum"]

if TYPE_CHECKING:  # torch takes seconds, and not every backend needs it
    import torch

    from maskwright.models import Network


class Predictor:
    """A network with its class table and working size, ready to predict.

    >>> predictor = Predictor.load("runs/road")          # doctest: +SKIP
    >>> mask_HW = predictor.ids(image_HW3)               # doctest: +SKIP

    `backend` names what computes, `precision` in which arithmetic, and `reason` says why in one sentence.
    """

    def __init__(self, run: Run, loaded: Loaded, *, temperature: float = 1.0) -> None:
        assert run.recipe.data.size is not None, "a run's recipe is resolved"
        self.core = loaded.core
        self.backend, self.precision, self.reason = loaded.name, loaded.precision, loaded.reason
        self.each_class, self.temperature = loaded.each_class, temperature
        self.run, self.classes = run, run.classes
        self.size_hw, self.fit = run.recipe.data.size, run.recipe.data.fit

    @classmethod
    def load(
        cls,
        run: str | Path | Run,
        *,
        weights: str = "best",
        device: str = "auto",
        precision: str = "auto",
        backend: str = "torch",
        photos: int = 1,
        examples: Sequence[Path] = (),
    ) -> Predictor:
        """Load a run's 'best' or 'last' weights; raises InputError if the folder or the weights are unusable.

        `backend` is 'torch', a name of BACKENDS, or 'auto': the fastest that is installed and proven equal to torch.
        What is not made yet is made only where it pays for so many `photos`; a backend that is named is made at once.
        `examples` are photos to prove it on where the run's data set is gone.
        """
        run = run if isinstance(run, Run) else Run.open(run)
        loaded = load_core(
            run,
            weights=weights,
            device=device,
            precision=precision,
            backend=backend,
            photos=photos,
            examples=examples,
        )
        return cls(run, loaded, temperature=temperature_of(run, weights))

    @property
    def network(self) -> Network:
        """The torch module, whose hooks and dropout see every prediction; raises InputError for other backends."""
        network: Network = self._of_torch("network")
        return network

    @property
    def device(self) -> torch.device:
        """Where torch computes; raises InputError for other backends."""
        device: torch.device = self._of_torch("device")
        return device

    def _of_torch(self, name: str) -> Any:
        if self.backend != "torch":
            raise InputError(f"Backend '{self.backend}' has no torch {name}; load the run with backend='torch'.")
        return getattr(self.core, name)

    def ids(self, image_HW3: Image) -> Mask:
        """Class ids (H, W) of one image of any size, at its own size."""
        return self.ids_of([image_HW3])[0]

    def ids_of(self, images: Sequence[Image]) -> list[Mask]:
        """Class ids of several images, in one batch."""
        return [first_maximum(scores_KHW, self.classes) for scores_KHW in self.scores_of(images)]

    def probabilities(self, image_HW3: Image) -> NDArray[np.float32]:
        """Class probabilities (K, H, W) float32 of one image of any size, at its own size.

        They sum to 1 over classes, except where the loss scores each class against the rest (BCE and
        its like), and have the run's temperature where it was calibrated.
        """
        return next(self.probabilities_of([image_HW3]))

    def probabilities_of(self, images: Sequence[Image]) -> Iterator[NDArray[np.float32]]:
        """`probabilities` of several images in one batch; only one of them is held at its own size."""
        for scores_KHW in self.scores_of(images):
            yield tempered(scores_KHW, self.temperature, each_class=self.each_class)

    def scores_of(self, images: Sequence[Image]) -> Iterator[NDArray[np.float32]]:
        """What the network says by itself, before any temperature; the same order of classes at every pixel."""
        for scores_KHW, box in zip(*self._scores(images), strict=True):
            yield box.back_scores(scores_KHW)

    def _scores(self, images: Sequence[Image]) -> tuple[list[NDArray[np.float32]], list[Letterbox]]:
        boxes = [Letterbox.fit((image.shape[0], image.shape[1]), self.size_hw, self.fit) for image in images]
        canvas = np.stack([box.forward_image(image) for box, image in zip(boxes, images, strict=True)])
        return list(self.core(canvas)), boxes
