from __future__ import annotations

import numpy as np
import pytest
from drawing import photo, shapes, shapes_classes
from hypothesis import given
from hypothesis import strategies as st

from maskwright.config import Recipe
from maskwright.data.augmenting.sampling import (
    balance,
    class_pixels,
    count_classes,
    count_pixels,
    draw_focus,
    draw_images,
    draw_partner,
    image_weights,
    measure,
    minority_classes,
    needs_balance,
    rarity,
)
from maskwright.data.dataset import Dataset
from maskwright.data.pairs import Decoded, Pair
from maskwright.types import Classes, InputError, Mask

RNG = np.random.default_rng


class Masks:
    """Masks without images."""

    def __init__(self, masks: list[Mask]) -> None:
        self.masks = masks

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Pair:
        return photo(self.masks[index].shape), self.masks[index]

    def mask(self, index: int) -> Mask:
        return self.masks[index]


def columns(*ids: int) -> Mask:
    """A mask of ten columns, one id each."""
    return np.array(ids, np.uint8)[None].repeat(4, axis=0)


COMMON = columns(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
BOTH = columns(0, 0, 0, 0, 0, 1, 1, 1, 1, 1)
RARE = columns(0, 0, 0, 0, 0, 0, 0, 0, 2, 255)


def test_pixels_are_counted_by_class_without_ignore(shapes_dataset: Dataset) -> None:
    recipe = Recipe().with_values(data__size=(32, 48))
    pairs = Decoded(shapes_dataset, shapes_dataset.labelled("train"), recipe)
    counts = count_pixels(pairs, 3)
    masks = np.stack([pairs[index][1] for index in range(8)])
    assert counts.tolist() == [int((masks == k).sum()) for k in range(3)]
    assert counts.sum() < masks.size
    whole = count_classes(pairs, 3)
    assert whole.pixels().tolist() == counts.tolist()
    assert whole.images_with().tolist() == [int((masks == k).any(axis=(1, 2)).sum()) for k in range(3)]
    assert whole.holders(1).tolist() == np.flatnonzero((masks == 1).any(axis=(1, 2))).tolist()


@pytest.mark.parametrize(("dtype", "classes"), [(np.uint8, 3), (np.uint8, 255), (np.uint16, 300), (np.uint16, 65535)])
def test_both_ways_of_counting_agree(dtype: type, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ignore = np.iinfo(dtype).max
    mask: Mask = RNG(0).choice([0, 1, classes - 1, ignore], (17, 23)).astype(dtype)
    fast = class_pixels(mask, classes)
    monkeypatch.setattr("maskwright.data.augmenting.sampling.EXACT_IN_FLOAT32", 0)
    assert np.array_equal(fast, class_pixels(mask, classes))
    assert fast.sum() == (mask != ignore).sum()


def test_weights_are_the_formula() -> None:
    """Pixels: class 0 has 40 + 20 + 32 = 92, class 1 has 20, class 2 has 4; ignore has none."""
    raw = np.array([40 / 92, 20 / 92 + 20 / 20, 32 / 92 + 4 / 4])
    expected = 0.1 + 0.9 * raw / raw.mean()
    assert np.allclose(image_weights(count_classes(Masks([COMMON, BOTH, RARE]), 3)), expected)
    bare = np.array([0, 1, 1])
    without = image_weights(count_classes(Masks([COMMON, BOTH, RARE]), 3), leave_out=0)
    assert np.allclose(without, 0.1 + 0.9 * bare / bare.mean())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 99))
def test_weights_have_mean_one_and_leave_no_image_out(kinds: list[int], seed: int) -> None:
    choices = [COMMON, BOTH, RARE, columns(*[255] * 10)]
    weights = image_weights(count_classes(Masks([choices[kind] for kind in kinds]), 3))
    assert weights.mean() == pytest.approx(1)
    assert weights.min() >= 0.09
    assert weights.max() <= 10.0001
    drawn = draw_images(weights, RNG(seed))
    counts = np.bincount(drawn, minlength=len(kinds))
    assert len(drawn) == len(kinds)
    assert (np.diff(drawn) >= 0).all()
    assert (counts >= np.floor(weights - 1e-9)).all()
    assert (counts <= np.ceil(weights + 1e-9)).all()


def test_one_image_with_a_class_does_not_fill_the_epoch() -> None:
    weights = image_weights(count_classes(Masks([COMMON] * 400 + [RARE]), 3))
    assert weights[-1] > 9
    assert weights[-1] <= 10
    assert weights[:-1].min() > 0.9


