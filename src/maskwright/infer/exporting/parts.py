"""What an exported graph consists of: pixels of any size to the working size, the network, and the way back.

`Before` and `After` are `geometry.Letterbox` and `infer.predictor.first_maximum` in tensors, for sizes that are known
only when the graph runs. Places are computed in integers, so that no arithmetic of a runtime can shift them; weights
are those of OpenCV's INTER_AREA, INTER_CUBIC and INTER_LINEAR.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskwright.infer.temper import EDGE, TINY
from maskwright.infer.weights import load_network
from maskwright.losses import as_multiclass, outputs_for, scores_each_class
from maskwright.models import Network
from maskwright.run import Run

CUBIC = -0.75  # OpenCV's
Taps = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a graph does around the network of a run with so many `classes`."""

    canvas_hw: tuple[int, int]
    fit: str
    classes: int
    each_class: bool = False
    temperature: float = 1.0
    probabilities: bool = False


class Before(nn.Module):
    """Photos (N, H, W, 3) uint8 of any one size -> canvases (N, h, w, 3) uint8 at the working size."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.canvas_hw, self.fit = frame.canvas_hw, frame.fit

    def forward(self, image_NHW3: Tensor) -> Tensor:
        """Canvases of photos."""
        source = sides(image_NHW3)
        inner = inner_sides(source, self.canvas_hw, self.fit)
        shrinks = inner[0] * inner[1] < source[0] * source[1]
        # OpenCV averages areas only where both sides shrink; padding keeps the aspect, so that there they always do.
        mixed = (inner[0] > source[0]) | (inner[1] > source[1]) if self.fit == "stretch" else None
        rows, columns = (
            forward_taps(outer, own, side, shrinks, mixed)
            for outer, own, side in zip(self.canvas_hw, inner, source, strict=True)
        )
        # Each time the dimension to sum over is followed by all others, so that whole rows are taken.
        x_NHB = resampled(image_NHW3.flatten(2), rows)
        x_NWB = torch.unflatten(x_NHB, 2, (-1, 3)).transpose(1, 2).flatten(2)
        x_NHW3 = torch.unflatten(resampled(x_NWB, columns), 2, (-1, 3)).transpose(1, 2)
        # OpenCV rounds the mean of 2 x 2 pixels up, and everything else to even.
        halves = shrinks & (source[0] == 2 * inner[0]) & (source[1] == 2 * inner[1])
        rounded = torch.where(halves, torch.floor(x_NHW3 + 0.5), torch.round(x_NHW3))
        return rounded.clamp(0, 255).to(torch.uint8)


class Core(nn.Module):
    """Canvases (N, h, w, 3) uint8 -> scores (N, K, h, w) float32, after softmax or sigmoid, before any temperature.

    `computed` is the type of the network's arithmetic; everything around it stays in float32.
    """

    def __init__(self, network: Network, *, each_class: bool, canvas_hw: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.each_class, self.canvas_hw = network.eval(), each_class, canvas_hw
        self.computed: torch.dtype | None = None

    def forward(self, canvas_NHW3: Tensor) -> Tensor:
        """Scores of canvases."""
        image_N3HW = canvas_NHW3.permute(0, 3, 1, 2).to(torch.float32)
        x = self.network.prepared(image_N3HW)
        logits = self.network.body(x if self.computed is None else x.to(self.computed))
        logits = logits[..., : self.canvas_hw[0], : self.canvas_hw[1]].to(torch.float32)
        return logits.sigmoid() if self.each_class else as_multiclass(logits).softmax(dim=1)

    def halved(self, dtype: torch.dtype) -> Core:
        """This core with its weights in a half precision; it is changed."""
        self.network.body.to(dtype)
        self.computed = dtype
        return self


class After(nn.Module):
    """Scores (N, K, h, w) and the photos that they are of -> class ids (N, H, W), and maybe (N, K, H, W) float32."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame

    def forward(self, scores_NKHW: Tensor, image_NHW3: Tensor) -> tuple[Tensor, ...]:
        """Class ids at the size of the photos."""
        source = sides(image_NHW3)
        inner = inner_sides(source, self.frame.canvas_hw, self.frame.fit)
        rows, columns = (
            back_taps(outer, own, side, length)
            for outer, own, side, length in zip(self.frame.canvas_hw, inner, source, image_NHW3.shape[1:3], strict=True)
        )
        # Columns first, while there are few rows; transposed, as whole rows are gathered faster than single numbers.
        wide = lerped(scores_NKHW.transpose(2, 3), columns).transpose(2, 3)
        if not self.frame.probabilities:
            return (first_maximum(wide, rows),)
        large_NKHW = lerped(wide, rows)
        return first_maximum(large_NKHW), tempered(large_NKHW, self.frame.temperature, self.frame.each_class)


