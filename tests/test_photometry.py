from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawing import photo

from maskwright.config import AugmentRecipe
from maskwright.data.augmenting.augment import draw_generator
from maskwright.data.augmenting.photometry import EFFECTS, draw_colour_matrix, noise, recolour, shadow

FLAT = np.full((80, 96, 3), 128, np.uint8)


@pytest.mark.parametrize("key", EFFECTS)
@pytest.mark.parametrize("hw", [(48, 64), (33, 47), (1, 9), (9, 1), (1, 1)])
def test_every_effect_keeps_to_the_contract(key: str, hw: tuple[int, int]) -> None:
    image = photo(hw)
    before = image.tobytes()
    off, on = AugmentRecipe(flip=0), AugmentRecipe.model_validate({"flip": 0, key: 1})
    for draw in range(10):
        after = EFFECTS[key](image, on, draw_generator(0, 0, draw))
        assert after.shape == image.shape
        assert after.dtype == np.uint8
        assert np.array_equal(after, EFFECTS[key](image, on, draw_generator(0, 0, draw))), "the same draw"
        assert np.array_equal(recolour(image, off, draw_generator(0, 0, draw)), image), "off is the identity"
    assert image.tobytes() == before, "the source is not written to"
    if hw == (48, 64):
        results = {EFFECTS[key](image, on, draw_generator(0, 0, draw)).tobytes() for draw in range(12)}
        assert len(results) > 8, "draws differ"


@pytest.mark.parametrize("key", ["shadow", "blur", "jpeg"])
def test_an_effect_comes_as_often_as_asked(key: str) -> None:
    recipe = AugmentRecipe.model_validate({key: 0.3})
    image = photo((32, 32))
    changed = sum(EFFECTS[key](image, recipe, draw_generator(0, 0, draw)) is not image for draw in range(400))
    assert 0.22 < changed / 400 < 0.38


def test_noise_is_gaussian_and_within_its_strength() -> None:
    deviations = []
    for draw in range(60):
        change = noise(FLAT, AugmentRecipe(noise=0.1), draw_generator(0, 0, draw)).astype(float) - 128
        deviations.append(change.std())
        assert abs(change.mean()) < 0.5
        neighbours = np.corrcoef(change[:, 1:].ravel(), change[:, :-1].ravel())[0, 1]
        assert abs(neighbours) < 0.05 or change.std() < 1
    assert max(deviations) < 26
    assert max(deviations) > 20
    change = noise(FLAT, AugmentRecipe(noise=0.3), draw_generator(0, 0, 1)).astype(float) - 128
    assert 0.64 < (np.abs(change) < change.std()).mean() < 0.72, "68 % within one deviation"


def test_noise_saturates_instead_of_wrapping() -> None:
    for value in (0, 255):
        image = np.full((64, 64, 3), value, np.uint8)
        change = noise(image, AugmentRecipe(noise=0.1), draw_generator(0, 0, 1)).astype(int) - value
        assert np.abs(change).max() < 90


def test_a_shadow_darkens_a_part_softly() -> None:
    parts = 0
    for draw in range(30):
        after = shadow(FLAT, AugmentRecipe(shadow=1), draw_generator(0, 0, draw))
        assert after.max() <= 128
        assert after.min() > 128 * 0.28
        steps = np.abs(np.diff(after[..., 0].astype(int), axis=1)).max()
        assert steps < 45, "no hard edge"
        parts += bool((after == 128).any() and (after < 100).any())
    assert parts > 8


def test_grey_stays_grey_and_a_full_turn_is_none() -> None:
    recipe = AugmentRecipe(saturation=1, hue=0.5)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for draw in range(30):
        after = cv2.transform(grey, draw_colour_matrix(recipe, draw_generator(0, 0, draw)))
        assert np.abs(after.astype(int) - grey).max() <= 1


def test_saturation_changes_saturation_and_hue_keeps_it() -> None:
    image = photo((40, 40))
    chroma = np.ptp(image.astype(int), axis=2).mean()
    paler: list[int] = []
    stronger: list[int] = []
    for draw in range(40):
        after = recolour(image, AugmentRecipe(saturation=0.8), draw_generator(0, 0, draw)).astype(int)
        (stronger if np.ptp(after, axis=2).mean() > chroma else paler).append(draw)
        luma = np.abs((after - image.astype(int)) @ [0.299, 0.587, 0.114]).mean()
        assert luma < 12, "light stays, but for what is cut off at the ends"
    assert min(len(paler), len(stronger)) > 8
    red = np.full((4, 4, 3), (200, 60, 60), np.uint8)
    hues = [
        int(cv2.cvtColor(recolour(red, AugmentRecipe(hue=0.1), draw_generator(0, 0, d)), cv2.COLOR_RGB2HSV)[0, 0, 0])
        for d in range(60)
    ]
    turned = [(hue + 90) % 180 - 90 for hue in hues]  # OpenCV counts 180 steps a circle
    assert -30 < min(turned) < -8
    assert 8 < max(turned) < 30


def test_jpeg_keeps_the_channels_in_order() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 230
    after = EFFECTS["jpeg"](image, AugmentRecipe(jpeg=1, jpeg_quality=(90, 90)), draw_generator(0, 0, 0))
    assert np.abs(after.astype(int) - image).max() < 12


def test_jpeg_gets_worse_with_lower_quality() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    errors = [
        np.abs(
            EFFECTS["jpeg"](image, AugmentRecipe(jpeg=1, jpeg_quality=(q, q)), draw_generator(0, 0, 0)).astype(int)
            - image
        ).mean()
        for q in (95, 60, 20)
    ]
    assert errors == sorted(errors)
