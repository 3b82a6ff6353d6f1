"""A loaded run: RGB image in, class probabilities or ids at the original size out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from maskwright.geometry import Letterbox
from maskwright.infer.device import arithmetic, choose_device, choose_precision
from maskwright.infer.temper import temperature_of, tempered
from maskwright.losses import as_multiclass, outputs_for, scores_each_class
from maskwright.models import PROMPT_MODELS, Network, build
from maskwright.run import Run
from maskwright.types import Classes, Image, InputError, Mask


class Predictor:
    """A network with its class table and working size, ready to predict.

    >>> predictor = Predictor.load("runs/road")          # doctest: +SKIP
    >>> mask_HW = predictor.ids(image_HW3)               # doctest: +SKIP
    """

    def __init__(self, network: Network, run: Run, device: torch.device, precision: str) -> None:
        assert run.recipe.data.size is not None, "a run's recipe is resolved"
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.classes: Classes = run.classes
        self.size_hw, self.fit = run.recipe.data.size, run.recipe.data.fit
        outputs = outputs_for(run.recipe.loss, run.classes)
        self.each_class = scores_each_class(run.recipe.loss) and outputs > 1
        self.device, self.precision = device, precision
        self.temperature = 1.0

    @classmethod
    def load(
        cls, run: str | Path | Run, *, weights: str = "best", device: str = "auto", precision: str = "auto"
    ) -> Predictor:
        """Load a run's 'best' or 'last' weights; raises InputError if the folder or the weights are unusable."""
        run = run if isinstance(run, Run) else Run.open(run)
        if run.recipe.model.name in PROMPT_MODELS:
            raise InputError(
                f"{run.path} answers prompts and cannot segment a photo by itself; measure it with 'maskwright clicks "
                f"run:{run.path} DATASET', or use it with 'maskwright label DATASET --prompter run:{run.path}'."
            )
        network = build(run.recipe.model, outputs_for(run.recipe.loss, run.classes))
        fill_weights(network, run.weights(weights))
        where, _ = choose_device(device)
        predictor = cls(network, run, where, choose_precision(precision, where)[0])
        predictor.temperature = temperature_of(run, weights)
        return predictor

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
        batch = torch.from_numpy(canvas).to(self.device).permute(0, 3, 1, 2)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            logits = self.network(batch)
        scores = logits.sigmoid() if self.each_class else as_multiclass(logits).softmax(dim=1)
        return list(scores.float().cpu().numpy()), boxes


def fill_weights(network: Network, path: Path) -> None:
    """Load weights into a network; raises InputError where they are damaged or of another one."""
    try:
        network.load_state_dict(load_file(path))
    except Exception as error:  # safetensors raises its own type, load_state_dict RuntimeError
        raise InputError(f"{path} does not fit the run's recipe ({error}); copy the run folder whole.") from error


def first_maximum(scores_KHW: NDArray[np.float32], classes: Classes) -> Mask:
    """Class ids (H, W) of the highest score; the lowest id on a tie."""
    # A running maximum takes a fortieth of the time of argmax over the first axis.
    best = scores_KHW[0].copy()
    ids = np.zeros(best.shape, classes.dtype)
    for index in range(1, len(scores_KHW)):
        higher = scores_KHW[index] > best
        ids[higher] = index
        np.maximum(best, scores_KHW[index], out=best)
    return ids
