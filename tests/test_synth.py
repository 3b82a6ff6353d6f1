"""Raindrops: the mask is exact, drops show the scene turned around, and no photo is on two sides of a split."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawing import photo
from typer.testing import CliRunner

from maskwright.cli import app
from maskwright.data.build import Made
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares
from maskwright.data.drops.drop import render
from maskwright.data.drops.raindrops import STYLES, DropStyle, draw_drops, drop_style, raindrops
from maskwright.data.drops.synth import _Pictures, demo_photos, synth_raindrops
from maskwright.files import read_bytes
from maskwright.imageio import check_mask, read_image, write_image
from maskwright.types import Image, InputError

PLAIN = DropStyle(radius=(0.2, 0.2), rim=0, highlight=0, soft=0, merged=0, runny=0)
CRISP = DropStyle(soft=0)


def noise(hw: tuple[int, int] = (96, 128), seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), dtype=np.uint8)


def draw(image: Image, seed: int = 0, count: int | None = None, style: DropStyle | None = None) -> tuple[Image, Image]:
    return raindrops(image, np.random.default_rng(seed), count=count, style=style)


def write_photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        write_image(folder / f"photo{index}.png", photo((40 + 2 * index, 60), index))
    return folder


def pictures(path: Path) -> dict[str, tuple[bytes, bytes]]:
    data = Dataset.open(path)
    return {s.id: (read_bytes(path / s.image), read_bytes(path / s.mask)) for s in data.samples}


# ---------------------------------------------------------------- one picture


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    image = noise()
    before = image.copy()
    first, again, other = draw(image, 1), draw(image, 1), draw(image, 2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[1], other[1])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("hw", [(1, 1), (7, 5), (33, 250), (192, 192), (301, 167)])
def test_any_size_keeps_shape_and_type(hw: tuple[int, int]) -> None:
    picture, mask = draw(noise(hw))
    assert picture.shape == (*hw, 3)
    assert mask.shape == hw
    assert picture.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1}


@pytest.mark.parametrize("seed", range(12))
def test_crisp_drops_change_what_the_mask_says_and_nothing_beside_it(seed: int) -> None:
    image = noise(seed=seed)
    picture, mask = draw(image, seed, style=CRISP)
    changed = (picture != image).any(axis=2)
    beside = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    assert not changed[beside].any()
    assert changed[mask == 1].mean() > 0.98


def test_no_outline_is_cut_off_by_the_edge_of_its_patch() -> None:
    style = DropStyle(count=(300, 300), merged=0.5, runny=0.5)
    pyramid = [noise((300, 300))]
    for drop in draw_drops((300, 300), None, style, np.random.default_rng(0)):
        _, cover, _, _ = render(drop, pyramid, np.zeros(3, np.float32))
        assert cover.max() > 0.5
        for side in (cover[0], cover[-1], cover[:, 0], cover[:, -1]):
            assert side.max() == 0


def test_soft_drops_fade_into_the_photo_around_the_mask() -> None:
    image = noise((160, 160))
    style = DropStyle(radius=(0.2, 0.2), soft=1, soft_blur=(0.2, 0.2), merged=0, runny=0)
    picture, mask = draw(image, 3, 1, style)
    changed = (picture != image).any(axis=2)
    reach = 2 * round(3 * 0.2 * 32) + 5
    beside = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) == 0
    assert not changed[beside].any()
    assert (changed & (mask == 0)).sum() > 200


def test_a_drop_shows_the_scene_upside_down_and_mirrored() -> None:
    rows, columns = np.mgrid[0:200, 0:200]
    image = np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)
    picture, mask = draw(image, 5, 1, PLAIN)
    inside = cv2.erode(mask, np.ones((9, 9), np.uint8), borderValue=0) == 1
    y, x = np.nonzero(inside)
    assert len(y) > 500
    shown = picture[inside].astype(float)
    assert np.corrcoef(y, shown[:, 0])[0, 1] < -0.9
    assert np.corrcoef(x, shown[:, 1])[0, 1] < -0.9
    # Wide-angle: more of the scene than the drop covers.
    assert np.ptp(shown[:, 0]) > 1.3 * np.ptp(y)


def test_the_rim_is_dark_and_the_highlight_bright() -> None:
    image = np.full((200, 200, 3), 120, np.uint8)
    plain, mask = draw(image, 0, 1, PLAIN)
    inside = mask == 1
    assert np.abs(plain[inside].astype(int) - 120).max() <= 1
    lit, same = draw(image, 0, 1, DropStyle(radius=(0.2, 0.2), soft=0, merged=0, runny=0))
    np.testing.assert_array_equal(same, mask)
    assert lit[inside].max() > 180
    assert lit[inside].min() < 90


def test_count_is_the_number_of_drops() -> None:
    style = DropStyle(radius=(0.02, 0.03), soft=0, merged=0, runny=0)
    _, mask = draw(noise((400, 400)), 0, 9, style)
    assert cv2.connectedComponents(mask)[0] - 1 == 9
    picture, empty = draw(noise(), 0, 0)
    assert not empty.any()
    np.testing.assert_array_equal(picture, noise())


@pytest.mark.parametrize(
    "wrong", [{"radius": (0.2, 0.1)}, {"radius": (0, 0.1)}, {"soft": 1.5}, {"merged": 0.7, "runny": 0.7}]
)
def test_a_style_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="Drop style"):
        DropStyle(**wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------- glass out of focus


def test_the_default_style_draws_the_drops_it_always_drew() -> None:
    drops = draw_drops((100, 150), None, DropStyle(), np.random.default_rng(0))
    assert len(drops) == 29
    assert drops[0].centre == pytest.approx(57.9492922 + 35.4217245j, abs=1e-5)
    assert [drop.radius_px for drop in drops[:3]] == pytest.approx([11.8754722, 11.1755016, 9.4708865])
    assert drops[-1].centre == pytest.approx(144.6310308 + 13.3956152j, abs=1e-5)
    assert all(drop.steep == 1 for drop in drops)


@pytest.mark.parametrize("hw", [(1, 1), (7, 5), (16, 16), (33, 250), (301, 167)])
@pytest.mark.parametrize("name", STYLES)
def test_every_style_draws_on_any_size(name: str, hw: tuple[int, int]) -> None:
    image = noise(hw)
    picture, mask = draw(image, 1, style=STYLES[name])
    assert picture.shape == (*hw, 3)
    assert set(np.unique(mask)) <= {0, 1}
    np.testing.assert_array_equal(draw(image, 1, style=STYLES[name])[0], picture)


def test_water_without_rim_or_highlight_neither_makes_nor_takes_light() -> None:
    image = np.full((120, 160, 3), 120, np.uint8)
    style = replace(STYLES["windshield"], rim=0, highlight=0)
    for seed in range(6):
        picture, mask = draw(image, seed, style=style)
        assert mask.any()
        assert np.abs(picture.astype(int) - 120).max() <= 1


def test_a_film_of_water_shows_what_is_behind_it_and_a_drop_the_scene_turned_around() -> None:
    image = photo((160, 200), 3)
    drop = replace(draw_drops(image.shape[:2], 1, PLAIN, np.random.default_rng(1))[0], blur=0.0)
    shown, cover, top, left = render(replace(drop, steep=0.0), [image], np.zeros(3, np.float32))
    inside = cover == 1
    y, x = np.nonzero(inside)
    y, x, inside = y + top, x + left, inside.copy()
    seen = (y >= 0) & (y < 160) & (x >= 0) & (x < 200)
    assert np.abs(shown[inside][seen] - image[y[seen], x[seen]]).max() < 1
    turned, _, _, _ = render(drop, [image], np.zeros(3, np.float32))
    assert np.abs(turned[inside][seen] - image[y[seen], x[seen]]).mean() > 10


def test_out_of_focus_a_small_drop_is_in_the_picture_but_not_in_the_mask() -> None:
    image = np.full((200, 200, 3), 200, np.uint8)
    style = DropStyle(radius=(0.02, 0.02), rim=1, highlight=0, soft=0, merged=0, runny=0)
    _, sharp = draw(image, 0, 1, style)
    assert sharp.any()
    picture, mask = draw(image, 0, 1, replace(style, defocus=(0.05, 0.05)))
    assert not mask.any()
    changed = (picture != image).any(axis=2)
    assert changed.sum() > 3 * sharp.sum()
    large = replace(style, radius=(0.2, 0.2), defocus=(0.05, 0.05))
    crisp, soft = draw(image, 0, 1, replace(large, defocus=(0, 0)))[1], draw(image, 0, 1, large)[1]
    assert (crisp & soft).sum() > 0.9 * (crisp | soft).sum()


def test_density_is_the_share_of_the_glass_that_is_covered() -> None:
    for wanted in (0.1, 0.3):
        style = drop_style("windshield", density=(wanted, wanted), focus=(0, 0))
        covered = np.mean([draw(noise((150, 200)), seed, style=style)[1].mean() for seed in range(12)])
        assert 0.7 * wanted < covered < 1.3 * wanted
    assert not draw(noise(), style=drop_style(density=(0, 0)))[1].any()
    with pytest.raises(InputError, match="more than 2000 drops"):
        draw(noise((400, 400)), style=drop_style(density=(0.5, 0.5), size=(0.005, 0.01)))


def test_size_is_the_diameter() -> None:
    small, large = (
        [drop.radius_px for drop in draw_drops((300, 400), 40, drop_style(size=size), np.random.default_rng(0))]
        for size in ((0.02, 0.04), (0.2, 0.3))
    )
    assert 3 <= min(small) <= max(small) <= 6
    assert 30 <= min(large) <= max(large) <= 45


def test_streaks_run_down_or_turn_about_the_wiper() -> None:
    style = replace(drop_style("windshield", streaks=1), lean=0)
    drops = draw_drops((300, 400), 400, style, np.random.default_rng(0))
    runny = [drop for drop in drops if drop.taper]
    smears = [drop for drop in drops if abs(drop.stretch_L[0]) >= 2 and not drop.taper]
    assert len(runny) + len(smears) == 400
    assert 150 < len(smears) < 250
    assert np.mean([abs(np.angle(drop.stretch_L[0]) - np.pi / 2) < 0.4 for drop in runny]) > 0.95
    # The normals of all smears meet in one point, below the picture.
    normals = np.array([1j * drop.stretch_L[0] / abs(drop.stretch_L[0]) for drop in smears])
    across = np.stack([-normals.imag, normals.real], axis=1)
    centres = np.array([[drop.centre.real, drop.centre.imag] for drop in smears])
    pivot, residual, _, _ = np.linalg.lstsq(across, (across * centres).sum(axis=1), rcond=None)
    assert pivot[1] > 300
    assert residual.max() < 1
    none = draw_drops((300, 400), 200, drop_style("windshield", streaks=0), np.random.default_rng(0))
    assert not any(drop.taper or abs(drop.stretch_L[0]) >= 2 for drop in none)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "windscreen"}, "Did you mean 'windshield'"),
        ({"density": (0.2, 0.1)}, "rising"),
        ({"density": (0.2, 0.9)}, "80%"),
        ({"density": (float("nan"), 0.2)}, "rising"),
        ({"size": (0, 0.2)}, "above 0"),
        ({"size": (0.2, 3)}, "smaller"),
        ({"focus": (-0.1, 0.2)}, "rising"),
        ({"streaks": 2}, "0 to 1"),
    ],
)
def test_wishes_without_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        drop_style(**wrong)


# ---------------------------------------------------------------- a data set


def test_a_data_set_opens_again_and_holds_to_the_contract(tmp_path: Path) -> None:
    made = synth_raindrops(write_photos(tmp_path / "photos", 5), tmp_path / "set", per_photo=3, size=(32, 48), seed=4)
    data = Dataset.open(tmp_path / "set")
    assert not made.skipped
    assert data.fingerprint == made.dataset.fingerprint == data.record["fingerprint"]
    assert data.classes.names == ["background", "raindrop"]
    assert data.classes.background == 0
    assert [s.id for s in data.samples][:4] == ["photo0-000", "photo0-001", "photo0-002", "photo1-000"]
    for sample in data.samples:
        assert data.image(sample).shape == (32, 48, 3)
        check_mask(data.mask(sample), data.classes, name=sample.id, size_hw=(32, 48))
        assert data.mask(sample).any()
    assert data.refresh() == (data, [])


def test_without_a_size_pictures_are_whole_photos(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 3)
    data = synth_raindrops(photos, tmp_path / "set", per_photo=2).dataset
    for sample in data.samples:
        original = read_image(photos / sample.source)
        dry = cv2.dilate(data.mask(sample), np.ones((25, 25), np.uint8)) == 0
        assert np.abs(data.image(sample)[dry].astype(int) - original[dry]).max(initial=0) < 24


def test_no_photo_is_on_two_sides_of_the_split(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 7)
    sides = defaultdict(set)
    for sample in synth_raindrops(photos, tmp_path / "set", per_photo=4, size=(16, 16)).dataset.samples:
        assert sample.group == Path(sample.source).stem
        sides[sample.group].add(sample.split)
    assert len(sides) == 7
    assert all(len(side) == 1 for side in sides.values())
    assert set.union(*sides.values()) == {"train", "val", "test"}


def test_a_group_pattern_keeps_photos_of_one_scene_together(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(8):
        write_image(photos / f"scene{index // 2}_{'ab'[index % 2]}.png", photo((20, 24), index))
    shares = Shares(group="^[^_]+")
    data = synth_raindrops(photos, tmp_path / "set", per_photo=1, shares=shares).dataset
    assert {s.group for s in data.samples} == {f"scene{k}" for k in range(4)}
    assert len({(s.group, s.split) for s in data.samples}) == 4


def test_adding_a_photo_changes_no_other_picture(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 4)
    synth_raindrops(photos, tmp_path / "before", per_photo=2, size=(24, 24))
    write_image(photos / "another.png", photo((44, 44), 9))
    synth_raindrops(photos, tmp_path / "after", per_photo=2, size=(24, 24))
    before, after = pictures(tmp_path / "before"), pictures(tmp_path / "after")
    assert len(after) == len(before) + 2
    assert {name: after[name] for name in before} == before
    synth_raindrops(photos, tmp_path / "other", per_photo=2, size=(24, 24), seed=1)
    assert pictures(tmp_path / "other") != after


def test_unusable_photos_are_left_out_with_the_reason(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 4)
    whole = read_bytes(photos / "photo3.png")
    (photos / "photo3.png").write_bytes(whole[: len(whole) // 2])
    shutil.copy(photos / "photo0.png", photos / "photo0 copy.png")
    write_image(photos / "photo1.jpg", photo((20, 20)))
    write_image(photos / "photo4.png", photo((20, 30), 7))
    shares = Shares(val=0, test=0.3)
    made = synth_raindrops(photos, tmp_path / "set", per_photo=1, shares=shares)
    reasons = {Path(row.file).name: row.reason for row in made.skipped}
    assert sorted(reasons) == ["photo0.png", "photo1.jpg", "photo1.png", "photo3.png"]
    assert "truncated" in reasons["photo3.png"]
    assert "copy" in reasons["photo0.png"]
    assert "stem" in reasons["photo1.jpg"]
    assert {s.group for s in made.dataset.samples} == {"photo0 copy", "photo2", "photo4"}
    with pytest.raises(InputError, match="stem"):
        synth_raindrops(photos, tmp_path / "strict", shares=shares, strict=True)
    for path in (photos / "photo1.jpg", photos / "photo0 copy.png"):
        path.unlink()
    with pytest.raises(InputError, match="truncated"):
        synth_raindrops(photos, tmp_path / "strict", shares=shares, strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "set"]


def test_no_usable_photo_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 3)
    for path in photos.iterdir():
        path.write_bytes(read_bytes(path)[:60])
    with pytest.raises(InputError, match="None of 3 images"):
        synth_raindrops(photos, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        synth_raindrops(tmp_path / "empty", tmp_path / "set")


def test_a_target_that_exists_or_a_plan_without_sense_is_refused(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 3)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        synth_raindrops(photos, tmp_path / "set", per_photo=1)
    assert (tmp_path / "set" / "precious.txt").read_text() == "mine"
    with pytest.raises(InputError, match="at least 1 picture"):
        synth_raindrops(photos, tmp_path / "other", per_photo=0)
    (photos / "photo0.png").unlink()
    with pytest.raises(InputError, match="cannot be split"):
        synth_raindrops(photos, tmp_path / "other", per_photo=1)


def test_an_interrupted_call_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write_photos(tmp_path / "photos", 6)
    synth_raindrops(photos, tmp_path / "whole", per_photo=2)
    drawn: list[str] = []
    draw_all = _Pictures.__call__

    def interrupted(self: _Pictures, path: Path) -> Made:
        drawn.append(path.stem)
        if path.stem == "photo3" and drawn.count("photo3") == 1:
            raise KeyboardInterrupt
        return draw_all(self, path)

    monkeypatch.setattr(_Pictures, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synth_raindrops(photos, tmp_path / "set", per_photo=2, workers=0)
    assert not (tmp_path / "set").exists()
    made = synth_raindrops(photos, tmp_path / "set", per_photo=2, workers=0)
    assert drawn == ["photo0", "photo1", "photo2", "photo3", "photo3", "photo4", "photo5"]
    assert made.dataset.fingerprint == Dataset.open(tmp_path / "whole").fingerprint
    assert pictures(tmp_path / "set") == pictures(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "set", "whole"]


def test_processes_draw_the_same_pictures(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 4)
    style = drop_style("windshield")
    for name, workers in (("alone", 0), ("two", 2)):
        synth_raindrops(photos, tmp_path / name, per_photo=2, style=style, workers=workers)
    assert pictures(tmp_path / "alone") == pictures(tmp_path / "two")


def test_tiny_photos_get_drops_too(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for index in range(3):
        write_image(tmp_path / "photos" / f"{index}.png", photo((16, 16), index))
    data = synth_raindrops(tmp_path / "photos", tmp_path / "set", style=drop_style("windshield")).dataset
    assert {data.image(sample).shape for sample in data.samples} == {(16, 16, 3)}


def test_the_demo_photos_are_readable_and_of_different_scenes(tmp_path: Path) -> None:
    paths = demo_photos(tmp_path / "photos")
    assert len(paths) == 15
    assert paths == sorted((tmp_path / "photos").iterdir())
    photos = [read_image(path) for path in paths]
    assert all(min(image.shape[:2]) >= 160 for image in photos)
    in_colour = [np.ptp(image.astype(int), axis=2).mean() > 5 for image in photos]
    assert sum(in_colour) >= 6


# ---------------------------------------------------------------- the verb


def test_the_verb_takes_wishes_and_groups(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(8):
        write_image(photos / f"scene{index // 2}_{'ab'[index % 2]}.png", photo((40, 60), index))
    words = ["--style", "windshield", "--density", "0.3,0.5", "--drop-size", "0.2", "--focus", "0,0.01"]
    words += ["--streaks", "0.5", "--group", "^[^_]+", "--per-photo", "2", "--workers", "0"]
    done = CliRunner().invoke(app, ["synth", "raindrops", str(photos), str(tmp_path / "set"), *words])
    assert done.exit_code == 0, done.output
    assert "--recipe raindrops" in done.output
    data = Dataset.open(tmp_path / "set")
    assert {sample.group for sample in data.samples} == {f"scene{k}" for k in range(4)}
    style = data.record["from"]["style"]
    assert (style["cover"], style["radius"], style["defocus"]) == ([0.3, 0.5], [0.1, 0.1], [0, 0.01])
    assert style["smeared"] == 0.25
    assert 0.2 < np.mean([data.mask(sample).mean() for sample in data.samples]) < 0.6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--density", "much"], "two numbers"),
        (["--density", "0.1,0.2,0.3"], "two numbers"),
        (["--density", ""], "two numbers"),
        (["--focus", "nan"], "rising"),
        (["--style", "fog"], "Known: close, windshield"),
        (["--streaks", "-1"], "0 to 1"),
        (["--group", "("], "regular expression"),
        (["--group", "^z"], "does not match"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_leaves_nothing(tmp_path: Path, words: list[str], message: str) -> None:
    photos = write_photos(tmp_path / "photos", 3)
    done = CliRunner().invoke(app, ["synth", "raindrops", str(photos), str(tmp_path / "set"), *words])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
