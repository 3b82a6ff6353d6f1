"""A simulated person and a prompter, one object after the other, until the mask is good."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from maskwright.data.clicks.simulate import Click, next_click
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.pixels.parts import labelled_parts
from maskwright.prompt.clicking.ask import Flags, ask, iou
from maskwright.prompt.clicking.objects import Wanted
from maskwright.prompt.clicking.single import answer_one
from maskwright.prompt.prompter import Prompter
from maskwright.types import Image, Prompt

TARGETS = (0.85, 0.9)
AFTER = (1, 3, 5)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`repeats` are the jittered times that every object is clicked besides the steady one."""

    max_clicks: int = 20
    repeats: int = 1
    seed: int = 0
    tell_class: bool = False


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What is asked of one image: objects, with their numbers among all, and a single prompt where `number` is one."""

    sample: Sample
    objects: tuple[tuple[int, Wanted], ...] = ()
    single: int | None = None


@dataclass(frozen=True, kw_only=True)
class Playing:
    """A prompter at work; calling it with a visit returns plain data."""

    prompter: Prompter
    data: Dataset
    rules: Rules

    def __call__(self, visit: Visit) -> dict[str, Any]:
        """Seconds to encode the image, a game an object and repeat, and the answer to the single prompt."""
        image_HW3, mask_HW = self.data.image(visit.sample), self.data.mask(visit.sample)
        rules, classes = self.rules, self.data.classes
        began = time.perf_counter()
        self.prompter.set_image(image_HW3)
        encode_seconds = time.perf_counter() - began
        games, single = [], None
        if visit.objects:
            parts_HW, ignore_HW = labelled_parts(mask_HW)[0], mask_HW == classes.ignore
            for number, one in visit.objects:
                for repeat in range(1 + rules.repeats):
                    rng = np.random.default_rng((rules.seed, 2, number, repeat)) if repeat else None
                    told = one.class_id if rules.tell_class else None
                    game = play(
                        self.prompter, parts_HW == one.part, ignore_HW, rules.max_clicks, rng=rng, class_id=told
                    )
                    games.append({"object": number, "repeat": repeat, **vars(game)})
        if visit.single is not None:
            rng = np.random.default_rng((rules.seed, 3, visit.single))
            single = answer_one(self.prompter, mask_HW, classes, rng, tell_class=rules.tell_class)
        return {"encode_seconds": encode_seconds, "games": games, "single": single}


@dataclass(kw_only=True)
class Game:
    """What happened on one object, an entry a click; `best` is the IoU of the best candidate at the first one.

    `unanswered` counts clicks at which the prompter raised an InputError: the mask then stays as it was.
    """

    clicks: list[Click] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: float = 0.0
    unanswered: int = 0


def play(
    prompter: Prompter,
    truth_HW: Flags,
    ignore_HW: Flags,
    max_clicks: int,
    *,
    rng: np.random.Generator | None = None,
    class_id: int | None = None,
) -> Game:
    """Click until the mask has the highest target's IoU, at least as often as AFTER asks, at most `max_clicks` times.

    Each click is `next_click` on the mask so far (with `rng` the jittered one); the prompter is given all clicks and
    that mask, and its chosen candidate is the next mask. The image must have been set.
    """
    game, guess_HW, prompt = Game(), np.zeros_like(truth_HW), Prompt(class_id=class_id)
    while len(game.clicks) < max_clicks:
        if len(game.iou) >= AFTER[-1] and game.iou[-1] >= TARGETS[-1]:
            break
        click = next_click(truth_HW, guess_HW, ignore_HW=ignore_HW, clicked=prompt.points_xy, jitter=rng)
        if click is None:
            break
        prompt = replace(
            prompt,
            points_xy=(*prompt.points_xy, (click.x, click.y)),
            positive=(*prompt.positive, click.positive),
            previous_HW=guess_HW if game.clicks else None,
        )
        seconds, found = ask(prompter, prompt)
        if found is None:
            game.unanswered += 1
        else:
            guess_HW = found.mask_HW
            if not game.clicks:
                game.best = max(iou(truth_HW, mask_HW, ignore_HW) for mask_HW in found.masks())
        game.clicks.append(click)
        game.seconds.append(seconds)
        game.iou.append(iou(truth_HW, guess_HW, ignore_HW))
    return game


def warm_up(prompter: Prompter) -> None:
    """Two clicks on a small drawn image, so that what happens once (compiling, loading) is in no measured time."""
    image_HW3: Image = np.full((96, 128, 3), 60, np.uint8)
    image_HW3[24:64, 32:96] = 200
    truth_HW = image_HW3[..., 0] > 100
    prompter.set_image(image_HW3)
    play(prompter, truth_HW, np.zeros_like(truth_HW), 2)