def test_images_without_any_label_are_drawn_alike() -> None:
    assert image_weights(count_classes(Masks([columns(*[255] * 10)] * 3), 3)).tolist() == [1, 1, 1]


def test_minority_classes_have_under_half_of_an_even_share() -> None:
    classes = Classes.from_names(["background", "a", "b", "c"])
    assert minority_classes(np.array([50, 30, 15, 5]), classes) == [3], "an even share of 100 by four is 25"
    assert minority_classes(np.array([5, 45, 50, 0]), classes) == [], "neither the background nor what is not there"
    assert minority_classes(np.zeros(4, np.int64), classes) == []
    assert minority_classes(np.array([13, 12, 75]), Classes.from_names(["a", "b", "c"])) == [0, 1]


def test_a_focus_is_a_pixel_of_a_rare_class_more_often() -> None:
    rarity_K = rarity(np.array([900, 90, 10]))
    found = [draw_focus(BOTH, rarity_K, RNG(seed)) for seed in range(300)]
    ids = [int(BOTH[place[1], place[0]]) for place in found if place is not None]
    assert len(ids) == 300
    assert 0.85 < np.mean(ids) < 0.96, "1/90 against 1/900"
    assert len({place for place in found if place and place[0] > 4}) == 20, "any pixel of it"


def test_a_focus_needs_a_class_that_counts() -> None:
    rarity_K = rarity(np.array([900, 90, 10]), leave_out=0)
    assert draw_focus(COMMON, rarity_K, RNG(0)) is None
    assert draw_focus(columns(*[255] * 10), rarity_K, RNG(0)) is None
    wide = np.full((3, 4), 65535, np.uint16)
    assert draw_focus(wide, rarity_K, RNG(0)) is None
    wide[2, 1] = 2
    assert draw_focus(wide, rarity_K, RNG(0)) == (1, 2)


def test_a_partner_is_any_other_sample() -> None:
    assert {draw_partner(5, 2, RNG(seed)) for seed in range(100)} == {0, 1, 3, 4}
    assert draw_partner(1, 0, RNG(0)) == 0


def test_only_recipes_that_need_it_pay_for_a_pass_over_the_masks() -> None:
    classes = shapes_classes()
    assert not needs_balance(Recipe())
    assert measure(Masks([]), Recipe(), classes) == (None, {})
    for values in ({"data__sampling": "balanced"}, {"data__crop_focus": 0.1}, {"augment__paste": 0.1}):
        found, facts = measure(Masks([COMMON, BOTH, RARE]), Recipe().with_values(**values), classes)
        assert found is not None
        assert facts["sampling"]["classes"]["box"] == {"pixels": round(4 / 116, 6), "images": 1}


def test_what_is_measured_is_said_and_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe().with_values(data__sampling="balanced", augment__paste=0.5, augment__paste_classes=["box", "disc"])
    found, facts = measure(Masks([COMMON, BOTH, RARE, COMMON]), recipe, shapes_classes())
    assert found is not None
    assert {k: v.tolist() for k, v in found.holders.items()} == {1: [1], 2: [2]}
    assert facts["sampling"]["pasted"] == {"box": 1, "disc": 1}
    assert facts["sampling"]["image_weight"]["most"] == round(float(found.weight_N.max()), 3)
    said = " ".join(capsys.readouterr().err.split())
    assert "box 2.56% in 1 images" in said
    assert said.index("box") < said.index("disc") < said.index("background")


def test_a_class_that_no_image_holds_is_recorded_and_not_drawn() -> None:
    recipe = Recipe().with_values(augment__paste=0.5, augment__paste_classes=["box"])
    found, facts = measure(Masks([COMMON, BOTH]), recipe, shapes_classes())
    assert found is not None
    assert found.holders == {}
    assert facts["sampling"]["pasted"] == {"box": 0}


def test_an_unknown_class_is_named() -> None:
    recipe = Recipe().with_values(augment__paste=0.5, augment__paste_classes=["bx"])
    with pytest.raises(InputError, match=r"'bx'.*Did you mean 'box'"):
        balance(count_classes(Masks([shapes(0)[1]]), 3), recipe, shapes_classes())


def test_the_background_counts_where_it_enters_the_loss() -> None:
    counts, classes = count_classes(Masks([COMMON, BOTH, RARE]), 3), shapes_classes()
    recipe = Recipe().with_values(data__sampling="balanced")
    assert balance(counts, recipe, classes).rarity_K[0] == 1 / 92
    assert balance(counts, recipe.with_values(loss__background=False), classes).rarity_K[0] == 0