class Whole(nn.Module):
    """The three parts in one: photos in, ids (and probabilities) of their size out."""

    def __init__(self, before: Before, core: Core, after: After) -> None:
        super().__init__()
        self.before, self.core, self.after = before, core, after

    def forward(self, image_NHW3: Tensor) -> tuple[Tensor, ...]:
        """Everything, from photos to ids."""
        found: tuple[Tensor, ...] = self.after(self.core(self.before(image_NHW3)), image_NHW3)
        return found


def core_of(run: Run, *, weights: str = "best") -> Core:
    """A run's network as the core of an export, in float32; raises InputError if the run cannot be used."""
    assert run.recipe.data.size is not None, "a run's recipe is resolved"
    each_class = scores_each_class(run.recipe.loss) and outputs_for(run.recipe.loss, run.classes) > 1
    network = load_network(run, weights).requires_grad_(False)
    return Core(network, each_class=each_class, canvas_hw=run.recipe.data.size).eval()


def sides(image_NHW3: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns as int64 scalars that stay open in a graph."""
    return torch.scalar_tensor(image_NHW3.shape[1], dtype=torch.int64), torch.scalar_tensor(
        image_NHW3.shape[2], dtype=torch.int64
    )


def inner_sides(source: tuple[Tensor, Tensor], canvas_hw: tuple[int, int], fit: str) -> tuple[Tensor, Tensor]:
    """`Letterbox.fit` in integers: the side that fills the canvas, and the other one, rounded to even on a tie."""
    rows, columns = (torch.scalar_tensor(side, dtype=torch.int64) for side in canvas_hw)
    if fit == "stretch":
        return rows, columns
    tall = rows * source[1] <= columns * source[0]
    narrow = rounded_ratio(source[1] * rows, source[0]).clamp(min=1)
    low = rounded_ratio(source[0] * columns, source[1]).clamp(min=1)
    return torch.where(tall, rows, torch.minimum(low, rows)), torch.where(tall, torch.minimum(narrow, columns), columns)


def rounded_ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b of positive integers, rounded half to even as Python does."""
    twice = 2 * a + b
    up = divided(twice, 2 * b)
    tie = (twice == 2 * b * up) & (up % 2 == 1)
    return up - tie.to(torch.int64)


def divided(a: Tensor, b: Tensor) -> Tensor:
    """a // b of integers that are not negative."""
    return torch.div(a, b, rounding_mode="trunc")


def forward_taps(canvas: int, inner: Tensor, source: Tensor, shrinks: Tensor, mixed: Tensor | None) -> Taps:
    """Which source pixels (canvas, T) a canvas pixel is made of, with what weights; those of the padding are 0."""
    i = torch.arange(canvas).unsqueeze(1) - divided(canvas - inner, torch.scalar_tensor(2, dtype=torch.int64))
    inside = (i >= 0) & (i < inner)
    i = torch.where(inside, i, 0)
    start = divided(i * source, inner)  # where the area of a canvas pixel begins
    reach = torch.maximum(divided(source, inner) + 2, torch.scalar_tensor(4, dtype=torch.int64)).item()
    torch._check(reach >= 4)
    t = torch.arange(reach)
    covered = torch.minimum((start + t + 1) * inner, (i + 1) * source) - torch.maximum((start + t) * inner, i * source)
    area = covered.clamp(min=0).to(torch.float32) / source.to(torch.float32)
    if mixed is not None:
        share = ((i + 1) * source - (start + 1) * inner).clamp(min=0).to(torch.float32) / source.to(torch.float32)
        slant = torch.where(t == 0, 1 - share, torch.where(t == 1, share, 0.0))
        area = torch.where(mixed, slant, area)
    middle, share = centre(i, inner, source)
    cubic = cubic_weight((share + 1 - t.to(torch.float32)).abs())
    index = torch.where(shrinks, start, middle - 1) + t
    weight = torch.where(shrinks, area, cubic) * inside.to(torch.float32)
    return torch.minimum(index.clamp(min=0), source - 1), weight


def centre(i: Tensor, inner: Tensor, source: Tensor) -> Taps:
    """The pixel whose centre is at or before that of pixel i of `inner`, among `source`, and how far after it."""
    place = (2 * i + 1) * source - inner + 2 * inner  # in halves of an inner pixel, one pixel ahead: never negative
    whole = divided(place, 2 * inner)
    share = (place - whole * 2 * inner).to(torch.float32) / (2 * inner).to(torch.float32)
    return whole - 1, share


def cubic_weight(d: Tensor) -> Tensor:
    """Keys' cubic convolution kernel (1981) at distances of 0 to 2, and 0 beyond."""
    near = ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1
    far = ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def resampled(x_NLB: Tensor, taps: Taps) -> Tensor:
    """The middle dimension made anew: each of its pixels a weighted sum of old ones; float32."""
    index, weight = taps
    picked_NLTB = torch.unflatten(x_NLB.index_select(1, index.flatten()), 1, index.shape).to(torch.float32)
    return (picked_NLTB * weight.unsqueeze(-1)).sum(2)


def back_taps(canvas: int, inner: Tensor, source: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of the `length` source pixels: two canvas pixels and the share of the second."""
    first, share = centre(torch.arange(length), source, inner)
    top = divided(canvas - inner, torch.scalar_tensor(2, dtype=torch.int64))
    low, high = (torch.minimum(place.clamp(min=0), inner - 1) + top for place in (first, first + 1))
    return low, high, share


def lerped(x: Tensor, taps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The second last dimension enlarged or reduced linearly."""
    low, high, share = taps
    a, b = x.index_select(-2, low), x.index_select(-2, high)
    return a + (b - a) * share.unsqueeze(-1)


def first_maximum(scores_NKHW: Tensor, rows: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:
    """Class ids of the highest score, the lowest on a tie; with `rows`, one class at a time is brought to its size."""

    def plane(index: int) -> Tensor:
        own = scores_NKHW[:, index]
        return own if rows is None else lerped(own, rows)

    best = plane(0)
    ids = torch.zeros_like(best, dtype=torch.int32)
    for index in range(1, scores_NKHW.shape[1]):
        own = plane(index)
        ids = torch.where(own > best, index, ids)
        best = torch.maximum(best, own)
    return ids.to(torch.uint8 if scores_NKHW.shape[1] <= 255 else torch.uint16)


def tempered(scores_NKHW: Tensor, temperature: float, each_class: bool) -> Tensor:
    """`infer.temper.tempered` without its care for the last bit: ids are found before."""
    if temperature == 1:
        return scores_NKHW
    if each_class:
        held = scores_NKHW.clamp(float(EDGE), 1 - float(EDGE))
        return torch.sigmoid((held.log() - torch.log1p(-held)) / temperature)
    return (scores_NKHW.clamp(min=float(TINY)).log() / temperature).softmax(dim=1)
